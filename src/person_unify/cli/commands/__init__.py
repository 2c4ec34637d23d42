"""One file per family of commands; ``app.py`` gives each its name and place."""
