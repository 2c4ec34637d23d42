"""What the checks count, as questions for keys: which rows and cells are wrong.

A probe asks with the very conditions that a sweep judged by, so what it names is what was counted.
Row ``s`` is the source's, ``a`` its archive's, ``t`` (or a view ``w``) the target's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from person_unify.mappings.bind import BoundMapping
from person_unify.schema import OLD, Table, quote
from person_unify.stages.verify import relations
from person_unify.stages.verify.archive import archive_of
from person_unify.stages.verify.bench import Bench, rowid_of
from person_unify.stages.verify.grants import prepare_granted, wrong_contents
from person_unify.stages.verify.kept_out import justified
from person_unify.stages.verify.notes import expected_notes
from person_unify.stages.verify.passes import Sweep, Verdict, target_key
from person_unify.stages.verify.views import VIEWS, right_columns

Kind = Literal["minus", "plus", "changed", "lost", "archive"]
KINDS: dict[Kind, str] = {
    "minus": "a source row that is not in the target although it should be",
    "plus": "a target row of no source row",
    "changed": "a target cell that is not what the mapping makes of the source",
    "lost": "a source cell that is neither in the target nor in the archive",
    "archive": "an archive row or cell that is not the source's",
}

NOWHERE = "neither in the target nor archived whole"
NO_CAUSE = "kept out without cause"

CORE_KEYS: dict[str, dict[str, str]] = {
    "patients": {"persons": "t.id", "clinician_patient_views": "w.id"},
    "children": {"persons": "t.id", "parent_child_views": "w.id"},
    "parent_children": {"parent_child_views": "w.id"},
}
"""Where the sweeps over people have the rows of each target table."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One kind of wrong row as SQL, and expressions for the keys of what it finds.

    column: of the target for ``changed``, else of the source; None where the row itself is wrong.
    detail: what the kind alone does not say.  also: the source column of a changed cell.
    """

    kind: Kind
    source: str
    target: str | None
    column: str | None
    detail: str
    origin: str
    where: str
    source_key: tuple[str, ...] = ()
    target_key: tuple[str, ...] = ()
    also: str | None = None


def key_of(bench: Bench, table: Table, usual: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and expressions of what names row ``s`` of a source table: its key, or its rowid."""
    known = OLD[usual].primary_key if usual in OLD else ()
    present = all(table.column(column) is not None for column in known)
    names = table.primary_key or (known if present else ())
    if names:
        return names, tuple(f"s.{quote(name)}" for name in names)
    rowid = rowid_of(bench, table)
    return (("_rowid",), (f"s.{rowid}",)) if rowid is not None else ((), ())


def cell_probes(bench: Bench, usual: str) -> Iterator[Probe]:
    """``changed`` and ``lost``: what the sweeps that ran have counted."""
    for sweep, found in bench.swept:
        table, key = sweep.source, key_of(bench, sweep.source, usual)[1]
        homes = _homes(bench, usual)
        for verdict in sweep.verdicts:
            wrong, lost = found[verdict.label]
            place, _, column = verdict.label.partition("< ")
            target, _, name = place.strip().partition(".")
            if wrong:
                yield Probe(
                    *("changed", table.name, target, name, ""),
                    *(_from(sweep), _wrong(verdict), key, homes[target], column or None),
                )
            if lost:
                row = column == "archive row"
                detail = "no archive row" if row else ""
                yield Probe(
                    *("lost", table.name, None, None if row else column, detail),
                    *(_from(sweep), _lost(verdict), key, next(iter(homes.values()))),
                )


def _homes(bench: Bench, usual: str) -> dict[str, tuple[str, ...]]:
    """Target table -> its key in a sweep over an old table."""
    core = CORE_KEYS.get(usual)
    if core is not None:
        return {target: (key,) for target, key in core.items()}
    (bound,) = bench.plan.of(usual)
    assert bound.target is not None
    return {bound.target.name: tuple(f"t.{quote(c)}" for c in bound.target.primary_key)}


def _from(sweep: Sweep) -> str:
    return sweep.origin.removeprefix("FROM ")


def _wrong(verdict: Verdict) -> str:
    """The rows that a verdict counts as wrong target cells."""
    sure = f"WHEN {verdict.exact} THEN 0 " if verdict.sure and verdict.exact else ""
    return f"CASE WHEN NOT ({verdict.when}) THEN 0 {sure}WHEN {verdict.ok} THEN 0 ELSE 1 END"


def _lost(verdict: Verdict) -> str:
    """The rows that a verdict counts as lost source cells."""
    exact = "" if verdict.exact is None else f"WHEN {verdict.exact} THEN 0 "
    return f"CASE WHEN NOT ({verdict.when}) THEN 0 {exact}WHEN {verdict.kept} THEN 0 ELSE 1 END"


def row_probes(bench: Bench, bound: BoundMapping) -> Iterator[Probe]:
    """``minus``: rows of a table that are missing, or were kept out without cause."""
    assert bound.target is not None
    key = key_of(bench, bound.source, bound.mapping.source)[1]
    sweep = _joined(bench, bound)
    if sweep is None:
        return
    there = f"t.{quote(bound.target.primary_key[0])} IS NOT NULL"
    wrong = {NOWHERE: f"NOT ({there}) AND NOT {sweep.kept_out}"}
    if sweep.archive is not None:
        caused = justified(bench, bound, sweep.archive)
        wrong[NO_CAUSE] = f"{sweep.kept_out} AND NOT coalesce({caused}, 0)"
    for detail, where in wrong.items():
        yield Probe(
            *("minus", bound.name, bound.target.name, None, detail, _from(sweep), where, key)
        )


def _joined(bench: Bench, bound: BoundMapping) -> Sweep | None:
    """The source rows with archive and target; None where no map leads to the target."""
    assert bound.target is not None
    key = target_key(bound, bench)
    if key is None:
        return None
    sweep = Sweep.over(bench, bound.source)
    sweep.joins.append(f"LEFT JOIN main.{quote(bound.target.name)} AS t ON {key}")
    return sweep


def plus_probe(bench: Bench, target: str) -> Probe | None:
    """``plus``: rows of a target table to which no loaded row of any source table leads."""
    bounds = [b for b in bench.plan.bound if b.target is not None and b.target.name == target]
    key = bench.target[target].primary_key
    names = [f"k{position}" for position in range(len(key))]
    bench.temp("verify_matched", f"CREATE TEMP TABLE verify_matched ({', '.join(names)})")
    for bound in bounds:
        sweep = _joined(bench, bound)
        if sweep is None:
            return None
        listed = ", ".join(f"t.{quote(column)}" for column in key)
        bench.database.execute(
            f"INSERT INTO temp.verify_matched SELECT {listed} {sweep.origin} "
            f"WHERE t.{quote(key[0])} IS NOT NULL AND NOT {sweep.kept_out}"
        )
    bench.database.execute(
        f"CREATE INDEX temp.verify_matched_key ON verify_matched ({', '.join(names)})"
    )
    pairs = " AND ".join(
        f"m.{name} = t.{quote(column)}" for name, column in zip(names, key, strict=True)
    )
    where = f"NOT EXISTS (SELECT 1 FROM temp.verify_matched AS m WHERE {pairs})"
    if target == "access_grants":
        where += f" AND NOT ({_implied()})"
    return Probe(
        *("plus", " and ".join(b.name for b in bounds), target, None, "of no loaded source row"),
        *(f"main.{quote(target)} AS t", where, (), tuple(f"t.{quote(c)}" for c in key)),
    )


_DUE = "i.state = 'owed' AND i.mode <> 'none'"
"""Whether an implied grant ``i`` is to be there, by the options or by a decision."""


def _implied() -> str:
    """Whether grant ``t`` is the one that a link implies."""
    pair = "{0}.person_id = t.person_id AND {0}.{1} = t.grantor_id"
    return (
        f"EXISTS (SELECT 1 FROM temp.verify_implied AS i WHERE {_DUE} AND "
        f"{pair.format('i', 'parent_id')}) AND NOT EXISTS (SELECT 1 FROM main.access_grants AS o "
        f"WHERE {pair.format('o', 'grantor_id')} AND o.rowid < t.rowid)"
    )


def implied_probes(bench: Bench) -> Iterator[Probe]:
    """Grants that a link implies: missing ones, and what is wrong in the others."""
    if bench.source("children") is None:
        return
    prepare_granted(bench)
    source, grants = bench.plan.source_names["children"], "main.access_grants"
    yield Probe(
        *("minus", source, "access_grants", None, "the implied grant of this child is missing"),
        "temp.verify_implied AS i",
        f"{_DUE} AND NOT EXISTS (SELECT 1 FROM {grants} AS g WHERE "
        "g.person_id = i.person_id AND g.grantor_id = i.parent_id)",
        ("i.child_id",),
    )
    for column, wrong in wrong_contents(bench).items():
        yield Probe(
            *("changed", source, "access_grants", column, "not what an implied grant holds"),
            f"{grants} AS g JOIN temp.verify_implied AS i ON i.person_id = g.person_id "
            "AND i.parent_id = g.grantor_id",
            f"{_DUE} AND ({wrong}) AND NOT EXISTS (SELECT 1 FROM temp.verify_granted AS "
            "m WHERE m.new_id = g.id)",
            ("i.child_id",),
            ("g.id",),
        )


def people_probes(bench: Bench, usual: str) -> Iterator[Probe]:
    """Patients and children without a person or a clinician's view, or with another's person."""
    name = bench.plan.source_names[usual]
    yield Probe(
        *("minus", name, "persons", None, "without a person"),
        f"temp.verify_{usual} AS r",
        "NOT EXISTS (SELECT 1 FROM main.persons AS t WHERE t.id = r.person_id)",
        ("r.old_id",),
    )
    if usual == "children":
        yield Probe(
            *("changed", name, "persons", None, "mapped to another person than its patient"),
            "temp.verify_children AS c JOIN temp.verify_patients AS p ON p.old_id = c.patient_id",
            "c.person_id IS NOT p.person_id",
            ("c.old_id",),
            ("c.person_id",),
        )
    if usual == "patients":
        yield from _note_probe(bench, name)
        yield Probe(
            *("minus", name, "clinician_patient_views", None, "without the clinician's view"),
            "temp.verify_patients AS r",
            "EXISTS (SELECT 1 FROM main.users AS u WHERE u.id = r.clinician_id) AND NOT EXISTS "
            "(SELECT 1 FROM temp.verify_patient_to_view AS m JOIN main.clinician_patient_views "
            "AS w ON w.id = m.new_id WHERE m.old_id = r.old_id)",
            ("r.old_id",),
        )


def _note_probe(bench: Bench, name: str) -> Iterator[Probe]:
    """Notes that target and ledger agree on, and the logged mismatches do not."""
    if bench.target["persons"].column("migration_notes") is None:
        return
    yield Probe(
        *("changed", name, "persons", "migration_notes", "not what the logged mismatches say"),
        "main.persons AS t JOIN temp.verify_people AS r ON r.person_id = t.id "
        "LEFT JOIN temp.verify_notes AS n ON n.person_id = t.id "
        f"LEFT JOIN ({expected_notes()}) AS e ON e.person_id = t.id",
        "r.patient_id IS NOT NULL AND t.migration_notes IS n.note "
        "AND t.migration_notes IS NOT e.note",
        ("r.patient_id",),
        ("t.id",),
    )


def plus_people(target: str) -> Probe:
    """``plus`` of persons and views: rows that no map leads to."""
    ways = {
        "persons": ("temp.verify_people AS m", "m.person_id", "patients and children"),
        "clinician_patient_views": ("temp.verify_patient_to_view AS m", "m.new_id", "patients"),
        "parent_child_views": (
            "temp.verify_family AS m",
            "m.view_id",
            "children and parent_children",
        ),
    }
    table, column, sources = ways[target]
    return Probe(
        *("plus", sources, target, None, "of no source row"),
        f"main.{target} AS t",
        f"t.id NOT IN (SELECT {column} FROM {table} WHERE {column} IS NOT NULL)",
        target_key=("t.id",),
    )


def link_probes(bench: Bench, bound: BoundMapping) -> Iterator[Probe]:
    """``minus`` of parent links: no view and not kept out, or kept out without cause."""
    ((sweep, _),) = bench.swept
    key = key_of(bench, bound.source, bound.mapping.source)[1]
    person = relations.person_of(bench.column("parent_children", "patient_id"), "patients")
    parent = relations.referenced(bench, "parents", bench.column("parent_children", "parent_id"))
    healthy = f"({person}) IS NOT NULL AND {parent} IS NOT NULL"
    for detail, where in (
        (NOWHERE, f"w.id IS NULL AND NOT {sweep.kept_out}"),
        (NO_CAUSE, f"{sweep.kept_out} AND {healthy}"),
    ):
        yield Probe(
            *("minus", bound.name, "parent_child_views", None, detail, _from(sweep), where, key)
        )


def view_probes(bench: Bench, usual: str, *, of_children: bool) -> Iterator[Probe]:
    """Parents' views, pair by pair.

    of_children: ``children`` are asked as well, so a link names only the pairs without a child.
    """
    if usual == "children":
        yield Probe(
            *("minus", usual, "parent_child_views", None, "without the parent's view"),
            "temp.verify_family AS f LEFT JOIN main.parent_child_views AS w ON w.id = f.view_id",
            "f.link = 0 AND w.id IS NULL",
            ("f.old_id",),
        )
    speaker = "f.child_id" if usual == "children" else "f.link_id"
    others = " AND f.child_id IS NULL" if usual != "children" and of_children else ""
    primary = "w.is_primary_caregiver IS (p.parent_id = f.parent_id)"
    for column, right in {**right_columns(bench), "is_primary_caregiver": primary}.items():
        yield Probe(
            *("changed", usual, "parent_child_views", column, ""),
            f"{VIEWS} LEFT JOIN temp.verify_primary AS p ON p.person_id = f.person_id",
            f"{speaker} IS NOT NULL{others} AND NOT ({right})",
            (speaker,),
            ("w.id",),
        )


def whole_probe(bench: Bench, table: Table, usual: str) -> Probe:
    """``minus`` of a table that only the archive takes."""
    archive = archive_of(bench, table)
    kept = "0"
    if archive is not None:
        kept = f"EXISTS (SELECT 1 FROM {archive.table} AS a WHERE {archive.join})"
    return Probe(
        *("minus", table.name, None, None, "not in the archive"),
        *(f"source.{quote(table.name)} AS s", f"NOT {kept}", key_of(bench, table, usual)[1]),
    )
