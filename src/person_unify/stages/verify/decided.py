"""Decisions as the ledger records them: what they must have led to, and whether they held.

Only decisions recorded as applied count.  Everything else expects the target by them; that they
were made about this source, and about what is logged, is asked here, decision by decision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from person_unify.stages.verify.context import Context
from person_unify.stages.verify.people import KNOWN_BY
from person_unify.stages.verify.records import known_columns

if TYPE_CHECKING:
    from person_unify.stages.verify.families import Families

KEY = ("kind", "source_table", "source_id", "related_id", "field")
_MOVES = ("unlink", "link", "merge")


@dataclass(frozen=True)
class Decisions:
    """The applied decisions, one row each."""

    frame: pl.DataFrame

    @property
    def moves(self) -> pl.DataFrame:
        """Per child, what was decided about its link: ``old``, ``decision``, whom it leads to."""
        found: dict[str, dict[str, Any]] = {}
        for row in self._of(*_MOVES):
            child, patient = row["source_id"], row["link_to"]
            if row["kind"] == "suspected_duplicate":
                of_child = row["usual"] == "children"
                child, patient = (row["source_id"], row["related_id"])[:: 1 if of_child else -1]
            known = {
                "old": child,
                "decision": row["decision"],
                "to_patient": None,
                "to_child": None,
            }
            if row["decision"] == "link":
                known["to_patient"] = patient
            elif row["decision"] == "merge":
                known["to_child"] = row["related_id"]
            found.setdefault(child, known)
        names = ("old", "decision", "to_patient", "to_child")
        return pl.DataFrame(list(found.values()), schema=dict.fromkeys(names, pl.String))

    @property
    def taken(self) -> dict[str, dict[str, str]]:
        """Field -> patient -> the child whose value its person takes."""
        found: dict[str, dict[str, str]] = {}
        for row in self._of("child"):
            if row["kind"] == "demographic_mismatch":
                found.setdefault(row["field"], {}).setdefault(row["related_id"], row["source_id"])
        return found

    @property
    def modes(self) -> pl.DataFrame:
        """What was decided about implied grants: ``child``, ``patient``, ``decided``."""
        chosen = self.frame.filter(kind="implied_grant").unique(["source_id", "related_id"])
        return chosen.select(child="source_id", patient="related_id", decided="decision")

    def keepers(self, usual: str) -> pl.Series:
        """Records of a table that were decided to keep a shared UDID."""
        chosen = self.frame.filter(kind="duplicate_udid", decision="this", usual=usual)
        return chosen["source_id"]

    def caregivers(self, usual: str) -> pl.DataFrame:
        """Primary caregivers that were named: ``old``, ``parent``."""
        chosen = self.frame.filter(decision="primary", usual=usual)
        return chosen.select(old="source_id", parent="related_id")

    def _of(self, *words: str) -> Iterator[dict[str, Any]]:
        yield from self.frame.filter(pl.col("decision").is_in(words)).iter_rows(named=True)


def read_decisions(context: Context) -> Decisions:
    """The applied decisions of the ledger; that of an earlier release has none."""
    columns = (*KEY, "decision", "link_to", "evidence")
    if "decisions" not in context.ledger.tables:
        empty = dict.fromkeys((*columns, "usual"), pl.String)
        return Decisions(pl.DataFrame(schema=empty))
    frame = context.ledger_frame("decisions", (*columns, "outcome"))
    frame = known_columns(context, frame, "field")
    usual = {context.file_name(name): name for name in ("patients", "children")}
    return Decisions(
        frame.filter(outcome="applied").with_columns(
            usual=pl.col("source_table").replace_strict(usual, default=None)
        )
    )


@dataclass
class _Facts:
    """What decisions are compared with, by id."""

    context: Context
    families: Families
    records: dict[str, dict[str, dict[str, str | None]]] = field(default_factory=dict)

    def record(self, usual: str | None, old: str | None) -> dict[str, str | None] | None:
        """Texts of a patient or child: names, date of birth, gender, UDID, and who it is."""
        if usual not in self.records:
            self.records[str(usual)] = self._records(str(usual))
        return self.records[str(usual)].get(str(old))

    def _records(self, usual: str) -> dict[str, dict[str, str | None]]:
        people = self.context.people
        if usual not in people.rows:
            return {}
        rows = people.rows[usual]
        columns = {
            name: rows.value(name, "DATETIME" if name == "date_of_birth" else "TEXT").cast(
                pl.String
            )
            for name in (*KNOWN_BY, "udid_number")
        }
        side = people.sides[usual]
        frame = pl.DataFrame(columns).hstack(side.select("old", pl.col("human").cast(pl.String)))
        if usual == "children":
            named = people.patients["old"].gather(side["named"]).rename("named")
            linked = people.patients["old"].gather(side["patient"]).rename("patient")
            frame = frame.hstack([named, linked])
        wanted = self.asked
        return {
            r["old"]: r for r in frame.filter(pl.col("old").is_in(wanted)).iter_rows(named=True)
        }

    @property
    def asked(self) -> list[str]:
        """The ids that decisions name."""
        frame = self.context.decisions.frame
        return [i for c in ("source_id", "related_id", "link_to") for i in frame[c].to_list() if i]


_Pieces = Sequence[str | None]


def check_decisions(context: Context, families: Families, implied: pl.DataFrame) -> None:
    """Every applied decision was made about what the source holds, and about what is logged."""
    frame = context.decisions.frame
    facts = _Facts(context, families)
    log = context.log.select(KEY).unique()
    logged = {tuple(row) for row in log.iter_rows()}
    by_row = {(k, t, s, r) for k, t, s, r, _ in logged}
    wrong = unlogged = 0
    owed = {(r["child_old"], r["patient_old"]): r for r in implied.iter_rows(named=True)}
    for row in frame.iter_rows(named=True):
        key = [row[name] for name in KEY]
        ways = [spelled([*key, *pieces]) for pieces in _pieces(facts, row, owed)]
        wrong += row["evidence"] not in {hashlib.sha256(way.encode()).hexdigest() for way in ways}
        kind, table, source, related, _ = key
        if kind == "duplicate_udid":
            said = any(k == kind and source in (s, r) for k, _, s, r in by_row)
        elif kind in ("multiple_primary_caregivers", "no_primary_caregiver"):
            said = (kind, table, source, related) in by_row
        else:
            said = tuple(key) in logged
        unlogged += not said
    moved = context.decisions.moves
    torn = sum(
        not moved.filter(
            (pl.col("decision") == r["decision"])
            & pl.col("old").is_in([i for i in (r["source_id"], r["related_id"]) if i])
        ).height
        for r in frame.filter(pl.col("decision").is_in(_MOVES)).iter_rows(named=True)
    )
    failures = [
        ("made about other values", wrong),
        ("answer nothing that is logged", unlogged),
        ("contradict another", torn),
    ]
    context.answers.judge("decisions", None, frame.height, failures)


def spelled(parts: _Pieces) -> str:
    """A text that tells its parts apart: bytes and text of each, a dash for none."""
    return ",".join("-" if p is None else f"{len(p.encode())}:{p}" for p in parts)


def _known_by(record: dict[str, str | None]) -> str:
    return spelled([record[name] for name in KNOWN_BY])


def _pieces(
    facts: _Facts, row: dict[str, Any], owed: dict[tuple[str, str], dict[str, Any]]
) -> Iterator[_Pieces]:
    """What may have been compared when the decision was made; empty where nothing fits."""
    kind, context = row["kind"], facts.context
    own = facts.record(row["usual"], row["source_id"])
    if own is None:
        return
    if kind == "missing_linked_patient":
        yield [_known_by(own)]
    elif kind in ("demographic_mismatch", "shared_linked_patient", "contradicting_link"):
        patient = facts.record("patients", row["related_id"])
        if patient is not None and row["related_id"] in (own["named"], own["patient"]):
            field_ = row["field"] if kind == "demographic_mismatch" else None
            yield (
                [own.get(field_), patient.get(field_)]
                if field_
                else [_known_by(own), _known_by(patient)]
            )
    elif kind == "implied_grant":
        due = owed.get((row["source_id"], row["related_id"]))
        if due is not None:
            yield [due["parent"], due["clinician"]]
    elif kind in ("suspected_duplicate", "duplicate_udid"):
        for usual in ("patients", "children"):
            other = facts.record(usual, row["related_id"])
            if other is None:
                continue
            if kind == "suspected_duplicate":
                yield [context.file_name(usual), _known_by(own), _known_by(other)]
            elif own["udid_number"] == other["udid_number"]:
                yield [own["udid_number"], _known_by(own), _known_by(other)]
    else:
        family = facts.families.pairs.filter(pl.col("human") == int(str(own["human"])))
        if row["related_id"] in family["parent"]:
            listed = [
                part
                for parent, flagged in family.select("parent", "flagged").sort("parent").iter_rows()
                for part in (parent, "1" if flagged else "0")
            ]
            yield [spelled(listed)]
