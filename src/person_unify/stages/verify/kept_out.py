"""Rows that were kept out: whole in the archive, with cause, and logged (contract section 7)."""

from __future__ import annotations

from dataclasses import dataclass

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.schema import OLD, Table, quote
from person_unify.stages.verify import cells, relations
from person_unify.stages.verify.archive import Archive
from person_unify.stages.verify.bench import Bench, before
from person_unify.stages.verify.passes import target_key
from person_unify.stages.verify.words import Words

MERGED = "merged_tag"


@dataclass(frozen=True, slots=True)
class _Need:
    """A required reference: its source column, and whether row ``s`` names nothing with it."""

    column: str
    cell: str
    broken: str


def _needs(bench: Bench, bound: BoundMapping) -> list[_Need]:
    """Required references, the person first, then in the order of the target's columns."""
    required = [b for b in bound.columns if b.strength == "required"]
    required.sort(key=lambda binding: binding.target.name != "person_id")
    return [_need(bench, bound, binding) for binding in required]


def _need(bench: Bench, bound: BoundMapping, binding: Binding) -> _Need:
    column = str(getattr(binding.word, "column", ""))
    cell = "NULL" if bound.source.column(column) is None else f"s.{quote(column)}"
    broken = relations.names_nothing(bench, bound, binding.word, binding.names)
    return _Need(column, cell, broken)


def check_kept_out(bench: Bench, bound: BoundMapping, archive: Archive) -> None:
    """Rows kept out are archived whole, for a reason that the source bears out, and logged once."""
    needs = _needs(bench, bound)
    reason = f"a.{quote(archive.reason)}"
    origin = (
        f"FROM {archive.table} AS a JOIN source.{quote(bound.name)} AS s ON {archive.back} "
        f"WHERE {reason} <> 'not_carried'"
    )
    logged = _logged(bound, needs, reason)
    caused = justified(bench, bound, archive)
    sums = {
        "rows": "count(*)",
        "unjustified": f"coalesce(sum(CASE WHEN {caused} THEN 0 ELSE 1 END), 0)",
        "not logged": f"coalesce(sum(CASE WHEN {logged} THEN 0 ELSE 1 END), 0)",
    }
    if bound.source.primary_key and len(bound.source.primary_key) == 1:
        entries = (
            "(SELECT count(*) FROM temp.verify_log AS l WHERE l.source_table = "
            f"{cells.literal(bound.name)} AND l.source_id = {_source_id(bound)})"
        )
        sums["logged more than once"] = f"coalesce(sum({entries} > 1), 0)"
    row = bench.rows(f"SELECT {', '.join(sums.values())} {origin}")[0]
    found = dict(zip(sums, map(int, row), strict=True))
    rows = found.pop("rows")
    unjustified = found.pop("unjustified")
    bench.judge("rows_justified", bound.name, rows, [("without cause", unjustified)])
    bench.judge("rows_logged", bound.name, rows, list(found.items()))
    check_whole(bench, bound.source, archive, f"WHERE {reason} <> 'not_carried'")


def justified(bench: Bench, bound: BoundMapping, archive: Archive) -> str:
    """Whether the source bears out the reason for which archive row ``a`` was kept out."""
    reason = f"a.{quote(archive.reason)}"
    orphaned = " OR ".join(need.broken for need in _needs(bench, bound)) or "0"
    return (
        f"CASE {reason} WHEN {cells.literal(bound.mapping.orphan_kind)} THEN ({orphaned}) "
        f"WHEN 'duplicate_key' THEN NOT ({orphaned}) AND {_repeats(bench, bound)} "
        f"WHEN {cells.literal(MERGED)} THEN NOT ({orphaned}) AND {_merges(bench, bound)} ELSE 0 END"
    )


def check_whole(bench: Bench, source: Table, archive: Archive, where: str) -> None:
    """Every cell of the archived rows that ``where`` selects is the source's, verbatim."""
    total = bench.value(f"SELECT count(*) FROM {archive.table} AS a {where}")
    failures = []
    columns = [c for c in source.column_names if c not in archive.key]
    for start in range(0, len(columns), 150):
        group = columns[start : start + 150]
        listed = ", ".join(
            f"coalesce(sum(CASE WHEN {archive.holds(c)} THEN 0 ELSE 1 END), 0)" for c in group
        )
        row = bench.rows(
            f"SELECT {listed} FROM {archive.table} AS a "
            f"JOIN source.{quote(source.name)} AS s ON {archive.back} {where}"
        )[0]
        failures += [(column, int(n)) for column, n in zip(group, row, strict=True)]
    bench.judge("archived_rows", source.name, total * max(1, len(columns)), failures)


def _source_id(bound: BoundMapping, alias: str = "s") -> str:
    """What discrepancies call the row: the first column of its key."""
    assert bound.target is not None
    known = OLD.get(bound.mapping.source, bound.target)
    keys = bound.source.primary_key or known.primary_key
    return f"CAST({alias}.{quote(keys[0])} AS TEXT)"


def _logged(bound: BoundMapping, needs: list[_Need], reason: str) -> str:
    """Whether the row's one discrepancy is there, with the right column and related id."""
    field = "CASE " + " ".join(f"WHEN {n.broken} THEN {cells.literal(n.column)}" for n in needs)
    related = "CASE " + " ".join(f"WHEN {n.broken} THEN {cells.text(n.cell)}" for n in needs)
    orphan = "1"
    if needs:
        orphan = f"l.field IS {field} END AND l.related_id IS {related} END"
    return (
        "EXISTS (SELECT 1 FROM temp.verify_log AS l WHERE "
        f"l.source_table = {cells.literal(bound.name)} AND l.source_id = {_source_id(bound)} "
        f"AND l.kind = {reason} AND CASE WHEN l.kind = {cells.literal(bound.mapping.orphan_kind)} "
        f"THEN {orphan} ELSE l.related_id IS NOT NULL AND l.field IS NOT NULL END)"
    )


def _repeats(bench: Bench, bound: BoundMapping) -> str:
    """Whether an earlier loaded row, the logged one, has the same values under a UNIQUE."""
    assert bound.target is not None
    words = Words(bench, bound)
    bindings = {binding.target.name: binding for binding in bound.columns}
    groups = []
    for columns in (bound.target.primary_key, *bound.target.uniques):
        parts = []
        for column in columns:
            binding = bindings.get(column)
            expected = None if binding is None else words.expected(binding)
            if expected is None or binding is None:
                break
            here = f"t.{quote(column)}"
            parts.append(f"{here} = ({expected})")
        else:
            groups.append(" AND ".join(parts))
    key = target_key(bound, bench, "k")
    if not groups or key is None:
        return "0"
    return (
        f"EXISTS (SELECT 1 FROM temp.verify_log AS l JOIN source.{quote(bound.name)} AS k "
        f"ON {_source_id(bound, 'k')} = l.related_id JOIN main.{quote(bound.target.name)} AS t "
        f"ON {key} WHERE l.kind = 'duplicate_key' AND l.source_table = {cells.literal(bound.name)} "
        f"AND l.source_id = {_source_id(bound)} AND {before(bench, bound.source, 'k', 's')} "
        f"AND ({' OR '.join(groups)}))"
    )


def _merges(bench: Bench, bound: BoundMapping) -> str:
    """Whether the row was merged into an earlier row of the same person and tag (section 6)."""
    if not bound.mapping.merge_on or bound.target is None:
        return "0"
    person = relations.person_of("s.patient_id", "patients")
    other = relations.person_of("k.patient_id", "patients")
    created = "NULL" if bound.source.column("created_at") is None else "{}.created_at"
    mine, theirs = (cells.instant(created.format(alias)) for alias in ("s", "k"))
    earlier = (
        f"(({theirs}) IS NULL, coalesce({theirs}, 0), k.patient_id) < "
        f"(({mine}) IS NULL, coalesce({mine}, 0), s.patient_id)"
    )
    ids = " AND ".join(f"{{0}}.{name} = +{{1}}.{name}" for name in ("patient_id", "tag"))
    return (
        f"EXISTS (SELECT 1 FROM temp.verify_log AS l JOIN source.{quote(bound.name)} AS k "
        "ON k.patient_id = l.related_id AND k.tag = +s.tag "
        f"JOIN temp.verify_tags AS n ON {ids.format('n', 's')} "
        f"JOIN temp.verify_tags AS m ON {ids.format('m', 'k')} AND m.new_id = n.new_id "
        f"WHERE l.kind = 'merged_tag' AND l.source_table = {cells.literal(bound.name)} "
        f"AND l.source_id = +s.patient_id AND ({person}) = ({other}) AND {earlier})"
    )
