"""Faults of references, keys and texts in every table (contract sections 2, 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from person_unify.sample.faults import Fault, update
from person_unify.schema import OLD, Table

HOSTILE = (
    "'O''Brien \"quoted\" `ticks`'",
    "'%s %d {0} ${x} ?1 :a'",
    "'''; DROP TABLE patients; --'",
    "'before' || char(0) || 'after'",
    "'👩‍👧‍👦 emoji 🇮🇳'",
    "char(8238) || 'שלום مرحبا' || char(8236)",
    "'e' || char(769) || ' is not é'",
    "char(65279) || char(8203) || char(1114111)",
    "'line' || char(13, 10, 9) || 'break' || char(127, 7)",
    "'=cmd|''/C calc''!A0'",
    "'<script>alert(1)</script> \\x00 \\N NULL'",
    '\'{"a": [1, "\\u0000"]}\'',
)
"""SQL texts that break careless quoting, formatting, printing or storing."""

_UNKEYED = (("screening_responses", "screening_id"), ("conversations", "patient_id"))
"""References that the old schema does not declare."""


def references() -> Iterator[Fault]:
    """Orphans and dangling references: every reference of every table names nothing somewhere."""
    declared = [(table.name, key.column) for table in OLD.values() for key in table.foreign_keys]
    for table, column in (*declared, *_UNKEYED):
        facts = OLD[table].column(column)
        missing = f"'00000000' || substr({column}, 9)"
        if facts is not None and not facts.key_position:
            last = "NULL" if facts.not_null else "'nobody'"
            missing = f"CASE p.n % 4 WHEN 0 THEN '' WHEN 1 THEN {last} ELSE {missing} END"
        where = "" if facts is not None and facts.not_null else f"{column} IS NOT NULL"
        yield update(f"unknown_{column}", table, 0.05, f"{column} = {missing}", where=where)


def child_ids() -> Iterator[Fault]:
    """The ids of children where patients belong, and tags that so fall together."""
    for table in OLD.values():
        if table.column("patient_id") is not None:
            yield update(
                "child_id",
                table.name,
                0.08,
                "patient_id = (SELECT id FROM children WHERE rowid = p.other)",
                other="children",
            )
    yield Fault(
        "merged_tag",
        "children",
        0.1,
        (
            "INSERT OR IGNORE INTO patient_tags SELECT c.id, t.tag, t.created_at + 1000 "
            "FROM temp._picked AS p JOIN children AS c ON c.rowid = +p.row "
            "JOIN patient_tags AS t ON t.patient_id = c.linked_patient_id",
        ),
        where="linked_patient_id IN (SELECT patient_id FROM patient_tags)",
    )


def duplicates() -> Iterator[Fault]:
    """Values under a UNIQUE that two rows share (links and pairs are faults of people)."""
    for table in OLD.values():
        for unique in table.uniques:
            if table.name in ("children", "parent_children"):
                continue
            listed = ", ".join(unique)
            yield update(
                f"duplicate_{unique[0]}",
                table.name,
                0.06,
                f"({listed}) = (SELECT {listed} FROM {table.name} WHERE rowid = p.other)",
                other=table.name,
            )


def collisions() -> Iterator[Fault]:
    """Rows of parents' plans that have the id of a row of clinicians' plans."""
    twins = (
        ("peps", "ieps", (("pep_goals", "pep_id"), ("pep_activities", "pep_id"))),
        (
            "pep_goals",
            "iep_goals",
            (("pep_activities", "goal_id"), ("pep_goal_progress", "goal_id")),
        ),
        ("pep_goal_progress", "goal_progress_updates", ()),
    )
    for table, twin, followers in twins:
        yield Fault(
            "id_collision",
            table,
            0.15,
            (
                "CREATE TEMP TABLE _moved (old TEXT PRIMARY KEY, new TEXT UNIQUE)",
                f"INSERT OR IGNORE INTO temp._moved SELECT t.id, o.id FROM temp._picked AS p "
                f"JOIN {table} AS t ON t.rowid = +p.row JOIN {twin} AS o ON o.rowid = p.other",
                *(
                    f"UPDATE {name} SET {column} = m.new FROM temp._moved AS m "
                    f"WHERE {column} = m.old"
                    for name, column in ((table, "id"), *followers)
                ),
                "DROP TABLE temp._moved",
            ),
            other=twin,
        )


def soft_references() -> Iterator[Fault]:
    """Old ids of patients and children where nothing declares them."""
    person = (
        "CASE p.n % 2 WHEN 0 THEN (SELECT id FROM patients WHERE rowid = p.other) "
        "ELSE (SELECT id FROM children WHERE rowid = p.other) END"
    )
    places = (
        ("audit_logs", f"resource_id = {person}, resource_type = 'patient'"),
        ("notifications", f"action_url = '/patients/' || {person} || '/overview?tab=1'"),
        ("notifications", f"action_data = '{{\"patient\": \"' || {person} || '\"}}'"),
        ("messages", f"sender_id = {person}"),
        ("journal_entries", f"linked_goal_id = {person}"),
    )
    for number, (table, assign) in enumerate(places):
        yield update(f"soft_reference_{number}", table, 0.15, assign, other="children")


def texts() -> Iterator[Fault]:
    """NULLs in required columns, and hostile texts at the end of real ones."""
    for table in OLD.values():
        required = [c.name for c in table.columns if c.not_null and not c.key_position]
        if required:
            nulls = dict.fromkeys(required, "NULL")
            yield update("null_in_required", table.name, 0.06, spread(nulls))
        plain = {
            name: f"coalesce({name}, '') || {_hostile(len(_free(table)))}" for name in _free(table)
        }
        if plain:
            yield update("hostile_text", table.name, 0.1, spread(plain))


def huge_texts() -> Iterator[Fault]:
    """A few texts of 100,000 characters."""
    for name, column in (("journal_entries", "content"), ("children", "medical_history")):
        huge = f"{column} = replace(hex(zeroblob(20000)), '00', 'नमok ')"
        yield replace(update("huge_text", name, 1.0, huge), most=3)


def drift() -> Iterator[Fault]:
    """Columns that the old schema does not have: two the target knows, one that it does not."""
    for table, column, value in (
        ("reports", "reporting_period", "'Q' || (1 + p.n % 4)"),
        ("children", "nickname", "'Chinnu ' || (p.n % 9)"),
        ("patients", "blood_group", "CASE p.n % 2 WHEN 0 THEN 'O+' ELSE 'AB-' END"),
    ):
        filled = update("unknown_column", table, 0.5, f"{column} = {value}")
        add = f"ALTER TABLE {table} ADD COLUMN {column} TEXT"
        yield replace(filled, statements=(add, *filled.statements))


def spread(values: dict[str, str]) -> str:
    """A SET clause that changes one of the columns in each picked row, taking turns."""
    size = len(values)
    return ", ".join(
        f'"{name}" = CASE WHEN p.n % {size} = {turn} THEN {value} ELSE "{name}" END'
        for turn, (name, value) in enumerate(values.items())
    )


def _free(table: Table) -> list[str]:
    """Text columns that are neither keys nor references."""
    return [
        column.name
        for column in table.columns
        if column.type == "TEXT"
        and not column.key_position
        and not column.name.endswith(("_id", "_by"))
    ]


def _hostile(columns: int) -> str:
    choices = " ".join(f"WHEN {turn} THEN {value}" for turn, value in enumerate(HOSTILE))
    return f"CASE p.n / {columns} % {len(HOSTILE)} {choices} END"


RECORDS = (
    *references(),
    *child_ids(),
    *duplicates(),
    *collisions(),
    *soft_references(),
    *texts(),
)
DRIFT = tuple(drift())
HUGE = tuple(huge_texts())
