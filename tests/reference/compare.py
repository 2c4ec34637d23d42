"""Holds what a run wrote against the reference, fresh ids aside (contract sections 1 to 9)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from person_unify.schema import UNIFIED

from . import ReferenceResult
from .ledger import ArchivedRow, Produced, plain, read_produced
from .record import MAPS, Archived, Mention, New, Stored
from .source import Key, read_source
from .values import Cell, parse_instant, text_of

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
PARTS = (
    "ids",
    "maps",
    "tables",
    "discrepancies",
    "normalisations",
    "notes",
    "archive",
    "questions",
)
VALUE_COLUMNS = ("child_value", "patient_value", "chosen_value")


def compare(
    reference: ReferenceResult,
    source: Path,
    target: Path,
    ledger: Path,
    skip: Collection[str] = (),
) -> list[str]:
    """Every difference between the reference and the two files, as sentences.

    ``skip`` leaves out some of :data:`PARTS`.
    """
    produced = read_produced(target, ledger, MAPS, reference.key_columns)
    names = _Names(reference, produced)
    parts = {
        "ids": lambda: _fresh_ids(names, source),
        "maps": lambda: _maps(reference, produced, names),
        "tables": lambda: _tables(reference, produced, names),
        "discrepancies": lambda: _discrepancies(reference, produced, names),
        "normalisations": lambda: _counted(
            "normalisation", reference.normalisations, produced.normalisations
        ),
        "notes": lambda: _counted(
            "person note",
            Counter((names.of(p), note) for p, note in reference.person_notes.items()),
            Counter(produced.person_notes),
        ),
        "archive": lambda: _archive(reference, produced),
        "questions": lambda: _questions(reference, produced),
    }
    return [line for part in PARTS if part not in skip for line in parts[part]()]


class _Names:
    """The fresh id that stands in the files for each symbol of the reference."""

    def __init__(self, reference: ReferenceResult, produced: Produced) -> None:
        self.ids: dict[New, str] = {}
        for name, entries in reference.maps.items():
            for old, symbol in entries.items():
                found = produced.maps.get(name, {}).get(old)
                if isinstance(symbol, New) and found:
                    self.ids.setdefault(symbol, found[0])
        self._find_unmapped(reference, produced)

    def _find_unmapped(self, reference: ReferenceResult, produced: Produced) -> None:
        """Views of a link or implied grants stand in no map: found by what makes them unique."""
        mapped = {i for ids in produced.maps.get("consent_to_grant", {}).values() for i in ids}
        grants = {
            (plain(row["grantor_id"]), plain(row["person_id"])): str(plain(row["id"]))
            for row in produced.tables.get("access_grants", [])
            if plain(row["id"]) not in mapped
        }
        for row in reference.tables["access_grants"]:
            symbol, person = row["id"], self.of(row["person_id"])
            found = grants.get((row["grantor_id"], person))
            if isinstance(symbol, New) and symbol.kind == "implied" and found:
                self.ids.setdefault(symbol, found)

    def of(self, value: Stored) -> Any:
        """The value as the files have it; a symbol without an id reads as itself."""
        return self.ids.get(value, str(value)) if isinstance(value, New) else value


def _fresh_ids(names: _Names, source: Path) -> Iterator[str]:
    """Fresh ids are canonical UUIDs of version 4 or 7, distinct, and no old ids."""
    old = read_source(source)
    keys = {
        plain(cell)
        for table in [*old.known.values(), *old.unknown.values()]
        for row in table.rows
        for cell in row.key
        if cell.kind == "text" and text_of(cell) is not None
    }
    seen: dict[str, New] = {}
    for symbol, found in names.ids.items():
        if not UUID.fullmatch(found):
            yield f"id of {symbol} is no canonical UUID: {found!r}"
        if found in keys:
            yield f"id of {symbol} is an old id: {found!r}"
        if found in seen:
            yield f"{symbol} and {seen[found]} share the id {found}"
        seen[found] = symbol


def _maps(reference: ReferenceResult, produced: Produced, names: _Names) -> Iterator[str]:
    for name in MAPS:
        expected = {old: [names.of(new)] for old, new in reference.maps[name].items()}
        actual = produced.maps.get(name, {})
        for old in expected.keys() | actual.keys():
            if expected.get(old) != actual.get(old):
                yield f"{name}[{old!r}]: expected {expected.get(old)}, found {actual.get(old)}"


def _tables(reference: ReferenceResult, produced: Produced, names: _Names) -> Iterator[str]:
    for name, table in UNIFIED.items():
        key = table.primary_key[0]
        actual = {plain(row[key]): row for row in produced.tables.get(name, [])}
        if len(actual) != len(produced.tables.get(name, [])):
            yield f"{name}: repeated primary keys"
        expected = {names.of(row[key]): row for row in reference.tables[name]}
        for missing in expected.keys() - actual.keys():
            yield f"{name}: row {missing!r} is missing"
        for extra in actual.keys() - expected.keys():
            yield f"{name}: row {extra!r} is too many: {_shown(actual[extra])}"
        for shared in expected.keys() & actual.keys():
            for column, value in expected[shared].items():
                cell = actual[shared].get(column, Cell("missing", None))
                if not _same(names.of(value), cell):
                    yield f"{name} {shared!r}.{column}: expected {names.of(value)!r}, found {cell}"


def _shown(row: dict[str, Cell]) -> str:
    return ", ".join(f"{column}={cell.raw!r}" for column, cell in row.items())


def _same(expected: Any, cell: Cell) -> bool:
    """Whether the cell holds the value in the storage class that the value has."""
    if isinstance(expected, Mention):
        text = str(plain(cell))
        return cell.kind == "text" and all(name in text for name in expected.ids)
    kinds = {type(None): "null", int: "integer", float: "real", str: "text"}
    if cell.kind != kinds[type(expected)]:
        return False
    raw = expected.encode() if isinstance(expected, str) else expected
    return bool(cell.raw == raw)


def _discrepancies(reference: ReferenceResult, produced: Produced, names: _Names) -> Iterator[str]:
    expected: Counter[Any] = Counter()
    counts: dict[Any, int] = {}
    for row in reference.discrepancies:
        spot = _spot({name: names.of(value) for name, value in row.items()})
        expected[spot] += 1
        if "count" in row:
            counts[spot] = row["count"]
    actual: Counter[Any] = Counter()
    for row in produced.discrepancies:
        spot, message = _spot(row), row["message"]
        actual[spot] += 1
        if not message:
            yield f"discrepancy without a message: {_described(spot)}"
        elif spot in counts and not re.search(rf"\b{counts[spot]}\b", message):
            yield f"message does not give the count {counts[spot]}: {message!r}"
    for spot in expected.keys() | actual.keys():
        if expected[spot] != actual[spot]:
            described = _described(spot)
            yield f"discrepancy {described}: expected {expected[spot]}, found {actual[spot]}"


def _spot(row: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """All columns but the message; instants in the value columns count by their value."""
    entries = {name: value for name, value in row.items() if name not in ("message", "count")}
    if row["kind"] == "demographic_mismatch" and row["field"] == "date_of_birth":
        for name in VALUE_COLUMNS:
            entries[name] = parse_instant(str(row[name])) or row[name]
    return tuple(sorted(entries.items()))


def _described(spot: tuple[tuple[str, Any], ...]) -> str:
    return " ".join(f"{name}={value!r}" for name, value in spot if value is not None)


def _questions(reference: ReferenceResult, produced: Produced) -> Iterator[str]:
    """What may be decided, with its evidence, and what became of each decision."""
    asked = [
        Counter(tuple(sorted(row.items())) for row in rows)
        for rows in (reference.questions, produced.questions)
    ]
    yield from _counted("question", *asked)
    outcomes = {key: decision["outcome"] for key, decision in reference.decided.items()}
    if outcomes != produced.decisions:
        yield f"decisions: expected {outcomes}, found {produced.decisions}"


def _counted(what: str, expected: Counter[Any], actual: Counter[Any]) -> Iterator[str]:
    for entry in expected.keys() | actual.keys():
        if expected[entry] != actual[entry]:
            yield f"{what} {entry}: expected {expected[entry]}, found {actual[entry]}"


def _archive(reference: ReferenceResult, produced: Produced) -> Iterator[str]:
    for table in reference.archive.keys() | produced.archive.keys():
        expected = reference.archive.get(table, {})
        actual = produced.archive.get(table, {})
        for key in expected.keys() | actual.keys():
            spot = f"archive of {table} {tuple(plain_key(key))}"
            if key not in actual:
                yield f"{spot}: missing, expected {sorted(expected[key][0])}"
            elif key not in expected:
                yield f"{spot}: too many: {[row.columns for row in actual[key]]}"
            elif len(actual[key]) > 1:
                yield f"{spot}: {len(actual[key])} rows for one key"
            else:
                keys = reference.key_columns[table]
                yield from _archived_row(spot, expected[key], actual[key][0], keys)


def plain_key(key: Key) -> Iterator[Any]:
    """The key's values, bytes that are no text as they are."""
    for cell in key:
        yield (
            cell.raw.decode(errors="backslashreplace") if isinstance(cell.raw, bytes) else cell.raw
        )


def _archived_row(
    spot: str, expected: Archived, actual: ArchivedRow, keys: tuple[str, ...]
) -> Iterator[str]:
    cells, reason = expected
    if actual.reason != reason:
        yield f"{spot}: reason {actual.reason!r}, expected {reason!r}"
    # The key stands in the row anyway, so whether it is listed too makes no difference.
    wanted, listed = set(cells) - set(keys), set(actual.columns) - set(keys)
    differences: dict[str, list[str]] = defaultdict(list)
    differences["columns missing"] = sorted(wanted - listed)
    differences["columns too many"] = sorted(listed - wanted)
    for name in sorted(wanted & listed):
        found = actual.cells.get(name)
        if found != cells[name]:
            differences["cells"].append(f"{name}: expected {cells[name]}, found {found}")
    for what, found_differences in differences.items():
        if found_differences:
            yield f"{spot}: {what} {found_differences}"
