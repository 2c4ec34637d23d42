"""The cells of a record that its person and its views hold (contract sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from person_unify.frames.reading import Reader
from person_unify.frames.values import Type
from person_unify.mappings.bind import Binding
from person_unify.mappings.spec import Copy, Decided
from person_unify.schema import Column
from person_unify.stages.resolve.demographics import TAKE
from person_unify.stages.resolve.links import ID, PERSON
from person_unify.stages.resolve.views import ADDED, PARENT, SPEAKS


def person_cells(
    reader: Reader,
    bindings: tuple[Binding, ...],
    where: pl.Expr | None,
    taken: frozenset[str] = frozenset(),
) -> dict[str, pl.Expr]:
    """The cells of a person from its own record, for rows ``where`` the record is the origin.

    taken: fields for which some rows take a decided value instead (column ``@take:<field>``).
    """
    settled = {
        "gender": pl.col("@gender").fill_null("unknown"),
        "unique_udid": pl.col("@udid"),
    }
    made: dict[str, pl.Expr] = {}
    for binding in bindings:
        name, word = binding.target.name, binding.word
        if isinstance(word, Copy) and name in taken:
            decided = pl.col(f"{TAKE}{name}")
            own = reader.required(
                word.column, binding.target, binding.type, where=decided.is_null()
            )
            made[name] = pl.coalesce(decided, own)
        elif isinstance(word, Copy):
            made[name] = reader.required(word.column, binding.target, binding.type, where=where)
        elif isinstance(word, Decided) and word.rule in settled:
            column = word.column or ""
            made[name] = reader.carry(column, "TEXT", result=settled[word.rule], where=where)
        else:
            made[name] = pl.col(PERSON if name == "id" else "@note")
    return made


def view_cells(reader: Reader, bindings: tuple[Binding, ...]) -> dict[str, pl.Expr]:
    """Note which cells of a child its view holds; return those that the child row alone states."""
    has_view = pl.col(PARENT).is_not_null()
    for binding in bindings:
        word = binding.word
        if isinstance(word, Copy) and binding.names is not None:
            reader.carry(word.column, "TEXT", where=has_view)
        elif isinstance(word, Decided) and word.column is not None:
            reader.value(word.column, binding.type, where=has_view)
            single = has_view & (pl.col("@rows") == 1)
            if word.rule == "joined_text":
                reader.carry(word.column, "TEXT", where=single)
            elif word.rule == "updated_at":
                missing = reader.peek(word.column, "DATETIME").value.is_null()
                reader.carry(word.column, "DATETIME", where=single, lost=missing)
                reader.count_missing(word.column, "DATETIME", single)
            else:
                supplies = has_view & pl.col(ADDED).is_null() & (pl.col(ID) == pl.col("@supplier"))
                reader.carry(word.column, "DATETIME", where=supplies.fill_null(value=False))
    return {
        target.name: reader.required(column, target, type_, where=pl.col(SPEAKS))
        for column, target, type_ in stated_alone(bindings)
    }


def stated_alone(bindings: tuple[Binding, ...]) -> Iterator[tuple[str, Column, Type]]:
    """The cells of a view that one row states by itself: source column, target column and type."""
    for binding in bindings:
        if isinstance(binding.word, Copy) and binding.names is None:
            yield binding.word.column, binding.target, binding.type
