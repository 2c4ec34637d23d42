"""The discrepancies: known kinds, real rows, as many as SQL counts itself (section 8)."""

from __future__ import annotations

from person_unify.findings import FINDINGS
from person_unify.schema import OLD, Table, quote
from person_unify.stages.verify import cells, relations
from person_unify.stages.verify.archive import is_loaded
from person_unify.stages.verify.bench import Bench, in_list
from person_unify.stages.verify.owed import ENTRY, owed_entries

OF_COLUMNS = ("soft_reference", "implausible_instant")
"""Kinds that name a table and a column, and no row."""


def check_log(bench: Bench) -> None:
    """Kinds, rows and counts of the discrepancies."""
    bench.progress("discrepancies")
    with bench.guarded("discrepancy_kinds"):
        known = " OR ".join(
            f"(kind = '{kind}' AND severity = '{finding.severity}')"
            for kind, finding in FINDINGS.items()
        )
        total = bench.value("SELECT count(*) FROM ledger.discrepancies")
        strange = bench.value(
            f"SELECT count(*) FROM ledger.discrepancies WHERE ({known}) IS NOT TRUE"
        )
        bench.judge("discrepancy_kinds", None, total, [("unknown kind or severity", strange)])
    _check_rows(bench)
    _check_entries(bench)
    with bench.guarded("id_collisions"):
        _check_collisions(bench)


def _check_entries(bench: Bench) -> None:
    """The log holds exactly the entries that SQL finds: row, related id, person and column."""
    entry = f"kind, source_table, {ENTRY}"
    bench.temp("verify_owed", f"CREATE TEMP TABLE verify_owed ({entry})")
    asked: list[tuple[str, str]] = []
    for kind, table, owed in owed_entries(bench):
        with bench.guarded("discrepancies", table):
            bench.database.execute(
                f"INSERT INTO temp.verify_owed SELECT '{kind}', {cells.literal(table)}, {ENTRY} "
                f"FROM ({owed})"
            )
            asked.append((kind, table))
    with bench.guarded("discrepancies"):
        owed_, logged = (
            f"SELECT {entry}, count(*) FROM temp.{name} GROUP BY {entry}"
            for name in ("verify_owed", "verify_log")
        )
        missing = _by_kind(bench, f"{owed_} EXCEPT {logged}")
        strange = _by_kind(bench, f"{logged} EXCEPT {owed_}")
        totals = _by_kind(bench, "SELECT kind, source_table FROM temp.verify_owed")
        for one in asked:
            failures = [
                (f"{one[0]} not logged", missing.get(one, 0)),
                (f"{one[0]} without cause", strange.get(one, 0)),
            ]
            bench.judge("discrepancies", one[1], totals.get(one, 0), failures)


def _by_kind(bench: Bench, query: str) -> dict[tuple[str, str], int]:
    return {
        (str(kind), str(table)): int(count)
        for kind, table, count in bench.rows(
            f"SELECT kind, source_table, count(*) FROM ({query}) GROUP BY 1, 2"
        )
    }


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
                    f"{cells.literal(name)} "
                    f"AND l.kind NOT IN {in_list(OF_COLUMNS)} AND NOT EXISTS "
                    f"(SELECT 1 FROM source.{quote(name)} AS s WHERE s.{quote(key)} = l.source_id)"
                )
                failures = [("no such row", strange)]
            bench.judge("discrepancy_ids", str(name), int(count), failures)


def _first_key(bench: Bench, table: Table) -> str | None:
    bound = next(b for b in bench.plan.bound if b.name == table.name)
    known = OLD.get(bound.mapping.source)
    keys = table.primary_key or (known.primary_key if known else ())
    return keys[0] if keys and table.column(keys[0]) else None


def _check_collisions(bench: Bench) -> None:
    """Every loaded PEP row whose id the IEP side has too got a fresh id, and no other row."""
    expected = 0
    for bound in bench.plan.bound:
        winner = relations.twin(bench, bound)
        if winner is None:
            continue
        expected += bench.value(
            f"SELECT count(*) FROM source.{quote(bound.name)} AS s WHERE EXISTS "
            f"(SELECT 1 FROM {winner} AS w WHERE w.id = +s.id) AND {is_loaded(bench, bound.source)}"
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
