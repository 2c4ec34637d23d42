"""Views on persons, pair by pair, recomputed from the source (contract section 4)."""

from __future__ import annotations

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.schema import Column, quote
from person_unify.spec import Copy
from person_unify.stages.verify import cells
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.core import TEXTS
from person_unify.stages.verify.words import default

VIEWS = "temp.verify_pairs AS f JOIN main.parent_child_views AS w ON w.id = f.view_id"


def check_views(bench: Bench) -> None:
    """Counts, maps and every column of both kinds of views."""
    bench.progress("parent_child_views")
    with bench.guarded("parent_views_count", "parent_child_views"):
        pairs = bench.value("SELECT count(*) FROM temp.verify_pairs")
        views = bench.value("SELECT count(*) FROM main.parent_child_views")
        bench.compare("parent_views_count", "parent_child_views", pairs, views)
    with bench.guarded("view_maps"):
        _check_maps(bench)
    with bench.guarded("parent_views", "parent_child_views"):
        _check_columns(bench)
    with bench.guarded("primary_caregiver", "parent_child_views"):
        _check_primary(bench)
    with bench.guarded("clinician_views_count", "clinician_patient_views"):
        _check_clinicians(bench)


def _check_maps(bench: Bench) -> None:
    """The rows of a pair map to one view, which is of that pair; rows without a pair to none."""
    for usual, table, link in (
        ("children", "child_to_view", 0),
        ("parent_children", "parent_link_to_view", 1),
    ):
        rows = bench.value(f"SELECT count(*) FROM ledger.{table}")
        expected = bench.value(f"SELECT count(*) FROM temp.verify_family WHERE link = {link}")
        wrong = bench.value(
            "SELECT count(*) FROM temp.verify_family AS f WHERE "
            f"f.link = {link} AND NOT EXISTS (SELECT 1 FROM main.parent_child_views AS w "
            "WHERE w.id = f.view_id AND w.person_id = f.person_id AND w.parent_id = f.parent_id)"
        )
        failures = [("no view of the pair", wrong), ("too many", max(0, rows - expected))]
        bench.judge("view_maps", usual, expected, failures)
    split = bench.value("SELECT count(*) FROM temp.verify_pairs WHERE views > 1")
    total = bench.value("SELECT count(*) FROM temp.verify_pairs")
    bench.judge("view_maps", "parent_child_views", total, [("pairs with several views", split)])
    _check_map_of_patients(bench)


def _check_map_of_patients(bench: Bench) -> None:
    seen = "EXISTS (SELECT 1 FROM main.users AS u WHERE u.id = p.clinician_id)"
    wrong = bench.value(
        f"SELECT count(*) FROM temp.verify_patients AS p WHERE {seen} AND NOT EXISTS "
        "(SELECT 1 FROM temp.verify_patient_to_view AS m JOIN main.clinician_patient_views AS w "
        "ON w.id = m.new_id WHERE m.old_id = p.old_id AND w.person_id = p.person_id)"
    )
    expected = bench.value(f"SELECT count(*) FROM temp.verify_patients AS p WHERE {seen}")
    rows = bench.value("SELECT count(*) FROM ledger.patient_to_view")
    failures = [("no view of the person", wrong), ("too many", max(0, rows - expected))]
    bench.judge("view_maps", "patients", expected, failures)


def _check_clinicians(bench: Bench) -> None:
    expected = bench.value(
        "SELECT count(*) FROM temp.verify_patients AS p WHERE EXISTS "
        "(SELECT 1 FROM main.users AS u WHERE u.id = p.clinician_id)"
    )
    views = bench.value("SELECT count(*) FROM main.clinician_patient_views")
    bench.compare("clinician_views_count", "clinician_patient_views", expected, views)


def _check_columns(bench: Bench) -> None:
    asked = right_columns(bench)
    listed = ", ".join(f"sum(CASE WHEN {ok} THEN 0 ELSE 1 END)" for ok in asked.values())
    row = bench.rows(f"SELECT count(*), {listed} FROM {VIEWS}")[0]
    rows = int(row[0])
    failures = [(name, int(n or 0)) for name, n in zip(asked, row[1:], strict=True)]
    bench.judge("parent_views", "parent_child_views", rows * len(asked), failures)


def right_columns(bench: Bench) -> dict[str, str]:
    """Per column of the view ``w`` of pair ``f``: whether it is right."""
    asked: dict[str, str] = {}
    for column in bench.target["parent_child_views"].columns:
        expected = _expected(bench, column)
        if expected is not None:
            asked[column.name] = cells.same(f"w.{quote(column.name)}", f"({expected})")
    return asked


def _expected(bench: Bench, column: Column) -> str | None:
    """What a column of the view of pair ``f`` must hold, None for the columns judged elsewhere."""
    if column.name in ("id", "is_primary_caregiver"):
        return None
    if column.name in ("person_id", "parent_id"):
        return f"f.{column.name}"
    if column.name in TEXTS:
        return _text(bench, column.name)
    if column.name == "relationship_type":
        cell = bench.column("parent_children", "relationship_type")
        return f"coalesce({_of_link(bench, cells.text(cell))}, 'parent')"
    if column.name == "added_at":
        return _added_at(bench)
    if column.name == "updated_at":
        return f"coalesce({_updated_at(bench)}, {_added_at(bench)})"
    return _extra(bench, column)


def _added_at(bench: Bench) -> str:
    return f"coalesce(f.link_at, f.child_at, {bench.options.run_time_ms})"


def _of_link(bench: Bench, value: str) -> str:
    """A value of the pair's speaking parent link (row ``s``)."""
    table = bench.source("parent_children")
    return "NULL" if table is None else f"(SELECT {value} FROM {table} AS s WHERE s.id = f.link_id)"


def _of_child(bench: Bench, value: str) -> str:
    """A value of the pair's earliest child (row ``s``)."""
    table = bench.source("children")
    return (
        "NULL" if table is None else f"(SELECT {value} FROM {table} AS s WHERE s.id = f.child_id)"
    )


def _rows_of_pair(bench: Bench) -> str:
    return (
        f"temp.verify_family AS g JOIN {bench.source('children')} AS s ON s.id = g.old_id "
        "WHERE g.person_id = f.person_id AND g.parent_id = f.parent_id AND g.link = 0"
    )


def _updated_at(bench: Bench) -> str:
    cell = bench.column("children", "updated_at")
    if cell == "NULL":
        return "NULL"
    single = _of_child(bench, cells.instant(cell))
    latest = f"(SELECT max({cells.instant(cell)}) FROM {_rows_of_pair(bench)})"
    return f"CASE WHEN f.children > 1 THEN {latest} ELSE {single} END"


def _text(bench: Bench, name: str) -> str:
    """The only child's text as it is, or the distinct non-empty ones of several (section 4)."""
    cell = bench.column("children", name)
    if cell == "NULL":
        return "NULL"
    rows = (
        f"SELECT {cells.text(cell)} AS x, g.unknown AS u, g.at AS at, g.old_id AS id "
        f"FROM {_rows_of_pair(bench)}"
    )
    ranked = (
        "SELECT r.x AS x, r.n AS n FROM (SELECT q.x AS x, row_number() OVER "
        "(ORDER BY q.u, q.at, q.id) AS n, row_number() OVER "
        "(PARTITION BY q.x ORDER BY q.u, q.at, q.id) AS again "
        f"FROM ({rows}) AS q WHERE q.x <> '') AS r "
        "WHERE r.again = 1"
    )
    joined = f"(SELECT group_concat(d.x, char(10) || char(10) ORDER BY d.n) FROM ({ranked}) AS d)"
    single = _of_child(bench, cells.text(cell))
    return f"CASE WHEN f.children > 1 THEN {joined} ELSE {single} END"


def _extra(bench: Bench, column: Column) -> str:
    """A column that only this file has: the earliest child speaks, else the speaking link."""
    links: list[str] = []
    for usual, single in (("children", _of_child), ("parent_children", _of_link)):
        found = _binding(bench, usual, column.name)
        if found is None:
            continue
        bound, binding = found
        assert isinstance(binding.word, Copy)
        if bound.source.column(binding.word.column) is None:
            continue
        value = cells.read(f"s.{quote(binding.word.column)}", binding.type)
        if column.not_null:
            value = f"coalesce({value}, {default(bench, bound, binding)})"
        counter = "children" if usual == "children" else "links"
        links.append(f"WHEN f.{counter} > 0 THEN {single(bench, value)}")
    empty = f"({column.default})" if column.default is not None else "NULL"
    return f"CASE {' '.join(links)} ELSE {empty} END" if links else empty


def _binding(bench: Bench, usual: str, column: str) -> tuple[BoundMapping, Binding] | None:
    for bound in bench.plan.of(usual):
        if bound.target is not None and bound.target.name == "parent_child_views":
            for binding in bound.columns:
                if binding.target.name == column and isinstance(binding.word, Copy):
                    return bound, binding
    return None


def _check_primary(bench: Bench) -> None:
    """Exactly one primary caregiver per person with a view, and the one that section 4 names."""
    total = bench.value("SELECT count(DISTINCT person_id) FROM main.parent_child_views")
    not_one = bench.value(
        "SELECT count(*) FROM (SELECT person_id FROM main.parent_child_views GROUP BY person_id "
        "HAVING sum(CASE WHEN is_primary_caregiver = 1 THEN 1 ELSE 0 END) <> 1)"
    )
    wrong = bench.value(
        "SELECT count(*) FROM temp.verify_primary AS p WHERE EXISTS "
        "(SELECT 1 FROM main.parent_child_views AS w JOIN temp.verify_pairs AS f "
        "ON f.view_id = w.id WHERE f.person_id = p.person_id AND w.is_primary_caregiver = 1 "
        "AND w.parent_id IS NOT p.parent_id)"
    )
    failures = [("persons without exactly one", not_one), ("persons with another parent", wrong)]
    bench.judge("primary_caregiver", "parent_child_views", total, failures)


def check_seen(bench: Bench) -> None:
    """Nobody is lost from sight without a logged reason (contract section 10)."""
    with bench.guarded("persons_seen"):
        unseen = (
            "NOT EXISTS (SELECT 1 FROM temp.verify_pairs AS f "
            "JOIN main.parent_child_views AS w ON w.id = f.view_id WHERE f.person_id = p.person_id)"
            " AND NOT EXISTS (SELECT 1 FROM temp.verify_patient_to_view AS m "
            "JOIN main.clinician_patient_views AS w ON w.id = m.new_id "
            "WHERE m.old_id = p.patient_id AND w.person_id = p.person_id)"
        )
        logged = (
            "EXISTS (SELECT 1 FROM temp.verify_log AS l WHERE l.kind = 'orphaned_record' AND "
            f"((l.source_table = {_file(bench, 'patients')} AND l.source_id = p.patient_id) OR "
            f"(l.source_table = {_file(bench, 'children')} AND l.source_id = p.child_id)))"
        )
        total = bench.value("SELECT count(*) FROM temp.verify_people")
        lost = bench.value(
            f"SELECT count(*) FROM temp.verify_people AS p WHERE {unseen} AND NOT {logged}"
        )
        bench.judge("persons_seen", "persons", total, [("no view, no reason", lost)])
    with bench.guarded("linked_children"):
        _check_linked(bench)


def _file(bench: Bench, usual: str) -> str:
    return cells.literal(bench.plan.source_names.get(usual, usual))


def _check_linked(bench: Bench) -> None:
    total = bench.value("SELECT count(patient_id) FROM temp.verify_children")
    no_parent = bench.value(
        "SELECT count(*) FROM temp.verify_children AS c WHERE c.patient_id IS NOT NULL AND NOT "
        "EXISTS "
        "(SELECT 1 FROM temp.verify_child_to_view AS m JOIN main.parent_child_views AS w "
        "ON w.id = m.new_id WHERE m.old_id = c.old_id AND w.person_id = c.person_id) AND NOT "
        "EXISTS "
        "(SELECT 1 FROM temp.verify_log AS l WHERE l.kind = 'orphaned_record' "
        f"AND l.source_table = {_file(bench, 'children')} AND l.source_id = c.old_id)"
    )
    no_clinician = bench.value(
        "SELECT count(*) FROM temp.verify_children AS c WHERE c.patient_id IS NOT NULL AND NOT "
        "EXISTS "
        "(SELECT 1 FROM temp.verify_patient_to_view AS m JOIN main.clinician_patient_views AS w "
        "ON w.id = m.new_id WHERE m.old_id = c.patient_id AND w.person_id = c.person_id) "
        "AND NOT EXISTS (SELECT 1 FROM temp.verify_log AS l WHERE l.kind = 'orphaned_record' "
        f"AND l.source_table = {_file(bench, 'patients')} AND l.source_id = c.patient_id)"
    )
    no_grant = bench.value(
        "SELECT count(*) FROM temp.verify_implied AS i WHERE i.state = 'owed' AND NOT EXISTS "
        "(SELECT 1 FROM main.access_grants AS g WHERE g.person_id = i.person_id "
        "AND g.grantor_id = i.parent_id) AND NOT EXISTS (SELECT 1 FROM temp.verify_log AS l "
        f"WHERE l.kind = 'implied_grant' AND l.source_table = {_file(bench, 'children')} "
        "AND l.source_id = i.child_id)"
    )
    failures = [
        ("no parent view, no reason", no_parent),
        ("no clinician view, no reason", no_clinician),
        ("no grant, no reason", no_grant),
    ]
    bench.judge("linked_children", "children", total, failures)
