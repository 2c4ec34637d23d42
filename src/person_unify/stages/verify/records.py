"""What the ledger says of itself: tables, lineage, id maps and the run (contract section 9)."""

from __future__ import annotations

from collections.abc import Iterator

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.schema import quote
from person_unify.spec import Computed, Copy, Decided, Person
from person_unify.stages.verify.bench import MAPS, Bench, in_list
from person_unify.stages.verify.cells import literal
from person_unify.stages.verify.check import Check

_OWN = {
    "run": {"id", "tool_version", "started", "finished", "source", "target", "source_sha256"},
    **{name: {"old_id", "new_id"} for name in MAPS},
    "tag_to_tag": {"patient_id", "tag", "new_id"},
    "collision_to_id": {"source_table", "old_id", "new_id"},
    "lineage": {
        *("source_table", "source_column", "disposition", "target_table", "target_column", "rule"),
    },
    "discrepancies": {
        *("kind", "severity", "source_table", "source_id", "related_id", "person_id", "field"),
        *("child_value", "patient_value", "chosen_value", "message"),
    },
    "normalisations": {"source_table", "source_column", "rule", "cells"},
    "person_notes": {"person_id", "note"},
    "checkpoints": {"phase", "source_table", "started", "finished", "rows", "errors"},
    "verification": {"check", "expected", "actual", "passed"},
}
"""The ledger's own tables, and the columns that the contract gives them."""
_PHASES = ("snapshot", "extract", "resolve", "transform", "load", "verify")
_TARGETS = {
    "patient_to_person": "persons",
    "child_to_person": "persons",
    "child_to_view": "parent_child_views",
    "patient_to_view": "clinician_patient_views",
    "consent_to_grant": "access_grants",
    "parent_link_to_view": "parent_child_views",
    "tag_to_tag": "tags",
}
_SOURCES = {
    "patient_to_person": "patients",
    "patient_to_view": "patients",
    "child_to_person": "children",
    "child_to_view": "children",
    "consent_to_grant": "consent_grants",
    "parent_link_to_view": "parent_children",
    "tag_to_tag": "patient_tags",
}
_ONE_TO_ONE = ("patient_to_person", "patient_to_view", "consent_to_grant", "collision_to_id")


def check_records(bench: Bench) -> None:
    """The ledger as a file, and what it says of columns, ids and the run."""
    bench.progress("ledger")
    with bench.guarded("ledger_integrity"):
        answers = bench.rows("PRAGMA ledger.integrity_check(100)")
        sound = answers == [("ok",)]
        said = "ok" if sound else f"{len(answers)} problems"
        bench.checks.append(
            Check("ledger_integrity", None, "ok", said, "passed" if sound else "failed")
        )
    with bench.guarded("source_covered"):
        _check_covered(bench)
    with bench.guarded("lineage"):
        _check_lineage(bench)
    for name in (*_SOURCES, "collision_to_id"):
        with bench.guarded("id_maps", name):
            _check_map(bench, name)
    with bench.guarded("run_recorded"):
        _check_run(bench)


def ledger_is_whole(bench: Bench) -> bool:
    """Whether the ledger has the tables that the other checks look into; says so in any case.

    Archives may only be of tables that the source has.
    """
    missing = [(f"{name} is missing", int(name not in bench.ledger)) for name in _OWN]
    missing += [
        (f"{name} lacks columns", len(wanted - set(bench.ledger[name])))
        for name, wanted in _OWN.items()
        if name in bench.ledger
    ]
    sources = {f"archive_{table}" for table in _tables_of(bench)}
    strange = [
        (f"{name} is of no source table", 1)
        for name in bench.ledger
        if name.startswith("archive_") and name not in sources
    ]
    bench.judge("ledger_tables", None, len(bench.ledger), [*missing, *strange])
    return not any(count for _, count in missing)


def _tables_of(bench: Bench) -> dict[str, tuple[str, ...]]:
    """Every table of the file with its columns, as the plan has them."""
    found = {bound.name: bound.source.column_names for bound in bench.plan.bound}
    return found | {table.name: table.column_names for table in bench.plan.unmapped}


def _check_covered(bench: Bench) -> None:
    """Nothing of the file escaped the plan: every table is in it, with every column."""
    planned = _tables_of(bench)
    present: dict[str, set[str]] = {}
    for table, column in bench.rows(
        "SELECT m.name, c.name FROM source.sqlite_master AS m, "
        "pragma_table_xinfo(m.name, 'source') AS c WHERE m.type = 'table' "
        "AND substr(m.name, 1, 7) <> 'sqlite_' AND upper(substr(m.sql, 1, 14)) <> 'CREATE VIRTUAL' "
        "AND c.hidden <> 1"
    ):
        present.setdefault(table, set()).add(bench.known(table, column))
    failures = [
        (f"{table} is not in the plan" if table not in planned else f"{table} lacks columns", 1)
        for table, columns in present.items()
        if columns != set(planned.get(table, ()))
    ]
    total = sum(map(len, present.values()))
    bench.judge("source_covered", None, total, failures)


def _check_lineage(bench: Bench) -> None:
    """Every column of the source, with the target columns that the mapping gives it, or none."""
    expected: set[tuple[str | None, ...]] = {
        (bound.name, *place)
        for bound in bench.plan.bound
        for binding in bound.columns
        if (place := _place(bound, binding)) is not None
    }
    placed = {(table, column) for table, column, *_ in expected}
    expected |= {
        (table, column, "archived", None, None)
        for table, columns in _tables_of(bench).items()
        for column in columns
        if (table, column) not in placed
    }
    expected |= set(_fresh_ids(bench))
    rows = bench.rows(
        "SELECT source_table, source_column, disposition, target_table, target_column, "
        "typeof(rule) = 'text' AND rule <> '' FROM ledger.lineage"
    )
    told = [(table, bench.known(table, column), *rest[:3]) for table, column, *rest in rows]
    failures = [
        ("missing or different", len(expected - set(told))),
        ("not so", len(set(told) - expected)),
        ("repeated", len(told) - len(set(told))),
        ("without a rule", sum(not row[5] for row in rows)),
    ]
    bench.judge("lineage", None, len(expected), failures)


def _fresh_ids(bench: Bench) -> Iterator[tuple[str | None, ...]]:
    """Ids of rows that get a fresh one: mapped, and archived as the name of their row."""
    fresh = {(_SOURCES[name], _TARGETS[name]) for name in MAPS}
    for bound in bench.plan.bound:
        if bound.target is None or bound.source.column("id") is None:
            continue
        if (bound.mapping.source, bound.target.name) in fresh:
            for key in bound.target.primary_key:
                yield (bound.name, "id", "mapped_id", bound.target.name, key)


def _place(bound: BoundMapping, binding: Binding) -> tuple[str, str, str, str] | None:
    """Source column, disposition and place of the cell that a target column holds, if any."""
    word = binding.word
    column = word.carries if isinstance(word, Computed) else getattr(word, "column", None)
    if not isinstance(word, Copy | Person | Decided | Computed) or column is None:
        return None
    if bound.source.column(column) is None or bound.target is None:
        return None
    mapped = isinstance(word, Person) or (isinstance(word, Copy) and binding.names is not None)
    mapped = mapped or (isinstance(word, Decided) and word.rule == "person")
    return column, "mapped_id" if mapped else "carried", bound.target.name, binding.target.name


def _check_map(bench: Bench, name: str) -> None:
    """A map has one row per old record, of records that exist on both sides."""
    columns = bench.ledger[name]
    keys = " || char(0) || ".join(column for column in columns if column != "new_id")
    texts = " AND ".join(f"typeof(m.{column}) = 'text'" for column in columns)
    new, old = _homes(bench, name), _origins(bench, name)
    rows, olds, news, odd, unknown_new, unknown_old = map(
        int,
        bench.rows(
            f"SELECT count(*), count(DISTINCT {keys}), count(DISTINCT new_id), "
            f"count(CASE WHEN {texts} THEN NULL ELSE 1 END), "
            f"count(CASE WHEN {new} THEN NULL ELSE 1 END), "
            f"count(CASE WHEN {old} THEN NULL ELSE 1 END) FROM ledger.{name} AS m"
        )[0],
    )
    failures = [
        ("repeated old ids", rows - olds),
        ("repeated new ids", rows - news if name in _ONE_TO_ONE else 0),
        ("no texts", odd),
        ("new ids of no row", unknown_new),
        ("old ids of no row", unknown_old),
    ]
    bench.judge("id_maps", name, rows, failures)


def _homes(bench: Bench, name: str) -> str:
    """Whether the new id of row ``m`` is that of a target row."""
    twins = {b.target.name for b in bench.plan.bound if b.mapping.shares_ids_with and b.target}
    homes = [_TARGETS[name]] if name in _TARGETS else sorted(twins)
    found = (
        f"EXISTS (SELECT 1 FROM main.{quote(home)} AS t WHERE t.id = m.new_id)" for home in homes
    )
    return " OR ".join(found) or "0"


def _origins(bench: Bench, name: str) -> str:
    """Whether the old id of row ``m`` is that of a source row."""
    if name == "collision_to_id":
        found = (
            f"(m.source_table = {literal(b.name)} AND EXISTS (SELECT 1 FROM "
            f"source.{quote(b.name)} AS s WHERE s.id = m.old_id))"
            for b in bench.plan.bound
            if b.mapping.shares_ids_with
        )
        return " OR ".join(found) or "0"
    source = bench.source(_SOURCES[name])
    same = "s.id = m.old_id"
    if name == "tag_to_tag":
        # A tag is mapped as the text that was read, which need not be the cell.
        same = "s.patient_id = m.patient_id AND CAST(s.tag AS TEXT) = m.tag"
    return "0" if source is None else f"EXISTS (SELECT 1 FROM {source} AS s WHERE {same})"


def _check_run(bench: Bench) -> None:
    """Once the run is recorded: it ended well, and so did each of its phases and checks."""
    runs = bench.value("SELECT count(*) FROM ledger.run")
    if not runs:
        bench.skip("run_recorded", None, "the run is recorded once its checks have passed")
        return
    phases = bench.value(
        f"SELECT count(DISTINCT phase) FROM ledger.checkpoints WHERE phase IN {in_list(_PHASES)} "
        "AND source_table IS NULL"
    )
    checks = bench.value("SELECT count(*) FROM ledger.verification")
    failures = [
        ("run", bench.value(f"SELECT count(*) FROM ledger.run WHERE ({_RUN}) IS NOT TRUE")),
        ("phases missing", len(_PHASES) - phases),
        (
            "phases",
            bench.value(f"SELECT count(*) FROM ledger.checkpoints WHERE ({_PHASE}) IS NOT TRUE"),
        ),
        (
            "checks",
            bench.value(f"SELECT count(*) FROM ledger.verification WHERE ({_PASSED}) IS NOT TRUE"),
        ),
        ("no checks", int(not checks)),
    ]
    bench.judge("run_recorded", None, runs + len(_PHASES) + checks, failures)


_RUN = (
    "typeof(started) = 'integer' AND typeof(finished) = 'integer' AND started <= finished "
    "AND length(source_sha256) = 64 AND json_valid(options) AND id <> '' AND tool_version <> '' "
    "AND source <> '' AND target <> '' AND outcome <> ''"
)
_PHASE = (
    # A table lists its discrepancies by kind; a phase that ended in an error ends no run.
    "started <= finished AND rows >= 0 "
    "AND (errors IS NULL OR source_table IS NOT NULL AND json_valid(errors))"
)
_PASSED = (
    "CASE outcome WHEN 'passed' THEN passed = 1 AND typeof(expected) <> 'null' "
    "WHEN 'not_applicable' THEN passed IS NULL AND detail <> '' END"
)
