"""The words of a mapping read backwards: the source cell that a target cell holds, as SQL."""

from __future__ import annotations

from dataclasses import dataclass, field

from person_unify.database import Database
from person_unify.mappings import ID_MAPS, MAPPINGS
from person_unify.mappings.bind import Binding, BoundMapping, Plan
from person_unify.schema import Table, quote
from person_unify.spec import Decided, Fixed, Mapping, Person, Reference
from person_unify.stages.rebuild.archived import literal
from person_unify.stages.rebuild.instants import written
from person_unify.stages.rebuild.objects import Places

MAPS: dict[str, dict[str, str]] = {}
"""Tables whose rows have new ids, and the id map to each of their targets, the surest first."""
for (_source, _target), _map in ID_MAPS.items():
    MAPS.setdefault(_source, {})[_target] = _map


@dataclass(slots=True)
class Inverse:
    """Compiles what target rows say of source rows; makes the maps back as they are needed."""

    database: Database
    places: Places
    plan: Plan
    made: set[str] = field(default_factory=set)

    def held(self, bound: BoundMapping, binding: Binding, alias: str) -> str:
        """The source cell that the target cell in row ``alias`` stands for."""
        here = f"{alias}.{quote(binding.target.name)}"
        word = binding.word
        if isinstance(word, Person):
            return self._person(here, word.first)
        if isinstance(word, Decided) and word.rule == "person":
            return self._person(here, "patients")
        if binding.names is not None:
            return self._old_id(here, binding.names)
        if bound.mapping.shares_ids_with and binding.target.name == "id":
            return self._old_id(here, bound.mapping.source)
        column = bound.source.column(binding.word.holds or "")
        if binding.type == "DATETIME" and column is not None and is_text(column.type):
            return written(here)
        return here

    def instants(self, table: Table) -> set[str]:
        """Columns of a source table whose cells the target holds as instants, in another form."""
        return {
            column
            for bound in self.plan.bound
            if bound.name == table.name
            for binding in bound.columns
            if binding.type == "DATETIME" and (column := binding.word.holds)
        }

    def belongs(self, mapping: Mapping, alias: str) -> list[str]:
        """Conditions that tell a mapping's rows from those of others with the same target."""
        rivals = [m for m in MAPPINGS if m.target == mapping.target and m.source != mapping.source]
        fixed = []
        named = []
        for column, word in mapping.columns.items():
            others = [m.columns.get(column) for m in rivals]
            here = f"{alias}.{quote(column)}"
            if isinstance(word, Fixed) and any(isinstance(o, Fixed) and o != word for o in others):
                fixed.append(f"{here} = {literal(str(word.value))}")
            if isinstance(word, Reference) and any(
                isinstance(o, Reference) and o.table != word.table for o in others
            ):
                named.append(self._named(here, word.table))
        return fixed or named

    def _named(self, here: str, source: str) -> str:
        """Whether the cell is the id of a row that came from that source table."""
        named = next(m for m in MAPPINGS if m.source == source)
        row = f"{source}_row"
        conditions = [f"{row}.id = {here}", *self.belongs(named, row)]
        return (
            f"EXISTS (SELECT 1 FROM {quote(self.places.target)}.{quote(named.target or '')} "
            f"AS {row} WHERE {' AND '.join(conditions)})"
        )

    def _person(self, here: str, first: str) -> str:
        if first == "patients":
            return self._looked_up("patients", here, "patient_to_person")
        # A child that shares its person with another does not follow from it: it was archived.
        return self._looked_up("only_children", here, "child_to_person", "HAVING count(*) = 1")

    def _old_id(self, here: str, source: str) -> str:
        """The id that a row of ``source`` had before it got this one."""
        if source in MAPS:
            return self._looked_up(source, here, next(iter(MAPS[source].values())))
        ledger = quote(self.places.ledger)
        name = literal(self.plan.source_names.get(source, source))
        if not self.database.value(
            f"SELECT EXISTS (SELECT 1 FROM {ledger}.collision_to_id WHERE source_table = {name})"
        ):
            return here
        back = self._looked_up(
            f"{source}_collisions", here, "collision_to_id", where=f"WHERE source_table = {name}"
        )
        return f"coalesce({back}, {here})"

    def _looked_up(self, name: str, here: str, map_: str, having: str = "", where: str = "") -> str:
        table = quote(f"rebuild_{name}")
        if name not in self.made:
            self.database.execute(
                f"CREATE TEMP TABLE {table} (new_id TEXT PRIMARY KEY, old_id TEXT) WITHOUT ROWID"
            )
            self.made.add(name)
            self.database.execute(
                f"INSERT INTO temp.{table} SELECT new_id, min(old_id) "
                f"FROM {quote(self.places.ledger)}.{map_} {where} GROUP BY new_id {having}"
            )
        return f"(SELECT b.old_id FROM temp.{table} AS b WHERE b.new_id = {here})"

    def drop(self) -> None:
        """Drop the maps back."""
        for name in self.made:
            self.database.execute(f"DROP TABLE temp.{quote(f'rebuild_{name}')}")
        self.made.clear()


def is_text(declared: str) -> bool:
    """Whether a declared type turns numbers into text when they are stored."""
    return "INT" not in declared and any(word in declared for word in ("CHAR", "CLOB", "TEXT"))
