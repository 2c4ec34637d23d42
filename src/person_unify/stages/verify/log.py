"""The discrepancies: known kinds, real rows, as many as SQL counts itself (section 8)."""

from __future__ import annotations

from collections.abc import Iterator

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.schema import OLD, Table, quote
from person_unify.spec import Copy, Decided, Person
from person_unify.stages.verify import cells, relations
from person_unify.stages.verify.archive import archive_of
from person_unify.stages.verify.bench import Bench

SEVERITIES = {
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
    "suspected_duplicate": "warning",
}


def check_log(bench: Bench) -> None:
    """Kinds, rows and counts of the discrepancies."""
    bench.progress("discrepancies")
    with bench.guarded("discrepancy_kinds"):
        known = " OR ".join(
            f"(kind = '{kind}' AND severity = '{severity}')"
            for kind, severity in SEVERITIES.items()
        )
        total = bench.value("SELECT count(*) FROM ledger.discrepancies")
        strange = bench.value(
            f"SELECT count(*) FROM ledger.discrepancies WHERE ({known}) IS NOT TRUE"
        )
        bench.judge("discrepancy_kinds", None, total, [("unknown kind or severity", strange)])
    _check_rows(bench)
    for name, table, kind, expected in _counts(bench):
        with bench.guarded("discrepancies", table):
            where = f"kind = '{kind}'"
            if table is not None:
                where += f" AND source_table = {cells.literal(table)}"
            logged = bench.value(f"SELECT count(*) FROM temp.verify_log WHERE {where}")
            bench.compare("discrepancies", table, bench.value(expected), logged, name)
    with bench.guarded("id_collisions"):
        _check_collisions(bench)


def _check_rows(bench: Bench) -> None:
    """Every discrepancy names a table and a row of the source."""
    tables = {bound.name: bound.source for bound in bench.plan.bound}
    with bench.guarded("discrepancy_ids"):
        for name, count in bench.rows(
            "SELECT coalesce(source_table, ''), count(*) FROM temp.verify_log GROUP BY 1 ORDER BY 1"
        ):
            table = tables.get(name)
            if table is None:
                bench.judge(
                    "discrepancy_ids", str(name), int(count), [("no such table", int(count))]
                )
                continue
            key = _first_key(bench, table)
            failures = [("no such row", 0)]
            if key is not None:
                strange = bench.value(
                    "SELECT count(*) FROM temp.verify_log AS l WHERE l.source_table = "
                    f"{cells.literal(name)} AND l.kind <> 'soft_reference' AND NOT EXISTS "
                    f"(SELECT 1 FROM source.{quote(name)} AS s WHERE s.{quote(key)} = l.source_id)"
                )
                failures = [("no such row", strange)]
            bench.judge("discrepancy_ids", str(name), int(count), failures)


def _first_key(bench: Bench, table: Table) -> str | None:
    bound = next(b for b in bench.plan.bound if b.name == table.name)
    known = OLD.get(bound.mapping.source)
    keys = table.primary_key or (known.primary_key if known else ())
    return keys[0] if keys and table.column(keys[0]) else None


def _counts(bench: Bench) -> list[tuple[str, str | None, str, str]]:
    """``(what, table, kind, SQL of the number)`` of the kinds that SQL can count."""
    children = bench.plan.source_names.get("children")
    patients = bench.plan.source_names.get("patients")
    found: list[tuple[str, str | None, str, str]] = []
    if children is not None:
        link = cells.text(bench.column("children", "linked_patient_id"))
        missing = (
            f"SELECT count(*) FROM source.{quote(children)} AS s JOIN temp.verify_children AS c "
            f"ON c.old_id = +s.id WHERE c.named IS NULL AND ({link}) <> ''"
        )
        found.append(("missing_linked_patient", children, "missing_linked_patient", missing))
        found += [(kind, children, kind, query) for kind, query in _OF_CHILDREN.items()]
        found.append(("children without a parent", children, "orphaned_record", _NO_PARENT))
    if patients is not None:
        found.append(("patients without a clinician", patients, "orphaned_record", _NO_CLINICIAN))
    found += [(kind, None, kind, query) for kind, query in _OF_PERSONS.items()]
    genderless = f"SELECT count(*) FROM ({_without_gender(bench)})"
    found.append(("missing_gender", None, "missing_gender", genderless))
    for bound in bench.plan.bound:
        if bound.target is not None and bound.mapping.source not in ("patients", "children"):
            found += _references(bench, bound)
    return found


_OF_CHILDREN = {
    "shared_linked_patient": (
        "SELECT count(beside) - count(DISTINCT beside) FROM "
        "(SELECT coalesce(named, patient_id) AS beside FROM temp.verify_children)"
    ),
    "merged_child_rows": "SELECT sum(children - 1) FROM temp.verify_pairs WHERE children > 0",
    "implied_grant": "SELECT count(*) FROM temp.verify_implied WHERE state = 'owed'",
}
_OF_PERSONS = {
    "duplicate_udid": "SELECT count(*) FROM temp.verify_udid",
    "multiple_primary_caregivers": "SELECT count(*) FROM temp.verify_primary WHERE flags > 1",
    "no_primary_caregiver": (
        "SELECT count(*) FROM temp.verify_primary WHERE flags = 0 AND pairs > 1"
    ),
}
_NO_PARENT = (
    "SELECT (SELECT count(*) FROM temp.verify_children) - "
    "(SELECT count(*) FROM temp.verify_family WHERE link = 0)"
)
_NO_CLINICIAN = (
    "SELECT count(*) FROM temp.verify_patients AS p WHERE NOT EXISTS "
    "(SELECT 1 FROM main.users AS u WHERE u.id = p.clinician_id)"
)


def _without_gender(bench: Bench) -> str:
    parts = []
    for usual, condition in (
        (
            "patients",
            "NOT EXISTS (SELECT 1 FROM temp.verify_linked AS g "
            "WHERE g.patient_id = +s.id AND g.gender <> '')",
        ),
        (
            "children",
            "EXISTS (SELECT 1 FROM temp.verify_children AS c WHERE c.old_id = +s.id "
            "AND c.alone) AND NOT EXISTS (SELECT 1 FROM temp.verify_joined AS g "
            "WHERE g.head = +s.id AND g.gender <> '')",
        ),
    ):
        table = bench.source(usual)
        if table is not None:
            own = cells.text(bench.column(usual, "gender"))
            parts.append(
                f"SELECT 1 FROM {table} AS s WHERE coalesce({own}, '') = '' AND {condition}"
            )
    return " UNION ALL ".join(parts)


def _references(bench: Bench, bound: BoundMapping) -> list[tuple[str, str | None, str, str]]:
    """Dangling references of a table, and children's ids in its patient column."""
    asked: dict[str, list[str]] = {"dangling_reference": [], "child_id_in_patient_column": []}
    for binding in bound.columns:
        for kind, condition in _broken(bench, bound, binding):
            asked[kind].append(condition)
    found: list[tuple[str, str | None, str, str]] = []
    for kind, conditions in asked.items():
        if conditions:
            total = " + ".join(f"coalesce(sum({c}), 0)" for c in conditions)
            found.append((kind, bound.name, kind, f"SELECT {total} {_loaded(bench, bound)}"))
    return found


def _broken(bench: Bench, bound: BoundMapping, binding: Binding) -> Iterator[tuple[str, str]]:
    """``(kind, condition on row s)`` of what a reference of a loaded row may be logged for."""
    word = binding.word
    column = getattr(word, "column", None)
    if column is None or bound.source.column(column) is None:
        return
    cell = f"s.{quote(column)}"
    if isinstance(word, Person) or (isinstance(word, Decided) and word.rule == "person"):
        first = word.first if isinstance(word, Person) else "patients"
        person = relations.person_of(cell, first)
        if binding.strength == "optional":
            condition = f"({cells.text(cell)}) IS NOT NULL AND ({person}) IS NULL"
            yield "dangling_reference", condition
        if first == "patients":
            yield (
                "child_id_in_patient_column",
                f"({person}) IS NOT NULL AND NOT EXISTS (SELECT 1 FROM temp.verify_patients"
                f" AS q WHERE q.old_id = {relations.key_text(cell)})",
            )
    elif isinstance(word, Copy) and binding.names and binding.strength in ("optional", "loose"):
        named = cells.text(cell)
        if bound.mapping.source == "consent_grants":
            named = f"nullif({named}, '')"
        target = relations.referenced(bench, binding.names, cell)
        yield "dangling_reference", f"({named}) IS NOT NULL AND {target} IS NULL"


def _loaded(bench: Bench, bound: BoundMapping) -> str:
    """FROM and WHERE over the rows ``s`` of a table that were not kept out."""
    archive = archive_of(bench, bound.source)
    origin = f"FROM source.{quote(bound.name)} AS s"
    if archive is None:
        return origin
    return (
        f"{origin} WHERE NOT EXISTS (SELECT 1 FROM {archive.table} AS a WHERE {archive.join} "
        f"AND a.{quote(archive.reason)} <> 'not_carried')"
    )


def _check_collisions(bench: Bench) -> None:
    """Every loaded PEP row whose id the IEP side has too got a fresh id, and no other row."""
    expected = 0
    for bound in bench.plan.bound:
        winner = relations.twin(bench, bound)
        if winner is None:
            continue
        loaded = _loaded(bench, bound)
        glue = "AND" if "WHERE" in loaded else "WHERE"
        expected += bench.value(
            f"SELECT count(*) {loaded} {glue} EXISTS (SELECT 1 FROM {winner} AS w WHERE w.id = "
            "+s.id)"
        )
    made = bench.value("SELECT count(*) FROM ledger.collision_to_id")
    logged = bench.value("SELECT count(*) FROM temp.verify_log WHERE kind = 'id_collision'")
    fresh = bench.value(
        "SELECT count(*) FROM temp.verify_collisions AS m JOIN temp.verify_log AS l "
        "ON l.source_table = m.source_table AND l.source_id = m.old_id "
        "AND l.kind = 'id_collision' AND l.related_id = m.new_id"
    )
    failures = [
        ("missing or too many", abs(expected - made)),
        ("not logged", abs(expected - logged) + max(0, made - fresh)),
    ]
    bench.judge("id_collisions", None, expected, failures)
