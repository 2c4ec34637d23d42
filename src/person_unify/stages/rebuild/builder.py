"""One old table after the other: rows that the archive holds whole, then those with counterparts.

A row with counterparts is known by the id maps, or by the target row itself where it kept its id;
its cells are the archived ones and, where there are none, what the target cells stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from person_unify.frames.odd import ROW, promised
from person_unify.mappings.bind import Binding, BoundMapping, Plan
from person_unify.mappings.identity import identity
from person_unify.schema import OLD, Table
from person_unify.stages.rebuild.archived import Archived, read_archive
from person_unify.stages.rebuild.columns import Column, pairs
from person_unify.stages.rebuild.inverse import MAPS, Inverse
from person_unify.stages.rebuild.store import File, Store

_OLD = "@old"


@dataclass(slots=True)
class Rebuilt:
    """One old table as target and ledger give it back: which rows there are, and their cells.

    usual: its key in the old schema.  instants: columns whose cells may come in another form.
    rows: ``t0``, ``t1``, … the ``@row`` of the target rows that speak for each, ``a`` of its row in
    the archive, NULL where there is none; ``whole``: the archive row is all there is; ``list``: the
    columns that it archives; ``@old``: the id that a map names, for two children of one person may
    share a target row.
    """

    table: Table
    bounds: Sequence[BoundMapping]
    stores: Sequence[Store]
    archive: Archived | None
    inverse: Inverse
    usual: tuple[str, ...]
    instants: frozenset[str] = frozenset()
    rows: pl.DataFrame = field(init=False)
    _maps: dict[int, pl.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find the rows."""
        targets = {f"t{n}": pl.Int64 for n in range(len(self.bounds))}
        schema = {**targets, "a": pl.Int64, "whole": pl.Boolean, "list": pl.String, _OLD: pl.String}
        found = []
        if self.archive is not None:
            found.append(_known(self.archive).filter("whole"))
        if self.bounds and not self.stores[0].empty:
            found.append(self._with_counterparts())
        self.rows = pl.concat([pl.DataFrame(schema=schema), *found], how="diagonal")

    def cells(
        self, rows: pl.DataFrame, columns: Iterable[str]
    ) -> tuple[pl.DataFrame, dict[str, Column]]:
        """Some of :attr:`rows` with what their cells are made of beside them, and the cells."""
        wanted = list(columns)
        rows, held = self._held(rows, wanted)
        archive = self.archive
        if archive is None:
            return rows, {c: held.get(c) or self._nothing(c) for c in wanted}
        # Most columns are carried in every row: whatever the archive has of them is NULL.
        whole = rows["whole"].any()
        key = self.table.primary_key
        asked = [c for c in wanted if whole or archive.named[c] or c in key or c not in held]
        stored = [c for c in asked if c in archive.columns]
        rows, kept = archive.store.rows(rows, "a", stored, "a.")
        # The same lists name many columns: one speaks for all that are archived in the same rows.
        speaks = {archive.named[c]: c for c in asked}
        rows = rows.with_columns(archive.takes(c).alias(f"@archived:{c}") for c in speaks.values())
        cells: dict[str, Column] = {}
        for column in wanted:
            mine, theirs = held.get(column), kept.get(column) or self._nothing(column)
            if mine is None or column not in asked:
                cells[column] = mine or theirs
            elif column in key:
                cells[column] = theirs.pick(pl.col("whole") | theirs.present(), mine)
            else:
                taken = pl.col(f"@archived:{speaks[archive.named[column]]}")
                cells[column] = theirs.pick(taken, mine)
        return rows, cells

    def rowids(self) -> pl.Series:
        """The rowid that the archive keeps of each row; NULL where it keeps none."""
        if self.archive is None or self.archive.rowid is None:
            nothing = pl.repeat(None, self.rows.height, dtype=pl.Int64, eager=True)
            return nothing.alias("rowid")
        name = self.archive.rowid
        rows, cells = self.archive.store.rows(self.rows.select("a"), "a", [name], "a.")
        return rows.select(cells[name].main.alias("rowid")).to_series()

    def _nothing(self, column: str) -> Column:
        declared = self.table.column(column)
        return Column.empty(promised(declared.type if declared is not None else ""))

    def _speaking(self, columns: Iterable[str]) -> dict[str, tuple[int, Binding]]:
        """By which target cell each source column is held, the first one where several do."""
        wanted = set(columns)
        found: dict[str, tuple[int, Binding]] = {}
        for position, bound in enumerate(self.bounds):
            for binding in bound.columns:
                column = binding.word.holds
                if column in wanted and column not in found:
                    found[column] = position, binding
        return found

    def _held(
        self, rows: pl.DataFrame, columns: Iterable[str]
    ) -> tuple[pl.DataFrame, dict[str, Column]]:
        speaking = self._speaking(columns)
        found = {}
        for position, (bound, store) in enumerate(zip(self.bounds, self.stores, strict=True)):
            by = f"t{position}"
            mine = {c: b for c, (where, b) in speaking.items() if where == position}
            names = list(dict.fromkeys(b.target.name for b in mine.values()))
            rows, read = store.rows(rows, by, names, f"{by}.")
            for column, binding in mine.items():
                found[column] = self.inverse.held(bound, binding, read[binding.target.name])
        if self._mapped and self._id in columns:
            found[self._id] = Column("text", pl.col(_OLD))
        return rows, found

    @property
    def _mapped(self) -> bool:
        return bool(self.bounds) and self.bounds[0].mapping.source in MAPS

    @property
    def _id(self) -> str:
        return self.usual[0]

    def _map(self, position: int) -> pl.DataFrame:
        """Old ids and the target rows that a map leads to: ``old_id``, ``t<position>``."""
        if position in self._maps:
            return self._maps[position]
        bound = self.bounds[position]
        assert bound.target is not None
        frame, cells = self.stores[position].scan(["id"])
        ids = frame.select(pl.col(ROW).alias(f"t{position}"), cells["id"].main.alias("new_id"))
        map_ = self.inverse.map(MAPS[bound.mapping.source][bound.target.name])
        found = map_.join(ids, on="new_id", how="inner", maintain_order="right")
        self._maps[position] = found.select("old_id", f"t{position}")
        return self._maps[position]

    def _with_counterparts(self) -> pl.DataFrame:
        """The rows that target rows speak for, but those that the archive holds whole."""
        rows = self._by_maps() if self._mapped else self._by_identity()
        if self.archive is None:
            return rows.with_columns(whole=pl.lit(value=False))
        known = _known(self.archive)
        return (
            rows.join(known, on="a", how="left", maintain_order="left")
            .filter(~pl.col("whole").fill_null(value=False))
            .with_columns(pl.col("whole").fill_null(value=False))
        )

    def _beside(self, columns: Sequence[str]) -> tuple[pl.DataFrame, dict[str, Column]]:
        """The archive's rows that stand beside a counterpart, as ``a``, and some of their cells."""
        assert self.archive is not None
        listed = self.archive.rows.filter("counterpart").select(pl.col(ROW).alias("a"))
        return self.archive.store.rows(listed, "a", columns, "a.")

    def _by_maps(self) -> pl.DataFrame:
        """Rows that the ledger's maps name; a later target need not have one."""
        rows = self._map(0)
        for position in range(1, len(self.bounds)):
            rows = rows.join(self._map(position), on="old_id", how="left", maintain_order="left")
        if self.archive is not None:
            frame, cells = self._beside([self._id])
            kept = frame.select("a", cells[self._id].main.alias("old_id"))
            rows = rows.join(kept, on="old_id", how="left", maintain_order="left")
        return rows.rename({"old_id": _OLD})

    def _by_identity(self) -> pl.DataFrame:
        """Rows that kept what names them, and the tags."""
        bound, mapping = self.bounds[0], self.bounds[0].mapping
        told = self.inverse.told_by(mapping)
        names = self.identity
        speaking = {c: b for c, (_, b) in self._speaking(names).items()}
        key = bound.target.primary_key if bound.target is not None else ()
        needed = {*told, *key, *(b.target.name for b in speaking.values())}
        frame, cells = self.stores[0].scan(list(needed))
        frame = frame.filter(self.inverse.belongs(told, cells))
        rows = frame.select(pl.col(ROW).alias("t0"))
        if self.archive is None:
            return rows
        archived, kept = self._beside(names)
        if mapping.merge_on:
            found = self._by_tag(frame.select(cells[key[0]].main), names, archived, kept)
        else:
            held = [
                self.inverse.held(bound, speaking[n], cells[speaking[n].target.name]) for n in names
            ]
            found = pairs((frame, held), (archived, [kept[n] for n in names]))
        a = found.select(
            rows["t0"].gather(found["left"]).alias("t0"), archived["a"].gather(found["right"])
        )
        return rows.join(a, on="t0", how="left", maintain_order="left")

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns by which the target knows the rows, where it has any of them."""
        bound = self.bounds[0]
        assert bound.target is not None
        return identity(bound, self.usual or bound.target.primary_key)

    def _by_tag(
        self,
        tags: pl.DataFrame,
        names: Sequence[str],
        archived: pl.DataFrame,
        kept: Mapping[str, Column],
    ) -> pl.DataFrame:
        """A tag has a new id and its old key may name a child: the map knows which row it was."""
        map_ = self.inverse.map("tag_to_tag", (*names, "new_id"))
        own = [Column("text", pl.col(name)) for name in names]
        found = pairs((map_, own), (archived, [kept[name] for name in names]))
        ids = found.select("right", map_["new_id"].gather(found["left"])).unique(
            maintain_order=True
        )
        tags = tags.select(pl.all().alias("new_id")).with_row_index("left").cast({"left": pl.Int64})
        return ids.join(tags, on="new_id").select("left", "right")


def _known(archive: Archived) -> pl.DataFrame:
    return archive.rows.select(pl.col(ROW).alias("a"), "whole", "list")


class Rebuilder:
    """Gives the old tables back from target and ledger alone."""

    def __init__(self, target: File, ledger: File, plan: Plan, tables: Mapping[str, Table]) -> None:
        """plan, tables: of the old database, whose DDL the ledger keeps."""
        self.target = target
        self.ledger = ledger
        self.plan = plan
        self.tables = tables
        self.inverse = Inverse(target, ledger, plan)

    def table(self, name: str) -> Rebuilt:
        """One old table; raises :class:`TargetError` where its archive does not say what it is."""
        bounds = [b for b in self.plan.bound if b.name == name and b.target is not None]
        source = bounds[0].mapping.source if bounds else name
        return Rebuilt(
            self.tables[name],
            bounds,
            [self.target.store(b.target.name) for b in bounds if b.target is not None],
            read_archive(self.ledger, self.tables[name]),
            self.inverse,
            OLD[source].primary_key if source in OLD else (),
            frozenset(self.inverse.instants(self.tables[name])),
        )
