"""Questions for keys about the archive of one source table: rows, lists and cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from person_unify.schema import Table, quote
from person_unify.stages.verify import cells
from person_unify.stages.verify.archive import NOT_CARRIED, Archive, archive_of, names_of
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
    lists = _read(bench, archive)
    for detail, where in _lists(bench, table, archive, mapped, lists):
        yield of_archive(detail, where)
    yield from _cells(bench, table, usual, archive, mapped)


def _read(bench: Bench, archive: Archive) -> list[tuple[str, bool]]:
    """The lists of archived columns that occur, with whether they are of whole rows.

    ``verify_named`` (list, named) has what they name.
    """
    listed = f"a.{quote(archive.archived)}"
    text = f"CAST(coalesce({listed}, '') AS TEXT)"
    bench.temp(
        "verify_named",
        "CREATE TEMP TABLE verify_named (list TEXT, named TEXT COLLATE NOCASE, "
        "PRIMARY KEY (list, named)) WITHOUT ROWID",
        f"INSERT OR IGNORE INTO temp.verify_named SELECT d.list, j.value FROM (SELECT DISTINCT "
        f"{text} AS list FROM {archive.table} AS a) AS d, json_each(d.list) AS j "
        "WHERE json_valid(d.list) AND j.value IS NOT NULL",
    )
    rows = bench.rows(f"SELECT DISTINCT {text}, {_is_whole(archive)} FROM {archive.table} AS a")
    return [(str(found), whole == 1) for found, whole in rows]


def _is_whole(archive: Archive) -> str:
    return f"a.{quote(archive.reason)} IS NOT {cells.literal(NOT_CARRIED)}"


def _lists(
    bench: Bench, table: Table, archive: Archive, mapped: bool, lists: Sequence[tuple[str, bool]]
) -> Iterator[tuple[str, str]]:
    """Lists of archived columns that are wrong, and the rows that have them."""
    every = frozenset(table.column_names) - set(archive.key)
    always = _never_carried(bench, table) if mapped else every
    whole, listed = _is_whole(archive), f"a.{quote(archive.archived)}"
    for text, is_whole in lists:
        names = names_of(table, text)
        required = every if is_whole else always - set(archive.key)
        if names is None:
            said = "its list of columns cannot be read"
        elif missing := sorted(required - names):
            said = f"its list does not name {', '.join(missing)}"
        elif unknown := names - set(table.column_names):
            said = f"its list names {len(unknown)} columns that do not exist"
        else:
            continue
        same = f"CAST(coalesce({listed}, '') AS TEXT) = {cells.literal(text)}"
        yield said, f"{same} AND {whole if is_whole else f'NOT ({whole})'}"


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
    """Archived cells that are not the source's: a list names them or the row is whole.

    What neither names has no business in the archive, even where it is right.
    """
    whole = _is_whole(archive) if mapped else "1"
    if usual == "children" and "id" in archive.key:
        whole += (
            " OR EXISTS (SELECT 1 FROM temp.verify_children AS c WHERE c.old_id = a.id "
            "AND c.patient_id IS NOT NULL)"
        )
    origin = f"{archive.table} AS a JOIN source.{quote(table.name)} AS s ON {archive.back}"
    key = key_of(bench, table, usual)[1]
    wrong = {
        column: f"CASE WHEN {whole} OR {_named(archive, column)} "
        f"THEN NOT ({archive.holds(column)}) ELSE {_there(archive, column)} END"
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


def _named(archive: Archive, column: str) -> str:
    return (
        "EXISTS (SELECT 1 FROM temp.verify_named AS n WHERE "
        f"n.list = a.{quote(archive.archived)} AND n.named = {cells.literal(column)})"
    )


def _there(archive: Archive, column: str) -> str:
    return f"a.{quote(column)} IS NOT NULL" if column in archive.stored else "0"
