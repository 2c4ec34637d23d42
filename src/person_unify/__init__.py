"""Migrate a clinical platform's SQLite database to its unified person schema.

The command line is :mod:`person_unify.cli`; the story in order is :mod:`person_unify.pipeline`.
"""

__version__ = "0.1.0"
