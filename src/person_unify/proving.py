"""The old database rebuilt and compared, table by table, before anything is published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from person_unify.database import Database
from person_unify.errors import MigrationError
from person_unify.ledger import CATALOG
from person_unify.progress import Progress, TableStarted
from person_unify.report import CheckResult
from person_unify.schema import quote
from person_unify.stages.rebuild import Places, Rebuilder, TableComparison, compare_table

SCRATCH = "rebuilt"
"""The name under which the file of the proof is attached."""


def prove(database: Database, scratch: Path, progress: Progress) -> list[CheckResult]:
    """Rebuild every table of the attached snapshot from target and ledger, and compare the two.

    ``scratch`` is a private file that must not exist; no more than one table stands in it at a
    time.  One check ``rebuild`` per table, and one for the definitions; a failing statement is an
    answer too.
    """
    scratch.touch(mode=0o600)
    database.attach(scratch, SCRATCH)
    database.execute(f"PRAGMA {SCRATCH}.journal_mode = OFF")
    database.execute(f"PRAGMA {SCRATCH}.cache_size = -65536")
    try:
        rebuilder = Rebuilder(database, Places("main", CATALOG, SCRATCH), typed=False)
    except MigrationError as error:
        return [CheckResult("rebuild", None, None, None, "error", str(error))]
    try:
        checks = [_definitions(database)]
        for name in rebuilder.tables:
            progress(TableStarted("prove", name))
            checks.append(_proved(rebuilder, name))
    finally:
        rebuilder.close()
    return checks


def _proved(rebuilder: Rebuilder, name: str) -> CheckResult:
    try:
        rebuilder.fill(name)
        found = compare_table(
            rebuilder.database,
            ("source", SCRATCH),
            rebuilder.tables[name],
            rebuilder.instants(name),
        )
        rebuilder.empty(name)
    except MigrationError as error:
        return CheckResult("rebuild", name, None, None, "error", str(error))
    return comparison_check(found)


def comparison_check(found: TableComparison) -> CheckResult:
    """A comparison as a check: rows of the old table, and how many came back as they were."""
    detail = "the table has no row" if found.outcome == "not_applicable" else "; ".join(said(found))
    equal = found.left_rows - found.missing - found.differing
    return CheckResult("rebuild", found.table, found.left_rows, equal, found.outcome, detail)


def said(found: TableComparison) -> Iterator[str]:
    """What differs, in counts, columns and keys."""
    if found.missing:
        yield f"{found.missing} rows missing"
    if found.added:
        yield f"{found.added} rows too many"
    if found.differing:
        columns = ", ".join(f"{name} {count}" for name, count in found.columns.items())
        yield f"{found.differing} rows differ ({columns})"
    if found.keys:
        yield f"for example {', '.join(found.keys)}"


def _definitions(database: Database) -> CheckResult:
    """Whether the ledger keeps the DDL of everything that the old database has."""
    listed = (
        "SELECT type, name, tbl_name, sql FROM source.sqlite_master "
        "WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql IS NOT NULL"
    )
    kept = f"SELECT type, name, table_name, sql FROM {quote(CATALOG)}.source_schema"
    total = int(database.value(f"SELECT count(*) FROM ({listed})"))
    both = int(database.value(f"SELECT count(*) FROM ({listed} INTERSECT {kept})"))
    return CheckResult(
        "rebuild", "sqlite_master", total, both, "passed" if both == total else "failed"
    )
