"""TEMP tables that several checks look things up in: who is who, what is logged, the time zone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from person_unify.mappings.bind import BoundMapping
from person_unify.schema import OLD, quote
from person_unify.spec import Computed, Copy
from person_unify.stages.verify import cells, relations
from person_unify.stages.verify.bench import MAPS, Bench
from person_unify.stages.verify.decided import prepare_decided, prepare_taken
from person_unify.timezones import zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000
_LAST_DAY = 3_652_055
"""Two days before the end of year 9999, counted from 0001-01-01."""


def prepare(bench: Bench) -> None:
    """Build the lookups; a failure here means that nothing can be verified."""
    _log(bench)
    _invalid(bench)
    for name in MAPS:
        bench.temp(
            f"verify_{name}",
            f"CREATE TEMP TABLE verify_{name} (old_id TEXT PRIMARY KEY, new_id TEXT) WITHOUT ROWID",
            f"INSERT OR IGNORE INTO temp.verify_{name} SELECT old_id, new_id FROM ledger.{name} "
            "WHERE old_id IS NOT NULL ORDER BY old_id",
        )
    prepare_decided(bench)
    _people(bench)
    prepare_taken(bench)
    bench.temp(
        "verify_collisions",
        "CREATE TEMP TABLE verify_collisions (source_table TEXT, old_id TEXT, new_id TEXT, "
        "PRIMARY KEY (source_table, old_id)) WITHOUT ROWID",
        "INSERT OR IGNORE INTO temp.verify_collisions SELECT source_table, old_id, new_id "
        "FROM ledger.collision_to_id WHERE source_table IS NOT NULL AND old_id IS NOT NULL",
    )
    bench.temp(
        "verify_tags",
        "CREATE TEMP TABLE verify_tags (patient_id TEXT, tag TEXT, new_id TEXT, "
        "PRIMARY KEY (patient_id, tag)) WITHOUT ROWID",
        "INSERT OR IGNORE INTO temp.verify_tags SELECT patient_id, tag, new_id "
        "FROM ledger.tag_to_tag WHERE patient_id IS NOT NULL AND tag IS NOT NULL",
    )
    bench.temp(
        "verify_owners",
        "CREATE TEMP TABLE verify_owners (id TEXT PRIMARY KEY) WITHOUT ROWID",
        "INSERT OR IGNORE INTO temp.verify_owners SELECT id FROM main.parents",
        "INSERT OR IGNORE INTO temp.verify_owners SELECT user_id FROM main.parents "
        "WHERE user_id IS NOT NULL",
    )
    _offsets(bench)


_CLAIM = (
    "(kind IN ('unreadable_value', 'duplicate_key') OR (related_id IS NULL "
    "AND kind IN ('orphaned_record', 'orphaned_consent_grant')))"
)
"""Log rows of source rows that may hold a cell that cannot be read."""


def _log(bench: Bench) -> None:
    bench.temp(
        "verify_log",
        "CREATE TEMP TABLE verify_log AS SELECT kind, source_table, source_id, related_id, "
        f"person_id, {bench.field} AS field FROM ledger.discrepancies",
        "CREATE INDEX temp.verify_log_by_row ON verify_log (source_table, source_id, kind)",
    )


def _invalid(bench: Bench) -> None:
    """Collect the cells that are logged as unreadable and are not UTF-8.

    SQL cannot tell whether bytes are UTF-8, so the logged cells are judged here; a cell that is
    not logged counts as readable, and then its target cell must hold it.
    """
    bench.temp(
        "verify_claims",
        "CREATE TEMP TABLE verify_claims (n INTEGER PRIMARY KEY, cell BLOB, class TEXT, "
        "UNIQUE (cell, class))",
    )
    for bound, fields in _claims(bench):
        keys = bound.source.primary_key or OLD.get(bound.mapping.source, bound.source).primary_key
        if not keys:
            continue
        listed = " UNION ALL ".join(
            f"SELECT CAST(s.{quote(field)} AS BLOB), typeof(s.{quote(field)}) "
            f"{_claimed(bound, keys[0])} "
            f"WHERE typeof(s.{quote(field)}) IN ('text', 'blob')"
            for field in fields
        )
        bench.database.execute(f"INSERT OR IGNORE INTO temp.verify_claims (cell, class) {listed}")
    valid = [
        str(n)
        for n, shown, kind in bench.rows("SELECT n, hex(cell), class FROM temp.verify_claims")
        if _is_text(bytes.fromhex(shown), kind)
    ]
    bench.temp(
        "verify_invalid",
        "CREATE TEMP TABLE verify_invalid (cell BLOB, class TEXT, PRIMARY KEY (cell, class))",
        "INSERT INTO temp.verify_invalid SELECT cell, class FROM temp.verify_claims "
        f"WHERE n NOT IN ({', '.join(valid)})",
    )
    bench.drop("verify_claims")


def _claimed(bound: BoundMapping, key: str) -> str:
    """FROM, over rows ``s`` with a claim: a CROSS JOIN goes from the log through the key."""
    return (
        f"FROM (SELECT DISTINCT source_id FROM temp.verify_log WHERE {_CLAIM} "
        f"AND source_table = {cells.literal(bound.name)}) AS l "
        f"CROSS JOIN source.{quote(bound.name)} AS s ON s.{quote(key)} = l.source_id"
    )


def _claims(bench: Bench) -> Iterator[tuple[BoundMapping, list[str]]]:
    """Per table, columns that the log calls unreadable, or that a repeated key may stand in."""
    logged: dict[str, set[str]] = {}
    for table, field in bench.rows(
        "SELECT DISTINCT coalesce(source_table, ''), coalesce(field, '') FROM temp.verify_log "
        f"WHERE {_CLAIM}"
    ):
        logged.setdefault(str(table), set()).add(str(field))
    for bound in bench.plan.bound:
        fields = set(logged.pop(bound.name, ()))
        if bound.target is not None and fields:
            keys = {column for unique in bound.target.uniques for column in unique}
            fields |= {
                binding.word.column
                for binding in bound.columns
                if binding.target.name in keys and isinstance(binding.word, Copy)
            }
        present = [field for field in sorted(fields) if bound.source.column(field)]
        if present:
            yield bound, present


def _is_text(raw: bytes, kind: str) -> bool:
    """Whether the bytes are UTF-8, and those of a BLOB not a binary's (section 1)."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return kind == "text" or not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", text)


def _people(bench: Bench) -> None:
    """``verify_patients``, ``verify_children``: person, the person's patient and its clinician.

    Of a child also ``named`` (the patient that the source links it to), ``head`` (the child that it
    is one with by decision) and ``alone`` (it is the origin of its person).
    ``verify_by_patient`` and ``verify_by_child`` hold both kinds, the one that comes first winning.
    """
    columns = "(old_id TEXT PRIMARY KEY, person_id TEXT, patient_id TEXT, clinician_id TEXT)"
    patients, children = bench.source("patients"), bench.source("children")
    bench.temp("verify_patients", f"CREATE TEMP TABLE verify_patients {columns} WITHOUT ROWID")
    if patients is not None:
        clinician = cells.text(bench.column("patients", "clinician_id"))
        bench.database.execute(
            "INSERT OR IGNORE INTO temp.verify_patients SELECT s.id, m.new_id, s.id, "
            f"{clinician} FROM {patients} AS s LEFT JOIN temp.verify_patient_to_person AS m "
            "ON m.old_id = +s.id ORDER BY s.id"
        )
    bench.temp(
        "verify_children",
        "CREATE TEMP TABLE verify_children (old_id TEXT PRIMARY KEY, person_id TEXT, "
        "patient_id TEXT, clinician_id TEXT, named TEXT, head TEXT, alone INTEGER) WITHOUT ROWID",
    )
    if children is not None:
        _links(bench, children)
        bench.database.execute(
            "INSERT OR IGNORE INTO temp.verify_children SELECT l.old_id, m.new_id, p.old_id, "
            "p.clinician_id, l.named, l.head, p.old_id IS NULL AND l.head IS NULL "
            "FROM temp.verify_links AS l LEFT JOIN temp.verify_child_to_person AS m "
            "ON m.old_id = l.old_id LEFT JOIN temp.verify_links AS h ON h.old_id = l.head "
            "LEFT JOIN temp.verify_patients AS p ON p.old_id = coalesce(l.patient_id, "
            "h.patient_id) ORDER BY l.old_id"
        )
    bench.database.execute(
        "CREATE INDEX temp.verify_children_person ON verify_children (person_id)"
    )
    for name, kinds in relations.BOTH.items():
        parts = [
            f"SELECT old_id, person_id, patient_id, clinician_id, {own} FROM temp.verify_{kind}"
            for kind, own in zip(kinds, "10", strict=True)
        ]
        bench.temp(
            name,
            f"CREATE TEMP TABLE {name} (old_id TEXT PRIMARY KEY, person_id TEXT, patient_id TEXT, "
            "clinician_id TEXT, own INTEGER) WITHOUT ROWID",
            *(f"INSERT OR IGNORE INTO temp.{name} {part}" for part in parts),
        )


def _links(bench: Bench, children: str) -> None:
    """``verify_links``: the patient that each child names, and what decisions made of it."""
    link = bench.column("children", "linked_patient_id")
    bench.temp(
        "verify_links",
        "CREATE TEMP TABLE verify_links (old_id TEXT PRIMARY KEY, named TEXT, patient_id TEXT, "
        "head TEXT) WITHOUT ROWID",
        "INSERT OR IGNORE INTO temp.verify_links SELECT s.id, p.old_id, CASE d.decision "
        "WHEN 'unlink' THEN NULL WHEN 'link' THEN d.patient_id ELSE p.old_id END, d.head "
        f"FROM {children} AS s LEFT JOIN temp.verify_patients AS p ON p.old_id = "
        f"CAST({link} AS TEXT) AND p.old_id <> '' LEFT JOIN temp.verify_moves AS d "
        "ON d.child_id = +s.id ORDER BY s.id",
    )


def _offsets(bench: Bench) -> None:
    """``verify_offsets``: from which instant on (ms) the time zone is how many seconds off UTC."""
    bench.temp(
        "verify_offsets",
        "CREATE TEMP TABLE verify_offsets (start INTEGER PRIMARY KEY, seconds INTEGER)",
    )
    if not any(
        isinstance(binding.word, Computed) and binding.word.rule == "session_start"
        for bound in bench.plan.bound
        for binding in bound.columns
    ):
        return
    in_years = (
        "typeof(session_date) = 'integer' AND session_date BETWEEN "
        f"{cells.FIRST_INSTANT} AND {cells.LAST_INSTANT}"
    )
    # Division in SQLite cuts towards zero, so days are counted from the first instant.
    days = bench.rows(
        f"SELECT DISTINCT (session_date - {cells.FIRST_INSTANT}) / {DAY_MS} "
        f"FROM main.consultation_sessions WHERE {in_years} ORDER BY 1"
    )
    found = offsets(bench.options.timezone, (int(day) for (day,) in days))
    pairs = ", ".join(f"({start}, {seconds})" for start, seconds in found)
    if pairs:
        bench.database.execute(f"INSERT INTO temp.verify_offsets VALUES {pairs}")


def offsets(timezone: str, days: Iterable[int]) -> Iterator[tuple[int, int]]:
    """``(start in ms, seconds off UTC)`` on the given days since 0001-01-01, ascending."""
    rules = zone(timezone)
    for day in days:
        # Python's calendar ends where the contract's does; no zone changes its clocks that near.
        start = EPOCH + timedelta(
            milliseconds=cells.FIRST_INSTANT, days=min(max(day, 1), _LAST_DAY)
        )
        end = start + timedelta(days=1)
        before, after = _offset(rules, start), _offset(rules, end)
        yield cells.FIRST_INSTANT + day * DAY_MS, before
        if before != after:
            changed = _change(rules, start, end)
            if changed < end:
                yield (changed - EPOCH) // timedelta(milliseconds=1), after


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The second at which the offset becomes that of ``after``."""
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // timedelta(seconds=2) * timedelta(seconds=1)
        if _offset(zone, middle) == _offset(zone, after):
            after = middle
        else:
            before = middle
    return after
