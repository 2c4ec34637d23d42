"""Pairs of a person and a parent, as each row of children or parent links sees its own."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.mappings.spec import Copy
from person_unify.stages.verify.cells import alike
from person_unify.stages.verify.context import Context, Rows, gathered
from person_unify.stages.verify.families import Families
from person_unify.stages.verify.parts import places_of, settled
from person_unify.stages.verify.words import Expected, Words

TEXTS = ("medical_history", "current_concerns", "developmental_notes")
VIEW = "parent_child_views"
NONE = pl.Series([None], dtype=pl.UInt32)
"""No place in a target table."""


class PairsOf:
    """The pair that each row of children or parent links belongs to.

    there: it has one.  first: it speaks for it.  pair: its number.  at: the view, by the row's map.
    """

    def __init__(self, context: Context, families: Families, usual: str) -> None:
        rows = context.people.rows[usual]
        link = 0 if usual == "children" else 1
        self.context, self.usual, self.families = context, usual, families
        self.pairs = families.pairs.with_row_index("pair")
        self.members = members = self._members(link)
        number = pl.Series("row", range(rows.height), dtype=pl.Int64)
        found = gathered(members.select("row", "pair", "view"), number, "row")
        self.pair = found["pair"]
        self.there = found["pair"].is_not_null()
        speaker = self.pairs["child" if link == 0 else "link"].gather(self.pair)
        self.first = (speaker == number).fill_null(value=False)
        self.at = places_of(context, VIEW, found["view"])

    def _members(self, link: int) -> pl.DataFrame:
        """Children (0) or links (1), those of a pair in its order."""
        return self.families.members.filter(pl.col("link") == link).join(
            self.pairs.select("human", "parent", "pair"),
            on=["human", "parent"],
            maintain_order="left",
        )

    def of(self, column: str) -> pl.Series:
        """A column of the pair of each row."""
        return self.pairs[column].gather(self.pair)

    @property
    def added_at(self) -> pl.Series:
        """What the view of each row's pair says it was added at."""
        added = self.of("link_at").zip_with(self.of("link_at").is_not_null(), self.of("child_at"))
        return added.fill_null(self.context.options.run_time_ms)

    @property
    def updated_at(self) -> pl.Series:
        """The latest ``updated_at`` of the children of each row's pair, else when it was added."""
        rows = self.context.people.rows["children"]
        updated = rows.value("updated_at", "DATETIME").rename("updated").to_frame()
        members = self._members(0)
        latest = (
            members.with_columns(updated=updated["updated"].gather(members["row"]))
            .group_by("pair")
            .agg(pl.col("updated").max())
        )
        found = gathered(latest, self.pair.cast(pl.UInt32), "pair")["updated"]
        return found.zip_with(found.is_not_null(), self.added_at)

    @property
    def relationship(self) -> pl.Series:
        """What the speaking link of each row's pair says, else ``parent``."""
        links = self.context.people.rows["parent_children"]
        said = links.value("relationship_type", "TEXT")
        return said.gather(self.of("link")).fill_null("parent")

    def merged_text(self, column: str) -> pl.Series:
        """The distinct non-empty texts of the children of pairs that have several, joined."""
        several = self.pairs.filter(pl.col("children") > 1)["pair"]
        members = self.members.filter(pl.col("pair").is_in(several.implode()))
        rows = self.context.people.rows["children"]
        at = members["row"].sort().cast(pl.UInt32)
        none = alike(None, self.pair.len(), pl.String())
        if not at.len() or rows.table.column(column) is None:
            return none
        cells = self.context.source.read_part(rows.table, [column], rows.cells.row.gather(at))
        text = Rows(rows.table, cells).value(column, "TEXT")
        texts = pl.DataFrame({"row": at.cast(pl.Int64), "text": text})
        joined = (
            members.join(texts, on="row", maintain_order="left")
            .filter(pl.col("text") != "")
            .unique(["pair", "text"], keep="first", maintain_order=True)
            .group_by("pair", maintain_order=True)
            .agg(pl.col("text").str.join("\n\n"))
        )
        return gathered(joined, self.pair, "pair")["text"]

    def extras(self, bound: BoundMapping | None) -> list[Binding]:
        """Columns of views that only this file has."""
        if bound is None:
            return []
        known = {*TEXTS, "id", "person_id", "parent_id", "relationship_type", "added_at"}
        known |= {"updated_at", "is_primary_caregiver"}
        return [b for b in bound.columns if b.target.name not in known and isinstance(b.word, Copy)]


def view_columns(of: PairsOf) -> dict[str, Callable[[Words, pl.Series], Expected]]:
    """Columns of a view that both a child and a link can be asked for."""
    human = of.of("human")
    return {
        "person_id": settled(of.context.people.person.gather(human)),
        "parent_id": settled(of.of("parent"), "parent_id"),
        "is_primary_caregiver": settled(of.of("primary").cast(pl.Int64)),
        "relationship_type": settled(of.relationship),
        "added_at": settled(of.added_at),
        "updated_at": settled(of.updated_at),
    }


def instant_of(
    column: str, values: pl.Series, supplies: pl.Series, counts: pl.Series
) -> Callable[[Words, pl.Series], Expected]:
    """An instant of a view that a row's cell may supply; a default counts where it should have."""

    def decided(words: Words, at: pl.Series) -> Expected:
        value, own = values.gather(at), words.rows.value(column, "DATETIME")
        may = supplies.gather(at).fill_null(value=False)
        held = may & own.eq_missing(value) & own.is_not_null()
        if column in words.rows.cells.columns:
            for rule, rows in words.rows.read(column, "DATETIME").recast.items():
                words.counts.add(column, rule, rows & held)
        missing = may & own.is_null() & counts.gather(at).fill_null(value=False)
        if missing.any():
            words.counts.add(column, "required_default", missing)
        return Expected(value, column, own=may)

    return decided
