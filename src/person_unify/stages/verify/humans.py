"""What is settled for a human as a whole, and what the log owes it (contract sections 3 and 8)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from person_unify.stages.verify.cells import alike
from person_unify.stages.verify.collations import as_compared
from person_unify.stages.verify.context import Context, gathered
from person_unify.stages.verify.families import Families
from person_unify.stages.verify.humans_log import owe_families, owe_humans
from person_unify.stages.verify.people import KNOWN_BY
from person_unify.stages.verify.reading import DAY_MS, iso
from person_unify.stages.verify.words import PEOPLE

_SPACES = re.compile(
    "[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"  # White_Space
)


@dataclass(frozen=True)
class Humans:
    """Per row of ``patients`` and ``children``: the settled gender and UDID of whom it begins.

    notes: what the mismatches say; told: the note in the ledger.  taken: field -> ``human``,
    ``value``, ``takes``, where a decision chose a child's value.  seen: patients whose clinician
    is loaded.
    """

    gender: dict[str, pl.Series]
    udid: dict[str, pl.Series]
    notes: dict[str, pl.Series]
    told: dict[str, pl.Series]
    taken: dict[str, pl.DataFrame]
    seen: pl.Series


def settle_humans(context: Context, families: Families) -> Humans:
    """Settle genders, UDIDs and notes, and owe the log what section 3 asks for."""
    traits = {usual: _traits(context, usual) for usual in PEOPLE}
    users = context.known.get("users")
    clinician = context.people.patients["clinician"]
    seen = alike(False, clinician.len())
    if users is not None:
        seen = users.has(clinician)
    taken = _taken(context)
    mismatches = _mismatches(context, traits, taken)
    notes = _notes(mismatches)
    owe_humans(context, traits, mismatches)
    owe_families(context, families, seen)
    told = context.ledger_frame("person_notes", ("person_id", "note")).unique(
        "person_id", keep="first", maintain_order=True
    )
    sides = context.people.sides
    expected = {
        usual: gathered(notes, frame["human"], "human")["note"].zip_with(
            alike(usual == "patients", frame.height),
            pl.Series([None], dtype=pl.String),
        )
        for usual, frame in sides.items()
    }
    return Humans(
        _genders(context),
        _udids(context),
        expected,
        {usual: gathered(told, f["person"], "person_id")["note"] for usual, f in sides.items()},
        taken,
        seen,
    )


def fold(text: str) -> str:
    r"""A name stripped, its white space collapsed, casefolded.

    >>> fold(" STRASSE  3 ") == fold("Straße\u00a03")
    True
    """
    return _SPACES.sub(" ", text).strip(" ").casefold()


def _folded(texts: pl.Series) -> pl.Series:
    plain = texts.unique().drop_nulls()
    words = pl.DataFrame(
        {"text": plain, "folded": [fold(t) for t in plain]},
        schema={"text": pl.String, "folded": pl.String},
    )
    return gathered(words, texts, "text")["folded"]


def _traits(context: Context, usual: str) -> pl.DataFrame:
    """Names as people compare them, day of birth, gender, and the cells as reviewers see them."""
    rows = context.people.rows[usual]
    side = context.people.sides[usual]
    said = {name: rows.value(name, "TEXT") for name in ("first_name", "last_name", "gender")}
    born = rows.value("date_of_birth", "DATETIME")
    folded = {f"{name}:folded": _folded(text) for name, text in said.items()}
    gender = folded["gender:folded"].zip_with(
        said["gender"] != "", pl.Series([None], dtype=pl.String)
    )
    return pl.DataFrame(
        {
            "old": side["old"],
            "human": side["human"],
            "created": side["created"],
            **said,
            "date_of_birth": iso(born),
            **folded,
            "gender:folded": gender,
            "date_of_birth:folded": (born // DAY_MS).cast(pl.String),
        }
    )


def _taken(context: Context) -> dict[str, pl.DataFrame]:
    """The values of children that decisions put into their patients' persons."""
    people, found = context.people, {}
    for name, chosen in context.decisions.taken.items():
        rows = people.rows["children"]
        value = rows.value(name, "DATETIME" if name == "date_of_birth" else "TEXT")
        frame = pl.DataFrame({"patient": list(chosen), "child": list(chosen.values())})
        values = pl.DataFrame({"child": people.children["old"], "value": value})
        places = people.patients.select("human", patient="old")
        found[name] = (
            frame.join(values, on="child")
            .join(places, on="patient")
            .select("human", "value", takes=pl.lit(value=True))
        )
    return found


def _mismatches(
    context: Context, traits: dict[str, pl.DataFrame], taken: dict[str, pl.DataFrame]
) -> pl.DataFrame:
    """Fields in which a child differs from the patient beside it; owes the log each one.

    Columns ``old``, ``patient_old``, ``human``, ``together``, ``created``, ``rank``, ``field``.
    """
    people = context.people
    beside = people.children.with_columns(beside=pl.coalesce("named", "patient")).filter(
        pl.col("beside").is_not_null()
    )
    at = beside["at"]
    ours, theirs = traits["children"][at], traits["patients"][beside["beside"]]
    person = people.person.gather(beside["human"])
    together = beside["patient"].is_not_null()
    found = []
    for rank, name in enumerate(KNOWN_BY):
        differ = (ours[f"{name}:folded"] != theirs[f"{name}:folded"]).fill_null(value=False)
        chosen = theirs[name].zip_with(together, ours[name])
        if name in taken:
            values = taken[name]
            shown = iso(values["value"]) if name == "date_of_birth" else values["value"]
            taking = gathered(values.with_columns(shown=shown), beside["human"], "human")
            takes = taking["takes"].fill_null(value=False) & together
            chosen = taking["shown"].zip_with(takes, chosen)
        found.append(
            pl.DataFrame(
                {
                    "old": ours["old"],
                    "patient_old": theirs["old"],
                    "human": beside["human"],
                    "person": person,
                    "together": together,
                    "created": beside["created"],
                    "child_value": ours[name],
                    "patient_value": theirs[name],
                    "chosen_value": chosen,
                }
            )
            .with_columns(rank=pl.lit(rank), field=pl.lit(name))
            .filter(differ)
        )
    frame = pl.concat(found)
    context.owe(
        frame,
        "demographic_mismatch",
        context.file_name("children"),
        source_id=pl.col("old"),
        related_id=pl.col("patient_old"),
        person_id=pl.col("person"),
        **{c: pl.col(c) for c in ("field", "child_value", "patient_value", "chosen_value")},
    )
    return frame


def _notes(mismatches: pl.DataFrame) -> pl.DataFrame:
    """``human``, ``note``: one line per differing child that is one with its patient."""
    lines = (
        mismatches.filter("together")
        .sort("human", "created", "old", "rank", nulls_last=True)
        .group_by("human", "old", "patient_old", maintain_order=True)
        .agg(pl.col("field").str.join(", "))
    )
    line = pl.format("child {} differs from patient {}: {}", "old", "patient_old", "field")
    return (
        lines.select("human", note=line)
        .group_by("human", maintain_order=True)
        .agg(pl.col("note").str.join("\n"))
    )


def check_notes(context: Context, notes: pl.Series, persons: pl.Series) -> None:
    """The ledger's notes are those that the mismatches call for."""
    told = context.ledger_frame("person_notes", ("person_id", "note"))
    due = pl.DataFrame({"person_id": persons, "note": notes}).filter(pl.col("note").is_not_null())
    lost = due.join(told, on=["person_id", "note"], how="anti", nulls_equal=True)
    failures = [
        ("missing or different", lost.height),
        ("too many or too few", abs(told.height - due.height)),
    ]
    context.answers.judge("person_notes", "persons", due.height, failures)


def _genders(context: Context) -> dict[str, pl.Series]:
    """The origin's own gender, else the first of those that are one with it, else ``unknown``."""
    people = context.people
    child = people.rows["children"].value("gender", "TEXT")
    others = people.children.with_columns(gender=child).filter(
        ~pl.col("alone") & (pl.col("gender") != "")
    )
    first = (
        others.sort("human", "created", "old", nulls_last=True)
        .group_by("human", maintain_order=True)
        .agg(pl.col("gender").first())
    )
    found = {}
    for usual, frame in people.sides.items():
        own = people.rows[usual].value("gender", "TEXT")
        own = own.zip_with(own != "", pl.Series([None], dtype=pl.String))
        borrowed = gathered(first, frame["human"], "human")["gender"]
        settled = own.zip_with(own.is_not_null(), borrowed)
        origin = people.begins(usual)
        missing = frame.filter(settled.is_null() & origin)
        context.owe(
            missing,
            "missing_gender",
            context.file_name(usual),
            source_id=pl.col("old"),
            person_id=pl.col("person"),
            field=pl.lit("gender"),
        )
        found[usual] = settled.fill_null("unknown")
    return found


def _udids(context: Context) -> dict[str, pl.Series]:
    """Who keeps a UDID: the decided one, else patients before children, the earliest first."""
    people, targets = context.people, (b.target for b in context.plan.bound)
    persons = next(target for target in targets if target is not None and target.name == "persons")
    (collation,) = persons.collation(("udid_number",))
    parts = []
    for rank, (usual, frame) in enumerate(people.sides.items()):
        rows = people.rows[usual]
        alone = people.begins(usual)
        number = rows.value("udid_number", "TEXT").zip_with(
            alone, pl.Series([None], dtype=pl.String)
        )
        chosen = frame["old"].is_in(context.decisions.keepers(usual).implode())
        parts.append(
            frame.select("old", "person", "created")
            .with_columns(usual=pl.lit(usual), rank=pl.lit(rank), udid=number, other=~chosen)
            .with_row_index("row")
        )
    ranked = (
        pl.concat(parts)
        .filter(pl.col("udid") != "")
        .pipe(lambda rows: rows.with_columns(udid=as_compared(rows["udid"], collation)))
        .sort("udid", "other", "rank", "created", "old", nulls_last=True)
        .with_columns(
            keeper=pl.col("old").first().over("udid"), n=pl.int_range(pl.len()).over("udid")
        )
    )
    found = {}
    for usual, part in zip(PEOPLE, parts, strict=True):
        lost = ranked.filter((pl.col("usual") == usual) & (pl.col("n") > 0))
        context.owe(
            lost,
            "duplicate_udid",
            context.file_name(usual),
            source_id=pl.col("old"),
            related_id=pl.col("keeper"),
            person_id=pl.col("person"),
            field=pl.lit("udid_number"),
        )
        own = part["udid"].zip_with(part["udid"] != "", pl.Series([None], dtype=pl.String))
        found[usual] = own.scatter(lost["row"], None) if lost.height else own
    return found
