"""One sweep over a source table that judges all its columns at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from person_unify.mappings.bind import BoundMapping
from person_unify.schema import Table, quote
from person_unify.spec import NewId, Word
from person_unify.stages.verify import cells, relations
from person_unify.stages.verify.archive import NOT_CARRIED, Archive, archive_of
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.words import Filling, Words

_COLUMNS_PER_QUERY = 150
_HIGH = 1 << 32


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is asked of every row: a target cell and, where one is held, the source cell.

    when: rows that are asked.  ok: the target cell is right.  kept: the source cell is carried
    exactly or archived.  exact: spares ``kept``, and ``ok`` too if ``sure``.
    """

    label: str
    when: str
    ok: str | None = None
    kept: str | None = None
    exact: str | None = None
    sure: bool = False

    @property
    def sum(self) -> str:
        """Wrong target cells in the low half of the number, lost source cells in the high half."""
        wrong = "0" if self.ok is None else f"CASE WHEN {self.ok} THEN 0 ELSE 1 END"
        lost = "0" if self.kept is None else f"CASE WHEN {self.kept} THEN 0 ELSE {_HIGH} END"
        if self.exact is None:
            value = f"{wrong} + {lost}"
        elif self.sure:
            value = f"CASE WHEN {self.exact} THEN 0 ELSE {wrong} + {lost} END"
        else:
            value = f"{wrong} + CASE WHEN {self.exact} THEN 0 ELSE {lost} END"
        return f"coalesce(sum(CASE WHEN NOT ({self.when}) THEN 0 ELSE {value} END), 0)"

    @property
    def flawless(self) -> str:
        """Whether neither the target cell is wrong nor the source cell lost."""
        asked = [part for part in (self.ok, self.kept) if part is not None]
        if self.exact is None:
            return f"({' AND '.join(asked)})"
        if self.sure:
            return f"({self.exact} OR ({' AND '.join(asked)}))"
        kept = "" if self.kept is None else f"({self.exact} OR {self.kept})"
        return f"({' AND '.join(filter(None, (self.ok, kept)))})"


@dataclass
class Sweep:
    """Source rows ``s`` of a table with their archive rows ``a`` and their target rows."""

    bench: Bench
    source: Table
    archive: Archive | None = None
    joins: list[str] = field(default_factory=list)
    counts: dict[str, str] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)

    @classmethod
    def over(cls, bench: Bench, source: Table) -> Sweep:
        """A sweep that knows the table's archive."""
        sweep = cls(bench, source, archive_of(bench, source))
        if sweep.archive is not None:
            sweep.joins.append(f"LEFT JOIN {sweep.archive.table} AS a ON {sweep.archive.join}")
        return sweep

    @property
    def kept_out(self) -> str:
        """Whether the archive says that the row was not loaded."""
        if self.archive is None:
            return "0"
        reason = f"a.{quote(self.archive.reason)}"
        return f"({reason} IS NOT NULL AND {reason} <> {cells.literal(NOT_CARRIED)})"

    @property
    def origin(self) -> str:
        """The FROM clause."""
        return f"FROM source.{quote(self.source.name)} AS s {' '.join(self.joins)}"

    def archived(self, column: str, *, always: bool) -> str:
        """Whether the archive holds the cell and says so (``always``: its list is judged apart)."""
        if self.archive is None:
            return "0"
        present = f"a.{quote(self.archive.reason)} IS NOT NULL"
        if column in self.archive.key:
            return present
        holds = self.archive.holds(column)
        return f"({present} AND {holds}{'' if always else ' AND ' + self.archive.names(column)})"

    def run(self) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
        """The counts, and per label the wrong target cells and the lost source cells.

        Nearly always there are none, so rows with any flaw are counted first, which costs no sum
        per column and stops at a row's first flaw; only then the columns are told apart.
        """
        groups = [
            self.verdicts[start : start + _COLUMNS_PER_QUERY]
            for start in range(0, len(self.verdicts), _COLUMNS_PER_QUERY)
        ]
        flawed = [
            f"coalesce(sum(CASE WHEN {_flawless(group)} THEN 0 ELSE 1 END), 0)" for group in groups
        ]
        first, *others = flawed or ["0"]
        counts = self._sums([*self.counts.values(), first])
        rows = [counts.pop(), *(self._sums([other])[0] for other in others)]
        found = {verdict.label: (0, 0) for verdict in self.verdicts}
        for group, wrong in zip(groups, rows, strict=False):
            sums = self._sums([verdict.sum for verdict in group]) if wrong else []
            for verdict, value in zip(group, sums, strict=False):
                bad, lost = found[verdict.label]
                found[verdict.label] = (bad + value % _HIGH, lost + value // _HIGH)
        return dict(zip(self.counts, counts, strict=True)), found

    def _sums(self, expressions: Sequence[str]) -> list[int]:
        """The numbers of one query over the joined rows."""
        row = self.bench.rows(f"SELECT {', '.join(expressions)} {self.origin}")[0]
        return [int(value or 0) for value in row]


def _flawless(verdicts: Iterable[Verdict]) -> str:
    """Whether a row passes all verdicts, each where it is asked."""
    by_condition: dict[str, list[str]] = {}
    for verdict in verdicts:
        by_condition.setdefault(verdict.when, []).append(verdict.flawless)
    return " AND ".join(
        f"(NOT ({when}) OR ({' AND '.join(parts)}))" for when, parts in by_condition.items()
    )


def fillings(words: Words) -> Iterator[tuple[str, Filling]]:
    """Target column and how it must be filled, for every column of the target table."""
    target = words.bound.target
    assert target is not None
    bound = {binding.target.name: binding for binding in words.bound.columns}
    for column in target.columns:
        binding = bound.get(column.name)
        if binding is None:
            yield column.name, words.unfilled(column)
            continue
        if column.name in target.primary_key:
            # The rows are joined on it: it is right by the join, and mapped where it is new.
            source = _key_source(words.bound, binding.word)
            if source is not None:
                exact = f"typeof(s.{quote(source)}) = 'text'"
                yield column.name, Filling("1", source, exact, sure=True)
            continue
        filled = words.filling(binding)
        if filled is not None:
            yield column.name, filled


def _key_source(bound: BoundMapping, word: Word) -> str | None:
    """The source column whose cell a key of the target stands for."""
    source = getattr(word, "column", None)
    if isinstance(word, NewId) and not bound.mapping.merge_on:
        source = "id"
    return source if source is not None and bound.source.column(source) is not None else None


def column_verdicts(
    sweep: Sweep, arms: Iterable[tuple[Words, str]], asked: str
) -> tuple[list[Verdict], frozenset[str]]:
    """Verdicts over all target columns of the arms and all source columns, and the never carried.

    An arm is a mapping's words and the condition under which its target row is there; ``asked``
    selects the source rows whose cells must have survived.
    """
    verdicts: list[Verdict] = []
    carriers: dict[str, list[tuple[str, str]]] = {}
    single: dict[str, tuple[str, Filling, str]] = {}
    for words, present in arms:
        assert words.bound.target is not None
        for name, filled in fillings(words):
            label = f"{words.bound.target.name}.{name}"
            if filled.column is not None and filled.exact is not None:
                carriers.setdefault(filled.column, []).append((filled.exact, present))
                single[filled.column] = (label, filled, present)
            if filled.ok != "1":
                verdicts.append(Verdict(label, present, filled.ok))
    never = []
    for column in sweep.source.column_names:
        held = carriers.get(column, [])
        if not held:
            never.append(column)
        archived = sweep.archived(column, always=not held)
        exact = " OR ".join(f"({present} AND {exact})" for exact, present in held)
        if len(held) == 1 and single[column][2] == asked:
            label, filled, present = single[column]
            verdicts = [v for v in verdicts if v.label != label]
            ok = None if filled.ok == "1" else filled.ok
            verdicts.append(
                Verdict(f"{label} < {column}", present, ok, archived, filled.exact, filled.sure)
            )
            continue
        verdicts.append(Verdict(f"< {column}", asked, None, archived, exact or None))
    return verdicts, frozenset(never)


def target_key(bound: BoundMapping, bench: Bench, alias: str = "s") -> str | None:
    """The condition that joins target row ``t`` to the source row; None where no map helps."""
    assert bound.target is not None
    words = {binding.target.name: binding.word for binding in bound.columns}
    if bound.mapping.merge_on:
        return (
            f"t.{quote(bound.target.primary_key[0])} = (SELECT m.new_id FROM temp.verify_tags AS m "
            f"WHERE m.patient_id = +{alias}.patient_id AND m.tag = +{alias}.tag)"
        )
    pairs = []
    for column in bound.target.primary_key:
        word = words.get(column)
        source = None if word is None else _key_source(bound, word)
        if source is None:
            return None
        value = relations.new_id(bench, bound, f"+{alias}.{quote(source)}")
        pairs.append(f"t.{quote(column)} = {value}")
    return " AND ".join(pairs)
