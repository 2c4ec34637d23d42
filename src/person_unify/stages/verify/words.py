"""What each word of a mapping must have made of a source row, as SQL over row ``s`` (section 6)."""

from __future__ import annotations

from dataclasses import dataclass

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.schema import Column, quote
from person_unify.spec import (
    ClinicianOf,
    Computed,
    Copy,
    Fixed,
    Fold,
    Owner,
    Person,
    Type,
    Via,
)
from person_unify.stages.verify import cells, relations
from person_unify.stages.verify.bench import Bench, UnknownRuleError
from person_unify.stages.verify.rules import RULES


@dataclass(frozen=True, slots=True)
class Filling:
    """One target cell and the source cell that it holds, if it holds one.

    ok: whether the target cell is right.  exact: whether it is the source cell, unaltered.
    sure: ``exact`` implies ``ok``, which spares the longer comparison.
    """

    ok: str
    column: str | None = None
    exact: str | None = None
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """Compiles the words of one mapping; the target row is called ``target`` in the query."""

    bench: Bench
    bound: BoundMapping
    target: str = "t"

    def cell(self, column: str) -> str:
        """A cell of the source row, ``NULL`` where the file has no such column."""
        return "NULL" if self.bound.source.column(column) is None else f"s.{quote(column)}"

    def here(self, binding: Binding) -> str:
        """The target cell."""
        return f"{self.target}.{quote(binding.target.name)}"

    def filling(self, binding: Binding) -> Filling | None:
        """How a target cell follows from the source; None for fresh ids and decided values."""
        word = binding.word
        if isinstance(word, Copy):
            return self._copy(binding, word)
        if isinstance(word, Person):
            return self.person(binding, word)
        expected = self.expected(binding)
        if expected is None:
            return None
        ok = cells.same(self.here(binding), f"({expected})")
        if isinstance(word, Computed) and word.rule == "as_text":
            ok = self._or_printed(ok, binding, self.cell(word.reads[0].column))
        carries = word.carries if isinstance(word, Computed) else None
        if carries is None or self.bound.source.column(carries) is None:
            return Filling(ok)
        return Filling(ok, carries, self.exact(binding, carries))

    def person(self, binding: Binding, word: Person) -> Filling:
        """A person reference; the cell is carried where it names the kind of id it promises."""
        here, cell = self.here(binding), self.cell(word.column)
        ok = cells.same(here, f"({relations.person_of(cell, word.first)})")
        if cell == "NULL":
            return Filling(ok)
        key = relations.key_text(cell)
        if word.first == "patients":
            # A child's id in a patient column cannot be told from the person, so it is archived.
            named = f"EXISTS (SELECT 1 FROM temp.verify_patients AS q WHERE q.old_id = {key})"
        else:
            # Nor can a patient's in a child column, or one of several children's.
            named = (
                f"EXISTS (SELECT 1 FROM temp.verify_children AS q WHERE q.old_id = {key} "
                "AND NOT EXISTS (SELECT 1 FROM temp.verify_children AS o "
                "WHERE o.person_id = q.person_id AND o.old_id <> q.old_id))"
            )
        exact = (
            f"(({cell} IS NULL AND {here} IS NULL) OR (typeof({cell}) = 'text' "
            f"AND {here} IS NOT NULL AND {named}))"
        )
        return Filling(ok, word.column, exact)

    def unfilled(self, column: Column) -> Filling:
        """A target column that nothing fills has its default."""
        here, declared = f"{self.target}.{quote(column.name)}", column.default
        if declared is None:
            return Filling(f"{here} IS NULL")
        if declared.upper() == "CURRENT_TIMESTAMP":
            return Filling(f"{here} IS NOT NULL")
        return Filling(cells.same(here, f"({declared})"))

    def expected(self, binding: Binding) -> str | None:
        """The canonical value that the target cell must have."""
        word = binding.word
        if isinstance(word, Fixed):
            value = cells.literal(word.value)
        elif isinstance(word, Copy) and binding.names is None:
            value = self.chain(binding, cells.read(self.cell(word.column), binding.type))
        elif isinstance(word, Copy):
            value = self._reference(binding, word)
        elif isinstance(word, Person):
            value = relations.person_of(self.cell(word.column), word.first)
        elif isinstance(word, Owner):
            value = self._owner(word)
        elif isinstance(word, ClinicianOf):
            clinician = relations.person_of(self.cell(word.column), "patients", "clinician_id")
            value = f"coalesce({clinician}, '')"
        elif isinstance(word, Via):
            found = relations.attribute_of(self.bench, word, self.cell(word.column))
            value = self.chain(binding, found)
        elif isinstance(word, Fold):
            value = self._fold(word)
        elif isinstance(word, Computed):
            if word.rule not in RULES:
                raise UnknownRuleError(f"the verifier does not know the rule {word.rule}")
            value = RULES[word.rule](self.cell)
        else:
            return None
        return value

    def chain(self, binding: Binding, value: str) -> str:
        """A value or what stands in for it (contract section 1)."""
        links = [value]
        otherwise = getattr(binding.word, "otherwise", None)
        while isinstance(otherwise, Copy):
            links.append(cells.read(self.cell(otherwise.column), binding.type))
            otherwise = otherwise.otherwise
        if otherwise is not None:
            links.append(cells.literal(otherwise))
        if binding.target.not_null:
            links.append(default(self.bench, self.bound, binding))
        return links[0] if len(links) == 1 else f"coalesce({', '.join(links)})"

    def exact(self, binding: Binding, column: str) -> str:
        """Whether the target cell is the source cell; instants count by their value."""
        cell, here = self.cell(column), self.here(binding)
        if binding.type == "TEXT":
            return cells.same(here, cell)
        if binding.type == "DATETIME":
            spelled = (
                f"(typeof({cell}) = 'text' AND {cells.same(here, cells.instant(cell))} "
                f"AND {here} IS NOT NULL AND NOT {cells.finer(cell)})"
            )
            return f"({cells.same(here, cell)} OR {spelled})"
        return cells.identical(here, cell)

    def _copy(self, binding: Binding, word: Copy) -> Filling:
        here, cell = self.here(binding), self.cell(word.column)
        expected = self.expected(binding)
        ok = cells.same(here, f"({expected})")
        if binding.type == "TEXT":
            ok = self._or_printed(ok, binding, cell)
        elif binding.type == "REAL":
            ok = f"({ok} OR (typeof({cell}) = 'text' AND {cells.nearly(here, f'({expected})')}))"
        if cell == "NULL":
            return Filling(ok)
        exact = self.exact(binding, word.column)
        if binding.names is None:
            return Filling(ok, word.column, exact, sure=True)
        if self._renumbered(binding):
            mapped = f"({exact} OR (typeof({cell}) = 'text' AND {here} IS NOT NULL AND {ok}))"
            return Filling(ok, word.column, mapped)
        return Filling(ok, word.column, exact, sure=self._keyed(binding))

    def _renumbered(self, binding: Binding) -> bool:
        """Whether ids of the referenced table may differ between source and target."""
        named = None if binding.names is None else self.bench.mapping(binding.names)
        return named is not None and (
            named.mapping.shares_ids_with is not None or named.mapping.source in relations.PEOPLE
        )

    def _or_printed(self, ok: str, binding: Binding, cell: str) -> str:
        """A REAL as text may differ in its last digits, by the SQLite that printed it."""
        return f"({ok} OR (typeof({cell}) = 'real' AND {cells.nearly(self.here(binding), cell)}))"

    def _keyed(self, binding: Binding) -> bool:
        """Whether equality is enough, because a foreign key of the target or nothing is to hold."""
        if binding.strength == "loose":
            return True
        assert binding.names is not None
        named, target = self.bench.mapping(binding.names), self.bound.target
        if named is None or target is None or relations.has_twin(self.bench, named):
            return False
        return target.foreign_key(binding.target.name) is not None

    def _reference(self, binding: Binding, word: Copy) -> str:
        assert binding.names is not None
        found = relations.referenced(self.bench, binding.names, self.cell(word.column))
        if binding.strength != "loose":
            return found
        carried = self.chain(binding, cells.text(self.cell(word.column)))
        return f"coalesce({found}, {carried})" if self._renumbered(binding) else carried

    def _owner(self, word: Owner) -> str:
        key = relations.key_text(self.cell(word.column))
        return (
            f"CASE WHEN EXISTS (SELECT 1 FROM temp.verify_owners AS q WHERE q.id = {key}) "
            "THEN 'parent' ELSE 'clinician' END"
        )

    def _fold(self, word: Fold) -> str:
        lines = []
        for part in word.parts:
            value = cells.read(self.cell(part.column), part.type)
            if part.type == "DATETIME":
                value = cells.day(value)
            label = "" if part.label is None else f"{part.label}: "
            lines.append(f"coalesce(char(10) || {cells.literal(label)} || nullif({value}, ''), '')")
        # substr of a text would stop at an embedded NUL; of bytes it does not.
        joined = f"CAST({' || '.join(lines)} AS BLOB)"
        return f"nullif(CAST(substr({joined}, 2) AS TEXT), '')"


def default(bench: Bench, bound: BoundMapping, binding: Binding) -> str:
    """What a required column takes when nothing speaks for it (contract section 1)."""
    if binding.type == "DATETIME":
        created = bound.mapping.created
        if bound.source.column(created) is None:
            return str(bench.options.run_time_ms)
        return f"{cells.instant(f's.{quote(created)}')}, {bench.options.run_time_ms}"
    declared = binding.target.default
    if declared is not None and declared.upper() != "CURRENT_TIMESTAMP":
        return f"({declared})"
    empty: dict[Type, str] = {"TEXT": "''", "REAL": "0.0"}
    return empty.get(binding.type, "0")
