"""Names as a person would compare them: white space and case folded, nothing else (section 3)."""

from __future__ import annotations

import unicodedata
from functools import cache

import polars as pl

_WHITE_SPACE = r"\p{White_Space}+"


def normalised(name: pl.Expr) -> pl.Expr:
    r"""Stripped, inner Unicode white space collapsed to one blank, and casefolded.

    >>> pl.select(normalised(pl.Series(["  Straße\u00a0 3 "]))).item()
    'strasse 3'
    """
    spaced = name.str.replace_all(_WHITE_SPACE, " ").str.strip_chars(" ")
    ascii_only = ~name.str.contains(r"[^\x00-\x7f]")
    before, after = _foldings()
    # Only full case folding makes "ß" equal "ss"; lower-casing is the same thing for plain ASCII.
    folded = spaced.str.replace_many(before, after)
    return pl.when(ascii_only).then(spaced.str.to_lowercase()).otherwise(folded)


def difference_of_form(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    """In which way alone two different names differ that look the same; ``none`` for any other.

    ``form`` (composed or decomposed), ``invisible`` (zero width, marks of direction), ``width``
    (full or half), or ``several`` of these together.
    """
    ways = {"form": _composed, "invisible": _visible, "width": _of_one_width, "several": _plain}
    return pl.coalesce(
        *(
            pl.when(normalised(way(one)) == normalised(way(other))).then(pl.lit(name))
            for name, way in ways.items()
        ),
        pl.lit("none"),
    )


def _composed(name: pl.Expr) -> pl.Expr:
    return name.str.normalize("NFC")


def _visible(name: pl.Expr) -> pl.Expr:
    return name.str.replace_all(r"[\p{Cf}\p{Default_Ignorable_Code_Point}]", "")


def _plain(name: pl.Expr) -> pl.Expr:
    return _composed(_visible(_of_one_width(name)))


def _of_one_width(name: pl.Expr) -> pl.Expr:
    before, after = _widths()
    return _composed(name.str.replace_many(before, after))


@cache
def _widths() -> tuple[list[str], list[str]]:
    """Every character that stands for another of full or half width, and that other one."""
    marked = [c for c in map(chr, range(0x10000)) if unicodedata.east_asian_width(c) in "FH"]
    pairs = [(c, unicodedata.normalize("NFKC", c)) for c in marked]
    return [c for c, plain in pairs if c != plain], [plain for c, plain in pairs if c != plain]


@cache
def _foldings() -> tuple[list[str], list[str]]:
    """Every character that full case folding changes, and what it becomes."""
    # Unicode has no cased letters beyond the supplementary multilingual plane.
    changed = [chr(c) for c in range(0x20000) if chr(c).casefold() != chr(c)]
    return changed, [character.casefold() for character in changed]
