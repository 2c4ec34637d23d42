"""The report as one self-contained HTML page, for the engineer and the manager.

It needs no network and no script, carries a strict Content-Security-Policy, prints well and follows
the reader's light or dark setting.  Like the report it holds counts and ids, never a cell.
"""

from person_unify.page.render import render_page

__all__ = ["render_page"]
