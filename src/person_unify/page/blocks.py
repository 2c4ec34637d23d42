"""What a section is made of: plain data, which terminal and page lay out each in its own way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Tone = Literal["", "good", "bad", "error", "warning", "info", "soft"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A text in a tone; ``code``: a name or path, set as such and never broken.

    few: what of a long text stands in the page's table, where the rest is folded below it.
    """

    text: str
    tone: Tone = ""
    code: bool = False
    few: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The heading of a column, and whether it holds numbers."""

    title: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; ``more`` says what is left out of it, and where that is."""

    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    more: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """Sentences, one per line."""

    lines: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """Blocks that are opened on demand, under a name and what it comes to."""

    name: Cell
    comes_to: str
    grid: Grid


Block: TypeAlias = Grid | Lines | Folded


@dataclass(frozen=True, slots=True)
class Section:
    """One section: ``says`` explains it to a reader of the page.

    ``brief``: it belongs to the summary on the screen too; else only where all is asked for.
    """

    id: str
    title: str
    blocks: tuple[Block, ...]
    says: str = ""
    brief: bool = False


def brief(section: Section, most: int) -> Section:
    """The section with at most so many rows and lines in each block."""
    return replace(section, blocks=tuple(_cut(block, most) for block in section.blocks))


def _cut(block: Block, most: int) -> Block:
    if isinstance(block, Grid) and len(block.rows) > most:
        return replace(block, rows=block.rows[:most], more=f"and {len(block.rows) - most:,} more")
    if isinstance(block, Lines) and len(block.lines) > most:
        more = Cell(f"and {len(block.lines) - most:,} more", "soft")
        return Lines((*block.lines[:most], more))
    return block


def code(text: str, tone: Tone = "") -> Cell:
    """A name or path."""
    return Cell(text, tone, code=True)


def grid_of(titles: Iterable[str], rows: Iterable[Iterable[Cell | str]]) -> tuple[Grid, ...]:
    """A grid if there are rows, whose texts are cells without a tone.

    A title that starts with ``>`` is that of a column of numbers.
    """
    heads = tuple(Head(t.removeprefix(">"), t.startswith(">")) for t in titles)
    made = tuple(tuple(Cell(c) if isinstance(c, str) else c for c in row) for row in rows)
    return (Grid(heads, made),) if made else ()
