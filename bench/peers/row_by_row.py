"""``row-by-row``: the script many would write first, a row at a time with Python's sqlite3."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from person_unify.mappings import CORE_TABLES, MAPPINGS
from person_unify.mappings.bind import type_of
from person_unify.mappings.spec import (
    ClinicianOf,
    Computed,
    Copy,
    Fixed,
    Fold,
    NewId,
    Owner,
    Part,
    Person,
    Reference,
    Via,
    Word,
)
from person_unify.mappings.spec import Mapping as TableMapping
from person_unify.schema import OLD, UNIFIED, Column, create_statements, quote

Row = Mapping[str, Any]
LOOKED_UP = ("users", "parents", "ieps", "peps", "iep_goals", "pep_goals")
ZONE = timedelta(minutes=330)
PERMISSIONS = '{"view": true, "edit": false, "assessments": true, "reports": true, "iep": false}'


def migrate(old: Path, new: Path) -> None:
    """Read each row, look up what it refers to in dictionaries, insert it."""
    with closing(sqlite3.connect(old)) as source, closing(sqlite3.connect(new)) as target:
        source.row_factory = sqlite3.Row
        for statement in create_statements(UNIFIED):
            target.execute(statement)

        def read(table: str) -> Iterable[Row]:
            return source.execute(f"SELECT * FROM {quote(table)}")

        def insert(table: str, made: Row) -> None:
            columns, marks = ", ".join(map(quote, made)), ", ".join("?" * len(made))
            statement = f"INSERT INTO {quote(table)} ({columns}) VALUES ({marks})"
            target.execute(statement, tuple(made.values()))

        Run(read, insert).all()
        target.commit()


class Run:
    """What is known so far: who is who, and the rows that others look up.

    ``read`` gives the rows of an old table, ``insert`` takes one row of a new one.
    """

    def __init__(
        self, read: Callable[[str], Iterable[Row]], insert: Callable[[str, Row], None]
    ) -> None:
        self.read, self.insert = read, insert
        self.patients = {row["id"]: row for row in read("patients")}
        self.children = list(read("children"))
        self.person = {id_: str(uuid.uuid4()) for id_ in self.patients}
        self.clinician = {self.person[i]: p["clinician_id"] for i, p in self.patients.items()}
        self.gender_of_child: dict[str, str] = {}
        for child in self.children:
            if child["gender"]:
                self.gender_of_child.setdefault(child["linked_patient_id"], child["gender"])
            linked = self.person.get(child["linked_patient_id"])
            self.person[child["id"]] = linked or str(uuid.uuid4())
        self.owners: set[str] = set()
        for row in read("parents"):
            self.owners |= {row["id"], row["user_id"]}
        self.kept: dict[str, dict[str, Row]] = {}

    def all(self) -> None:
        """Every table, in an order in which a row finds what it needs."""
        for mapping in MAPPINGS:
            if mapping.target is None or mapping.source in CORE_TABLES:
                continue
            if mapping.source == "consent_grants":
                self.core()
            merged: set[tuple[Any, ...]] = set()
            for row in self.read(mapping.source):
                made = self.row(mapping, row)
                key = tuple(made[name] for name in mapping.merge_on)
                if not mapping.merge_on or key not in merged:
                    merged.add(key)
                    self.insert(mapping.target, made)
                    self.keep(mapping.source, made)
        self.implied()

    def keep(self, source: str, made: Row) -> None:
        """Remember what other tables look up."""
        if source in LOOKED_UP:
            self.kept.setdefault(source, {})[made["id"]] = made

    def row(self, mapping: TableMapping, row: Row) -> dict[str, Any]:
        """One target row."""
        made: dict[str, Any] = {}
        assert mapping.target is not None
        for column in UNIFIED[mapping.target].columns:
            word = mapping.columns.get(column.name)
            if word is None and OLD[mapping.source].column(column.name) is not None:
                word = Copy(column.name)
            if word is not None:
                made[column.name] = required(self.value(word, row, column), column)
        return made

    def value(self, word: Word, row: Row, column: Column) -> Any:
        """The value of one cell."""
        match word:
            case Copy(name, otherwise):
                found = canonical(row[name], column)
                if found is None and isinstance(otherwise, Copy):
                    return canonical(row[otherwise.column], column)
                return otherwise if found is None else found
            case Fixed(value):
                return value
            case Person(name):
                return self.person.get(row[name])
            case Reference(name):
                return row[name]
            case Via():
                return self.via(word, row)
            case Owner(name):
                return "parent" if row[name] in self.owners else "clinician"
            case ClinicianOf(name):
                return self.clinician.get(self.person[row[name]]) or ""
            case NewId():
                return str(uuid.uuid4())
            case Fold(parts):
                return "\n".join(lines(parts, row)) or None
            case Computed(rule):
                return RULES[rule](row)
            case _:
                raise AssertionError(f"{word} is settled by hand")

    def via(self, word: Via, row: Row) -> Any:
        """A value of the row that is referred to."""
        found = self.kept[word.table].get(row[word.column], {})
        if word.attribute == "plan_creator":
            return self.kept["peps"][found["plan_id"]]["created_by"]
        value = found.get(word.attribute)
        if value is None and isinstance(word.otherwise, Copy):
            return row[word.otherwise.column]
        return word.otherwise if value is None else value

    def core(self) -> None:
        """Persons and views."""
        for id_, patient in self.patients.items():
            made = self.demographics("patients", patient)
            gender = patient["gender"] or self.gender_of_child.get(id_, "unknown")
            self.insert("persons", {**made, "id": self.person[id_], "gender": gender})
        for child in self.children:
            if child["linked_patient_id"] not in self.patients:
                made = self.demographics("children", child)
                self.insert("persons", {**made, "id": self.person[child["id"]]})
        self.parent_views()
        views = next(m for m in MAPPINGS if m.target == "clinician_patient_views")
        for patient in self.read("patients"):
            made = {}
            for column in UNIFIED["clinician_patient_views"].columns:
                word = views.columns.get(column.name)
                if word is None and OLD["patients"].column(column.name) is not None:
                    word = Copy(column.name)
                if word is not None and column.name not in ("id", "person_id"):
                    made[column.name] = required(self.value(word, patient, column), column)
            ids = {"id": str(uuid.uuid4()), "person_id": self.person[patient["id"]]}
            self.insert("clinician_patient_views", {**made, **ids})

    def demographics(self, source: str, record: Row) -> dict[str, Any]:
        """The columns of a person that the old record has."""
        made = {
            column.name: required(canonical(record[column.name], column), column)
            for column in UNIFIED["persons"].columns
            if column.name not in ("id", "migration_notes") and OLD[source].column(column.name)
        }
        if "udid_number" in made:
            made["udid_number"] = made["udid_number"] or None
        return made

    def parent_views(self) -> None:
        """One view per person and parent, the first of a person being the primary caregiver's."""
        links = {
            (self.person[row["patient_id"]], row["parent_id"]): row
            for row in self.read("parent_children")
        }
        views: dict[tuple[str, str], dict[str, Any]] = {}
        for child in self.children:
            pair = (self.person[child["id"]], child["parent_id"])
            texts = ("medical_history", "current_concerns", "developmental_notes")
            views.setdefault(
                pair,
                {
                    **{name: child[name] for name in texts},
                    "added_at": instant(child["created_at"]),
                    "updated_at": instant(child["updated_at"]),
                },
            )
        for pair, link in links.items():
            at = instant(link["added_at"])
            view = views.setdefault(pair, {"added_at": at, "updated_at": at})
            view["relationship_type"] = link["relationship_type"] or "parent"
            view["primary"] = link["is_primary"]
            view["added_at"] = at or view["added_at"]
        flagged: set[str] = set()
        ordered = sorted(views.items(), key=lambda item: not item[1].get("primary"))
        for (person, parent), view in ordered:
            primary = person not in flagged
            flagged.add(person)
            made = {
                "id": str(uuid.uuid4()),
                "person_id": person,
                "parent_id": parent,
                "relationship_type": "parent",
                "reminder_preferences": "{}",
                **{name: value for name, value in view.items() if name != "primary"},
                "is_primary_caregiver": int(primary),
            }
            self.insert("parent_child_views", made)

    def implied(self) -> None:
        """A grant for linked children whose parent never gave or refused a consent."""
        asked = {
            (row["parent_id"], self.person.get(row["patient_id"]))
            for row in self.read("consent_grants")
        }
        now = int(datetime.now(UTC).timestamp() * 1000)
        for child in self.children:
            patient = self.patients.get(child["linked_patient_id"])
            pair = (child["parent_id"], self.person[child["id"]])
            if patient is None or pair in asked or patient["deleted_at"] is not None:
                continue
            asked.add(pair)
            email = self.kept["users"][self.kept["parents"][pair[0]]["user_id"]]["email"]
            made = {
                "id": str(uuid.uuid4()),
                "grantor_type": "parent",
                "grantor_id": pair[0],
                "grantee_type": "clinician",
                "grantee_id": patient["clinician_id"],
                "person_id": pair[1],
                "permissions": PERMISSIONS,
                "access_level": "view",
                "status": "active",
                "granted_at": now,
                "activated_at": now,
                "granted_by_name": email,
                "granted_by_email": email,
            }
            self.insert("access_grants", made)


def canonical(cell: Any, column: Column) -> Any:
    """Milliseconds for textual instants; every other cell as it is."""
    if isinstance(cell, str) and type_of(column) == "DATETIME":
        return instant(cell)
    return cell


def instant(cell: Any) -> Any:
    """A textual instant in milliseconds; without an offset it is UTC."""
    if not isinstance(cell, str):
        return cell
    moment = datetime.fromisoformat(cell)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def required(value: Any, column: Column) -> Any:
    """The column's default where it must have a value and there is none."""
    if value is not None or not column.not_null:
        return value
    default = column.default
    if default is not None and "CURRENT" not in default.upper():
        return default.strip("'")
    return "" if type_of(column) == "TEXT" else 0


def lines(parts: tuple[Part, ...], row: Row) -> Iterator[str]:
    """The lines of a folded text."""
    for part in parts:
        cell = row[part.column]
        if cell in (None, ""):
            continue
        if part.type == "DATETIME":
            cell = f"{datetime.fromtimestamp(instant(cell) / 1000, UTC):%Y-%m-%d}"
        yield f"{part.label}: {cell}" if part.label else str(cell)


def _clock(row: Row, minutes: int) -> str:
    moment = datetime.fromtimestamp(instant(row["session_date"]) / 1000, UTC) + ZONE
    return f"{moment + timedelta(minutes=minutes):%H:%M}"


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


RULES: Mapping[str, Callable[[Row], Any]] = {
    "iep_plan_name": lambda row: f"IEP {row['academic_year'] or ''}",
    "session_start": lambda row: _clock(row, 0),
    "session_end": lambda row: _clock(row, row["duration"] or 0),
    "as_text": lambda row: _text(row["overall_progress"]),
    "grant_permissions": lambda row: row["permissions"] or "{}",
    "grant_token": lambda row: row["token"],
    "grant_token_expiry": lambda row: (
        instant(row["expires_at"]) if row["status"] == "pending" else None
    ),
    "grant_status": lambda row: row["status"],
}
