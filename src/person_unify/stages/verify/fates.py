"""Fates: which rows of a table are loaded, and why the others are not (contract sections 6 and 7).

Told from the source alone, table after table in load order, so that what the ledger says can be
held against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.mappings.platform import CLOSED
from person_unify.mappings.spec import Copy, NewId, Person, Via
from person_unify.schema import OLD
from person_unify.stages.verify.cells import alike, owned
from person_unify.stages.verify.collations import as_compared
from person_unify.stages.verify.context import Context, Known, Rows, gathered, key_of
from person_unify.stages.verify.places import Places
from person_unify.stages.verify.words import Words

LOADED = "loaded"
MERGED, DUPLICATE = "merged_tag", "duplicate_key"


@dataclass(frozen=True, slots=True)
class Fates:
    """kind: per row ``loaded``, or the reason for which it is kept out.

    keys: columns ``k0``, ``k1`` … of the row's key in the target; null where no map leads there.
    person: whom the row belongs to, None where the table has no such reference.
    """

    kind: pl.Series
    keys: pl.DataFrame
    person: pl.Series | None

    @property
    def loaded(self) -> pl.Series:
        """Whether a row is loaded."""
        return self.kind == LOADED


def deciding_columns(context: Context, bound: BoundMapping) -> list[str]:
    """The columns of a table that decide fates, keys and what others look up."""
    assert bound.target is not None
    groups = {c for group in (bound.target.primary_key, *bound.target.uniques) for c in group}
    wanted = {*bound.source.primary_key, *key_of(bound.source, bound.mapping.source), "id"}
    attributes = attributes_of(context, bound.mapping.source)
    for binding in bound.columns:
        word = binding.word
        looked_up = binding.target.name in attributes
        if binding.strength or binding.target.name in groups or looked_up or isinstance(word, Via):
            wanted |= _columns(word)
    for word in bound.mapping.exposes.values():
        wanted |= _columns(word)
    if bound.mapping.merge_on:
        wanted |= {"created_at", *bound.mapping.merge_on}
    if bound.mapping.source == "users":
        wanted |= {"email", "deleted_at", "status"}
    return [name for name in bound.source.column_names if name in wanted]


def _columns(word: object) -> set[str]:
    found = {getattr(word, "column", None)} | {r.column for r in getattr(word, "reads", ())}
    otherwise = getattr(word, "otherwise", None)
    if isinstance(otherwise, Copy):
        found |= _columns(otherwise)
    return {name for name in found if isinstance(name, str)}


def attributes_of(context: Context, usual: str) -> set[str]:
    """What other tables look up of the rows of an old table."""
    found = {"user_id"} if usual == "parents" else set()
    found |= {"email"} if usual == "users" else set()
    for bound in context.plan.bound:
        words = [b.word for b in bound.columns] + list(bound.mapping.exposes.values())
        found |= {w.attribute for w in words if isinstance(w, Via) and w.table == usual}
    return found


def settle(context: Context, bound: BoundMapping, rows: Rows) -> Fates:
    """The fates of all rows of a table, what the log owes them, and what others look up."""
    words = Words(context, bound, rows)
    lost = _orphans(words)
    kind = (
        lost["field"]
        .is_null()
        .to_frame("there")
        .select(pl.when("there").then(pl.lit(LOADED)).otherwise(pl.lit(bound.mapping.orphan_kind)))
        .to_series()
    )
    own = source_ids(bound, rows)
    keys = _keys(context, words, own)
    person = _person(words)
    ids = pl.DataFrame({"source_id": own, "person": _nothing(rows) if person is None else person})
    owed = lost.hstack(ids).filter(pl.col("field").is_not_null())
    owe(
        context,
        bound,
        owed,
        bound.mapping.orphan_kind,
        field=pl.col("field"),
        related_id=pl.col("related"),
    )
    if bound.mapping.merge_on:
        kind = _merge(context, words, kind, ids)
    kind = _doubles(context, words, kind, keys, ids)
    fates = Fates(kind, keys, person)
    _collisions(context, bound, fates, own, ids)
    _remember(context, words, fates)
    return fates


def owe(
    context: Context, bound: BoundMapping, rows: pl.DataFrame, kind: str, **columns: pl.Expr | None
) -> None:
    """Add expected discrepancies; rows have ``source_id`` and ``person``."""
    columns = {"source_id": pl.col("source_id"), "person_id": pl.col("person"), **columns}
    context.owe(rows, kind, bound.name, **columns)


def _nothing(rows: Rows) -> pl.Series:
    return alike(None, rows.height, pl.String())


def source_ids(bound: BoundMapping, rows: Rows) -> pl.Series:
    """What discrepancies call the rows: the first column of their key."""
    known = OLD.get(bound.mapping.source, bound.target)
    there = (bound.source.column(name) for name in (known.primary_key if known else ()))
    names = [column.name for column in there if column] or bound.source.primary_key
    return rows.value(names[0], "TEXT") if names else _nothing(rows)


def _needs(bound: BoundMapping) -> list[Binding]:
    """Required references, the person first, then in the order of the target's columns."""
    required = [b for b in bound.columns if b.strength == "required"]
    return sorted(required, key=lambda binding: binding.target.name != "person_id")


def _orphans(words: Words) -> pl.DataFrame:
    """``field`` and ``related``: the first required reference that names nothing, else null."""
    field = _nothing(words.rows)
    related = _nothing(words.rows)
    for binding in _needs(words.bound):
        column = str(getattr(binding.word, "column", ""))
        broken = ~_names_something(words, binding) & field.is_null()
        if broken.any():
            said = words.rows.value(column, "TEXT")
            field = pl.Series([column], dtype=pl.String).zip_with(broken, field)
            related = said.zip_with(broken, related)
    return pl.DataFrame({"field": field, "related": related})


def _names_something(words: Words, binding: Binding) -> pl.Series:
    word = binding.word
    if isinstance(word, Person):
        return words.human(word.column, word.first)["human"].is_not_null()
    column = str(getattr(word, "column", ""))
    names = word.table if isinstance(word, Via) else binding.names
    assert names is not None
    return words.exists(column, names)


def _person(words: Words) -> pl.Series | None:
    for binding in words.bound.columns:
        if binding.target.name == "person_id" and isinstance(binding.word, Via):
            return words.attribute(binding.word)
        if binding.target.name == "person_id" and isinstance(binding.word, Person):
            expected = words.expected(binding)
            return None if expected is None else expected.value
    return None


def _keys(context: Context, words: Words, own: pl.Series) -> pl.DataFrame:
    """The key that each row has in the target, if it is loaded."""
    bound, rows = words.bound, words.rows
    assert bound.target is not None
    bindings = {binding.target.name: binding for binding in bound.columns}
    columns: list[pl.Series] = []
    for number, name in enumerate(bound.target.primary_key):
        binding = bindings.get(name)
        word = None if binding is None else binding.word
        if bound.mapping.merge_on:
            told = context.maps["tag_to_tag"]
            pairs = pl.DataFrame({k: rows.value(k, "TEXT") for k in ("patient_id", "tag")})
            found = pairs.join(told, on=["patient_id", "tag"], how="left", maintain_order="left")
            key = found["new_id"]
        elif isinstance(word, NewId):
            mapped = context.maps["consent_to_grant"]
            key = gathered(mapped, rows.value("id", "TEXT"), "old_id")["new_id"]
        elif binding is None or (expected := words.expected(binding)) is None:
            key = _nothing(rows)
        else:
            key = expected.value.cast(pl.String)
            key = _renumbered(context, words, key) if number == 0 else key
        columns.append(key.rename(f"k{number}"))
    return pl.DataFrame(columns)


def collides(context: Context, bound: BoundMapping, ids: pl.Series) -> pl.Series | None:
    """Whether a row's id is one of the table whose ids win; None where no table's do."""
    other = context.in_file.get(bound.mapping.shares_ids_with or "")
    return None if other is None else other.has(ids)


def _renumbered(context: Context, words: Words, ids: pl.Series) -> pl.Series:
    """Ids that the other table of a merge has too are fresh ones, by the map."""
    both = collides(context, words.bound, ids)
    if both is None:
        return ids
    told = context.maps["collision_to_id"].filter(pl.col("source_table") == words.bound.name)
    fresh = gathered(told.select("old_id", "new_id"), ids, "old_id")["new_id"]
    return fresh.zip_with(both, ids)


def _collisions(
    context: Context, bound: BoundMapping, fates: Fates, own: pl.Series, ids: pl.DataFrame
) -> None:
    both = collides(context, bound, own)
    if both is None:
        return
    rows = ids.with_columns(new=fates.keys["k0"]).filter(both & fates.loaded)
    owe(context, bound, rows, "id_collision", field=pl.lit("id"), related_id=pl.col("new"))


def _merge(context: Context, words: Words, kind: pl.Series, ids: pl.DataFrame) -> pl.Series:
    """Rows that fall on one person and tag become one, from the earliest (section 6)."""
    rows = words.rows
    frame = (
        pl.DataFrame(
            {
                "human": words.human("patient_id", "patients")["human"],
                "tag": rows.value("tag", "TEXT"),
                "created": rows.value("created_at", "DATETIME"),
                "patient": rows.value("patient_id", "TEXT"),
                "kind": kind,
            }
        )
        .with_row_index("n")
        .hstack(ids)
    )
    ranked = frame.filter(pl.col("kind") == LOADED).sort(
        "human", "tag", "created", "patient", "n", nulls_last=True
    )
    further = ranked.with_columns(first=pl.col("patient").first().over("human", "tag")).filter(
        pl.int_range(pl.len()).over("human", "tag") > 0
    )
    owe(context, words.bound, further, MERGED, field=pl.lit("tag"), related_id=pl.col("first"))
    return kind.scatter(further["n"], MERGED)


def _doubles(
    context: Context, words: Words, kind: pl.Series, keys: pl.DataFrame, ids: pl.DataFrame
) -> pl.Series:
    """Rows whose values under a UNIQUE are taken by an earlier loaded row (section 7).

    The rows that share a value with another are settled round by round: a row that is the first of
    all its groups is loaded, those that share a group with a loaded one are not.
    """
    groups = _groups(context, words, keys)
    rows = pl.DataFrame({"n": pl.arange(0, kind.len(), eager=True)}).filter(kind == LOADED)
    values = [(column, found) for column, found in groups if _repeats(found, rows["n"])]
    if not values:
        return kind
    frame = pl.DataFrame([v.rename(f"g{i}") for i, (_, v) in enumerate(values)])
    frame = frame.with_row_index("n").with_columns(pl.col("n").cast(pl.Int64))
    frame = frame.join(rows, on="n", how="semi", maintain_order="left")
    names = [f"g{i}" for i in range(len(values))]
    taken = _settled(frame, names)
    out = pl.Series([], dtype=pl.Int64)
    for name, (column, _) in zip(names, values, strict=True):
        keepers = taken.filter(pl.col(name).is_not_null()).select(name, keeper="n")
        hit = frame.join(keepers, on=name).filter(
            (pl.col("n") > pl.col("keeper")) & ~pl.col("n").is_in(out.implode())
        )
        hit = hit.join(taken, on="n", how="anti").sort("n")
        if hit.height:
            out = pl.concat([out, hit["n"]])
            more = ids[hit["n"]].with_columns(related=ids["source_id"].gather(hit["keeper"]))
            owe(
                context,
                words.bound,
                more,
                DUPLICATE,
                field=pl.lit(column),
                related_id=pl.col("related"),
            )
    return kind.scatter(out, DUPLICATE)


def _settled(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The rows that are loaded; each round settles at least the first row that is left."""
    left, loaded = frame, frame.clear()
    while left.height:
        first = pl.all_horizontal(
            (pl.col("n") == pl.col("n").min().over(name)) | pl.col(name).is_null() for name in names
        )
        fresh = left.filter(first)
        loaded = pl.concat([loaded, fresh])
        left = left.join(fresh, on="n", how="anti", maintain_order="left")
        for name in names:
            left = left.join(fresh.select(name), on=name, how="anti", maintain_order="left")
    return loaded.sort("n")


def _repeats(values: pl.Series, at: pl.Series) -> bool:
    there = values.gather(at).drop_nulls()
    return bool(there.n_unique() < there.len())


def _groups(context: Context, words: Words, keys: pl.DataFrame) -> list[tuple[str, pl.Series]]:
    """Per UNIQUE of the target, its first source column and the rows' values."""
    bound = words.bound
    assert bound.target is not None
    bindings = {binding.target.name: binding for binding in bound.columns}
    found: list[tuple[str, pl.Series]] = []
    for group in (bound.target.primary_key, *bound.target.uniques):
        parts: list[pl.Series] = []
        collations = bound.target.collation(group)
        for name, collation in zip(group, collations, strict=True):
            binding = bindings.get(name)
            if group == bound.target.primary_key and not bound.mapping.merge_on:
                value: pl.Series | None = keys[f"k{group.index(name)}"]
            else:
                expected = (
                    words.unfilled(bound.target.column(name))  # type: ignore[arg-type]
                    if binding is None
                    else words.expected(binding)
                )
                value = None if expected is None else expected.value
            if value is None:
                break
            value = value.cast(pl.String)
            parts.append(as_compared(value, collation))
        else:
            column = str(getattr(getattr(bindings.get(group[0]), "word", None), "column", group[0]))
            whole = parts[0] if len(parts) == 1 else _joined(parts)
            found.append((column, whole))
    return found


def _joined(parts: Sequence[pl.Series]) -> pl.Series:
    """One text per row that tells its parts apart, null where one of them is."""
    frame = pl.DataFrame([part.rename(str(n)) for n, part in enumerate(parts)])
    sized = [c for n in range(len(parts)) for c in (pl.col(str(n)).str.len_bytes(), pl.col(str(n)))]
    return frame.select(pl.concat_str(sized, separator=":")).to_series()


def _remember(context: Context, words: Words, fates: Fates) -> None:
    """Keep of loaded rows what other tables look up."""
    bound, rows, usual = words.bound, words.rows, words.bound.mapping.source
    assert bound.target is not None
    if any(b.mapping.shares_ids_with == usual for b in context.plan.bound):
        context.in_file[usual] = Places(rows.value("id", "TEXT"))
    named = {b.names for other in context.plan.bound for b in other.columns}
    attributes = attributes_of(context, usual)
    if usual not in named and not attributes:
        return
    key = bound.target.primary_key[0]
    columns = {"old": _own_key(words, key), "new": fates.keys["k0"]}
    bindings = {binding.target.name: binding for binding in bound.columns}
    for name in sorted(attributes):
        exposed = bound.mapping.exposes.get(name)
        if exposed is not None:
            columns[name] = words.exposed(exposed)
        elif name in bindings and (expected := words.expected(bindings[name])) is not None:
            columns[name] = expected.value
    if usual == "users":
        columns["closed"] = _closed_accounts(rows)
    frame = pl.DataFrame({name: column.rename(name) for name, column in columns.items()})
    loaded = frame.filter(fates.loaded).unique("old", keep="first", maintain_order=True)
    context.known[usual] = Known(owned(loaded))


def _own_key(words: Words, key: str) -> pl.Series:
    """The source's own id of each row, by the column that fills the target's key."""
    for binding in words.bound.columns:
        if binding.target.name == key and isinstance(binding.word, Copy):
            return words.rows.value(binding.word.column, "TEXT")
    return words.rows.value("id", "TEXT")


def _closed_accounts(rows: Rows) -> pl.Series:
    state = (
        rows.value("status", "TEXT").str.to_lowercase().is_in(list(CLOSED)).fill_null(value=False)
    )
    if "deleted_at" in rows.cells.columns:
        state |= ~rows.cells.is_null("deleted_at")
    return state
