"""The archive of one source table as the ledger holds it: names, keys, and what its rows claim."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from person_unify.schema import Table, quote
from person_unify.stages.verify import cells
from person_unify.stages.verify.bench import Bench, rowid_of

NOT_CARRIED = "not_carried"
_COLUMNS_PER_QUERY = 150
_FEW = 200


@dataclass(frozen=True, slots=True)
class Archive:
    """How to join row ``a`` of an archive to row ``s`` of its source table.

    ``key`` maps archive columns to the source's; ``stored`` are the archived columns.
    """

    table: str
    key: dict[str, str]
    stored: frozenset[str]
    archived: str
    reason: str
    identity: tuple[str, ...]

    @property
    def join(self) -> str:
        """The condition that finds the archive row of a source row."""
        # A unary plus takes the affinity, and with it the index, from one side.
        pairs = [f"a.{quote(column)} IS +s.{name}" for column, name in self.key.items()]
        return " AND ".join(pairs)

    @property
    def back(self) -> str:
        """The condition that finds the source row of an archive row."""
        pairs = [f"s.{name} IS +a.{quote(column)}" for column, name in self.key.items()]
        return " AND ".join(pairs)

    def holds(self, column: str) -> str:
        """Whether the archive row holds the source cell, verbatim."""
        if column not in self.stored:
            return "0"
        return cells.identical(f"a.{quote(column)}", f"s.{quote(column)}")

    def names(self, column: str) -> str:
        """Whether the archive row names the column among those it archives."""
        if column in self.key:
            return "1"
        return (
            f"EXISTS (SELECT 1 FROM temp.verify_lists AS l WHERE l.list = a.{quote(self.archived)} "
            f"AND l.named = {cells.literal(column)})"
        )


def archive_of(bench: Bench, source: Table) -> Archive | None:
    """The archive of a source table; None where nothing of it was archived."""
    name = f"archive_{source.name}"
    present = bench.ledger.get(name)
    if present is None:
        return None
    sources = {column.lower() for column in source.column_names}
    rowid_name = _meta("_rowid", sources, present)
    # A table with a NULL in its key is known by its rowid, like one that has no key.
    keys = () if rowid_name in set(present) - sources else source.primary_key
    rowid = rowid_of(bench, source)
    if not keys and rowid is not None:
        key = {rowid_name: rowid}
    else:
        # Without a key and a rowid that SQL can reach, a row is known by all that it holds.
        key = {column: quote(column) for column in keys or source.column_names}
    archived, reason = (_meta(name, sources, present) for name in ("_archived", "_reason"))
    own = {archived, reason} | (set() if keys else {rowid_name})
    stored = frozenset(map(source.known, set(present) - own))
    identity = keys or (rowid_name,)
    return Archive(f"ledger.{quote(name)}", key, stored, archived, reason, identity)


def is_loaded(bench: Bench, source: Table) -> str:
    """Whether the archive does not say that row ``s`` was kept out."""
    archive = archive_of(bench, source)
    if archive is None:
        return "1"
    return (
        f"NOT EXISTS (SELECT 1 FROM {archive.table} AS a WHERE {archive.join} "
        f"AND a.{quote(archive.reason)} <> {cells.literal(NOT_CARRIED)})"
    )


def _meta(name: str, sources: set[str], present: tuple[str, ...]) -> str:
    """The ledger's own column: one more underscore for each source column of that name."""
    free = name
    while free in sources:
        free = f"_{free}"
    while free not in present and len(free) > len(name):
        free = free[1:]
    return free


def prepare_lists(bench: Bench) -> None:
    """``verify_numbers`` (n, list), every list that some archive row has; ``verify_lists``.

    The latter has the names of each list (list, named).
    """
    bench.temp(
        "verify_numbers",
        "CREATE TEMP TABLE verify_numbers (n INTEGER PRIMARY KEY, list TEXT UNIQUE)",
    )
    for table in (*(bound.source for bound in bench.plan.bound), *bench.plan.unmapped):
        archive = archive_of(bench, table)
        if archive is not None:
            column = quote(archive.archived)
            bench.database.execute(
                f"INSERT OR IGNORE INTO temp.verify_numbers (list) SELECT DISTINCT {column} "
                f"FROM {archive.table} WHERE typeof({column}) = 'text'"
            )
    bench.temp(
        "verify_lists",
        # Names of columns compare as SQLite compares names: a list has them as the file does.
        "CREATE TEMP TABLE verify_lists (list TEXT, named TEXT COLLATE NOCASE, "
        "PRIMARY KEY (list, named)) "
        "WITHOUT ROWID",
        "INSERT OR IGNORE INTO temp.verify_lists SELECT d.list, j.value FROM "
        "temp.verify_numbers AS d, json_each(d.list) AS j "
        "WHERE json_valid(d.list) AND j.value IS NOT NULL",
    )


@dataclass(frozen=True, slots=True)
class _Kind:
    """Rows of an archive with the same list and reason; ``n`` is the list's number.

    names: what the list names, None where the cell is not a JSON list of texts.
    """

    n: int | None
    names: frozenset[str] | None
    reason: str | None
    rows: int


def _kinds(bench: Bench, source: Table, archive: Archive) -> list[_Kind]:
    column, reason = f"a.{quote(archive.archived)}", f"a.{quote(archive.reason)}"
    return [
        _Kind(n, names_of(source, text), said, int(count))
        for n, text, said, count in bench.rows(
            f"SELECT n.n, CAST(coalesce({column}, '') AS TEXT), CAST({reason} AS TEXT), count(*) "
            f"FROM {archive.table} AS a LEFT JOIN temp.verify_numbers AS n ON n.list = {column} "
            "GROUP BY 1, 2, 3"
        )
    ]


def names_of(source: Table, text: str) -> frozenset[str] | None:
    """The columns that a list of the archive names; None where it is no JSON list of texts."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        return None
    return frozenset(map(source.known, found))


def check_lists(
    bench: Bench,
    source: Table,
    archive: Archive,
    always: frozenset[str],
    reasons: Sequence[str],
) -> None:
    """Archive rows name existing columns, all that are never carried, all of a whole row."""
    failures = dict.fromkeys(
        ("no JSON list", "missing columns", "unknown columns", "unknown reasons"), 0
    )
    kinds = _kinds(bench, source, archive)
    total = sum(kind.rows for kind in kinds)
    every = frozenset(source.column_names) - set(archive.key)
    for kind in kinds:
        failures["unknown reasons"] += kind.rows if kind.reason not in reasons else 0
        if kind.names is None:
            failures["no JSON list"] += kind.rows
            continue
        needed = always if kind.reason == NOT_CARRIED else every
        failures["missing columns"] += kind.rows if needed - kind.names else 0
        failures["unknown columns"] += kind.rows if kind.names - set(source.column_names) else 0
    strangers = bench.value(
        f"SELECT count(*) FROM {archive.table} AS a WHERE NOT EXISTS "
        f"(SELECT 1 FROM source.{quote(source.name)} AS s WHERE {archive.back})"
    )
    listed = ", ".join(f"a.{quote(column)}" for column in archive.identity)
    repeated = total - bench.value(
        f"SELECT count(*) FROM (SELECT DISTINCT {listed} FROM {archive.table} AS a)"
    )
    bench.judge(
        "archive_lists",
        source.name,
        total,
        [
            *failures.items(),
            ("rows of no source row", strangers),
            ("repeated rows", repeated),
        ],
    )
    _check_verbatim(bench, source, archive, kinds)


def _check_verbatim(bench: Bench, source: Table, archive: Archive, kinds: Sequence[_Kind]) -> None:
    """Every cell that a list names is the source's, verbatim, and no other cell is there."""
    lists = {kind.n: kind.names or frozenset() for kind in kinds if kind.n is not None}
    held = [c for c in source.column_names if c not in archive.key]
    columns = [c for c in held if c in archive.stored]
    rows = 0
    failures = [
        (column, sum(kind.rows for kind in kinds if column in (kind.names or ())))
        for column in held
        if column not in archive.stored
    ]
    for start in range(0, len(columns), _COLUMNS_PER_QUERY):
        group = columns[start : start + _COLUMNS_PER_QUERY]
        listed = ", ".join(
            f"count(CASE WHEN {_as_listed(archive, c, lists)} THEN NULL ELSE 1 END)" for c in group
        )
        row = bench.rows(
            f"SELECT count(*), {listed} FROM {archive.table} AS a "
            f"LEFT JOIN temp.verify_numbers AS n ON n.list = a.{quote(archive.archived)} "
            f"JOIN source.{quote(source.name)} AS s ON {archive.back}"
        )[0]
        rows = int(row[0])
        failures += [(column, int(n)) for column, n in zip(group, row[1:], strict=True)]
    bench.judge("archive_verbatim", source.name, rows * len(columns), failures)


def _as_listed(archive: Archive, column: str, lists: Mapping[int, frozenset[str]]) -> str:
    """Whether archive row ``a`` holds the cell of ``s`` where its list (``n``) names the column."""
    naming = [str(number) for number, names in lists.items() if column in names]
    empty = f"a.{quote(column)} IS NULL" if column in archive.stored else "1"
    if not naming:
        return empty
    if len(naming) == len(lists):
        return archive.holds(column)
    named = archive.names(column) if len(naming) > _FEW else f"n.n IN ({', '.join(naming)})"
    return f"CASE WHEN {named} THEN {archive.holds(column)} ELSE {empty} END"
