"""How text that others wrote is shown: one escaping for each medium, and no other anywhere.

``text`` has those for the terminal, the page, Markdown and Mermaid; ``tables`` those for CSV files
and spreadsheets.  It is a module of its own because it needs Polars, which takes long to load.
"""
