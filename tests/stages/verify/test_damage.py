"""Every planted defect is found, under the right name, on three databases.

On the usual one each is planted alone.  On the two others, those are planted together that neither
disturb each other nor may fail each other's checks: a verification takes as long for twenty.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from person_unify.errors import DatabaseError
from person_unify.stages.verify import NAMES, VerifyOptions
from person_unify.stages.verify.compare import _Pair

from .conftest import OTHERS, USUAL
from .damage import CELLS, REFERENCES, ROWS, Damage
from .damage_between import BETWEEN
from .damage_ledger import ARCHIVE, DROPPED, LOG, RECORDS
from .damage_people import GRANTS, LEDGER, PEOPLE, VIEWS
from .support import BAD, Migrated, bad, checks_of
from .together import answer_for_each_other, label, together

DAMAGES = (
    *(*ROWS, *CELLS, *REFERENCES, *PEOPLE, *VIEWS, *GRANTS),
    *(*LEDGER, *ARCHIVE, *LOG, *RECORDS, *DROPPED, *BETWEEN),
)
TOGETHER = together(DAMAGES, answer_for_each_other)


def test_an_untouched_migration_passes(migrated: Migrated) -> None:
    checks = checks_of(migrated, migrated.target, migrated.ledger)

    assert [check for check in checks if check.outcome in BAD] == []
    assert sum(check.outcome == "passed" for check in checks) > 200
    assert {check.name for check in checks} <= set(NAMES)
    assert all(check.detail for check in checks if check.outcome == "not_applicable")


def test_sessions_are_judged_by_the_time_zone_of_the_run(migrated: Migrated) -> None:
    elsewhere = replace(migrated, options=VerifyOptions("UTC", "active", migrated.started))

    checks = checks_of(elsewhere, migrated.target, migrated.ledger)

    name = next(b.name for b in migrated.plan.of("consultation_sessions"))
    assert bad(checks) == {("cells_match", name)}


def test_a_broken_index_fails_the_integrity_check(migrated: Migrated, tmp_path: Path) -> None:
    target = Path(shutil.copy(migrated.target, tmp_path / "new.db"))
    connection = sqlite3.connect(target)
    connection.execute("PRAGMA writable_schema = ON")
    changed = connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, '(\"person_id\")', '(\"contact_type\")') "
        "WHERE type = 'index' AND tbl_name = 'contacts' AND sql LIKE '%person_id%'"
    ).rowcount
    connection.commit()
    connection.close()
    assert changed == 1

    checks = checks_of(migrated, target, migrated.ledger)

    assert ("integrity", None) in bad(checks)


@pytest.mark.parametrize("migrated", [USUAL], indirect=True)
def test_a_table_that_cannot_be_compared_is_given_back_all_the_same(
    migrated: Migrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = {bound.name for bound in migrated.plan.of("patient_contacts")}
    differing = _Pair.differing

    def fail(pair: _Pair, *given: Any) -> Any:
        if pair.side.name == name:
            raise DatabaseError("could not query new.db")
        return differing(pair, *given)

    monkeypatch.setattr(_Pair, "differing", fail)
    checks = checks_of(migrated, migrated.target, migrated.ledger)

    told = {(check.name, check.table): check.outcome for check in checks}
    assert told["cells_match", name] == "error"
    assert told["rebuild", name] == "passed"


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
@pytest.mark.parametrize("migrated", [USUAL], indirect=True)
def test_damage_is_found_under_its_name(migrated: Migrated, damage: Damage) -> None:
    require_found(migrated, (damage,))


@pytest.mark.parametrize("damages", TOGETHER, ids=label)
@pytest.mark.parametrize("migrated", OTHERS, indirect=True)
def test_each_of_several_damages_is_found_under_its_name(
    migrated: Migrated, damages: tuple[Damage, ...]
) -> None:
    there = tuple(damage for damage in damages if migrated.faults or not damage.faulty)
    if not there:
        pytest.skip("a database without faults has no such rows")

    require_found(migrated, there)


def require_found(migrated: Migrated, damages: Sequence[Damage]) -> None:
    """Plant them all: each fails a check that no other of them may fail, and nothing else fails."""
    checks = checks_of(migrated, migrated.target, migrated.ledger, *(d.statements for d in damages))

    found = bad(checks)
    for name, table in (damage.finds for damage in damages):
        assert name in {n for n, t in found if table is None or t == table}, sorted(map(str, found))
    names = {damage.finds[0] for damage in damages}
    assert {n for n, _ in found} <= names.union(*(damage.others for damage in damages))
    assert all(
        check.outcome == "failed"
        for check in checks
        if "preparation" not in names and check.outcome in BAD
    )
