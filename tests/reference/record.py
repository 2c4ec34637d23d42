"""The books of a run, and the reading of one source row into them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from person_unify.schema import OLD, UNIFIED, Column

from .desk import Desk
from .source import Key, Source, SourceRow, SourceTable
from .values import DAY_MS, NULL, Cell, Reading, Value, read


class New(NamedTuple):
    """Stands for a fresh id: what it identifies, and the old ids that determine it."""

    kind: str
    key: tuple[Any, ...]

    def __str__(self) -> str:
        return f"<new {self.kind} {self.key}>"


class Mention(NamedTuple):
    """A text whose wording is free but which must name these ids."""

    ids: tuple[str, ...]


Stored = Value | New | Mention
TargetRow = dict[str, Stored]
Discrepancy = dict[str, Any]
Archived = tuple[dict[str, Cell], str]

SEVERITY = {
    "demographic_mismatch": "warning",
    "missing_linked_patient": "error",
    "shared_linked_patient": "warning",
    "merged_child_rows": "info",
    "missing_gender": "info",
    "duplicate_udid": "error",
    "multiple_primary_caregivers": "warning",
    "no_primary_caregiver": "info",
    "orphaned_consent_grant": "error",
    "orphaned_record": "error",
    "dangling_reference": "warning",
    "implied_grant": "warning",
    "id_collision": "warning",
    "merged_tag": "info",
    "duplicate_key": "error",
    "child_id_in_patient_column": "info",
    "unreadable_value": "error",
    "soft_reference": "warning",
    "missing_birth_date": "error",
    "contradicting_link": "error",
    "deleted_patient": "warning",
    "implausible_instant": "warning",
    "suspected_duplicate": "warning",
}
JANUARY_1970 = 31 * DAY_MS
MAPS = (
    "patient_to_person",
    "child_to_person",
    "child_to_view",
    "patient_to_view",
    "consent_to_grant",
    "parent_link_to_view",
    "tag_to_tag",
    "collision_to_id",
)


@dataclass
class Loaded:
    """A source row that is in the target: its id there, its target row and its source row."""

    new_id: Stored
    target: TargetRow
    source: SourceRow


@dataclass
class State:
    """Everything a run writes down, and what is loaded so far by usual table name and old id."""

    source: Source
    run_ms: int
    timezone: str
    implied: str
    old_ids: frozenset[str]
    desk: Desk
    tables: dict[str, list[TargetRow]] = field(default_factory=lambda: {t: [] for t in UNIFIED})
    discrepancies: list[Discrepancy] = field(default_factory=list)
    normalisations: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    archive: dict[str, dict[Key, Archived]] = field(default_factory=dict)
    notes: dict[New, str] = field(default_factory=dict)
    maps: dict[str, dict[Any, Stored]] = field(default_factory=lambda: {m: {} for m in MAPS})
    loaded: dict[str, dict[str, Loaded]] = field(default_factory=dict)
    early: Counter[tuple[str, str]] = field(default_factory=Counter)
    soft: dict[tuple[str, str], dict[Key, str]] = field(default_factory=dict)
    taken: dict[tuple[str, tuple[str, ...]], dict[tuple[Stored, ...], str]] = field(
        default_factory=dict
    )

    nocase: frozenset[tuple[str, str]] = frozenset()
    patients: dict[str, SourceRow] = field(default_factory=dict)
    person_of_child: dict[str, New] = field(default_factory=dict)

    def clinician_of(self, person: Stored) -> str | None:
        """The readable ``clinician_id`` of the person's patient, known user or not."""
        if not isinstance(person, New) or person.key[0] != "patients":
            return None
        found = read(self.patients[person.key[1]].cells.get("clinician_id", NULL), "TEXT").value
        return None if found is None else str(found)

    def exists(self, usual: str, old_id: Value) -> bool:
        """Whether a loaded row of that table has the id."""
        return old_id in self.loaded.get(usual, {})

    def log(self, kind: str, table: str | None, source_id: str | None, **more: Any) -> None:
        """Writes one discrepancy; columns that are not given are None."""
        self.discrepancies.append(discrepancy(kind, table, source_id, **more))

    def keep_whole(self, table: SourceTable, row: SourceRow, reason: str) -> None:
        """Archives every column of a row."""
        self.archive.setdefault(table.name, {})[row.key] = (dict(row.cells), reason)


def discrepancy(kind: str, table: str | None, source_id: str | None, **more: Any) -> Discrepancy:
    """A row of section 8, without its message; ``count`` is what a soft reference must say."""
    entry: Discrepancy = {
        "kind": kind,
        "severity": SEVERITY[kind],
        "source_table": table,
        "source_id": source_id,
        "related_id": None,
        "person_id": None,
        "field": None,
        "child_value": None,
        "patient_value": None,
        "chosen_value": None,
    }
    return entry | more


class Record:
    """One source row on its way: what of it is carried, kept and complained about.

    Nothing reaches the books before :meth:`commit`: a row that is kept out logs one thing only.
    """

    def __init__(self, state: State, table: SourceTable, row: SourceRow, source_id: str) -> None:
        self.state = state
        self.table = table
        self.row = row
        self.source_id = source_id
        self.person: Stored = None
        self.known_by: frozenset[str] = frozenset()
        self.whole = False
        self._carried: set[str] = set()
        self._keep: set[str] = set()
        self._counted: set[tuple[str, str]] = set()
        self._complained: set[str] = set()
        self._early: set[str] = set()
        self._log: list[Discrepancy] = []

    def cell(self, column: str) -> Cell:
        """The cell, NULL where the file does not have the column."""
        return self.row.cells.get(column, NULL)

    def quietly(self, column: str, kind: str) -> Reading:
        """Reads without consequences."""
        return read(self.cell(column), kind)

    def text(self, column: str) -> str | None:
        """The readable text of a reference, read without consequences."""
        value = self.quietly(column, "TEXT").value
        assert value is None or isinstance(value, str)
        return value

    def candidate(self, column: str, kind: str) -> Value:
        """Reads a cell that may feed a derived value: an unreadable one is logged."""
        reading = self.quietly(column, kind)
        if reading.state == "unreadable":
            self.complain(column)
        return reading.value

    def complain(self, column: str) -> None:
        """Logs ``unreadable_value``, once per cell."""
        if column not in self._complained:
            self._complained.add(column)
            self.log("unreadable_value", field=column)

    def log(self, kind: str, **more: Any) -> None:
        """Writes a discrepancy of this row."""
        more.setdefault("person_id", self.person)
        self._log.append(discrepancy(kind, self.table.name, self.source_id, **more))

    def keep(self, column: str) -> None:
        """Archives a cell although it is carried."""
        self._keep.add(column)

    def count(self, column: str, rule: str | None) -> None:
        """Counts a normalisation of the cell, once per rule."""
        if rule is not None:
            self._counted.add((column, rule))

    def carry(self, column: str, kind: str) -> Value:
        """Reads a cell that a target cell holds: logs, keeps and counts as the reading demands."""
        value = self.candidate(column, kind)
        reading = self.quietly(column, kind)
        self._carried.add(column)
        if reading.state == "ok":
            self.count(column, reading.rule)
        if not reading.exact:
            self.keep(column)
        if kind == "DATETIME" and value is not None and 0 < int(value) < JANUARY_1970:
            self._early.add(column)
        return value

    def carry_into(self, column: str, target: Column, fallback: Value = None) -> Value:
        """Carries a cell into a target column, with its default where that is required.

        ``fallback`` is what the mapping says for a missing value.
        """
        value = self.carry(column, target.type)
        if value is None and target.not_null:
            self.count(column, "required_default")
            self.keep(column)
            value = self.default(target, fallback)
        return value

    def default(self, target: Column, fallback: Value = None) -> Value:
        """What a required column without a value takes (section 1)."""
        if fallback is not None:
            return fallback
        if target.type == "DATETIME":
            column = "generated_at" if self.table.usual == "reports" else "created_at"
            created = self.quietly(column, "DATETIME").value
            return self.state.run_ms if created is None else created
        return column_default(target)

    def map_id(self) -> None:
        """Says that an id map has the row's id; the archive goes by it where it is the key."""
        if self.table.key_columns == ("id",):
            self._carried.add("id")
            self.known_by |= {"id"}

    def lose(self, column: str) -> None:
        """Says that a cell that was carried is not after all: kept, and nothing counted."""
        self.keep(column)
        self._early.discard(column)
        self._counted = {entry for entry in self._counted if entry[0] != column}

    def commit(self, reason: str = "not_carried") -> None:
        """Writes log, counts and archive of a row that is loaded or represented."""
        self.state.discrepancies += self._log
        self.state.early.update((self.table.name, column) for column in self._early)
        for column, rule in self._counted:
            self.state.normalisations[self.table.name, column, rule] += 1
        kept = {
            column: cell
            for column, cell in self.row.cells.items()
            if self.whole or column in self._keep or column not in self._carried
        }
        if kept and not set(self.table.key_columns) <= self.known_by:
            known = OLD.get(self.table.usual) or UNIFIED[self.table.usual]
            # The target does not know the rowid, or the key, that the archive goes by.
            kept |= {column: self.row.cells[column] for column in known.primary_key}
        if kept:
            self.state.archive.setdefault(self.table.name, {})[self.row.key] = (kept, reason)

    def keep_out(self, kind: str, reason: str, **more: Any) -> None:
        """Archives the row whole and logs one discrepancy, nothing else."""
        self._log = []
        self.log(kind, **more)
        self.state.discrepancies += self._log
        self.state.keep_whole(self.table, self.row, reason)

    def note_soft(self, column: str, value: Stored, found: Callable[[str], str | None]) -> None:
        """Remembers that a carried value names an old id."""
        example = found(value) if isinstance(value, str) else None
        if example is not None:
            spot = self.state.soft.setdefault((self.table.name, column), {})
            spot[self.row.key] = example


def column_default(target: Column) -> Value:
    """The column's default as a value, else 0 or ''; CURRENT_TIMESTAMP counts as none."""
    default = target.default
    if default is None or default == "CURRENT_TIMESTAMP":
        if target.type == "TEXT":
            return ""
        return 0.0 if target.type == "REAL" else 0
    if default.startswith("'"):
        return default[1:-1].replace("''", "'")
    if default in ("true", "false"):
        return int(default == "true")
    return float(default) if target.type == "REAL" else int(default)
