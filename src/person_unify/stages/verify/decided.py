"""Decisions as the ledger records them: what they must have led to, and whether they held.

Only decisions recorded as applied count.  What they ask for is put into TEMP tables that the other
checks expect the target by; that they were made about this source is asked here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from person_unify.stages.verify import cells
from person_unify.stages.verify.bench import Bench

KNOWN_BY = ("first_name", "last_name", "date_of_birth", "gender")
KEY = ("kind", "source_table", "source_id", "related_id", "field")


def prepare_decided(bench: Bench) -> None:
    """``verify_decided``: the applied decisions; ``verify_moves``: who is whom by them."""
    listed = f"{', '.join(KEY)}, decision, link_to, evidence"
    bench.temp(
        "verify_decided",
        f"CREATE TEMP TABLE verify_decided ({listed})",
        "CREATE INDEX temp.verify_decided_by_row ON verify_decided (kind, source_id, related_id)",
    )
    # The ledger of an earlier release has no such table.
    if "decisions" in bench.ledger:
        bench.database.execute(
            f"INSERT INTO temp.verify_decided SELECT {', '.join(KEY[:-1])}, {bench.field}, "
            "decision, link_to, evidence FROM ledger.decisions WHERE outcome = 'applied'"
        )
    of_child = f"d.source_table = {cells.literal(_file(bench, 'children'))}"
    suspected = "d.kind = 'suspected_duplicate'"
    child = f"CASE WHEN {suspected} AND NOT {of_child} THEN d.related_id ELSE d.source_id END"
    patient = (
        f"CASE WHEN NOT {suspected} THEN d.link_to WHEN {of_child} THEN d.related_id "
        "ELSE d.source_id END"
    )
    bench.temp(
        "verify_moves",
        "CREATE TEMP TABLE verify_moves (child_id TEXT PRIMARY KEY, decision TEXT, "
        "patient_id TEXT, head TEXT) WITHOUT ROWID",
        f"INSERT OR IGNORE INTO temp.verify_moves SELECT {child}, d.decision, "
        f"CASE d.decision WHEN 'link' THEN {patient} END, "
        "CASE d.decision WHEN 'merge' THEN d.related_id END FROM temp.verify_decided AS d "
        "WHERE d.decision IN ('unlink', 'link', 'merge')",
    )


def prepare_taken(bench: Bench) -> None:
    """``verify_taken``: values of children that decisions put into their patients' persons.

    ``verify_chosen``: the primary caregivers that decisions name.
    """
    bench.temp(
        "verify_taken",
        "CREATE TEMP TABLE verify_taken (patient_id TEXT, field TEXT, value, "
        "PRIMARY KEY (patient_id, field)) WITHOUT ROWID",
    )
    children = bench.source("children")
    for field in KNOWN_BY if children is not None else ():
        cell = bench.column("children", field)
        value = cells.instant(cell) if field == "date_of_birth" else cells.text(cell)
        bench.database.execute(
            f"INSERT OR IGNORE INTO temp.verify_taken SELECT d.related_id, d.field, {value} "
            f"FROM temp.verify_decided AS d JOIN {children} AS s ON s.id = d.source_id "
            "WHERE d.kind = 'demographic_mismatch' AND d.decision = 'child' "
            f"AND d.field = '{field}' ORDER BY d.related_id"
        )
    bench.temp(
        "verify_chosen",
        "CREATE TEMP TABLE verify_chosen (person_id TEXT PRIMARY KEY, parent_id TEXT) "
        "WITHOUT ROWID",
        *(
            "INSERT OR IGNORE INTO temp.verify_chosen SELECT p.person_id, d.related_id "
            f"FROM temp.verify_decided AS d JOIN temp.verify_{usual} AS p ON p.old_id = "
            f"d.source_id WHERE d.source_table = {cells.literal(_file(bench, usual))} "
            "AND d.decision = 'primary' AND p.person_id IS NOT NULL"
            for usual in ("patients", "children")
        ),
    )


def taken(bench: Bench, field: str) -> tuple[str, str] | None:
    """Whether the person of patient ``s`` takes a child's value, and that value; None if none."""
    of_field = f"k.field = {cells.literal(field)}"
    if not bench.value(f"SELECT count(*) FROM temp.verify_taken AS k WHERE {of_field}"):
        return None
    row = f"FROM temp.verify_taken AS k WHERE k.patient_id = +s.id AND {of_field}"
    return f"EXISTS (SELECT 1 {row})", f"(SELECT k.value {row})"


_OF_ROW = "l.source_table = d.source_table AND l.source_id = d.source_id"


@dataclass(frozen=True, slots=True)
class _Proof:
    """Where the evidence of some kinds of decisions ``d`` comes from.

    pieces: what was compared; a piece of several cells is one text of its own.  logged: the
    discrepancy ``l`` that was answered.
    """

    kinds: tuple[str, ...]
    joins: str
    pieces: Sequence[Sequence[str]]
    logged: str = f"{_OF_ROW} AND l.related_id IS d.related_id AND l.field IS d.field"


def check_decisions(bench: Bench) -> None:
    """Every applied decision was made about what the source holds, and about what is logged."""
    bench.progress("decisions")
    with bench.guarded("decisions"):
        total = bench.value("SELECT count(*) FROM temp.verify_decided")
        proven: set[int] = set()
        unlogged: set[int] = set()
        for proof in _proofs(bench):
            for row, key, evidence, logged, pieces in _asked(bench, proof):
                if hashlib.sha256(_spelled([*key, *pieces])).hexdigest() == evidence:
                    proven.add(row)
                if not logged:
                    unlogged.add(row)
        torn = bench.value(
            "SELECT count(*) FROM temp.verify_decided AS d WHERE d.decision IN ('unlink', 'link', "
            "'merge') AND NOT EXISTS (SELECT 1 FROM temp.verify_moves AS m WHERE m.decision = "
            "d.decision AND (m.child_id = d.source_id OR m.child_id = d.related_id))"
        )
        failures = [
            ("made about other values", total - len(proven)),
            ("answer nothing that is logged", len(unlogged)),
            ("contradict another", torn),
        ]
        bench.judge("decisions", None, total, failures)


_Row = tuple[int, list[bytes | None], str, bool, list[bytes | None]]


def _asked(bench: Bench, proof: _Proof) -> list[_Row]:
    """Per decision of these kinds: its rowid, key, evidence, whether logged, and the pieces."""
    flat = [cell for piece in proof.pieces for cell in piece]
    columns = [*(f"d.{name}" for name in KEY), *flat]
    shown = ", ".join(f"CASE WHEN ({c}) IS NULL THEN NULL ELSE hex({c}) END" for c in columns)
    kinds = ", ".join(map(cells.literal, proof.kinds))
    rows = bench.rows(
        "SELECT d.rowid, d.evidence, EXISTS (SELECT 1 FROM temp.verify_log AS l WHERE l.kind = "
        f"d.kind AND {proof.logged}), {shown} "
        f"FROM temp.verify_decided AS d {proof.joins} WHERE d.kind IN ({kinds})"
    )
    found: list[_Row] = []
    for rowid, evidence, logged, *hexes in rows:
        values = [_readable(text) for text in hexes]
        key, rest = values[: len(KEY)], values[len(KEY) :]
        pieces: list[bytes | None] = []
        for piece in proof.pieces:
            part, rest = rest[: len(piece)], rest[len(piece) :]
            pieces.append(part[0] if len(piece) == 1 else _spelled(part))
        found.append((int(rowid), key, str(evidence), bool(logged), pieces))
    return found


def _readable(shown: str | None) -> bytes | None:
    """The bytes of a text; None where they are none of UTF-8."""
    if shown is None:
        return None
    raw = bytes.fromhex(shown)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return raw


def _spelled(parts: Sequence[bytes | None]) -> bytes:
    """One text that tells the parts apart: length and bytes of each, a dash for NULL."""
    return b",".join(b"-" if p is None else b"%d:%s" % (len(p), p) for p in parts)


def _file(bench: Bench, usual: str) -> str:
    return bench.plan.source_names.get(usual, usual)


def _known_by(bench: Bench, usual: str, alias: str) -> list[str]:
    return [_text(bench, usual, field, alias) for field in KNOWN_BY]


def _text(bench: Bench, usual: str, field: str, alias: str) -> str:
    cell = bench.column(usual, field, alias)
    if field == "date_of_birth":
        return f"CAST({cells.instant(cell)} AS TEXT)"
    return cells.printed(cell)


def _proofs(bench: Bench) -> list[_Proof]:
    children, patients = bench.source("children"), bench.source("patients")
    found = []
    if children is not None:
        strays = _Proof(
            ("missing_linked_patient",),
            f"JOIN {children} AS c ON c.id = d.source_id",
            [_known_by(bench, "children", "c")],
        )
        found.append(strays)
    if children is not None and patients is not None:
        found += _of_pairs(bench, children, patients)
    tables = [usual for usual in ("patients", "children") if bench.source(usual) is not None]
    for usual in tables:
        found += [_of_records(bench, usual, other) for other in tables]
        found += _of_udids(bench, usual, tables)
        found.append(_of_families(bench, usual))
    return found


def _of_pairs(bench: Bench, children: str, patients: str) -> list[_Proof]:
    pair = (
        f"JOIN {children} AS c ON c.id = d.source_id JOIN {patients} AS p ON p.id = d.related_id "
        "JOIN temp.verify_children AS v ON v.old_id = d.source_id AND d.related_id IN "
        "(v.named, v.patient_id)"
    )
    sides = []
    for usual, alias in (("children", "c"), ("patients", "p")):
        fields = " ".join(
            f"WHEN '{field}' THEN {_text(bench, usual, field, alias)}" for field in KNOWN_BY
        )
        sides.append([f"CASE d.field {fields} END"])
    whole = [_known_by(bench, "children", "c"), _known_by(bench, "patients", "p")]
    implied = (
        "JOIN temp.verify_implied AS i ON i.child_id = d.source_id AND i.patient_id = d.related_id"
    )
    return [
        _Proof(("demographic_mismatch",), pair, sides),
        _Proof(("shared_linked_patient", "contradicting_link"), pair, whole),
        _Proof(("implied_grant",), implied, [["i.parent_id"], ["i.clinician_id"]]),
    ]


def _joined(bench: Bench, usual: str, other: str) -> str:
    """A decision's own record ``a`` and the one it names, ``b``."""
    return (
        f"JOIN {bench.source(usual)} AS a ON a.id = d.source_id "
        f"AND d.source_table = {cells.literal(_file(bench, usual))} "
        f"JOIN {bench.source(other)} AS b ON b.id = d.related_id"
    )


def _of_records(bench: Bench, usual: str, other: str) -> _Proof:
    pieces = [
        [cells.literal(_file(bench, other))],
        _known_by(bench, usual, "a"),
        _known_by(bench, other, "b"),
    ]
    return _Proof(("suspected_duplicate",), _joined(bench, usual, other), pieces)


def _of_udids(bench: Bench, usual: str, tables: list[str]) -> list[_Proof]:
    """Whoever keeps a number, one of the two is logged as having lost it."""
    found = []
    for other in tables:
        mine, theirs = (
            bench.column(u, "udid_number", alias) for u, alias in ((usual, "a"), (other, "b"))
        )
        if "NULL" in (mine, theirs):
            continue
        joins = (
            f"{_joined(bench, usual, other)} AND {cells.printed(mine)} = {cells.printed(theirs)}"
        )
        pieces = [
            [cells.printed(mine)],
            _known_by(bench, usual, "a"),
            _known_by(bench, other, "b"),
        ]
        logged = "(l.source_id = d.source_id OR l.related_id = d.source_id)"
        found.append(_Proof(("duplicate_udid",), joins, pieces, logged))
    return found


def _of_families(bench: Bench, usual: str) -> _Proof:
    """The parents of a person in order, and who of them is flagged."""
    family = (
        "(SELECT group_concat(length(CAST(f.parent_id AS BLOB)) || ':' || f.parent_id || ',1:' || "
        "f.flagged, ',' ORDER BY f.parent_id) FROM temp.verify_pairs AS f "
        "WHERE f.person_id = o.person_id)"
    )
    joins = (
        f"JOIN temp.verify_{usual} AS o ON o.old_id = d.source_id "
        f"AND d.source_table = {cells.literal(_file(bench, usual))} "
        "JOIN temp.verify_pairs AS g ON g.person_id = o.person_id AND g.parent_id = d.related_id"
    )
    logged = f"{_OF_ROW} AND l.related_id = d.related_id"
    kinds = ("multiple_primary_caregivers", "no_primary_caregiver")
    return _Proof(kinds, joins, [[family]], logged)
