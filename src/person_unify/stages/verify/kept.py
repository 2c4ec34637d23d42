"""Kept ids: what the maps give to old records against what those of an earlier run gave.

An old record that both runs know claims its earlier id for the new record that it became.  Claims
are ordered: patients, then children, then links, the earliest of each first.  The ids are right
where no claim is refused but for a better one, to its new record or to its id.
"""

from __future__ import annotations

import polars as pl

from person_unify.mappings import MAP_KEYS
from person_unify.stages.verify.context import Context, Rows, texts_of
from person_unify.stages.verify.reader import File

_FILLED = {
    "persons": ("patient_to_person", "child_to_person"),
    "parent_child_views": ("child_to_view", "parent_link_to_view"),
    "clinician_patient_views": ("patient_to_view",),
    "access_grants": ("consent_to_grant",),
    "tags": ("tag_to_tag",),
    "collisions": ("collision_to_id",),
}
"""What is counted together -> the maps that lead there, the first to claim an id first."""
_ORDERED = {
    "child_to_person": ("children", "created_at"),
    "child_to_view": ("children", "created_at"),
    "parent_link_to_view": ("parent_children", "added_at"),
    "tag_to_tag": ("patient_tags", "created_at"),
}
"""Maps of which several records may claim one id -> their old table and the instant of a row."""


def check_kept_ids(context: Context, earlier: File) -> None:
    """One check for each table of new ids; ``earlier`` is the earlier run's ledger."""
    for filled, maps in _FILLED.items():
        with context.answers.guarded("kept_ids", filled):
            _check(context, earlier, filled, maps)


def _check(context: Context, earlier: File, filled: str, maps: tuple[str, ...]) -> None:
    now, before, claims = [], [], []
    for name in maps:
        key = list(MAP_KEYS[name])
        new = _map_of(context.ledger, name, key, "new")
        old = _map_of(earlier, name, key, "old")
        now.append(new["new"])
        before.append(old["old"])
        both = new.join(old, on=key, nulls_equal=True)
        claims.append(_in_order(context, name, both, key).select("new", "old"))
    claim = pl.concat(claims).unique(maintain_order=True).with_row_index("rank")
    new_ids, known = pl.concat(now).unique(), pl.concat(before)
    met = claim.filter(pl.col("new") == pl.col("old")).select(id="new", better="rank")
    refused = claim.filter(pl.col("new") != pl.col("old"))
    for column in ("new", "old"):
        # Whoever has the record or the id by an earlier claim is in the right.
        refused = refused.join(met, left_on=column, right_on="id", how="left").filter(
            pl.col("better").is_null() | (pl.col("better") > pl.col("rank"))
        )
        refused = refused.drop("better")
    strange = new_ids.filter(new_ids.is_in(known.implode())).len() - met.height
    detail = f"{new_ids.len() - met.height} fresh"
    detail += f", {refused.height} records without their earlier id" if refused.height else ""
    detail += f", {strange} with that of another record" if strange else ""
    expected, actual = met.height + refused.height, met.height - strange
    context.answers.compare("kept_ids", filled, expected, actual, detail)


def _map_of(ledger: File, name: str, key: list[str], id_: str) -> pl.DataFrame:
    """A map with its ids in a column ``id_``; empty where an earlier release had none."""
    if name not in ledger.tables:
        return pl.DataFrame(schema=dict.fromkeys((*key, id_), pl.String))
    found = texts_of(ledger, name, (*key, "new_id")).rename({"new_id": id_})
    if "source_table" in key:
        found = found.with_columns(pl.col("source_table").str.to_lowercase())
    return found.unique(key, keep="first", maintain_order=True)


def _in_order(context: Context, name: str, both: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Records with the earliest first (section 3): by instant, missing last, then by id."""
    usual, column = _ORDERED.get(name, ("", ""))
    table = context.source.tables.get(context.file_name(usual))
    if table is None or not both.height:
        return both
    named = {"patient_id": "patient_id", "tag": "tag"} if len(key) > 1 else {"old_id": "id"}
    columns = [c for c in (*table.primary_key, *named.values(), column) if table.column(c)]
    rows = Rows(table, context.source.read(table, dict.fromkeys(columns)))
    instants = pl.DataFrame({k: rows.value(c, "TEXT") for k, c in named.items()}).with_columns(
        at=rows.value(column, "DATETIME")
    )
    first = instants.sort("at", nulls_last=True).unique(key, keep="first")
    joined = both.join(first, on=key, how="left", nulls_equal=True)
    return joined.sort("at", *key, nulls_last=True)
