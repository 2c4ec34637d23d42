"""``pandas``: ``read_sql``, ``merge`` and ``to_sql``, for the core tables."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from bench.peers import CORE
from bench.peers.row_by_row import PERMISSIONS
from person_unify.mappings import MAPPINGS
from person_unify.mappings.bind import type_of
from person_unify.mappings.spec import Copy, Fixed, Mapping, Owner, Person
from person_unify.schema import UNIFIED, Column, create_statements

Frame = Any
"""A pandas frame; the library ships no types."""


def migrate(old: Path, new: Path) -> None:
    """Read whole tables, merge the persons onto them, append the results."""
    with closing(sqlite3.connect(old)) as source, closing(sqlite3.connect(new)) as target:
        for statement in create_statements(UNIFIED):
            target.execute(statement)
        tables = {
            name: pd.read_sql(f'SELECT * FROM "{name}"', source)
            for name in ("patients", "children", "parent_children", "consent_grants", "parents")
        }
        people = Persons(tables)
        write(
            target, "users", of_mapping("users", pd.read_sql("SELECT * FROM users", source), people)
        )
        write(target, "parents", of_mapping("parents", tables["parents"], people))
        for frame in people.persons():
            write(target, "persons", frame)
        write(target, "parent_child_views", people.parent_views())
        write(target, "clinician_patient_views", people.clinician_views())
        write(target, "access_grants", people.grants(pd.read_sql("SELECT * FROM users", source)))
        for mapping in MAPPINGS:
            if mapping.target in CORE[6:]:
                frame = pd.read_sql(f'SELECT * FROM "{mapping.source}"', source)
                write(target, str(mapping.target), of_mapping(mapping.source, frame, people))
        target.commit()


def write(target: sqlite3.Connection, table: str, frame: Frame) -> None:
    """Append a frame whose columns are the table's."""
    frame.to_sql(table, target, if_exists="append", index=False, chunksize=10_000)


class Persons:
    """Who is who; ``ids`` has ``old_id`` and ``person_id`` of every patient and child."""

    def __init__(self, tables: dict[str, Frame]) -> None:
        self.tables = tables
        patients, children = tables["patients"], tables["children"]
        known = pd.DataFrame({"old_id": patients["id"], "person_id": fresh(len(patients))})
        linked = children[["id", "linked_patient_id"]].merge(
            known, left_on="linked_patient_id", right_on="old_id", how="left"
        )
        alone = linked["person_id"].isna()
        linked.loc[alone, "person_id"] = fresh(int(alone.sum()))
        of_children = linked[["id", "person_id"]].rename(columns={"id": "old_id"})
        self.alone = set(linked.loc[alone, "id"])
        self.ids = pd.concat([known, of_children], ignore_index=True)
        self.owners = set(tables["parents"]["id"]) | set(tables["parents"]["user_id"])

    def of(self, column: Frame) -> Frame:
        """The person of each old id."""
        return column.map(self.ids.set_index("old_id")["person_id"])

    def persons(self) -> list[Frame]:
        """Rows of ``persons``, of patients and of children; other columns take their default."""
        patients, children = self.tables["patients"].copy(), self.tables["children"]
        genders = children[children["gender"].fillna("") != ""].drop_duplicates("linked_patient_id")
        stated = patients["gender"].replace("", None)
        of_child = patients["id"].map(genders.set_index("linked_patient_id")["gender"])
        patients["gender"] = stated.fillna(of_child).fillna("unknown")
        alone = children[children["id"].isin(self.alone)]
        made = []
        for frame in (patients, alone):
            cells = {"id": self.of(frame["id"])}
            for column in UNIFIED["persons"].columns:
                if column.name not in ("id", "migration_notes") and column.name in frame:
                    cells[column.name] = required(canonical(frame[column.name], column), column)
            if "udid_number" in cells:
                cells["udid_number"] = cells["udid_number"].replace("", None)
            made.append(pd.DataFrame(cells))
        return made

    def parent_views(self) -> Frame:
        """Rows of ``parent_child_views``, one per person and parent."""
        children, links = self.tables["children"], self.tables["parent_children"]
        texts = ["medical_history", "current_concerns", "developmental_notes"]
        of_children = children.assign(
            person_id=self.of(children["id"]),
            added=instants(children["created_at"]),
            updated_at=instants(children["updated_at"]),
        )[["person_id", "parent_id", *texts, "added", "updated_at"]]
        of_children = of_children.drop_duplicates(["person_id", "parent_id"])
        stated = links.assign(
            person_id=self.of(links["patient_id"]), added_at=instants(links["added_at"])
        )[["person_id", "parent_id", "relationship_type", "is_primary", "added_at"]]
        views = of_children.merge(stated, on=["person_id", "parent_id"], how="outer")
        views["added_at"] = views["added_at"].fillna(views["added"])
        views["updated_at"] = views["updated_at"].fillna(views["added_at"])
        views["relationship_type"] = views["relationship_type"].fillna("parent")
        views = views.sort_values("is_primary", ascending=False, kind="stable")
        views["is_primary_caregiver"] = (~views.duplicated("person_id")).astype(int)
        views["reminder_preferences"] = "{}"
        views["id"] = fresh(len(views))
        return views.drop(columns=["added", "is_primary"])

    def clinician_views(self) -> Frame:
        """Rows of ``clinician_patient_views``."""
        mapping = next(m for m in MAPPINGS if m.target == "clinician_patient_views")
        patients = self.tables["patients"]
        made = {"id": fresh(len(patients)), "person_id": self.of(patients["id"])}
        for column in UNIFIED["clinician_patient_views"].columns:
            word = mapping.columns.get(column.name)
            name = getattr(word, "column", column.name)
            if column.name not in made and name in patients:
                made[column.name] = required(canonical(patients[name], column), column)
        return pd.DataFrame(made)

    def grants(self, users: Frame) -> Frame:
        """Rows of ``access_grants``: one per consent, and the implied ones."""
        consents = self.tables["consent_grants"]
        made = {
            "id": fresh(len(consents)),
            "grantor_type": "parent",
            "grantor_id": consents["parent_id"],
            "grantee_type": "clinician",
            "grantee_id": consents["clinician_id"].fillna(""),
            "grantee_email": consents["clinician_email"],
            "person_id": self.of(consents["patient_id"]),
            "token_expires_at": instants(consents["expires_at"]).where(
                consents["status"] == "pending"
            ),
        }
        for column in UNIFIED["access_grants"].columns:
            if column.name not in made and column.name in consents:
                made[column.name] = required(canonical(consents[column.name], column), column)
        return pd.concat([pd.DataFrame(made), self.implied(users)], ignore_index=True)

    def implied(self, users: Frame) -> Frame:
        """Grants of linked children whose parent never gave or refused a consent."""
        patients = self.tables["patients"].rename(columns={"id": "patient_id"})
        consents = self.tables["consent_grants"][["parent_id", "patient_id"]].drop_duplicates()
        linked = self.tables["children"][["parent_id", "linked_patient_id"]].merge(
            patients[["patient_id", "clinician_id", "deleted_at"]],
            left_on="linked_patient_id",
            right_on="patient_id",
        )
        asked = linked.merge(consents, on=["parent_id", "patient_id"], how="left", indicator=True)
        needed = asked[(asked["_merge"] == "left_only") & asked["deleted_at"].isna()]
        needed = needed.drop_duplicates(["parent_id", "patient_id"])
        user = needed["parent_id"].map(self.tables["parents"].set_index("id")["user_id"])
        email = user.map(users.set_index("id")["email"])
        now = int(pd.Timestamp.now(tz="UTC").timestamp() * 1000)
        return pd.DataFrame(
            {
                "id": fresh(len(needed)),
                "grantor_type": "parent",
                "grantor_id": needed["parent_id"],
                "grantee_type": "clinician",
                "grantee_id": needed["clinician_id"],
                "person_id": self.of(needed["patient_id"]),
                "permissions": PERMISSIONS,
                "access_level": "view",
                "status": "active",
                "granted_at": now,
                "activated_at": now,
                "granted_by_name": email,
                "granted_by_email": email,
            }
        )


def of_mapping(source: str, frame: Frame, people: Persons) -> Frame:
    """A table that is carried by name, with the few words that core tables need."""
    mapping: Mapping = next(m for m in MAPPINGS if m.source == source)
    made: dict[str, Any] = {}
    for column in UNIFIED[str(mapping.target)].columns:
        word = mapping.columns.get(column.name, Copy(column.name))
        match word:
            case Copy(name) if name in frame:
                made[column.name] = required(canonical(frame[name], column), column)
            case Person(name):
                made[column.name] = people.of(frame[name])
            case Owner(name):
                is_parent = frame[name].isin(people.owners)
                made[column.name] = is_parent.map({True: "parent", False: "clinician"})
            case Fixed(value):
                made[column.name] = value
    return pd.DataFrame(made, index=frame.index)


def fresh(count: int) -> list[str]:
    """New ids."""
    return [str(uuid.uuid4()) for _ in range(count)]


def canonical(cells: Frame, column: Column) -> Frame:
    """Milliseconds for instants; every other cell as it is."""
    return instants(cells) if type_of(column) == "DATETIME" else cells


def instants(cells: Frame) -> Frame:
    """Textual instants, which the old schema's column defaults write, as milliseconds."""
    textual = cells.map(lambda cell: isinstance(cell, str))
    if not textual.any():
        return cells.astype("Int64")
    parsed = pd.to_datetime(cells[textual], utc=True, format="ISO8601")
    made = cells.copy()
    made[textual] = (parsed - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(milliseconds=1)
    return made.astype("Int64")


def required(cells: Frame, column: Column) -> Frame:
    """The column's default where it must have a value and there is none."""
    if not column.not_null:
        return cells
    default: Any = column.default
    if default is None or "CURRENT" in default.upper():
        default = "" if type_of(column) == "TEXT" else 0
    elif type_of(column) in ("INTEGER", "BOOLEAN"):
        default = int({"true": "1", "false": "0"}.get(default, default))
    else:
        default = default.strip("'")
    return cells.fillna(default)
