"""The ways between the two sides: which records there are, and what each became or came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from person_unify.evidence.trace.books import Books, Record, literal, matches
from person_unify.frames.ledger import CATALOG
from person_unify.mappings import COLLISIONS, ID_MAPS, TAGS
from person_unify.schema import quote

MOST = 50
"""How many records of one table a short key may name."""

IMPLIED = "implied by the link of this child"


@dataclass(frozen=True, slots=True)
class Way:
    """One record on the other side, and by which rule it is the same.

    there: whether the target has the new record.  others: old records that became it as well.
    only_names: the record did not become the other, it is only its reason.
    """

    record: Record
    rule: str
    there: bool = True
    others: tuple[Record, ...] = ()
    only_names: bool = False


def old_records(books: Books, table: str, key: Sequence[str]) -> list[Record]:
    """The records of an old table whose key begins so, by maps, archive and target."""
    columns = books.key_of(table)
    if not columns or len(key) > len(columns):
        return []
    found: dict[tuple[str, ...], None] = {}
    for keys in (
        _in_archive(books, table, columns, key),
        *(_in_target(books, table, target, columns, key) for target in books.homes[table]),
    ):
        found.update(dict.fromkeys(tuple(str(part) for part in row) for row in keys))
    return [Record("old", table, columns, parts) for parts in list(found)[:MOST]]


def _in_archive(
    books: Books, table: str, columns: Sequence[str], key: Sequence[str]
) -> list[tuple[str | None, ...]]:
    archive = books.archives.get(table)
    if archive is None or not set(columns) <= set(archive.columns):
        return []
    return books.texts(list(map(quote, columns)), archive.table, matches(columns, key))


def _in_target(
    books: Books, table: str, target: str, columns: Sequence[str], key: Sequence[str]
) -> list[tuple[str | None, ...]]:
    """Old keys for which the ledger has a new one, or that the target has kept."""
    map_ = ID_MAPS.get((books.usual(table), target))
    if map_ is not None:
        return books.texts(["old_id"], f"{CATALOG}.{map_}", matches(["old_id"], key))
    if target == "tags":
        return books.texts(list(map(quote, columns)), f"{CATALOG}.{TAGS}", matches(columns, key))
    collided = f"source_table = {literal(table)} AND {matches(['old_id'], key)}"
    found = books.texts(["old_id"], f"{CATALOG}.{COLLISIONS}", collided)
    own = _same_key(books, table, target, columns)
    if own is None:
        return found
    kept = books.texts(list(map(quote, own)), f"main.{quote(target)}", matches(own, key))
    return found + [row for row in kept if _owns(books, table, target, tuple(map(str, row)))]


def _same_key(
    books: Books, table: str, target: str, columns: Sequence[str]
) -> tuple[str, ...] | None:
    """The target's key columns in the order of the old key's, where rows keep their keys."""
    held = {
        books.source_of(table, target, column): column
        for column in books.target[target].primary_key
    }
    return tuple(held[column] for column in columns) if set(columns) == set(held) else None


def _owns(books: Books, table: str, target: str, key: tuple[str, ...]) -> bool:
    """Whether the target's row of that key came from this old table, where several fill the target.

    A row that got a fresh id is in the map; otherwise the archive knows, for of one of two such
    tables it has every row.
    """
    if _map_to(books, target, key):
        return False
    columns = books.key_of(table)
    for source in books.filling(target):
        if source == table or not books.always_archived(source):
            continue
        other = Record("old", source, books.key_of(source), key)
        if books.lists(other) and books.kept_out(other) is None and not _fresh(books, other):
            return False
    record = Record("old", table, columns, key)
    if not books.always_archived(table):
        return books.kept_out(record) is None
    return (
        bool(books.lists(record)) and books.kept_out(record) is None and not _fresh(books, record)
    )


def _fresh(books: Books, record: Record) -> list[str]:
    """The fresh id of an old record whose id another table's record kept."""
    where = f"source_table = {literal(record.table)} AND {matches(['old_id'], record.key)}"
    return [str(new) for (new,) in books.texts(["new_id"], f"{CATALOG}.{COLLISIONS}", where)]


def _map_to(books: Books, target: str, key: tuple[str, ...]) -> list[tuple[str, str]]:
    """``(old table, old id)`` of a new id that was given because of a collision."""
    rows = books.texts(
        ["source_table", "old_id"], f"{CATALOG}.{COLLISIONS}", matches(["new_id"], key)
    )
    return [(str(table), str(old)) for table, old in rows if table in books.filling(target)]


def new_records(books: Books, table: str, key: Sequence[str]) -> list[Record]:
    """The records of a target table whose key begins so."""
    columns = books.target[table].primary_key
    if not columns or len(key) > len(columns):
        return []
    rows = books.texts(list(map(quote, columns)), f"main.{quote(table)}", matches(columns, key))
    return [Record("new", table, columns, tuple(map(str, row))) for row in rows[:MOST]]


def ways(books: Books, record: Record) -> Iterator[Way]:
    """What an old record became."""
    for target in books.homes[record.table]:
        for key, rule in _new_keys(books, record, target):
            new = Record("new", target, books.target[target].primary_key, key)
            others = [w.record for w in origins(books, new) if w.record != record]
            yield Way(new, rule, books.exists(new), tuple(others))
    if books.usual(record.table) == "children":
        for (grant,) in _grants(books, f"d.source_id = {literal(record.key[0])}", "g.id"):
            yield Way(Record("new", "access_grants", ("id",), (grant,)), IMPLIED, only_names=True)


def _new_keys(books: Books, record: Record, target: str) -> Iterator[tuple[tuple[str, ...], str]]:
    map_ = ID_MAPS.get((books.usual(record.table), target))
    if map_ is not None or target == "tags":
        name = map_ or TAGS
        columns = ("old_id",) if map_ else record.columns
        where = matches(columns, record.key)
        for (new,) in books.texts(["new_id"], f"{CATALOG}.{name}", where):
            yield (str(new),), f"map {name}"
        return
    fresh = _fresh(books, record)
    yield from (((new,), f"fresh id, map {COLLISIONS}") for new in fresh)
    own = _same_key(books, record.table, target, record.columns)
    if own is None or fresh:
        return
    places = dict(zip(own, record.key, strict=True))
    key = tuple(places[column] for column in books.target[target].primary_key)
    kept = Record("new", target, books.target[target].primary_key, key)
    if books.exists(kept) and _owns(books, record.table, target, record.key):
        yield key, "same key"


def origins(books: Books, record: Record) -> Iterator[Way]:
    """What a new record came from."""
    found = False
    for source in books.filling(record.table):
        for way in _old_keys(books, record, source):
            found = True
            yield way
    if record.table == "access_grants" and not found:
        for (child,) in _grants(books, f"g.id = {literal(record.key[0])}", "d.source_id"):
            for source in books.in_file("children"):
                yield Way(Record("old", source, ("id",), (child,)), IMPLIED, only_names=True)


def _old_keys(books: Books, record: Record, source: str) -> Iterator[Way]:
    map_ = ID_MAPS.get((books.usual(source), record.table))
    columns = books.key_of(source)
    if map_ is not None or record.table == "tags":
        name = map_ or TAGS
        names = ["old_id"] if map_ else list(map(quote, columns))
        for key in books.texts(names, f"{CATALOG}.{name}", matches(["new_id"], record.key)):
            yield Way(Record("old", source, columns, tuple(map(str, key))), f"map {name}")
        return
    for table, old in _map_to(books, record.table, record.key):
        if table == source:
            rule = f"fresh id, map {COLLISIONS}"
            yield Way(Record("old", source, columns, (old,)), rule)
    own = _same_key(books, source, record.table, columns)
    if own is None:
        return
    places = dict(zip(record.columns, record.key, strict=True))
    same = tuple(places[column] for column in own)
    if _owns(books, source, record.table, same):
        yield Way(Record("old", source, columns, same), "same key")


def _grants(books: Books, where: str, asked: str) -> list[tuple[str, ...]]:
    """Implied grants ``g`` beside the log ``d`` of the children whose links imply them."""
    origin = (
        f"{CATALOG}.discrepancies AS d JOIN {CATALOG}.child_to_view AS m ON m.old_id = d.source_id "
        "JOIN main.parent_child_views AS v ON v.id = m.new_id "
        "JOIN main.access_grants AS g ON g.person_id = v.person_id AND g.grantor_id = v.parent_id"
    )
    made = (
        f"d.kind = 'implied_grant' AND {where} AND NOT EXISTS "
        f"(SELECT 1 FROM {CATALOG}.consent_to_grant AS c WHERE c.new_id = g.id)"
    )
    return [tuple(map(str, row)) for row in books.texts([asked], origin, made)]
