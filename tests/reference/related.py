"""Loads the tables of section 6, one row after the other, with the references of section 7."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from person_unify.schema import OLD, UNIFIED, Table

from .mappings import RULES, Context, Rule, behaviour_or_focus
from .people import resolve
from .record import Loaded, New, Record, State, Stored, TargetRow
from .soft import searched, spot
from .source import Refused, SourceRow, SourceTable, low

SOURCE_OF = {
    "screenings": "parent_screenings",
    "schools": "schools",
    "teachers": "teachers",
}
"""Where ids of a target table come from when the old schema declares no foreign key."""

RENUMBERED = (
    *("patients", "children", "parent_children", "consent_grants", "patient_tags"),
    *("peps", "pep_goals", "pep_goal_progress"),
)
"""Tables whose rows may have another id in the target."""

CONVENTION = ("schools", "teachers", "school_student_views")


class OrphanError(Exception):
    """A required reference names nothing."""

    def __init__(self, column: str, related: str | None) -> None:
        super().__init__(column)
        self.column = column
        self.related = related


class TableLoader:
    """Loads one source table by its rule."""

    def __init__(self, state: State, table: SourceTable, rule: Rule) -> None:
        self.state = state
        self.table = table
        self.rule = rule
        self.target: Table = UNIFIED[rule.target]
        self.direct = self._direct_columns()
        known = OLD.get(table.usual) or self.target
        self.letter_for_letter = frozenset(
            source
            for name, source in self.direct.items()
            if source in known.primary_key and self._is_kept(name, source)
        )

    def _direct_columns(self) -> dict[str, str]:
        """Target column -> the source column that it holds, person aside."""
        old = OLD.get(self.table.usual)
        known = set(self.table.columns) | (set(old.column_names) if old else set())
        direct = {}
        for name in self.target.column_names:
            filled = name in self.rule.derive or (name == "person_id" and self._has_person())
            source = self.rule.renames.get(name, name)
            if not filled and source in known:
                direct[name] = source
        return direct

    def _is_kept(self, name: str, source: str) -> bool:
        """Whether every loaded row has the text of the source cell there, and so is known by it."""
        column = self.target.column(name)
        assert column is not None
        if column.type != "TEXT" or name in self.rule.fallbacks or name == "target_behavior":
            return False
        key = self.target.foreign_key(name)
        old = OLD.get(self.table.usual)
        if key is None and (old is None or old.foreign_key(source) is None):
            return True
        return self._looked_up_in(name, source) not in RENUMBERED and (
            key is None or column.not_null
        )

    def _has_person(self) -> bool:
        return self.rule.person is not None or self.rule.via is not None

    def run(self) -> None:
        """Loads every row, or keeps it out."""
        for row in self.table.rows:
            self._load(row)

    def _load(self, row: SourceRow) -> None:
        key = self.target.primary_key[0]
        record = Record(self.state, self.table, row, row.text(key))
        record.known_by = self.letter_for_letter
        try:
            via = self._required_references(record)
        except OrphanError as orphan:
            record.keep_out(
                "orphaned_record",
                "orphaned_record",
                field=orphan.column,
                related_id=orphan.related,
            )
            return
        target = self._build(record, via)
        if keep_taken_out(record, self.target, target, self._source_column):
            return
        record.commit()
        self.state.tables[self.target.name].append(target)
        loaded = self.state.loaded.setdefault(self.table.usual, {})
        loaded[row.text(key)] = Loaded(target[key], target, row)
        self._note_soft(record, target)

    def _required_references(self, record: Record) -> Loaded | None:
        """Resolves the person, then looks up the other required references in column order."""
        via = None
        if self.rule.via is not None:
            column, usual = self.rule.via
            wanted = record.text(column)
            via = self.state.loaded.get(usual, {}).get(wanted) if wanted is not None else None
            if via is None:
                raise OrphanError(column, wanted)
            record.person = via.target["person_id"]
        elif self.rule.person is not None:
            wanted = record.text(self.rule.person)
            record.person, _ = resolve(self.state, self.rule.person, wanted)
            if record.person is None and not self.rule.optional_person:
                raise OrphanError(self.rule.person, wanted)
        for name, source in self.direct.items():
            declared = self.target.column(name)
            if declared is not None and declared.not_null and self.target.foreign_key(name):
                wanted = record.text(source)
                if not self.state.exists(self._looked_up_in(name, source), wanted):
                    raise OrphanError(source, wanted)
        return via

    def _looked_up_in(self, name: str, source: str) -> str:
        """The source table that a reference names: by the old foreign key, else the new one."""
        old = OLD.get(self.table.usual)
        old_key = old.foreign_key(source) if old else None
        if old_key is not None:
            return old_key.table
        new_key = self.target.foreign_key(name)
        assert new_key is not None
        return SOURCE_OF.get(new_key.table, new_key.table)

    def _build(self, record: Record, via: Loaded | None) -> TargetRow:
        context = Context(record, {}, via)
        target: TargetRow = dict.fromkeys(self.target.column_names)
        context.target = target
        if self._has_person():
            target["person_id"] = record.person
            if self.rule.person is not None:
                carry_person(record, self.rule.person)
        for column in self.target.columns:
            if column.name in self.direct:
                target[column.name] = self._carry(context, column.name)
            elif column.not_null and column.name != "person_id":
                target[column.name] = record.default(column)
        self._give_new_id(record, target)
        for name, derive in self.rule.derive.items():
            target[name] = derive(context)
        return target

    def _carry(self, context: Context, name: str) -> Stored:
        """A directly carried value, references looked up."""
        record, source = context.record, self.direct[name]
        column = self.target.column(name)
        assert column is not None
        fallback = self.rule.fallbacks.get(name)
        if name == "target_behavior":
            fallback = behaviour_or_focus(context)
        value = record.carry_into(source, column, fallback)
        old = OLD.get(self.table.usual)
        referenced = self.target.foreign_key(name) or (old.foreign_key(source) if old else None)
        if referenced is None or record.text(source) is None:
            return value
        usual = self._looked_up_in(name, source)
        if self.state.exists(usual, value):
            return self.state.loaded[usual][str(value)].new_id
        record.log("dangling_reference", field=source, related_id=value)
        if self.target.foreign_key(name) is None:
            return value
        record.lose(source)
        return None

    def _give_new_id(self, record: Record, target: TargetRow) -> None:
        """A PEP row whose id an IEP row has too gets a fresh one."""
        other = self.rule.collides_with
        if other is None:
            return
        if record.source_id in {row.text("id") for row in self.state.source.rows(other)}:
            new_id = New("collision", (self.table.name, record.source_id))
            target["id"] = new_id
            self.state.maps["collision_to_id"][self.table.name, record.source_id] = new_id
            record.log("id_collision", field="id", related_id=new_id)

    def _source_column(self, name: str) -> str:
        if name == "person_id" and self.rule.person is not None:
            return self.rule.person
        return self.direct.get(name, name)

    def _note_soft(self, record: Record, target: TargetRow) -> None:
        for name in self.target.column_names:
            source = self.direct.get(name) or self.rule.through.get(name)
            if source is not None and searched(self.target, name):
                spot(record, self.target.name, name, source, target[name])


def carry_person(record: Record, column: str) -> None:
    """Carries a reference to a person, whose resolution is in ``record.person``."""
    wanted = record.carry(column, "TEXT")
    if wanted is None:
        return
    person, through_child = resolve(record.state, column, str(wanted))
    if person is None:
        record.log("dangling_reference", field=column, related_id=wanted)
        record.lose(column)
    elif through_child:
        record.log("child_id_in_patient_column", field=column, related_id=wanted)
        record.keep(column)
    elif column == "child_id" and not _is_only_child(record.state, str(wanted)):
        record.keep(column)


def _is_only_child(state: State, old_id: str) -> bool:
    """Whether the id can be told from the person: it names the only child that became it."""
    person = state.person_of_child.get(old_id)
    return person is not None and list(state.person_of_child.values()).count(person) == 1


def keep_taken_out(
    record: Record, table: Table, target: TargetRow, source_column: Callable[[str], str]
) -> bool:
    """Keeps a row out whose values under a UNIQUE are taken; else takes them for it."""
    constraints = [table.primary_key, *table.uniques]
    found = {column: _as_compared(record, table, column, target[column]) for column in target}
    for columns in constraints:
        values = tuple(found[column] for column in columns)
        keeper = record.state.taken.get((table.name, columns), {}).get(values)
        if None not in values and keeper is not None:
            record.keep_out(
                "duplicate_key",
                "duplicate_key",
                field=source_column(columns[0]),
                related_id=keeper,
            )
            return True
    for columns in constraints:
        values = tuple(found[column] for column in columns)
        if None not in values:
            record.state.taken.setdefault((table.name, columns), {})[values] = record.source_id
    return False


def _as_compared(record: Record, table: Table, column: str, value: Stored) -> Stored:
    """The value as the target's UNIQUE sees it."""
    if (table.name, column) not in record.state.nocase or not isinstance(value, str):
        return value
    head, nul, _ = value.partition("\0")
    return low(head) + (f"\0{len(value.encode())}" if nul else "")


def load_tables(state: State, rules: dict[str, Rule]) -> None:
    """Loads the tables of these rules that the file has."""
    for usual, rule in rules.items():
        table = state.source.known.get(usual)
        if table is not None:
            TableLoader(state, table, rule).run()


def load_conventions(state: State) -> None:
    """Loads unknown tables that the target has under the same name (section 2)."""
    for name in CONVENTION:
        table = state.source.unknown.get(name)
        rule = RULES[name]
        if table is None:
            continue
        table.usual = name
        if rule.person is not None and rule.person not in table.columns:
            rule = replace(rule, person="child_id")
        if _fits(table, rule):
            if any(cell.kind == "null" for row in table.rows for cell in row.key):
                raise Refused(f"{name} has a key that is NULL")
            del state.source.unknown[name]
            TableLoader(state, table, rule).run()


def _fits(table: SourceTable, rule: Rule) -> bool:
    """Whether the table has the target's key and every required column without a default."""
    for column in UNIFIED[rule.target].columns:
        required = column.not_null and column.default is None
        source = rule.person if column.name == "person_id" else column.name
        if (required or column.key_position) and source not in table.columns:
            return False
    return True
