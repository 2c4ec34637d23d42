"""Two old databases, table by table: same rows, same cells, storage class by storage class.

Rows are joined by their primary key; where a table has none, they are counted as a multiset.
Instants may differ in form as long as both say the same millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from person_unify.database import Database
from person_unify.schema import Table, quote
from person_unify.stages.rebuild.instants import exactly

Outcome = Literal["passed", "failed", "not_applicable"]
_KEYS = 5
_COLUMNS_PER_TERM = 100


@dataclass(frozen=True, slots=True)
class TableComparison:
    """How the right table differs from the left one.

    missing, added: rows without a counterpart.  differing: rows that are in both and differ.
    columns: column -> cells that differ.  keys: of up to five such rows, never other cells.
    """

    table: str
    left_rows: int
    right_rows: int
    missing: int = 0
    added: int = 0
    differing: int = 0
    columns: Mapping[str, int] = field(default_factory=dict)
    keys: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """A table without a row on either side proves nothing."""
        if self.missing or self.added or self.differing:
            return "failed"
        return "passed" if self.left_rows else "not_applicable"


def compare_table(
    database: Database, places: tuple[str, str], table: Table, instants: Iterable[str] = ()
) -> TableComparison:
    """Compare one table of two attached databases, both of which have it with these columns.

    instants: columns whose cells may differ in form.  Raises :class:`DatabaseError`.
    """
    left, right = (f"{quote(place)}.{quote(table.name)}" for place in places)
    pair = _Pair(database, table, left, right, set(instants))
    keyed = table.primary_key and not pair.has_null_key()
    return pair.by_key() if keyed else pair.as_multiset()


@dataclass(frozen=True, slots=True)
class _Pair:
    """Row ``l`` of the left table and row ``r`` of the right one."""

    database: Database
    table: Table
    left: str
    right: str
    instants: set[str]

    def has_null_key(self) -> bool:
        nulls = " OR ".join(f"{quote(c)} IS NULL" for c in self.table.primary_key)
        exists = " OR ".join(
            f"EXISTS (SELECT 1 FROM {side} WHERE {nulls})" for side in (self.left, self.right)
        )
        return bool(self.database.value(f"SELECT {exists}"))

    def rows(self) -> tuple[int, int]:
        counts = (self.database.value(f"SELECT count(*) FROM {s}") for s in (self.left, self.right))
        left, right = map(int, counts)
        return left, right

    def by_key(self) -> TableComparison:
        keys = self.table.primary_key
        on = " AND ".join(f"r.{quote(c)} = +l.{quote(c)}" for c in keys)
        joined = f"FROM {self.left} AS l LEFT JOIN {self.right} AS r ON {on}"
        there = f"r.{quote(keys[0])} IS NOT NULL"
        alike = _all_of([self._same(column) for column in self.table.column_names])
        left, right = self.rows()
        equal = int(self.database.value(f"SELECT count(*) {joined} WHERE {there} AND {alike}"))
        if left == right == equal:
            return TableComparison(self.table.name, left, right)
        matched = int(self.database.value(f"SELECT count(*) {joined} WHERE {there}"))
        missing, added, differing = left - matched, right - matched, matched - equal
        columns: dict[str, int] = {}
        shown: list[str] = []
        if differing:
            columns = self._by_column(f"{joined} WHERE {there}")
            shown += self._keys("l", f"{joined} WHERE {there} AND NOT {alike}")
        if missing:
            shown += self._keys("l", f"{joined} WHERE NOT {there}")
        if added:
            on = " AND ".join(f"l.{quote(c)} = +r.{quote(c)}" for c in keys)
            back = f"FROM {self.right} AS r LEFT JOIN {self.left} AS l ON {on}"
            shown += self._keys("r", f"{back} WHERE l.{quote(keys[0])} IS NULL")
        return TableComparison(
            self.table.name, left, right, missing, added, differing, columns, tuple(shown)
        )

    def as_multiset(self) -> TableComparison:
        cells: list[str] = []
        for column in self.table.column_names:
            cell = f"x.{quote(column)}"
            if column in self.instants:
                cell = f"coalesce({exactly(cell)}, {cell})"
            cells += [f"{cell} COLLATE BINARY", f"typeof({cell})"]
        named = [f"{cell} AS c{position}" for position, cell in enumerate(cells)]
        grouped = ", ".join(f"c{position} COLLATE BINARY" for position in range(len(cells)))
        sides = " UNION ALL ".join(
            f"SELECT {sign} AS side, {', '.join(named)} FROM {name} AS x"
            for sign, name in ((1, self.left), (-1, self.right))
        )
        missing, added = self.database.rows(
            "SELECT coalesce(sum(max(d.n, 0)), 0), coalesce(sum(max(-d.n, 0)), 0) "
            f"FROM (SELECT sum(b.side) AS n FROM ({sides}) AS b GROUP BY {grouped}) AS d"
        )[0]
        return TableComparison(self.table.name, *self.rows(), int(missing), int(added))

    def _by_column(self, origin: str) -> dict[str, int]:
        found = {}
        names = self.table.column_names
        for start in range(0, len(names), _COLUMNS_PER_TERM):
            group = names[start : start + _COLUMNS_PER_TERM]
            sums = ", ".join(f"coalesce(sum(NOT {self._same(c)}), 0)" for c in group)
            counts = self.database.rows(f"SELECT {sums} {origin}")[0]
            found.update({c: int(n) for c, n in zip(group, counts, strict=True) if n})
        return found

    def _keys(self, side: str, origin: str) -> list[str]:
        shown = " || ', ' || ".join(
            f"CAST({side}.{quote(column)} AS TEXT)" for column in self.table.primary_key
        )
        found = self.database.rows(f"SELECT hex({shown}) {origin} LIMIT {_KEYS}")
        return [bytes.fromhex(key).decode("utf-8", "backslashreplace") for (key,) in found]

    def _same(self, column: str) -> str:
        left, right = f"l.{quote(column)}", f"r.{quote(column)}"
        # A unary plus takes the affinity from both sides, so that 1 and '1' stay apart.
        same = f"(+{left} IS +{right} COLLATE BINARY AND typeof({left}) = typeof({right}))"
        if column not in self.instants:
            return same
        return f"({same} OR coalesce({exactly(left)} = {exactly(right)}, 0))"


def _all_of(terms: list[str]) -> str:
    """One condition; in groups, for SQLite limits how deep an expression may nest."""
    size = _COLUMNS_PER_TERM
    groups = [terms[start : start + size] for start in range(0, len(terms), size)]
    return "(" + " AND ".join(f"({' AND '.join(group)})" for group in groups) + ")"
