"""A faultless migration passes, whatever the old database looked like."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, reject
from tests.reference import Refused, migrate_reference
from tests.reference.materialise import materialise
from tests.strategies import Description, build, old_databases
from tests.strategies.examples import drawn

from person_unify.evidence.lineage import lineage
from person_unify.files.database import Database, inspect
from person_unify.mappings.bind import bind
from person_unify.stages.extract import Extractor
from person_unify.stages.verify import Files, VerifyOptions, verify
from person_unify.stages.verify.check import Check

RUN = 1_750_000_000_000


def verified(description: Description, folder: Path, mode: str) -> list[Check]:
    """Verify what the row-by-row reference makes of a described database."""
    source = build(description, folder / "old.db")
    target, ledger = folder / "new.db", folder / "ledger.db"
    result = migrate_reference(source, run_time_ms=RUN, implied_grants=mode)
    materialise(result, target, ledger)
    extractor = Extractor(source)
    with Database(target, read_only=True) as database:
        plan = bind(extractor.tables, inspect(database), extractor.has_rows)
    with Database(ledger) as books:
        books.ingest("lineage", lineage(plan))
        books.attach(source, "source", settled=True)
        books.execute(
            "CREATE TABLE main.source_schema AS SELECT type, name, tbl_name AS table_name, sql "
            "FROM source.sqlite_master WHERE sql IS NOT NULL"
        )
    options = VerifyOptions("Asia/Kolkata", mode, RUN)
    return verify(Files(source, target, ledger), plan, options, lambda _: None)


@drawn(15)
@given(old_databases())
def test_the_reference_passes(description: Description) -> None:
    for mode in ("active", "pending", "none"):
        with tempfile.TemporaryDirectory() as folder:
            try:
                checks = verified(description, Path(folder), mode)
            except Refused:
                reject()  # no migration, nothing to verify
        assert [check for check in checks if check.outcome in ("failed", "error")] == []
        if mode == "active" and not description.rows("consent_grants"):
            break
