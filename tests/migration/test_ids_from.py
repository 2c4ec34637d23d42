"""``--ids-from``: records that an earlier run knew keep the new ids that it gave them."""

from __future__ import annotations

import copy
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.migration.support import change, make_target, old_database, query
from tests.migration.test_decisions_against_reference import answers
from tests.processes import killed
from tests.strategies import Description, build, old_databases
from tests.strategies.examples import drawn, examples
from tests.strategies.handmade import NOON, Row

from person_unify.errors import DecisionsRefused, SchemaRefused, TargetError
from person_unify.frames.decisions import Decision, Decisions, write_decisions
from person_unify.mappings import MAP_KEYS
from person_unify.page.sections import sections
from person_unify.pipeline import MigrateOptions, migrate, verify
from person_unify.report import Report
from person_unify.run.earlier import read_earlier

EXAMPLES = examples(10)

ONE_TO_ONE = ("patient_to_person", "patient_to_view", "consent_to_grant", "collision_to_id")
TOGETHER = (
    ("patient_to_person", "child_to_person"),
    ("child_to_view", "parent_link_to_view"),
    ("tag_to_tag",),
)
Maps = dict[tuple[str, ...], str]

FAMILY: Mapping[str, Sequence[Row]] = {
    "users": [{"id": f"u{n}", "email": f"u{n}@example.org"} for n in (1, 2)],
    "parents": [{"id": "r1", "user_id": "u2"}],
    "patients": [
        {"id": "p1", "clinician_id": "u1"},
        {"id": "p2", "clinician_id": "u1", "first_name": "Bela"},
    ],
    "children": [
        {"id": "c1", "parent_id": "r1", "linked_patient_id": "p1", "created_at": NOON},
        {"id": "c2", "parent_id": "r1", "created_at": NOON + 2, "first_name": "Nila"},
        {"id": "c3", "parent_id": "r1", "created_at": NOON + 1, "first_name": "Nila"},
        {"id": "00000000-0000-4000-8000-00000000000a", "parent_id": "r1", "first_name": "Uma"},
    ],
    "parent_children": [{"id": "l1", "patient_id": "p1", "parent_id": "r1"}],
    "consent_grants": [{"id": "g1", "patient_id": "p1", "parent_id": "r1", "clinician_id": "u1"}],
    "patient_tags": [
        {"patient_id": "p1", "tag": "shy", "created_at": NOON},
        {"patient_id": "c1", "tag": "shy", "created_at": NOON + 1},
        {"patient_id": "p2", "tag": "new", "created_at": NOON},
    ],
    "ieps": [{"id": "e1", "patient_id": "p1"}],
    "peps": [{"id": "e1", "patient_id": "p1", "parent_id": "r1"}],
}
"""A linked child, two children of the same name, and a record for every id map."""


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of the family: ``old.db``, ``first.ledger.db``."""
    directory = tmp_path_factory.mktemp("rehearsed")
    run(old_database(directory / "old.db", FAMILY), "first", None)
    return directory


@pytest.fixture
def site(rehearsed: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of its source and its ledger."""
    names = ("old.db", "first.ledger.db")
    source, first = (Path(shutil.copy(rehearsed / name, tmp_path)) for name in names)
    return source, first


def maps_of(ledger: Path, *names: str) -> Maps:
    """Old records by map and key, and the new id of each."""
    return {
        (name, *(row[column] for column in MAP_KEYS[name])): row["new_id"]
        for name in names
        for row in query(ledger, f"SELECT * FROM {name}")
    }


def run(source: Path, name: str, earlier: Path | None, decisions: Sequence[Decision] = ()) -> Path:
    """Migrate, keeping the ids of an earlier ledger; returns the ledger."""
    target, file = source.with_name(f"{name}.db"), source.with_name(f"{name}.toml")
    write_decisions(Decisions(tuple(decisions)), file)
    report = migrate(MigrateOptions(source, target, decisions=file, ids_from=earlier))
    assert earlier is None or kept(report)["persons"]
    return source.with_name(f"{name}.ledger.db")


def kept(report: Report) -> dict[str, int]:
    """How many new records of each table have an earlier id, as the page says it."""
    (section,) = [s for s in sections(report) if s.id == "kept_ids"]
    (grid,) = section.blocks
    return {row[0].text: int(row[1].text) for row in grid.rows}  # type: ignore[union-attr]


def require_kept(before: Path, now: Path) -> None:
    """Every record known to both has the same id, but where another has the better claim to it."""
    for name in ONE_TO_ONE:
        old, new = maps_of(before, name), maps_of(now, name)
        assert {k: new[k] for k in new.keys() & old.keys()} == {
            k: old[k] for k in new.keys() & old.keys()
        }
        assert {new[k] for k in new.keys() - old.keys()}.isdisjoint(old.values())
    for names in TOGETHER:
        old, new = maps_of(before, *names), maps_of(now, *names)
        records: dict[str, set[tuple[str, ...]]] = {}
        for key, id_ in new.items():
            records.setdefault(id_, set()).add(key)
        for key in new.keys() & old.keys():
            if new[key] != old[key]:
                assert new[key] in old.values() or old[key] in records
        for id_, keys in records.items():
            if id_ in old.values():
                assert id_ in {old.get(key) for key in keys}


def thinned(description: Description, choose: random.Random) -> Description:
    """The same without some rows."""
    fewer = copy.deepcopy(description)
    for table in fewer.tables:
        table.rows[:] = [row for row in table.rows if choose.random() > 0.15]
    return fewer


@drawn(10, max(3, EXAMPLES // 2))
@given(old_databases(), st.integers(0, 2**32))
def test_what_both_runs_know_keeps_its_ids_whatever_came_went_or_was_decided(
    description: Description, seed: int
) -> None:
    choose = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        one = build(thinned(description, choose), Path(folder) / "one.old.db")
        two = build(thinned(description, choose), Path(folder) / "two.old.db")
        try:
            first = run(one, "first", None)
            second = run(two, "second", first, answers(first, choose, 0.3))
            third = run(one, "third", second)
        except (SchemaRefused, DecisionsRefused):
            return
        require_kept(first, second)
        require_kept(second, third)


def test_the_same_database_gets_the_same_ids_throughout(
    site: tuple[Path, Path], tmp_path: Path
) -> None:
    source, first = site

    content = first.read_bytes()
    again = run(source, "again", first)

    assert first.read_bytes() == content
    assert maps_of(again, *MAP_KEYS) == maps_of(first, *MAP_KEYS)
    assert {name for name, *_ in maps_of(first, *MAP_KEYS)} == set(MAP_KEYS)
    verified = verify(source, tmp_path / "again.db", ids_from=first)
    assert verified.failed_checks == ()
    assert kept(verified) == {
        **{"persons": 5, "parent_child_views": 4, "clinician_patient_views": 2},
        **{"access_grants": 1, "tags": 2, "collisions": 1},
    }


def test_of_a_person_that_became_two_the_patient_keeps_the_id(
    site: tuple[Path, Path], tmp_path: Path
) -> None:
    source, first = site
    before = maps_of(first, *MAP_KEYS)
    change(source, "UPDATE children SET linked_patient_id = NULL WHERE id = 'c1'")

    now = maps_of(run(source, "then", first), *MAP_KEYS)

    assert now["patient_to_person", "p1"] == before["patient_to_person", "p1"]
    assert now["child_to_person", "c1"] not in before.values()
    assert now["child_to_view", "c1"] == before["child_to_view", "c1"]
    assert now["parent_link_to_view", "l1"] not in before.values()
    assert now["tag_to_tag", "p1", "shy"] == before["tag_to_tag", "p1", "shy"]
    assert now["tag_to_tag", "c1", "shy"] not in before.values()


def test_two_persons_that_became_one_have_the_id_of_the_patient_or_the_earlier_child(
    site: tuple[Path, Path], tmp_path: Path
) -> None:
    source, first = site
    before = maps_of(first, *MAP_KEYS)
    (asked,) = query(first, "SELECT * FROM questions WHERE kind = 'suspected_duplicate'")
    names = ("kind", "source_table", "source_id", "related_id", "field", "evidence")
    same = Decision(**{n: asked[n] for n in names}, decision="merge")

    merged = maps_of(run(source, "merged", first, [same]), *MAP_KEYS)
    change(source, "UPDATE children SET linked_patient_id = 'p2' WHERE id = 'c3'")
    linked = maps_of(run(source, "linked", tmp_path / "merged.ledger.db"), *MAP_KEYS)

    earlier = before["child_to_person", "c3"], before["child_to_view", "c3"]
    assert (merged["child_to_person", "c2"], merged["child_to_view", "c2"]) == earlier
    assert (merged["child_to_person", "c3"], merged["child_to_view", "c3"]) == earlier
    assert linked["child_to_person", "c3"] == before["patient_to_person", "p2"]
    assert linked["child_to_view", "c3"] == before["child_to_view", "c3"]
    assert linked["child_to_person", "c2"] == before["child_to_person", "c3"]


def test_a_wrong_kept_id_is_found(site: tuple[Path, Path], tmp_path: Path) -> None:
    source, first = site
    then = run(source, "then", first)
    one, other = sorted({row["new_id"] for row in query(then, "SELECT new_id FROM tag_to_tag")})
    swap = f"CASE {{0}} WHEN '{one}' THEN '{other}' ELSE '{one}' END"
    change(
        tmp_path / "then.db",
        "UPDATE tags SET id = id || '-'",
        f"UPDATE tags SET id = {swap.format('substr(id, 1, 36)')}",
    )
    change(then, f"UPDATE tag_to_tag SET new_id = {swap.format('new_id')}")

    unaware = verify(source, tmp_path / "then.db")
    aware = verify(source, tmp_path / "then.db", ids_from=first)

    assert unaware.failed_checks == ()
    assert [c.outcome for c in unaware.verification if c.name == "kept_ids"] == ["not_applicable"]
    assert [(c.name, c.table, c.outcome) for c in aware.failed_checks] == [
        ("kept_ids", "tags", "failed")
    ]


DAMAGES = {
    "an id twice": "UPDATE patient_to_person SET new_id = (SELECT min(new_id) FROM patient_to_view)"
    " WHERE old_id = 'p1'",
    "one id for two patients": "UPDATE patient_to_person SET new_id = "
    "(SELECT min(new_id) FROM patient_to_person)",
    "a record twice": "INSERT INTO child_to_view SELECT * FROM child_to_view LIMIT 1",
    "no UUID": "UPDATE consent_to_grant SET new_id = upper(new_id)",
    "a blob": "UPDATE tag_to_tag SET new_id = CAST(new_id AS BLOB)",
    "a number": "UPDATE child_to_person SET old_id = 7",
    "no UTF-8": "UPDATE child_to_person SET old_id = CAST(x'ff' AS TEXT) WHERE old_id = 'c1'",
    "no map of persons": "DROP TABLE patient_to_person",
    "another form": "ALTER TABLE tag_to_tag RENAME COLUMN new_id TO old",
    "a view": "DROP TABLE tag_to_tag; CREATE VIEW child_to_person AS SELECT 1",
    "computed ids": "DROP TABLE child_to_view; CREATE TABLE child_to_view (old_id TEXT, "
    "new_id TEXT AS (hex(zeroblob(900000000))))",
    "no run": "DELETE FROM run",
    "an id of the source": "UPDATE patient_to_person SET new_id = "
    "'00000000-0000-4000-8000-00000000000a' WHERE old_id = 'p2'",
    "nobody known": "UPDATE patient_to_person SET old_id = 'x' || old_id; "
    "UPDATE child_to_person SET old_id = 'x' || old_id",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_ledger_that_no_run_wrote_is_refused(
    damage: str, site: tuple[Path, Path], tmp_path: Path
) -> None:
    source, ledger = site
    if damage == "a view":
        change(ledger, "DROP TABLE child_to_person")
    change(ledger, *DAMAGES[damage].split("; "))

    with pytest.raises(TargetError) as refused:
        migrate(MigrateOptions(source, tmp_path / "then.db", ids_from=ledger))

    assert "\n" not in str(refused.value)
    assert not list(tmp_path.glob("*then*"))


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_ledger_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(content)

    with pytest.raises(TargetError):
        read_earlier(tmp_path / "ledger.db")
    with pytest.raises(TargetError):
        read_earlier(tmp_path / "missing.db")
    with pytest.raises(TargetError):
        read_earlier(tmp_path)


def test_a_killed_run_goes_on_with_the_same_ledger_only(
    site: tuple[Path, Path], tmp_path: Path
) -> None:
    source, first = site
    other = Path(shutil.copy(first, tmp_path / "other"))
    change(other, "PRAGMA user_version = 1")
    target = make_target(tmp_path / "then.db")
    killed("run.migration:run_checks >1", "migrate", source, target, "--ids-from", first, "--quiet")

    for wrong in (None, other):
        with pytest.raises(TargetError, match="another ids_from"):
            migrate(MigrateOptions(source, target, resume=True, ids_from=wrong))
    report = migrate(MigrateOptions(source, target, resume=True, ids_from=first))

    assert kept(report)["persons"] == 5
    assert maps_of(tmp_path / "then.ledger.db", *MAP_KEYS) == maps_of(first, *MAP_KEYS)
    with pytest.raises(TargetError, match="is not the ledger whose ids"):
        verify(source, target, ids_from=other)
