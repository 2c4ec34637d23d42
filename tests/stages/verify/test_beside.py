"""Two connections that share the checks answer as one that carries out all of them."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

import pytest
from tests.stages.verify.support import BAD, Migrated

from person_unify.database import Database
from person_unify.stages.load import opened_to_verify
from person_unify.stages.verify import verify

DAMAGES = (
    "UPDATE persons SET first_name = first_name || 'x' WHERE rowid = 1",
    "DELETE FROM contacts WHERE rowid = (SELECT min(rowid) FROM contacts)",
    "DELETE FROM ledger.patient_to_person WHERE rowid = 1",
    "DROP TABLE ledger.child_to_view",
    "DROP TABLE ledger.lineage",
)


@pytest.mark.parametrize("damage", [None, *DAMAGES])
def test_checks_are_the_same_in_the_same_order(
    broken: Migrated, damage: str | None, tmp_path: Path
) -> None:
    target, ledger = tmp_path / "new.db", tmp_path / "new.ledger.db"
    shutil.copyfile(broken.target, target)
    shutil.copyfile(broken.ledger, ledger)
    if damage is not None:
        with closing(sqlite3.connect(target)) as connection:
            connection.execute("ATTACH ? AS ledger", (str(ledger),))
            connection.execute(damage)
            connection.commit()
    again = partial(opened_to_verify, target, ledger, broken.source)

    with again() as database:
        alone = verify(database, broken.plan, broken.options, lambda _: None)
        shared = verify(database, broken.plan, broken.options, lambda _: None, again)

    assert shared == alone
    assert any(check.outcome in BAD for check in shared) is (damage is not None)


def test_files_that_cannot_be_opened_again_are_an_error(broken: Migrated) -> None:
    def refused() -> AbstractContextManager[Database]:
        raise OSError("no more files")

    with (
        opened_to_verify(broken.target, broken.ledger, broken.source) as database,
        pytest.raises(OSError, match="no more files"),
    ):
        verify(database, broken.plan, broken.options, lambda _: None, refused)
