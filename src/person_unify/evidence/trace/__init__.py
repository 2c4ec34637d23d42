"""Trace: where one record came from or went to, from target and ledger alone.

>>> trace(Path("new.db"), "patient", "…")  # doctest: +SKIP

Nothing of a record but its key, the names of its columns and what was logged is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from person_unify.errors import UsageError
from person_unify.evidence.finished import finished_run
from person_unify.evidence.trace.books import Books, Record
from person_unify.evidence.trace.said import (
    Archived,
    Decided,
    Logged,
    Related,
    archived,
    decided,
    logged,
    related,
)
from person_unify.evidence.trace.ways import Way, new_records, old_records, origins, ways
from person_unify.mappings.known import unified_tables

__all__ = ["KINDS", "Archived", "Decided", "Logged", "Record", "Related", "Trace", "Way", "trace"]

KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "patient": (("patients",), ()),
    "child": (("children",), ()),
    "parent": (("parents",), ()),
    "consent": (("consent_grants",), ()),
    "person": ((), ("persons",)),
    "view": ((), ("parent_child_views", "clinician_patient_views")),
    "grant": (("consent_grants",), ("access_grants",)),
    "tag": (("patient_tags",), ("tags",)),
}
"""Words for a record: the old and the new tables that it may be in."""

_SHORTEST = 4
"""Characters of an id of which the others are looked up."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One record, on the old or on the new side.

    ways: an old record's new ones; a new record's old ones.  kept_out: why an old record is in the
    archive alone.  archived, logged, decided: of the old record, or of all that became the new one.
    """

    record: Record
    ways: tuple[Way, ...]
    kept_out: str | None
    archived: tuple[Archived, ...]
    logged: tuple[Logged, ...]
    decided: tuple[Decided, ...]
    related: tuple[Related, ...]


def trace(target: Path, kind: str, *key: str) -> list[Trace]:
    """Every record of that kind (or in that old or new table; ``any`` for all) with that key.

    The first part of a composite key is enough, and so are the first characters of an id that
    begins no other.  Raises :class:`TargetError` where there is no
    finished run, :class:`UsageError` where the kind or the key is unknown.
    """
    with finished_run(target) as database:
        books = Books.of(database, unified_tables(database))
        old, new = _tables(books, kind)
        found = _traced(books, old, new, key)
        if not found and len(key) == 1 and len(key[0]) >= _SHORTEST:
            whole = [one for one in books.beginning(key[0]) if _traced(books, old, new, (one,))]
            if len(whole) > 1:
                raise UsageError(f"{key[0]} begins several ids: {', '.join(whole[:5])}; give more")
            found = _traced(books, old, new, whole) if whole else []
    if not found:
        where = "any table" if kind == "any" else ", ".join(dict.fromkeys((*old, *new)))
        raise UsageError(
            f"no record {' '.join(key)} in {where}: give the id as it stands in the old or the new "
            "database"
        )
    return found


def _traced(
    books: Books, old: Sequence[str], new: Sequence[str], key: Sequence[str]
) -> list[Trace]:
    """The records with that key in some tables; none is told twice, as old and as new."""
    found = [_of_old(books, record) for table in old for record in old_records(books, table, key)]
    reached = {way.record for one in found for way in one.ways}
    return found + [
        _of_new(books, record)
        for table in new
        for record in new_records(books, table, key)
        if record not in reached
    ]


def _tables(books: Books, kind: str) -> tuple[list[str], list[str]]:
    """The old tables, as the file names them, and the new ones that a kind or a name means."""
    if kind == "any":
        return list(books.sources), list(books.target)
    old, new = KINDS.get(kind, ((kind,), (kind,)))
    names = [name for usual in old for name in books.in_file(usual)]
    present = [books.target[name].name for name in new if name in books.target]
    if not names and not present:
        raise UsageError(
            f"{kind} is neither {', '.join(KINDS)}, any, nor a table of the old or the new database"
        )
    return names, present


def _of_old(books: Books, record: Record) -> Trace:
    found = tuple(ways(books, record))
    return Trace(
        record,
        found,
        books.kept_out(record),
        tuple(archived(books, [record])),
        tuple(logged(books, [record], [way.record for way in found])),
        tuple(decided(books, [record])),
        tuple(related(books, [record, *(way.record for way in found)])),
    )


def _of_new(books: Books, record: Record) -> Trace:
    found = tuple(origins(books, record))
    old = [way.record for way in found if way.record.side == "old" and not way.only_names]
    return Trace(
        record,
        found,
        None,
        tuple(archived(books, old)),
        tuple(logged(books, [way.record for way in found], [record])),
        tuple(decided(books, old)),
        tuple(related(books, [record, *old])),
    )
