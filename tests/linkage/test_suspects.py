"""Suspected duplicates: what one slip of the pen leaves behind is found, and nothing is merged."""

from __future__ import annotations

import builtins
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.migration.support import SMALL, migrated, old_database
from typer.testing import CliRunner

from person_unify.cli.app import app
from person_unify.errors import SourceError, UsageError
from person_unify.linkage import PAIRS, PEOPLE, find_suspects, read_people
from person_unify.linkage.blocking import LARGEST_BLOCK


def ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


Row = tuple[str, str, str, str | None]


def people(*rows: Row) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "table": ["persons"] * len(rows),
            "id": [f"p{position:04}" for position in range(len(rows))],
            "first_name": [row[0] for row in rows],
            "last_name": [row[1] for row in rows],
            "date_of_birth": [ms(row[2]) for row in rows],
            "gender": [row[3] for row in rows],
        },
        schema=PEOPLE,
    )


CROWD: tuple[Row, ...] = tuple(
    (f"{a}{b}ana", f"{b}{a}kar", f"20{10 + a_n}-{1 + b_n:02}-{1 + (a_n * 7 + b_n) % 28:02}", "male")
    for a_n, a in enumerate(("Bh", "D", "G", "Kh", "M", "Pr"))
    for b_n, b in enumerate(("a", "e", "i", "o", "u", "aa", "ee", "oo"))
)
MEERA: Row = ("Meera", "Venkatesan", "2015-03-04", "female")


def pairs(*rows: Row, least: float = 0.5) -> list[tuple[Any, ...]]:
    return find_suspects(people(*CROWD, *rows), least).pairs.rows()


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (("Meera", "Venkatesn", "2015-03-04", "female"), "last names alike"),
        (("Mera", "Venkatesan", "2015-03-04", "female"), "first names alike"),
        (("Méera", "Venkatesan", "2015-03-04", "female"), "same day of birth"),
        (("Venkatesan", "Meera", "2015-03-04", "female"), "first and last name swapped"),
        (("Meera", "Venkatesan", "2015-04-03", "female"), "day and month swapped"),
        (("Meera", "Venkatesan", "2015-03-14", "female"), "only the day differs"),
        (("Meera", "Venkatesan", "2015-08-04", "female"), "only the month differs"),
        (("Meera", "Venkatesan", "2016-03-04", "female"), "only the year differs"),
        (("Mira", "Venkatesan", "2015-03-04", "male"), "genders differ"),
    ],
)
def test_one_slip_is_found_with_its_reason(other: Row, reason: str) -> None:
    ((score, *_, left, _, right, reasons),) = pairs(MEERA, other, least=0.1)

    assert (left, right) == (f"p{len(CROWD):04}", f"p{len(CROWD) + 1:04}")
    assert reason in reasons
    assert 0.1 <= score <= 1


@pytest.mark.parametrize(
    ("one", "other", "last"),
    [
        ("मीना", "मनु", "शर्मा"),
        ("রিনা", "রানু", "দাস"),
        ("கமலா", "கோமள", "ராஜன்"),
        ("సీత", "సుత", "రావు"),
        ("ഗീത", "ഗോത", "നായർ"),
        ("ਗੀਤਾ", "ਗੁਤ", "ਸਿੰਘ"),
        ("สุดา", "สีดา", "ใจดี"),
    ],
)
def test_vowel_signs_tell_names_apart(one: str, other: str, last: str) -> None:
    found = pairs((one, last, "2015-03-04", None), (other, last, "2015-03-04", None), least=0.0)

    assert [reasons for *_, reasons in found if "first names same" in reasons] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("José", "Jose"),
        ("Jose\u0301", "José"),
        ("Nuñez", "NUNEZ"),
        ("Γιώργος", "Γιωργος"),
        ("Алёна", "Алена"),
        ("Nguyễn", "Nguyen"),
        ("गीता", "ग\u0940त\u093e"),
    ],
)
def test_accents_do_not(one: str, other: str) -> None:
    ((*_, reasons),) = pairs(
        (one, "Aaltonen", "2015-03-04", None), (other, "Aaltonén", "2015-03-04", None), least=0.0
    )

    assert "first names same" in reasons
    assert "last names same" in reasons


@pytest.mark.parametrize(
    "other",
    [
        ("Meera", "Venkatesan", "2015-03-04", "female"),  # logged by the run itself
        ("Zoya", "Venkatesan", "1999-12-31", "female"),
        ("Meera", "Qureshi", "2003-11-20", "female"),
        ("", "Venkatesan", "2015-03-04", "female"),
    ],
)
def test_equal_names_and_strangers_are_not_named(other: Row) -> None:
    assert pairs(MEERA, other) == []


def test_a_rare_name_says_more_than_a_common_one() -> None:
    common = [("Om", "Shah", f"2012-{m:02}-{d:02}", "male") for m in range(1, 5) for d in (1, 9)]
    rare = pairs(*common, MEERA, ("Meera", "Venkatesan", "2015-03-14", "female"), least=0.0)
    by_first = {row[2]: row[0] for row in rare if row[2] == f"p{len(CROWD) + 8:04}"}
    of_common = [row[0] for row in rare if row[2] < f"p{len(CROWD) + 8:04}"]

    assert of_common
    assert min(by_first.values()) > max(of_common)


def test_a_crowded_key_is_left_out_and_said() -> None:
    rows = [(f"First{i}x", "Placeholder", "1970-01-01", None) for i in range(LARGEST_BLOCK + 1)]

    found = find_suspects(people(*rows))

    assert found.crowded >= 1
    assert found.compared < LARGEST_BLOCK**2 // 4


@pytest.mark.parametrize("rows", [[], [MEERA]])
def test_too_few_people_make_no_pair(rows: list[Row]) -> None:
    found = find_suspects(people(*rows))

    assert found.pairs.schema == PAIRS
    assert found.pairs.is_empty()


names = st.sampled_from(["Meera", "Mera", "Om", "Ravi", "", "Zoë"]) | st.text(max_size=4)
days = st.dates(min_value=datetime(1, 1, 1).date()).map(str)
rows_of_people = st.lists(
    st.tuples(names, names, days, st.none() | st.sampled_from(["male", "female", "unknown", ""])),
    max_size=12,
)


@settings(max_examples=50, deadline=None)
@given(rows_of_people, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_no_pair_comes_twice(rows: list[Row], random: Any) -> None:
    known = people(*rows)
    order = list(range(len(rows)))
    random.shuffle(order)

    def as_sets(frame: pl.DataFrame) -> list[tuple[frozenset[str], float]]:
        found = find_suspects(frame, 0.0).pairs
        return sorted(
            ((frozenset((left, right)), score) for score, _, left, _, right, _ in found.rows()),
            key=lambda pair: sorted(pair[0]),
        )

    straight = as_sets(known)

    assert as_sets(known[order]) == straight
    assert len({pair for pair, _ in straight}) == len(straight)
    assert all(len(pair) == 2 and 0 <= score <= 1 for pair, score in straight)


TABLES: dict[str, list[dict[str, Any]]] = {
    "users": [{"id": "u1", "email": "u1@example.org"}, {"id": "u2", "email": "u2@example.org"}],
    "parents": [{"id": "r1", "user_id": "u2"}],
    "patients": [
        {
            "id": "p1",
            "clinician_id": "u1",
            "first_name": "Meera",
            "last_name": "Venkatesan",
            "date_of_birth": ms("2015-03-04"),
        }
    ],
    "children": [
        {
            "id": "c1",
            "parent_id": "r1",
            "linked_patient_id": "p1",
            "first_name": "Meera",
            "last_name": "Venkatesn",
            "date_of_birth": "2015-03-04",
        },
        {
            "id": "c2",
            "parent_id": "r1",
            "first_name": "Mera",
            "last_name": "Venkatesan",
            "date_of_birth": "2015-03-04",
        },
    ],
}


def test_old_database_compares_patients_and_unlinked_children(tmp_path: Path) -> None:
    old = old_database(tmp_path / "old.db", TABLES)
    before = old.read_bytes()

    known = read_people(old)

    assert sorted(known["id"]) == ["c2", "p1"]
    assert set(known["date_of_birth"]) == {ms("2015-03-04")}
    assert old.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["old.db"]


def test_unified_database_compares_persons(tmp_path: Path) -> None:
    done = migrated(tmp_path, TABLES)

    found = find_suspects(read_people(done.target), 0.0).pairs

    assert {found["left_id"].item(), found["right_id"].item()} == {
        done.new_id("patient_to_person", "p1"),
        done.new_id("child_to_person", "c2"),
    }


def test_another_database_is_refused(tmp_path: Path) -> None:
    from person_unify.files.database import Database

    with Database(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE t (a)")

    with pytest.raises(SourceError, match="neither persons nor patients"):
        read_people(tmp_path / "other.db")


def test_command_prints_and_writes_ids_and_never_a_name(tmp_path: Path) -> None:
    old = old_database(tmp_path / "old.db", TABLES)
    csv = tmp_path / "pairs.csv"

    done = CliRunner().invoke(app, ["suspects", str(old), "--least", "0", "--output", str(csv)])

    assert done.exit_code == 0, done.output
    assert csv.stat().st_mode & 0o777 == 0o600
    for text in (done.output, csv.read_text(encoding="utf-8")):
        assert "c2" in text
        assert "p1" in text
        assert not any(word in text for word in ("Meera", "Mera", "Venkatesan", "2015"))


def test_without_the_library_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("rapidfuzz"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)

    with pytest.raises(UsageError, match=r"pip install '\.\[linkage\]'"):
        find_suspects(people(MEERA, ("Mera", "Venkatesan", "2015-03-04", "female")))


def test_command_takes_a_ledger_for_the_database_beside_it(tmp_path: Path) -> None:
    done = migrated(tmp_path, SMALL)

    asked = [CliRunner().invoke(app, ["suspects", str(p)]) for p in (done.target, done.ledger)]

    assert [one.exit_code for one in asked] == [0, 0]
    assert asked[0].output == asked[1].output
