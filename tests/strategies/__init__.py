"""Makers of old databases for tests: drawn by hypothesis, or written by hand."""

from tests.strategies.databases import old_databases
from tests.strategies.description import Description, TableDescription, build

__all__ = ["Description", "TableDescription", "build", "old_databases"]
