"""Tables that are migrated row by row (contract sections 6 and 7): one sweep each."""

from __future__ import annotations

from person_unify.mappings import CORE_TABLES
from person_unify.mappings.bind import BoundMapping
from person_unify.schema import UNIFIED, quote
from person_unify.spec import ClinicianOf, Copy, Via
from person_unify.stages.verify import cells
from person_unify.stages.verify.archive import NOT_CARRIED, check_lists
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.kept_out import MERGED, check_kept_out
from person_unify.stages.verify.passes import Sweep, Verdict, column_verdicts, target_key
from person_unify.stages.verify.words import Words


def check_tables(bench: Bench) -> None:
    """Every table with a home in the target that is not settled person by person."""
    matched: dict[str, int] = {}
    for bound in bench.plan.bound:
        if bound.target is None or bound.mapping.source in CORE_TABLES:
            continue
        bench.progress(bound.name)
        with bench.guarded("cells_match", bound.name):
            count = check_table(bench, bound)
            matched[bound.target.name] = matched.get(bound.target.name, 0) + count
    for table, count in matched.items():
        if table != "access_grants":
            with bench.guarded("target_rows", table):
                actual = bench.value(f"SELECT count(*) FROM main.{quote(table)}")
                bench.compare("target_rows", table, count, actual)


def check_table(bench: Bench, bound: BoundMapping) -> int:
    """Sweep over one source table; returns the number of its rows that the target holds."""
    assert bound.target is not None
    sweep = Sweep.over(bench, bound.source)
    key = target_key(bound, bench)
    if key is None:
        bench.skip("cells_match", bound.name, "the source has no column for the target's key")
        return 0
    sweep.joins.append(f"LEFT JOIN main.{quote(bound.target.name)} AS t ON {key}")
    there = f"t.{quote(bound.target.primary_key[0])} IS NOT NULL"
    out = sweep.kept_out
    present = f"({there} AND NOT {out})"
    sweep.counts = {
        "rows": "count(*)",
        "loaded": cells.how_many(present),
        "kept out": cells.how_many(out),
        "revived": cells.how_many(f"{out} AND {there} AND {_may_not_be_there(sweep, bound)}"),
    }
    soft = _soft(bench, bound)
    sweep.counts |= {
        f"soft {column}": cells.how_many(f"({hit}) AND {present}") for column, hit in soft.items()
    }
    verdicts, never = column_verdicts(sweep, [(Words(bench, bound), present)], present)
    if sweep.archive is not None:
        reasons = (NOT_CARRIED, bound.mapping.orphan_kind, "duplicate_key", MERGED)
        always = never - set(sweep.archive.key)
        check_lists(bench, bound.source, sweep.archive, always, reasons)
    if never - set(bound.source.primary_key):
        reason = "0" if sweep.archive is None else f"a.{quote(sweep.archive.reason)} IS NOT NULL"
        verdicts.append(Verdict("< archive row", present, None, reason))
    sweep.verdicts = verdicts
    counts, found = sweep.run()
    source_rows = bench.count(bound.source)
    loaded, kept_out = counts["loaded"], counts["kept out"]
    bench.compare("rows_accounted", bound.name, source_rows, loaded + kept_out)
    if kept_out:
        revived = counts["revived"]
        bench.judge("rows_not_revived", bound.name, kept_out, [("in the target", revived)])
    report_cells(bench, bound.name, loaded, verdicts, found)
    _check_soft(bench, bound, {column: counts[f"soft {column}"] for column in soft}, loaded)
    if kept_out and sweep.archive is not None:
        with bench.guarded("rows_justified", bound.name):
            check_kept_out(bench, bound, sweep.archive)
    return loaded


def _soft(bench: Bench, bound: BoundMapping) -> dict[str, str]:
    """Source column -> whether it left an old patient or child id where nobody declared one."""
    assert bound.target is not None
    found: dict[str, list[str]] = {}
    for binding in bound.columns:
        name, word = binding.target.name, binding.word
        declared = UNIFIED.get(bound.target.name, bound.target).foreign_key(name) is not None
        if name == "person_id" or declared or not name.endswith(("_id", "_by")):
            continue
        if not isinstance(word, Copy | Via | ClinicianOf) or not bound.source.column(word.column):
            continue
        here = f"t.{quote(name)}"
        found.setdefault(word.column, []).append(
            f"({here} <> '' AND EXISTS (SELECT 1 FROM temp.verify_by_patient AS q "
            f"WHERE q.old_id = {here}))"
        )
    return {column: " OR ".join(hits) for column, hits in found.items()}


def _check_soft(bench: Bench, bound: BoundMapping, hits: dict[str, int], rows: int) -> None:
    """One ``soft_reference`` per source column that has any; words in URLs are not searched."""
    logged = {
        str(field)
        for (field,) in bench.rows(
            "SELECT DISTINCT coalesce(field, '') FROM temp.verify_log WHERE kind = "
            "'soft_reference' "
            f"AND source_table = {cells.literal(bound.name)}"
        )
    }
    wrong = [(column, 1) for column, n in hits.items() if (n > 0) is not (column in logged)]
    wrong += [(column, 1) for column in sorted(logged - set(hits) - {"action_url", "action_data"})]
    bench.judge("soft_references", bound.name, len(hits) * rows, wrong)


def _may_not_be_there(sweep: Sweep, bound: BoundMapping) -> str:
    """Whether the key of a kept-out row must be absent: a merged or repeated one is not."""
    assert sweep.archive is not None or sweep.kept_out == "0"
    if sweep.archive is None:
        return "0"
    reason = f"a.{quote(sweep.archive.reason)}"
    kept = [cells.literal(MERGED)]
    if not bound.source.primary_key:
        kept.append("'duplicate_key'")
    return f"{reason} NOT IN ({', '.join(kept)})"


def report_cells(
    bench: Bench,
    source: str,
    rows: int,
    verdicts: list[Verdict],
    found: dict[str, tuple[int, int]],
) -> None:
    """The two checks that a sweep's verdicts add up to."""
    wrong = [(_target_label(v.label), found[v.label][0]) for v in verdicts if v.ok is not None]
    lost = [(_source_label(v.label), found[v.label][1]) for v in verdicts if v.kept is not None]
    bench.judge("cells_match", source, rows * len(wrong), wrong)
    bench.judge("archived_cells", source, rows * len(lost), lost)


def _target_label(label: str) -> str:
    return label.partition(" < ")[0]


def _source_label(label: str) -> str:
    return label.rpartition("< ")[2]
