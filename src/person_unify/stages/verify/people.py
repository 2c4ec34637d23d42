"""Persons: how many, who is who, and what is known of each (contract section 3)."""

from __future__ import annotations

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.schema import quote
from person_unify.spec import Decided
from person_unify.stages.verify import cells
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.words import Filling, Words

FRESH = (
    ("persons", "main.persons"),
    ("parent_child_views", "main.parent_child_views"),
    ("clinician_patient_views", "main.clinician_patient_views"),
    ("access_grants", "main.access_grants"),
    ("tags", "main.tags"),
)


def check_people(bench: Bench) -> None:
    """Counts, maps, and ids of persons."""
    bench.progress("persons")
    with bench.guarded("persons_count"):
        patients = bench.value("SELECT count(*) FROM temp.verify_patients")
        children = bench.value("SELECT count(*) FROM temp.verify_children")
        linked = bench.value("SELECT count(patient_id) FROM temp.verify_children")
        merged = bench.value(
            "SELECT count(*) FROM temp.verify_children WHERE NOT alone AND patient_id IS NULL"
        )
        persons = bench.value("SELECT count(*) FROM main.persons")
        detail = f"patients {patients} + children {children} - linked {linked}"
        if merged:
            detail += f" - merged {merged}"
        expected = patients + children - linked - merged
        bench.compare("persons_count", "persons", expected, persons, detail)
    with bench.guarded("children_equation"):
        with_patient = bench.value(
            "SELECT count(*) FROM temp.verify_child_to_person AS m WHERE EXISTS "
            "(SELECT 1 FROM temp.verify_people AS p WHERE p.person_id = m.new_id "
            "AND p.patient_id IS NOT NULL)"
        )
        alone = bench.value(
            "SELECT count(DISTINCT m.new_id) FROM temp.verify_child_to_person AS m WHERE NOT "
            "EXISTS "
            "(SELECT 1 FROM temp.verify_people AS p WHERE p.person_id = m.new_id "
            "AND p.patient_id IS NOT NULL)"
        )
        detail = f"linked {with_patient} + standalone {alone}"
        if merged:
            detail += f" + merged {merged}"
        found = with_patient + alone + merged
        bench.compare("children_equation", "children", children, found, detail)
        if with_patient != linked:
            bench.compare("children_equation", "children", linked, with_patient, "linked children")
    _check_map(bench, "patient_map", "patient_to_person", "verify_patients")
    _check_map(bench, "child_map", "child_to_person", "verify_children")
    for table, name in FRESH:
        with bench.guarded("new_ids", table):
            _check_ids(bench, table, name)


def prepare_people(bench: Bench) -> None:
    """``verify_people``: every person with its origin, by the maps."""
    bench.temp(
        "verify_people",
        "CREATE TEMP TABLE verify_people (person_id TEXT PRIMARY KEY, patient_id TEXT, "
        "child_id TEXT) WITHOUT ROWID",
        "INSERT OR IGNORE INTO temp.verify_people SELECT person_id, old_id, NULL "
        "FROM temp.verify_patients WHERE person_id IS NOT NULL",
        "INSERT OR IGNORE INTO temp.verify_people SELECT person_id, NULL, old_id "
        "FROM temp.verify_children WHERE person_id IS NOT NULL AND alone",
    )


def _check_map(bench: Bench, name: str, table: str, people: str) -> None:
    with bench.guarded(name):
        rows = bench.value(f"SELECT count(*) FROM ledger.{table}")
        expected = bench.value(f"SELECT count(*) FROM temp.{people}")
        absent = bench.value(f"SELECT count(*) FROM temp.{people} WHERE person_id IS NULL")
        strange = bench.value(
            f"SELECT count(*) FROM ledger.{table} AS m WHERE NOT EXISTS "
            f"(SELECT 1 FROM temp.{people} AS p WHERE p.old_id = m.old_id)"
        )
        no_person = bench.value(
            f"SELECT count(*) FROM temp.{people} AS p WHERE p.person_id IS NOT NULL AND NOT EXISTS "
            "(SELECT 1 FROM main.persons AS t WHERE t.id = p.person_id)"
        )
        wrong = [
            ("without a person", absent),
            ("unknown old ids", strange),
            ("persons that do not exist", no_person),
            ("repeated old ids", max(0, rows - expected - strange + absent)),
        ]
        if people == "verify_children":
            wrong.append(("not the linked patient's person", bench.value(_OF_ANOTHER)))
            wrong.append(("persons of several humans", bench.value(_SHARED)))
            wrong.append(("not the merged child's person", bench.value(_APART)))
        else:
            wrong.append(
                (
                    "persons of several humans",
                    bench.value(
                        "SELECT count(person_id) - count(DISTINCT person_id) "
                        "FROM temp.verify_patients"
                    ),
                )
            )
        bench.judge(name, people.removeprefix("verify_"), expected, wrong)


_OF_ANOTHER = (
    "SELECT count(*) FROM temp.verify_children AS c JOIN temp.verify_patients AS p "
    "ON p.old_id = c.patient_id WHERE c.person_id IS NOT p.person_id"
)
_SHARED = (
    "SELECT count(*) FROM temp.verify_children AS c WHERE c.alone "
    "AND c.person_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM temp.verify_people AS p "
    "WHERE p.person_id = c.person_id AND p.child_id = c.old_id)"
)
_APART = (
    "SELECT count(*) FROM temp.verify_children AS c JOIN temp.verify_children AS h "
    "ON h.old_id = c.head WHERE c.person_id IS NOT h.person_id"
)


def _check_ids(bench: Bench, table: str, name: str) -> None:
    if table not in bench.target:
        return
    total = bench.value(f"SELECT count(*) FROM {name}")
    malformed = bench.value(f"SELECT count(*) FROM {name} AS t WHERE NOT {is_uuid('t.id')}")
    bench.judge("new_ids", table, total, [("no canonical UUID", malformed)])
    sources = {
        "access_grants": ("consent_grants",),
        "parent_child_views": ("children", "parent_children"),
        "tags": (),
    }.get(table, ())
    olds = ["temp.verify_patients AS o WHERE o.old_id = t.id"]
    olds.append("temp.verify_children AS o WHERE o.old_id = t.id")
    for usual in sources:
        bound = next(iter(bench.plan.of(usual)), None)
        if bound is not None and usual != "children" and bound.source.primary_key == ("id",):
            olds.append(f"source.{quote(bound.name)} AS o WHERE o.id = t.id")
    condition = " OR ".join(f"EXISTS (SELECT 1 FROM {old})" for old in olds)
    left = bench.value(f"SELECT count(*) FROM {name} AS t WHERE {condition}")
    bench.judge("old_ids_gone", table, total, [("old ids", left)])


def is_uuid(cell: str) -> str:
    """Whether a cell is a canonical lower-case UUID of version 4 or 7."""
    h = "[0-9a-f]"
    shape = f"{h * 8}-{h * 4}-[47]{h * 3}-[89ab]{h * 3}-{h * 12}"
    return f"({cell} GLOB '{shape}' AND octet_length({cell}) = 36)"


def person_filling(words: Words, bound: BoundMapping, binding: Binding) -> Filling | None:
    """How the decided columns of a person follow from its origin ``s`` and linked children."""
    assert isinstance(binding.word, Decided)
    rule, column, here = binding.word.rule, binding.word.column, words.here(binding)
    if rule == "person":
        return Filling("1", "id", "1", sure=True)
    if rule == "migration_note":
        return Filling(
            cells.same(
                here,
                "(SELECT n.note FROM temp.verify_notes AS n WHERE n.person_id = t.id)",
            )
        )
    assert column is not None
    cell = words.cell(column)
    if rule == "gender":
        return _gender(words, bound, here, cell)
    kept = f"nullif({cells.text(cell)}, '')"
    if cell == "NULL":
        return Filling(f"{here} IS NULL")
    lost = (
        "EXISTS (SELECT 1 FROM temp.verify_udid AS u WHERE u.source_table = "
        f"{cells.literal(bound.mapping.source)} AND u.old_id = +s.id)"
    )
    ok = f"CASE WHEN {lost} THEN {here} IS NULL ELSE {cells.same(here, f'({kept})')} END"
    return Filling(ok, column, cells.same(here, cell))


def _gender(words: Words, bound: BoundMapping, here: str, cell: str) -> Filling:
    own = f"nullif({cells.text(cell)}, '')"
    links = [own]
    if bound.mapping.source == "patients":
        links.append(
            "(SELECT g.gender FROM temp.verify_linked AS g WHERE g.patient_id = +s.id "
            "AND g.gender <> '' ORDER BY g.unknown, g.created, g.child_id LIMIT 1)"
        )
    else:
        links.append(
            "(SELECT g.gender FROM temp.verify_joined AS g WHERE g.head = +s.id "
            "AND g.gender <> '' ORDER BY g.unknown, g.created, g.child_id LIMIT 1)"
        )
    ok = cells.same(here, f"(coalesce({', '.join(links)}, 'unknown'))")
    if cell == "NULL":
        return Filling(ok)
    return Filling(ok, "gender", f"({cells.same(here, cell)} AND {cell} <> '')", sure=True)
