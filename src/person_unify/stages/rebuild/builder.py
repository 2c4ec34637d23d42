"""One old table after the other: rows that the archive holds whole, then those with counterparts.

A row with counterparts is known by the id maps, or by the target row itself where it kept its id;
its cells are the archived ones and, where there are none, what the target cells stand for.
"""

from __future__ import annotations

from dataclasses import dataclass

from person_unify.database import Database
from person_unify.mappings.bind import BoundMapping, Plan, bind
from person_unify.mappings.identity import identity
from person_unify.mappings.known import known_tables, unified_tables
from person_unify.schema import OLD, Table, quote
from person_unify.stages.rebuild.archived import COMPLETE, LISTS, Archived, literal, read_archive
from person_unify.stages.rebuild.inverse import MAPS, Inverse
from person_unify.stages.rebuild.objects import Places, StoredSchema, stored_schema

_GENERATED = (2, 3)


@dataclass(frozen=True, slots=True)
class RebuiltTable:
    """One table: rows made, rows that the old one had, and where its cells came from."""

    name: str
    rows: int
    expected: int
    from_target: int
    from_archive: int


@dataclass(slots=True)
class _Origin:
    """Where rows with counterparts come from.

    origin: the FROM clause without the archive.  key: source column -> its cell by a map.
    join: how archive row ``a`` is found.
    """

    origin: str
    key: dict[str, str]
    join: str
    where: list[str]


class Rebuilder:
    """Makes the old tables in an attached, empty database; all in one transaction or in none.

    ``typed`` keeps the declared types.  Without them a table takes every cell as it is, where
    releases of SQLite disagree on what a type makes of it: newer ones take ``'5'`` and a NUL for 5.
    """

    def __init__(self, database: Database, places: Places, *, typed: bool = True) -> None:
        """Create the empty tables and bind the mappings; the files of ``places`` are attached.

        Raises :class:`TargetError` if the ledger does not keep the old schema.
        """
        self.database = database
        self.places = places
        self.typed = typed
        self.stored: StoredSchema = stored_schema(database, places.ledger)
        database.execute("PRAGMA ignore_check_constraints = ON")
        self.stored.create_tables(database, places.rebuilt)
        self.tables = known_tables(database, places.rebuilt)
        target = unified_tables(database, places.target)
        self.plan: Plan = bind(self.tables, target, lambda name: self.stored.rows[name] > 0)
        self._inverse = Inverse(database, places, self.plan)

    def instants(self, name: str) -> set[str]:
        """Columns of a table whose instants may come back in another form."""
        return self._inverse.instants(self.tables[name])

    def fill(self, name: str) -> RebuiltTable:
        """Make the rows of one table."""
        table = self.tables[name]
        if not self.typed:
            self.empty(name)
            listed = ", ".join(map(quote, table.column_names))
            self.database.execute(f"CREATE TABLE {self._place(name)} ({listed})")
        archive = read_archive(self.database, self.places, table)
        if archive is not None:
            self._insert_whole(table, archive)
        bounds = [b for b in self.plan.bound if b.name == name and b.target is not None]
        if bounds:
            self._insert_others(table, bounds, archive)
        if not self.typed and table.primary_key:
            listed = ", ".join(map(quote, table.primary_key))
            index = f"{quote(self.places.rebuilt)}.{quote(f'rebuild_{name}_key')}"
            self.database.execute(f"CREATE INDEX {index} ON {quote(name)} ({listed})")
        rows = int(self.database.value(f"SELECT count(*) FROM {self._place(name)}"))
        archived = archive.cells if archive is not None else 0
        return RebuiltTable(
            name,
            rows,
            self.stored.rows.get(name, 0),
            rows * len(table.columns) - archived,
            archived,
        )

    def empty(self, name: str) -> None:
        """Remove a table again, once it has been compared."""
        self.database.execute(f"DROP TABLE {self._place(name)}")

    def finish(self) -> tuple[str, ...]:
        """Create indexes, views and triggers; returns what this SQLite could not create."""
        return self.stored.create_others(self.database, self.places.rebuilt)

    def close(self) -> None:
        """Drop the temporary tables."""
        self._inverse.drop()
        for name in (LISTS, COMPLETE):
            self.database.execute(f"DROP TABLE IF EXISTS temp.{name}")
        self.database.execute("PRAGMA ignore_check_constraints = OFF")

    def _place(self, name: str) -> str:
        return f"{quote(self.places.rebuilt)}.{quote(name)}"

    def _stored_columns(self, table: Table) -> list[str]:
        """The columns that an INSERT may name: not those that SQLite computes."""
        if not self.typed:
            return list(table.column_names)
        return [
            table.known(name)
            for name, hidden in self.database.rows(
                f"SELECT name, hidden FROM pragma_table_xinfo({literal(table.name)}, "
                f"{literal(self.places.rebuilt)}) ORDER BY cid"
            )
            if hidden not in _GENERATED
        ]

    def _insert_whole(self, table: Table, archive: Archived) -> None:
        cells = {c: archive.cell(c, None, ()) for c in self._stored_columns(table)}
        origin = f"FROM {archive.name} AS a WHERE {archive.whole} ORDER BY a.rowid"
        self._insert(table, cells, archive, origin)

    def _insert_others(
        self, table: Table, bounds: list[BoundMapping], archive: Archived | None
    ) -> None:
        found = self._origin(bounds, archive)
        held = dict(found.key)
        for position, bound in enumerate(bounds):
            for binding in bound.columns:
                column = binding.word.holds
                if column is not None and column not in held:
                    held[column] = self._inverse.held(bound, binding, f"t{position}")
        cells = {}
        for column in self._stored_columns(table):
            cell = held.get(column)
            if archive is not None:
                cell = archive.cell(column, cell, table.primary_key)
            cells[column] = cell or "NULL"
        where = list(found.where)
        if archive is not None:
            where.append(f"(a.{archive.reason} IS NULL OR NOT {archive.whole})")
        origin = f"{found.origin} {found.join}"
        if where:
            origin += f" WHERE {' AND '.join(where)}"
        if archive is not None and archive.rowid is not None:
            # Rows that SQLite is to number come last, so that they take nobody's rowid.
            origin += f" ORDER BY a.{quote(archive.rowid)} IS NULL"
        self._insert(table, cells, archive, origin)

    def _insert(
        self, table: Table, cells: dict[str, str], archive: Archived | None, origin: str
    ) -> None:
        columns, values = [quote(c) for c in cells], list(cells.values())
        rowid = self._rowid(table)
        if archive is not None and archive.rowid is not None and rowid is not None:
            columns.append(rowid)
            values.append(f"a.{quote(archive.rowid)}")
        self.database.execute(
            f"INSERT INTO {self._place(table.name)} ({', '.join(columns)}) "
            f"SELECT {', '.join(values)} {origin}"
        )

    def _rowid(self, table: Table) -> str | None:
        """The name that reaches the rowid of a table without a key, if its columns leave one."""
        return next((n for n in ("rowid", "_rowid_", "oid") if table.column(n) is None), None)

    def _origin(self, bounds: list[BoundMapping], archive: Archived | None) -> _Origin:
        mapping = bounds[0].mapping
        usual = OLD[mapping.source].primary_key if mapping.source in OLD else ()
        if mapping.source in MAPS:
            key = (bounds[0].source.primary_key or usual)[0]
            return self._by_maps(bounds, key, archive)
        target = bounds[0].target
        assert target is not None
        origin = f"FROM {quote(self.places.target)}.{quote(target.name)} AS t0"
        where = self._inverse.belongs(mapping, "t0")
        if archive is None:
            return _Origin(origin, {}, "", where)
        names = identity(bounds[0], usual or target.primary_key)
        if mapping.merge_on:
            return _Origin(origin, {}, self._by_tag(names, target, archive), where)
        held = {}
        for binding in bounds[0].columns:
            column = binding.word.holds
            if column in names:
                held[column] = self._inverse.held(bounds[0], binding, "t0")
        pairs = [f"a.{quote(name)} = +{held[name]}" for name in names]
        join = f"LEFT JOIN {archive.name} AS a ON {' AND '.join(pairs)} AND {archive.beside}"
        return _Origin(origin, {}, join, where)

    def _by_maps(self, bounds: list[BoundMapping], key: str, archive: Archived | None) -> _Origin:
        """Rows that the ledger's maps name; a later target need not have one."""
        lines = []
        for position, bound in enumerate(bounds):
            assert bound.target is not None
            map_ = f"{quote(self.places.ledger)}.{MAPS[bound.mapping.source][bound.target.name]}"
            target = f"{quote(self.places.target)}.{quote(bound.target.name)} AS t{position}"
            here = f"t{position}.id = m{position}.new_id"
            if position == 0:
                # CROSS JOIN keeps SQLite from scanning the target for the sake of a small map.
                lines.append(f"FROM {map_} AS m0 CROSS JOIN {target} ON {here}")
            else:
                old = f"m{position}.old_id = m0.old_id"
                lines.append(f"LEFT JOIN {map_} AS m{position} ON {old}")
                lines.append(f"LEFT JOIN {target} ON {here}")
        join = ""
        if archive is not None:
            join = (
                f"LEFT JOIN {archive.name} AS a ON a.{quote(key)} = +m0.old_id AND {archive.beside}"
            )
        return _Origin(" ".join(lines), {key: "m0.old_id"}, join, [])

    def _by_tag(self, names: tuple[str, ...], target: Table, archive: Archived) -> str:
        """A tag has a new id and its old key may name a child: the map knows which row it was."""
        pairs = " AND ".join(f"a.{quote(name)} = +m.{quote(name)}" for name in names)
        key = quote(target.primary_key[0])
        return (
            f'LEFT JOIN (SELECT m.new_id AS "@new", a.* FROM {quote(self.places.ledger)}.'
            f"tag_to_tag AS m JOIN {archive.name} AS a ON {pairs} AND {archive.beside}) AS a "
            f'ON a."@new" = t0.{key}'
        )
