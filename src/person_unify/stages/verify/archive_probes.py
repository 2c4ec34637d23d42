"""Questions for keys about the archive of one source table: rows, lists and cells."""

from __future__ import annotations

from collections.abc import Iterator

from person_unify.schema import Table, quote
from person_unify.stages.verify import cells
from person_unify.stages.verify.archive import NOT_CARRIED, Archive, archive_of, read_lists
from person_unify.stages.verify.bench import Bench
from person_unify.stages.verify.probes import Probe, key_of

_COLUMNS_PER_QUERY = 150


def archive_probes(bench: Bench, table: Table, usual: str, mapped: bool) -> Iterator[Probe]:
    """``archive``: what the archive of a table has and should not have, and the other way round.

    mapped: whether some of the table's rows are in the target.
    """
    archive = archive_of(bench, table)
    if archive is None:
        return
    identity = tuple(f"a.{quote(column)}" for column in archive.identity)
    rows, source = f"{archive.table} AS a", f"source.{quote(table.name)}"

    def of_archive(detail: str, where: str) -> Probe:
        return Probe("archive", table.name, None, None, detail, rows, where, identity)

    strange = f"NOT EXISTS (SELECT 1 FROM {source} AS s WHERE {archive.back})"
    yield of_archive("an archive row of no source row", strange)
    listed = ", ".join(map(quote, archive.identity))
    again = f"(SELECT {listed} FROM {archive.table} GROUP BY {listed} HAVING count(*) > 1) AS a"
    yield Probe(
        *("archive", table.name, None, None, "a repeated archive row", again, "1", identity)
    )
    for detail, where in _lists(bench, table, archive, mapped):
        yield of_archive(detail, where)
    yield from _cells(bench, table, usual, archive, mapped)


def _lists(bench: Bench, table: Table, archive: Archive, mapped: bool) -> Iterator[tuple[str, str]]:
    """Lists of archived columns that are wrong, and the rows that have them."""
    every = frozenset(table.column_names) - set(archive.key)
    always = _never_carried(bench, table) if mapped else every
    listed, reason = f"a.{quote(archive.archived)}", f"a.{quote(archive.reason)}"
    whole = f"{reason} IS NOT {cells.literal(NOT_CARRIED)}"
    for names, is_whole, _ in read_lists(bench, archive):
        required = every if is_whole else always - set(archive.key)
        if names is None:
            said = "its list of columns cannot be read"
        elif missing := sorted(required - names):
            said = f"its list does not name {', '.join(missing)}"
        elif unknown := names - set(table.column_names):
            said = f"its list names {len(unknown)} columns that do not exist"
        else:
            continue
        # The texts of the lists differ by their names alone, so those stand for the text.
        yield said, f"{whole if is_whole else f'NOT ({whole})'} AND {_has(listed, names)}"


def _has(listed: str, names: frozenset[str] | None) -> str:
    """Whether the list of an archive row holds exactly these names, or none that can be read."""
    if names is None:
        return f"NOT coalesce(json_valid({listed}), 0)"
    wanted = ", ".join(cells.literal(name) for name in sorted(names))
    return (
        f"json_valid({listed}) AND (SELECT count(*) FROM json_each({listed}) AS j "
        f"WHERE j.value IN ({wanted})) = {len(names)} "
        f"AND json_array_length({listed}) = {len(names)}"
    )


def _never_carried(bench: Bench, table: Table) -> frozenset[str]:
    """The columns that no target cell holds, as the sweep over the table has them."""
    return frozenset(
        verdict.label.removeprefix("< ")
        for sweep, _ in bench.swept
        if sweep.source == table
        for verdict in sweep.verdicts
        if verdict.label.startswith("< ") and verdict.exact is None
    ) & set(table.column_names)


def _cells(
    bench: Bench, table: Table, usual: str, archive: Archive, mapped: bool
) -> Iterator[Probe]:
    """Archived cells that are not the source's: any that is there, all of a whole row."""
    whole = "1"
    if mapped:
        whole = f"a.{quote(archive.reason)} IS NOT {cells.literal(NOT_CARRIED)}"
        if usual == "children" and "id" in archive.key:
            whole += (
                " OR EXISTS (SELECT 1 FROM temp.verify_children AS c WHERE c.old_id = a.id "
                "AND c.patient_id IS NOT NULL)"
            )
    origin = f"{archive.table} AS a JOIN source.{quote(table.name)} AS s ON {archive.back}"
    key = key_of(bench, table, usual)[1]
    wrong = {
        column: f"NOT ({archive.holds(column)}) AND (({whole}) OR {_there(archive, column)})"
        for column in table.column_names
        if column not in archive.key
    }
    columns = list(wrong)
    for start in range(0, len(columns), _COLUMNS_PER_QUERY):
        group = columns[start : start + _COLUMNS_PER_QUERY]
        sums = ", ".join(f"coalesce(sum({wrong[column]}), 0)" for column in group)
        for column, count in zip(group, bench.rows(f"SELECT {sums} FROM {origin}")[0], strict=True):
            if count:
                detail = "the archived cell is not the source's"
                yield Probe(
                    *("archive", table.name, None, column, detail, origin, wrong[column], key)
                )


def _there(archive: Archive, column: str) -> str:
    return f"a.{quote(column)} IS NOT NULL" if column in archive.stored else "0"
