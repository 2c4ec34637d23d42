"""The ways between the two sides: which records there are, and what each became or came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from person_unify.evidence.trace.books import Books, Record, matches
from person_unify.frames.ledger import CATALOG
from person_unify.mappings import COLLISIONS, ID_MAPS, TAGS
from person_unify.schema import literal, quote

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
    archive = books.archives.get(table)
    found = []
    if archive is not None and set(columns) <= set(archive.columns):
        found = books.keys(columns, archive.table, key)
    for target in books.homes[table]:
        found += _in_target(books, table, target, key)
    unique = list(dict.fromkeys(found))
    return [Record("old", table, columns, parts) for parts in unique[:MOST]]


def _in_target(books: Books, table: str, target: str, key: Sequence[str]) -> list[tuple[str, ...]]:
    """Old keys for which the ledger has a new one, or that the target has kept."""
    map_ = _map(books, table, target)
    if map_ is not None:
        return books.keys(map_[1], f"{CATALOG}.{map_[0]}", key)
    collided = f"source_table = {literal(table)} AND {matches(['old_id'], key)}"
    found = books.texts(["old_id"], f"{CATALOG}.{COLLISIONS}", collided)
    fresh = [tuple(map(str, row)) for row in found]
    own = _same_key(books, table, target, books.key_of(table))
    kept = [] if own is None else books.keys(own, f"main.{quote(target)}", key)
    return fresh + [row for row in kept if _owns(books, table, target, row)]


def _map(books: Books, table: str, target: str) -> tuple[str, tuple[str, ...]] | None:
    """The map from an old table to a target that gives every row a new id, and its old key."""
    if target == "tags":
        return TAGS, books.key_of(table)
    name = ID_MAPS.get((books.usual(table), target))
    return None if name is None else (name, ("old_id",))


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
    for source in books.filling(target):
        if source == table or not books.always_archived(source):
            continue
        if _stays(books, Record("old", source, books.key_of(source), key)):
            return False
    record = Record("old", table, books.key_of(table), key)
    if not books.always_archived(table):
        return books.kept_out(record) is None
    return _stays(books, record)


def _stays(books: Books, record: Record) -> bool:
    """Whether a record of a table that is always archived was loaded under its own id."""
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
    rows = books.keys(columns, f"main.{quote(table)}", key)
    return [Record("new", table, columns, row) for row in rows[:MOST]]


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
    map_ = _map(books, record.table, target)
    if map_ is not None:
        name, columns = map_
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
    found = [w for source in books.filling(record.table) for w in _old_keys(books, record, source)]
    yield from found
    if record.table == "access_grants" and not found:
        for (child,) in _grants(books, f"g.id = {literal(record.key[0])}", "d.source_id"):
            for source in books.in_file("children"):
                yield Way(Record("old", source, ("id",), (child,)), IMPLIED, only_names=True)


def _old_keys(books: Books, record: Record, source: str) -> Iterator[Way]:
    map_ = _map(books, source, record.table)
    columns = books.key_of(source)
    if map_ is not None:
        name, old = map_
        where = matches(["new_id"], record.key)
        for key in books.texts(list(map(quote, old)), f"{CATALOG}.{name}", where):
            yield Way(Record("old", source, columns, tuple(map(str, key))), f"map {name}")
        return
    for table, old_id in _map_to(books, record.table, record.key):
        if table == source:
            rule = f"fresh id, map {COLLISIONS}"
            yield Way(Record("old", source, columns, (old_id,)), rule)
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
