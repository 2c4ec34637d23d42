"""Sweeps over patients, children and parent links, whose cells may live in two target rows."""

from __future__ import annotations

from person_unify.mappings import CORE_TABLES
from person_unify.mappings.bind import BoundMapping
from person_unify.schema import quote
from person_unify.spec import Copy, Decided, Person
from person_unify.stages.verify import cells, relations
from person_unify.stages.verify.archive import NOT_CARRIED, check_lists
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.decided import taken
from person_unify.stages.verify.kept_out import check_whole
from person_unify.stages.verify.passes import Sweep, Verdict
from person_unify.stages.verify.people import person_filling
from person_unify.stages.verify.tables import report_cells
from person_unify.stages.verify.words import Filling, Words

_LINK_REASONS = (NOT_CARRIED, "orphaned_record")
TEXTS = ("medical_history", "current_concerns", "developmental_notes")


def check_core(bench: Bench, asked: tuple[str, ...] = CORE_TABLES) -> None:
    """Cells of patients, children and parent links, carried and archived."""
    for usual in asked:
        if bench.source(usual) is None:
            continue
        bench.progress(usual)
        with bench.guarded("cells_match", usual):
            {"patients": _patients, "children": _children, "parent_children": _links}[usual](bench)


def _bound(bench: Bench, source: str, target: str) -> BoundMapping:
    return next(
        b for b in bench.plan.of(source) if b.target is not None and b.target.name == target
    )


def _patients(bench: Bench) -> None:
    persons = _bound(bench, "patients", "persons")
    views = _bound(bench, "patients", "clinician_patient_views")
    sweep = Sweep.over(bench, persons.source)
    sweep.joins += [
        "LEFT JOIN temp.verify_patients AS r ON r.old_id = +s.id",
        "LEFT JOIN main.persons AS t ON t.id = r.person_id",
        "LEFT JOIN temp.verify_patient_to_view AS x ON x.old_id = +s.id",
        "LEFT JOIN main.clinician_patient_views AS w ON w.id = x.new_id",
    ]
    arms = [(persons, "t", "t.id IS NOT NULL"), (views, "w", "w.id IS NOT NULL")]
    fillings = [_as_decided(bench, *found) for found in _collect(bench, arms)]
    _judge(bench, sweep, fillings, "t.id IS NOT NULL", "0")


def _children(bench: Bench) -> None:
    persons = _bound(bench, "children", "persons")
    views = _bound(bench, "children", "parent_child_views")
    sweep = Sweep.over(bench, persons.source)
    sweep.joins += [
        "LEFT JOIN temp.verify_children AS r ON r.old_id = +s.id",
        "LEFT JOIN main.persons AS t ON t.id = r.person_id AND r.alone",
        "LEFT JOIN temp.verify_child_to_view AS x ON x.old_id = +s.id",
        "LEFT JOIN main.parent_child_views AS w ON w.id = x.new_id",
        "LEFT JOIN temp.verify_pairs AS f ON f.person_id = r.person_id AND f.parent_id = "
        "w.parent_id",
    ]
    fillings = _collect(bench, [(persons, "t", "t.id IS NOT NULL")])
    fillings += _child_in_view(bench, views)
    # A linked or merged child's row is archived whole, and a text that was joined is not carried.
    _judge(bench, sweep, fillings, "r.person_id IS NOT NULL", "NOT r.alone")
    if sweep.archive is not None:
        linked = (
            "WHERE EXISTS (SELECT 1 FROM temp.verify_children AS c WHERE c.old_id = a.id "
            "AND NOT c.alone)"
        )
        if "id" in sweep.archive.key:
            check_whole(bench, persons.source, sweep.archive, linked)


def _child_in_view(bench: Bench, bound: BoundMapping) -> list[tuple[str, str, Filling]]:
    """Cells of a child that the view of its pair holds; what they must be is asked pair by pair."""
    words = Words(bench, bound, "w")
    alone, first = (
        "(w.id IS NOT NULL AND f.children = 1)",
        "(w.id IS NOT NULL AND f.child_id = +s.id)",
    )
    found = []
    for binding in bound.columns:
        word, name = binding.word, f"parent_child_views.{binding.target.name}"
        when = "w.id IS NOT NULL"
        if isinstance(word, Decided) and word.rule in ("joined_text", "updated_at"):
            when = alone
        elif isinstance(word, Copy) and binding.names is None:
            when = first
        column = word.column if isinstance(word, Decided | Copy) else None
        if column is not None and bound.source.column(column) is not None:
            exact = words.exact(binding, column)
            found.append((name, when, Filling("1", column, exact)))
    return found


def _links(bench: Bench) -> None:
    bound = _bound(bench, "parent_children", "parent_child_views")
    sweep = Sweep.over(bench, bound.source)
    person = relations.person_of(
        "NULL" if bound.source.column("patient_id") is None else "s.patient_id", "patients"
    )
    sweep.joins += [
        "LEFT JOIN temp.verify_parent_link_to_view AS x ON x.old_id = +s.id",
        "LEFT JOIN main.parent_child_views AS w ON w.id = x.new_id",
        "LEFT JOIN temp.verify_pairs AS f ON f.person_id = w.person_id AND f.parent_id = "
        "w.parent_id",
    ]
    words = Words(bench, bound, "w")
    fillings: list[tuple[str, str, Filling]] = [
        ("parent_child_views.id", "w.id IS NOT NULL", Filling("1", "id", "1"))
    ]
    speaks = "(w.id IS NOT NULL AND f.links = 1)"
    for binding in bound.columns:
        word, name = binding.word, f"parent_child_views.{binding.target.name}"
        column = getattr(word, "column", None)
        if column is None or bound.source.column(column) is None:
            continue
        if isinstance(word, Decided) and word.rule == "person":
            # A child's id in a patient column cannot be told from the person, so it is archived.
            filled = words.person(binding, Person(column))
            fillings.append((name, speaks, filled))
        else:
            fillings.append((name, speaks, Filling("1", column, words.exact(binding, column))))
    _judge(bench, sweep, fillings, f"NOT {sweep.kept_out} AND w.id IS NOT NULL", "0", _LINK_REASONS)
    _links_kept_out(bench, bound, sweep, person)


def _links_kept_out(bench: Bench, bound: BoundMapping, sweep: Sweep, person: str) -> None:
    """Links without a person or a parent are archived whole and logged, all others have a view."""
    parent = bench.column("parent_children", "parent_id")
    broken_parent = relations.referenced(bench, "parents", parent)
    patient = bench.column("parent_children", "patient_id")
    logged = (
        "EXISTS (SELECT 1 FROM "
        f"temp.verify_log AS l WHERE l.source_table = {cells.literal(bound.name)} "
        "AND l.source_id = +s.id AND l.kind = 'orphaned_record' AND l.field IS "
        f"CASE WHEN ({person}) IS NULL THEN 'patient_id' ELSE 'parent_id' END AND l.related_id IS "
        f"CASE WHEN ({person}) IS NULL THEN {cells.text(patient)} ELSE {cells.text(parent)} END)"
    )
    out, known = sweep.kept_out, f"({person}) IS NOT NULL AND {broken_parent} IS NOT NULL"
    sums = {
        "rows": "count(*)",
        "loaded": "count(w.id)",
        "kept out": cells.how_many(out),
        "without cause": cells.how_many(f"{out} AND {known}"),
        "in the target": cells.how_many(f"{out} AND x.new_id IS NOT NULL"),
        "not logged": cells.how_many(f"{out} AND NOT {logged}"),
    }
    row = bench.rows(f"SELECT {', '.join(sums.values())} {sweep.origin}")[0]
    found = dict(zip(sums, map(int, row), strict=True))
    rows = bench.count(bound.source)
    kept_out = found["kept out"]
    bench.compare("rows_accounted", bound.name, rows, found["loaded"] + kept_out)
    if kept_out and sweep.archive is not None:
        bench.judge(
            "rows_justified", bound.name, kept_out, [("without cause", found["without cause"])]
        )
        bench.judge(
            "rows_not_revived", bound.name, kept_out, [("in the target", found["in the target"])]
        )
        bench.judge("rows_logged", bound.name, kept_out, [("not logged", found["not logged"])])
        reason = f"a.{quote(sweep.archive.reason)}"
        check_whole(bench, bound.source, sweep.archive, f"WHERE {reason} <> 'not_carried'")


def _collect(
    bench: Bench, arms: list[tuple[BoundMapping, str, str]]
) -> list[tuple[str, str, Filling]]:
    """``(label, present, filling)`` of the columns of several target rows."""
    found = []
    for bound, alias, present in arms:
        assert bound.target is not None
        words = Words(bench, bound, alias)
        bindings = {binding.target.name: binding for binding in bound.columns}
        for column in bound.target.columns:
            binding = bindings.get(column.name)
            label = f"{bound.target.name}.{column.name}"
            if binding is None:
                found.append((label, present, words.unfilled(column)))
            elif not isinstance(binding.word, Decided):
                filled = words.filling(binding)
                if filled is not None:
                    found.append((label, present, filled))
            elif bound.target.name == "persons":
                person = person_filling(words, bound, binding)
                if person is not None:
                    found.append((label, present, person))
            elif binding.word.rule == "person":
                ok = cells.same(words.here(binding), "r.person_id")
                found.append((label, present, Filling(ok)))
    return found


def _as_decided(
    bench: Bench, label: str, present: str, filled: Filling
) -> tuple[str, str, Filling]:
    """A person's field holds a child's value where that was decided, and not the patient's."""
    table, _, field = label.partition(".")
    found = taken(bench, field) if table == "persons" else None
    if found is None:
        return label, present, filled
    here, (decided, value) = f"t.{quote(field)}", found
    ok = f"CASE WHEN {decided} THEN {cells.same(here, value)} ELSE {filled.ok} END"
    exact = None if filled.exact is None else f"(NOT {decided} AND {filled.exact})"
    return label, present, Filling(ok, filled.column, exact)


def _judge(
    bench: Bench,
    sweep: Sweep,
    fillings: list[tuple[str, str, Filling]],
    asked: str,
    whole: str,
    reasons: tuple[str, ...] = (NOT_CARRIED,),
) -> None:
    """Run the sweep; ``whole`` are rows of which nothing counts as carried."""
    held: dict[str, list[str]] = {}
    for label, present, filled in fillings:
        if filled.ok != "1":
            spares = filled.exact if filled.sure else None
            verdict = Verdict(label, present, filled.ok, exact=spares, sure=filled.sure)
            sweep.verdicts.append(verdict)
        if filled.column is not None and filled.exact is not None:
            held.setdefault(filled.column, []).append(f"({present} AND {filled.exact})")
    never = set()
    for column in sweep.source.column_names:
        exact = held.get(column)
        if exact is None:
            never.add(column)
        archived = sweep.archived(column, always=exact is None)
        carried = None if exact is None else f"(NOT ({whole}) AND ({' OR '.join(exact)}))"
        sweep.verdicts.append(Verdict(f"< {column}", asked, None, archived, carried))
    if sweep.archive is not None:
        always = frozenset(never) - set(sweep.archive.key)
        check_lists(bench, sweep.source, sweep.archive, always, reasons)
    sweep.counts = {"rows": cells.how_many(asked)}
    counts, found = sweep.run()
    report_cells(bench, sweep.source.name, counts["rows"], sweep.verdicts, found)
