"""The target as a file: constraints, storage classes, tables that must be empty."""

from __future__ import annotations

from person_unify.mappings.bind import type_of
from person_unify.schema import Column, Table, quote
from person_unify.stages.verify import cells
from person_unify.stages.verify.archive import archive_of, check_lists
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.cells import literal
from person_unify.stages.verify.check import Check
from person_unify.stages.verify.kept_out import check_whole

_COLUMNS_PER_QUERY = 150


def check_structure(bench: Bench) -> None:
    """Everything that can be seen without the source."""
    bench.progress("integrity")
    with bench.guarded("integrity"):
        answers = bench.rows("PRAGMA main.integrity_check(100)")
        sound = answers == [("ok",)]
        count = 0 if sound else len(answers)
        outcome = "passed" if sound else "failed"
        detail = "" if sound else f"{count} problems"
        actual = "ok" if sound else f"{count} problems"
        bench.checks.append(
            Check(
                "integrity",
                None,
                "ok",
                actual,
                "passed" if outcome == "passed" else "failed",
                detail,
            )
        )
    with bench.guarded("foreign_keys"):
        keyed = [table for table in bench.target.values() if table.foreign_keys]
        # Named table by table: as a WHERE, the pragma's schema column matches nothing.
        broken = [
            (
                table.name,
                bench.value(
                    f"SELECT count(*) FROM pragma_foreign_key_check({literal(table.name)}, 'main')"
                ),
            )
            for table in keyed
        ]
        bench.judge("foreign_keys", None, sum(len(t.foreign_keys) for t in keyed), broken)
    for table in bench.target.values():
        if not table.name.startswith("_prisma"):
            with bench.guarded("storage_classes", table.name):
                _check_classes(bench, table)
    _check_unfilled(bench)


def _check_classes(bench: Bench, table: Table) -> None:
    rows, failures = 0, []
    for start in range(0, len(table.columns), _COLUMNS_PER_QUERY):
        group = table.columns[start : start + _COLUMNS_PER_QUERY]
        listed = ", ".join(f"count(CASE WHEN {_fits(c)} THEN NULL ELSE 1 END)" for c in group)
        found = bench.rows(f"SELECT count(*), {listed} FROM main.{quote(table.name)} AS t")[0]
        rows = int(found[0])
        failures += [(c.name, int(n)) for c, n in zip(group, found[1:], strict=True)]
    bench.judge("storage_classes", table.name, rows * len(table.columns), failures)


def _fits(column: Column) -> str:
    """Whether a target cell is in the canonical form of its column (contract section 1)."""
    cell, type_ = f"t.{quote(column.name)}", type_of(column)
    fits = f"typeof({cell}) = {literal(cells.CLASSES[type_])}"
    if type_ == "BOOLEAN":
        fits += f" AND {cell} IN (0, 1)"
    elif type_ == "DATETIME":
        fits += f" AND {cell} BETWEEN {cells.FIRST_INSTANT} AND {cells.LAST_INSTANT}"
    return fits if column.not_null else f"({cell} IS NULL OR ({fits}))"


def _check_unfilled(bench: Bench) -> None:
    filled = {bound.target.name for bound in bench.plan.bound if bound.target is not None}
    filled |= {"persons", "parent_child_views", "clinician_patient_views", "access_grants"}
    others = [
        name for name in bench.target if name not in filled and not name.startswith("_prisma")
    ]
    with bench.guarded("unfilled_tables"):
        rows = [(n, bench.value(f"SELECT count(*) FROM main.{quote(n)}")) for n in others]
        bench.judge("unfilled_tables", None, len(others), rows)


def check_archived_whole(bench: Bench) -> None:
    """Tables without a counterpart: every row is in the archive, verbatim (contract section 9)."""
    tables = [b.source for b in bench.plan.bound if b.target is None]
    for table in [*tables, *bench.plan.unmapped]:
        bench.progress(table.name)
        with bench.guarded("archived_rows", table.name):
            rows = bench.count(table)
            archive = archive_of(bench, table)
            if archive is None:
                bench.compare("rows_accounted", table.name, rows, 0)
                continue
            kept = bench.value(
                f"SELECT count(*) FROM source.{quote(table.name)} AS s WHERE EXISTS "
                f"(SELECT 1 FROM {archive.table} AS a WHERE {archive.join})"
            )
            bench.compare("rows_accounted", table.name, rows, kept)
            always = frozenset(table.column_names) - set(archive.key)
            check_lists(bench, table, archive, always, ("unmapped_table",))
            check_whole(bench, table, archive, "")


def check_person_references(bench: Bench) -> None:
    """Person references of every target table name persons, and none is an old id."""
    for table in bench.target.values():
        if table.name == "persons" or table.column("person_id") is None:
            continue
        with bench.guarded("person_references", table.name):
            held = (
                f"SELECT DISTINCT person_id FROM main.{quote(table.name)} "
                "WHERE person_id IS NOT NULL"
            )
            row = bench.rows(
                "SELECT count(*), coalesce(sum(NOT EXISTS (SELECT 1 FROM main.persons AS p "
                "WHERE p.id = d.person_id)), 0), coalesce(sum("
                "EXISTS (SELECT 1 FROM temp.verify_patients AS o WHERE o.old_id = d.person_id) "
                "OR EXISTS (SELECT 1 FROM temp.verify_children AS o WHERE o.old_id = d.person_id)"
                f"), 0) FROM ({held}) AS d"
            )[0]
            total, missing, old = map(int, row)
            bench.judge(
                "person_references", table.name, total, [("no person", missing), ("old id", old)]
            )
