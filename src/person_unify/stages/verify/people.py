"""Who is who: a plain second reading of patients, children and links (contract section 3).

Humans are numbered: patients by their position, then children that stand alone by theirs.  So who
belongs together never depends on the ledger's maps, which are judged by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from person_unify.schema import Column, Table
from person_unify.stages.verify.cells import Cells, alike
from person_unify.stages.verify.context import Context, Rows, gathered
from person_unify.stages.verify.findings import Found, Kind
from person_unify.stages.verify.homes import Home
from person_unify.stages.verify.places import Places

KNOWN_BY = ("first_name", "last_name", "date_of_birth", "gender")
_NARROW = {
    "patients": (*("id", "clinician_id", "created_at", "deleted_at", "udid_number", *KNOWN_BY),),
    "children": (
        *("id", "linked_patient_id", "parent_id", "created_at", "updated_at", "udid_number"),
        *KNOWN_BY,
    ),
    "parent_children": (
        "id",
        "patient_id",
        "parent_id",
        "is_primary",
        "added_at",
        "relationship_type",
    ),
}
TOKEN = r"[\p{L}\p{Nd}_-]+"
"""A word, as old ids are searched in texts."""

_ABSENT = Table("", (Column("id", "TEXT"),))


@dataclass
class People:
    """patients, children: one row each in source order.

    patients: ``old``, ``human``, ``clinician``, ``created``, ``deleted``, ``person`` (by the map).
    children: ``old``, ``human``, ``named`` (position of the patient that the source links it to),
    ``patient`` (position after decisions), ``head`` (position of the child it is one with),
    ``alone``, ``parent``, ``created``, ``person`` (by the map).  rows: the narrow rows.
    """

    rows: dict[str, Rows]
    patients: pl.DataFrame
    children: pl.DataFrame

    @property
    def sides(self) -> dict[str, pl.DataFrame]:
        """Both, by their tables, patients first."""
        return {"patients": self.patients, "children": self.children}

    def begins(self, usual: str) -> pl.Series:
        """Whether each row of a table is one with which a human begins."""
        return self.children["alone"] if usual == "children" else alike(True, self.patients.height)

    @cached_property
    def person(self) -> pl.Series:
        """Per human, the person's id by the map of its origin; null for children with another's."""
        own = pl.select(pl.when(self.children["alone"]).then(self.children["person"])).to_series()
        return pl.concat([self.patients["person"], own.rename("person")])

    @cached_property
    def clinician(self) -> pl.Series:
        """Per human, the clinician that its patient names."""
        none = alike(None, self.children.height, pl.String())
        return pl.concat([self.patients["clinician"], none.rename("clinician")])

    @cached_property
    def _places(self) -> dict[str, Places]:
        return {usual: Places(side["old"]) for usual, side in self.sides.items()}

    @cached_property
    def strange_ids(self) -> list[str]:
        """Old ids that are not one word, as :data:`TOKEN` has them."""
        ids = pl.concat([self.patients["old"], self.children["old"]])
        return ids.filter((ids != "") & ~ids.str.contains(f"^{TOKEN}$")).unique().to_list()

    def has(self, ids: pl.Series) -> pl.Series:
        """Whether an id is that of a patient or a child."""
        return self._places["patients"].has(ids) | self._places["children"].has(ids)

    def has_hashes(self, hashes: pl.Series) -> pl.Series:
        """Whether each is the hash of an old id."""
        places = self._places
        return places["patients"].has_hashes(hashes) | places["children"].has_hashes(hashes)

    def of(self, ids: pl.Series, first: str) -> pl.DataFrame:
        """``human`` and ``own`` (it is of the ``first`` kind, which wins) of whom ids name.

        Both are null where an id names nobody.
        """
        humans = {usual: side["human"] for usual, side in self.sides.items()}
        second = "children" if first == "patients" else "patients"
        at = self._places[first].of(ids)
        human, own = humans[first].gather(at), at.is_not_null()
        if at.null_count():
            other = self._places[second].of(ids)
            human = human.zip_with(own, humans[second].gather(other))
            own = own.set(human.is_null(), None)
        return pl.DataFrame({"human": human, "own": own})

    @property
    def origins(self) -> pl.DataFrame:
        """Every human's ``human``, ``person``, ``usual`` table and ``old`` id."""
        patients = self.patients.select("human", "person", "old", usual=pl.lit("patients"))
        alone = self.children.filter("alone")
        return pl.concat(
            [patients, alone.select("human", "person", "old", usual=pl.lit("children"))]
        )


def narrow(context: Context, usual: str) -> Rows:
    """The columns of a core table that decide who is who; no rows where the file lacks it."""
    name = context.plan.source_names.get(usual)
    if name is None or name not in context.source.tables:
        empty = {c: pl.Series(c, [], dtype=pl.String) for c in _NARROW[usual][:1]}
        return Rows(_ABSENT, Cells(pl.Series("row", [], dtype=pl.Int64), empty))
    table = context.source.tables[name]
    decisive = (c for c in _NARROW[usual] if table.column(c) is not None)
    columns = list(dict.fromkeys((*table.primary_key, *decisive)))
    return Rows(table, context.source.read(table, columns, whole=False).owned())


def read_people(context: Context, moves: pl.DataFrame) -> People:
    """Read and number everybody; ``moves`` are decisions on links (child, decision, whom)."""
    rows = {usual: narrow(context, usual) for usual in _NARROW}
    patients = _patients(context, rows["patients"])
    children = _children(context, rows["children"], patients, moves)
    return People(rows, patients, children)


def _patients(context: Context, rows: Rows) -> pl.DataFrame:
    deleted = ~rows.cells.is_null("deleted_at") if "deleted_at" in rows.cells.columns else None
    old = rows.value("id", "TEXT")
    person = gathered(context.maps["patient_to_person"], old, "old_id")["new_id"]
    return (
        pl.DataFrame(
            {
                "old": old,
                "clinician": rows.value("clinician_id", "TEXT"),
                "created": rows.value("created_at", "DATETIME"),
                "deleted": alike(False, rows.height) if deleted is None else deleted,
                "person": person,
            }
        )
        .with_row_index("human")
        .with_columns(pl.col("human").cast(pl.Int64))
    )


def _children(
    context: Context, rows: Rows, patients: pl.DataFrame, moves: pl.DataFrame
) -> pl.DataFrame:
    link = rows.value("linked_patient_id", "TEXT")
    old = rows.value("id", "TEXT")
    frame = (
        pl.DataFrame(
            {
                "old": old,
                "link": link,
                "parent": rows.value("parent_id", "TEXT"),
                "created": rows.value("created_at", "DATETIME"),
                "person": gathered(context.maps["child_to_person"], old, "old_id")["new_id"],
            }
        )
        .with_row_index("at")
        .with_columns(pl.col("at").cast(pl.Int64))
    )
    places = patients.select(link="old", named="human").filter(pl.col("link") != "")
    whom = patients.select(to_patient="old", decided="human")
    heads = frame.select(to_child="old", head="at")
    frame = (
        frame.join(places, on="link", how="left", maintain_order="left")
        .join(moves, on="old", how="left", maintain_order="left")
        .join(whom, on="to_patient", how="left", maintain_order="left")
        .join(heads, on="to_child", how="left", maintain_order="left")
        .with_columns(
            patient=pl.when(pl.col("decision") == "unlink")
            .then(None)
            .when(pl.col("decision") == "link")
            .then("decided")
            .otherwise("named")
        )
    )
    of_head = frame.select(head="at", head_patient="patient")
    frame = frame.join(of_head, on="head", how="left", maintain_order="left").with_columns(
        patient=pl.coalesce("patient", "head_patient")
    )
    own = pl.coalesce("head", "at") + patients.height
    return frame.with_columns(
        human=pl.coalesce("patient", own),
        alone=pl.col("patient").is_null() & pl.col("head").is_null(),
    ).select(
        "at",
        "old",
        "human",
        "named",
        "patient",
        "head",
        "alone",
        "parent",
        "created",
        "person",
        "link",
    )


FRESH = {
    "persons": ("patients", "children"),
    "parent_child_views": ("patients", "children", "parent_children"),
    "clinician_patient_views": ("patients", "children"),
    "access_grants": ("patients", "children", "consent_grants"),
    "tags": ("patients", "children"),
}
"""Target tables of fresh ids, and the old tables none of whose ids may be one of them."""

_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"


def check_people(context: Context, persons: Home) -> None:
    """Counts and maps of ``persons``."""
    answers, people = context.answers, context.people
    patients, children = people.patients, people.children
    linked = children["patient"].count()
    merged = int((~children["alone"] & children["patient"].is_null()).sum())
    detail = f"patients {patients.height} + children {children.height} - linked {linked}"
    detail += f" - merged {merged}" if merged else ""
    expected = patients.height + children.height - linked - merged
    answers.compare("persons_count", "persons", expected, persons.height, detail)
    with_patient = (
        context.maps["child_to_person"]
        .select(pl.col("new_id").is_in(patients["person"].drop_nulls().implode()))
        .to_series()
    )
    told = int(with_patient.sum())
    alone = context.maps["child_to_person"].filter(~with_patient)["new_id"].n_unique()
    detail = f"linked {told} + standalone {alone}" + (f" + merged {merged}" if merged else "")
    answers.compare("children_equation", "children", children.height, told + alone + merged, detail)
    if told != linked:
        answers.compare("children_equation", "children", linked, told, "linked children")
    _check_map(context, "patient_map", "patients", persons)
    _check_map(context, "child_map", "children", persons)


def _check_map(context: Context, name: str, usual: str, persons: Home) -> None:
    people = context.people
    frame = people.sides[usual]
    table = "patient_to_person" if usual == "patients" else "child_to_person"
    told = context.ledger_frame(table, ("old_id", "new_id"))
    strange = int((~told["old_id"].is_in(frame["old"].implode())).sum())
    absent = frame["person"].is_null()
    lost = ~absent & ~persons.ids.has(frame["person"])
    origins = people.origins.filter(pl.col("person").is_not_null())
    shared = origins.filter(pl.len().over("person") > 1)
    shared = shared.filter(pl.col("usual") == usual)
    wrong = [
        ("without a person", int(absent.sum())),
        ("unknown old ids", strange),
        ("persons that do not exist", int(lost.sum())),
        (
            "repeated old ids",
            told.height
            - strange
            - told.filter(pl.col("old_id").is_in(frame["old"].implode()))["old_id"].n_unique(),
        ),
        ("persons of several humans", shared.height),
    ]
    answers = context.answers
    _tell(context, "minus", usual, "without a person", frame.filter(absent | lost))
    if usual == "children":
        due = people.person.gather(frame["human"])
        other = ~frame["alone"] & frame["person"].ne_missing(due)
        wrong.append(("not the person of its patient or its other record", int(other.sum())))
        _tell(
            context,
            "changed",
            usual,
            "mapped to another person than its patient",
            frame.filter(other),
        )
    answers.judge(name, usual, frame.height, wrong)


def _tell(context: Context, kind: Kind, usual: str, detail: str, rows: pl.DataFrame) -> None:
    like = Found(kind, context.file_name(usual), "persons", None, detail, 0, ())
    context.answers.tell(
        like,
        rows.height,
        lambda limit: [
            ((row["old"],), (row["person"],) if kind == "changed" else None)
            for row in rows.head(limit).iter_rows(named=True)
        ],
    )


def check_fresh_ids(context: Context, table: str, home: Home) -> None:
    """Fresh ids are canonical UUIDs, and none is an old id."""
    odd = int((~home.key_texts().str.contains(_UUID)).fill_null(value=True).sum())
    context.answers.judge("new_ids", table, home.height, [("no canonical UUID", odd)])
    left = 0
    for usual in FRESH[table]:
        if usual in context.people.rows:
            olds = context.people.rows[usual].value("id", "TEXT")
        else:
            olds = context.maps["consent_to_grant"]["old_id"]
        left += int(home.ids.has(olds).sum())
    context.answers.judge("old_ids_gone", table, home.height, [("old ids", left)])
