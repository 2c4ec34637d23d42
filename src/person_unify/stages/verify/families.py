"""Families: who belongs to whom, pair by pair of human and parent (contract sections 4 and 5)."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from person_unify.stages.verify.context import Context, gathered


@dataclass(frozen=True, slots=True)
class Families:
    """members: every child and link with a human and a loaded parent, in the order of their pair.

    Columns ``human``, ``parent``, ``link`` (0 or 1), ``at`` (instant), ``old``, ``row`` (position
    in its table), ``flagged``, ``view`` (by the map).

    pairs: one row per view: ``human``, ``parent``, ``children``, ``links`` (how many), ``child``,
    ``link`` (positions of the first), ``child_old``, ``link_old``, ``child_at``, ``link_at``,
    ``flagged``, ``view``, ``views``, ``primary`` (whether this parent's view is the primary one),
    ``family`` (pairs of the human), ``flags`` (flagged ones).
    """

    members: pl.DataFrame
    pairs: pl.DataFrame


def read_families(context: Context, chosen: pl.DataFrame) -> Families:
    """Pair everybody up; ``chosen``: primary caregivers that decisions name (human, parent)."""
    members = pl.concat([_children(context), _links(context)]).sort(
        "human", "parent", "link", "at", "old", nulls_last=True
    )
    child, link = pl.col("link") == 0, pl.col("link") == 1
    pairs = members.group_by("human", "parent", maintain_order=True).agg(
        children=child.sum(),
        links=link.sum(),
        child=pl.col("row").filter(child).first(),
        child_old=pl.col("old").filter(child).first(),
        child_at=pl.col("at").filter(child).first(),
        link=pl.col("row").filter(link).first(),
        link_old=pl.col("old").filter(link).first(),
        link_at=pl.col("at").filter(link).first(),
        flagged=pl.col("flagged").any(),
        view=pl.col("view").max(),
        views=pl.col("view").fill_null("").n_unique(),
    )
    return Families(members, _with_primary(pairs, chosen))


def _children(context: Context) -> pl.DataFrame:
    children = context.people.children
    frame = children.select("human", "old", parent="parent", at="created", row="at").with_columns(
        link=pl.lit(0), flagged=pl.lit(value=False)
    )
    return _of_parents(context, frame, "child_to_view")


def _links(context: Context) -> pl.DataFrame:
    rows = context.people.rows["parent_children"]
    frame = (
        pl.DataFrame(
            {
                "human": context.people.of(rows.value("patient_id", "TEXT"), "patients")["human"],
                "old": rows.value("id", "TEXT"),
                "parent": rows.value("parent_id", "TEXT"),
                "at": rows.value("added_at", "DATETIME"),
                "flagged": (rows.value("is_primary", "BOOLEAN") == 1).fill_null(value=False),
            }
        )
        .with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int64), link=pl.lit(1))
    )
    return _of_parents(context, frame.filter(pl.col("human").is_not_null()), "parent_link_to_view")


def _of_parents(context: Context, frame: pl.DataFrame, views: str) -> pl.DataFrame:
    """Those with a loaded parent, and the view that the map leads to."""
    parents = context.known.get("parents")
    if parents is None:
        frame = frame.clear().with_columns(new=pl.lit(None, pl.String))
    else:
        frame = frame.filter(parents.has(frame["parent"]))
        frame = frame.with_columns(new=parents.of(frame["parent"], "new"))
    view = gathered(context.maps[views], frame["old"], "old_id")["new_id"]
    return frame.select(
        "human",
        pl.col("new").alias("parent"),
        "link",
        "at",
        "old",
        "row",
        "flagged",
        view.alias("view"),
    )


def _with_primary(pairs: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """The one pair per human that section 4 or a decision names comes first in this order."""
    pairs = pairs.join(
        chosen.unique(["human", "parent"]).with_columns(chosen=pl.lit(value=True)),
        on=["human", "parent"],
        how="left",
        maintain_order="left",
    ).with_columns(flags=pl.col("flagged").sum().over("human"), family=pl.len().over("human"))
    any_flag, of_child = pl.col("flags") > 0, pl.col("children") > 0
    by_link = any_flag | ~of_child
    ranked = pairs.with_row_index("n").with_columns(
        r0=pl.col("chosen").is_null(),
        r1=pl.when(any_flag).then(~pl.col("flagged")).otherwise(~of_child),
        r2=pl.when(by_link).then("link_at").otherwise("child_at"),
        r3=pl.when(by_link).then("parent").otherwise("child_old"),
    )
    first = (
        ranked.sort("human", "r0", "r1", "r2", "r3", nulls_last=True)
        .group_by("human", maintain_order=True)
        .agg(pl.col("n").first())
    )
    primary = pl.Series("primary", [], pl.UInt32) if not first.height else first["n"]
    return ranked.with_columns(primary=pl.col("n").is_in(primary.implode())).drop(
        "n", "r0", "r1", "r2", "r3", "chosen"
    )


def implied_grants(context: Context, families: Families, modes: pl.DataFrame) -> pl.DataFrame:
    """Per pair of a linked child, whether a grant is owed that no consent speaks of.

    Columns ``human``, ``parent``, ``child_old``, ``patient_old``, ``clinician``, ``mode`` (what the
    operator, a decision (``modes``) or a closed account makes of it).
    """
    people = context.people
    patients = people.patients.select(
        "human", "clinician", "deleted", pl.col("old").alias("patient_old")
    )
    owed = families.pairs.filter(pl.col("children") > 0).join(
        patients, on="human", maintain_order="left"
    )
    owed = owed.join(_consents(context), on=["human", "parent"], how="anti", maintain_order="left")
    users = _accounts(context)
    owed = owed.join(users, left_on="clinician", right_on="old", maintain_order="left")
    owed = owed.filter(~pl.col("deleted"))
    parents = _parents(context).join(users, left_on="user_id", right_on="old", how="left")
    owed = owed.join(
        parents.select("old", pl.col("closed").alias("parent_closed"), "email"),
        left_on="parent",
        right_on="old",
        how="left",
        maintain_order="left",
        suffix="_of_parent",
    ).join(
        modes,
        left_on=["child_old", "patient_old"],
        right_on=["child", "patient"],
        how="left",
        maintain_order="left",
    )
    closed = pl.col("closed") | pl.col("parent_closed").fill_null(value=False)
    usual = pl.lit(context.options.implied_grants)
    return owed.select(
        "human",
        "parent",
        "child_old",
        "patient_old",
        "clinician",
        email=pl.col("email_of_parent").fill_null(""),
        mode=pl.when(closed).then(pl.lit("none")).otherwise(pl.coalesce("decided", usual)),
    )


def _consents(context: Context) -> pl.DataFrame:
    """Humans and parents that a consent row of any status speaks of."""
    empty = pl.DataFrame(schema={"human": pl.Int64, "parent": pl.String})
    name = context.plan.source_names.get("consent_grants")
    if name is None or name not in context.source.tables:
        return empty
    from person_unify.stages.verify.context import Rows

    table = context.source.tables[name]
    columns = [c for c in ("patient_id", "parent_id") if table.column(c) is not None]
    rows = Rows(table, context.source.read(table, columns))
    human = context.people.of(rows.value("patient_id", "TEXT"), "patients")["human"]
    frame = pl.DataFrame({"human": human, "parent": rows.value("parent_id", "TEXT")})
    return frame.drop_nulls().unique()


def _accounts(context: Context) -> pl.DataFrame:
    """Loaded users: ``old``, ``email``, and whether the account is closed."""
    users = context.known.get("users")
    if users is None:
        return pl.DataFrame(schema={"old": pl.String, "email": pl.String, "closed": pl.Boolean})
    return users.rows.select("old", "email", "closed")


def _parents(context: Context) -> pl.DataFrame:
    parents = context.known.get("parents")
    if parents is None:
        return pl.DataFrame(schema={"old": pl.String, "user_id": pl.String})
    return parents.rows.select("old", "user_id")
