"""How the two files differ from the schemas we know, in words for people (contract section 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from person_unify.schema import OLD, Schema


def drift(
    source: Schema,
    names: Mapping[str, str],
    by_convention: Iterable[str],
    unmapped: Iterable[str],
) -> Iterator[str]:
    """One note per difference.

    names: old table -> its name in the file.  by_convention, unmapped: tables that we do not know.
    """
    for name in missing(names):
        yield f"table {name} is not in the source: taken as empty"
    for usual, short in names.items():
        if usual != short:
            yield f"table {short} stands for {usual}"
    for usual, name in names.items():
        known, present = OLD[usual], source[name]
        for column in known.column_names:
            if present.column(column) is None:
                yield f"column {name}.{column} is not in the source: taken as NULL"
        for column in present.column_names:
            if known.column(column) is None:
                yield f"column {name}.{present.written(column)} is not in the old schema"
    for name in by_convention:
        yield f"table {name} is migrated by convention: same-named columns"
    for name in unmapped:
        yield f"table {name} is archived whole: nothing knows it"


def missing(names: Mapping[str, str]) -> tuple[str, ...]:
    """The old tables that the file does not have."""
    return tuple(name for name in OLD if name not in names)
