"""The named rules of ``computed`` words: expressions over canonical cells (sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from person_unify.frames.conversions import clock, minute_of_day
from person_unify.mappings.platform import CLOSED

Rule = Callable[["Inputs"], pl.Expr]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a rule may see: canonical values and unreadable masks by column, and the time zone."""

    values: Mapping[str, pl.Expr]
    unreadable: Mapping[str, pl.Expr]
    timezone: str


def iep_plan_name(inputs: Inputs) -> pl.Expr:
    """``IEP `` and the academic year; a NULL year counts as empty (section 11)."""
    return pl.lit("IEP ") + inputs.values["academic_year"].fill_null("")


def as_text(inputs: Inputs) -> pl.Expr:
    """The one cell that is read, as text; ``''`` where it has no value."""
    (value,) = inputs.values.values()
    return value.fill_null("")


def session_start(inputs: Inputs) -> pl.Expr:
    """HH:MM of the session in the time zone, ``''`` without a readable date."""
    start = minute_of_day(inputs.values["session_date"], inputs.timezone)
    return clock(start).fill_null("")


def session_end(inputs: Inputs) -> pl.Expr:
    """Start plus duration, wrapping at midnight; the start without a readable duration."""
    start = minute_of_day(inputs.values["session_date"], inputs.timezone)
    minutes = inputs.values["duration"].fill_null(0) % 1440
    return clock(start + minutes).fill_null("")


def _closed(inputs: Inputs) -> pl.Expr:
    """Whether the consent's state cannot be read, so that the grant must be closed (section 5)."""
    masks = [inputs.values["status"].is_null()]
    masks += [
        inputs.unreadable[column]
        for column in ("status", "expires_at", "revoked_at", "permissions", "access_level")
        if column in inputs.unreadable
    ]
    return pl.any_horizontal(masks)


def closed_account(inputs: Inputs) -> pl.Expr:
    """Whether a user is deleted, whenever that was, or its status bars it (section 5)."""
    deleted = inputs.values["deleted_at"].is_not_null()
    if "deleted_at" in inputs.unreadable:
        deleted |= inputs.unreadable["deleted_at"]
    return deleted | inputs.values["status"].str.to_lowercase().is_in(CLOSED).fill_null(value=False)


def grant_status(inputs: Inputs) -> pl.Expr:
    """The consent's status; ``revoked`` where its state cannot be read."""
    return pl.when(_closed(inputs)).then(pl.lit("revoked")).otherwise(inputs.values["status"])


def grant_token(inputs: Inputs) -> pl.Expr:
    """The consent's token; none for a closed grant."""
    return pl.when(~_closed(inputs)).then(inputs.values["token"])


def grant_token_expiry(inputs: Inputs) -> pl.Expr:
    """``expires_at`` while the consent is pending and readable, else none."""
    open_and_pending = (inputs.values["status"] == "pending") & ~_closed(inputs)
    return pl.when(open_and_pending).then(inputs.values["expires_at"])


def grant_permissions(inputs: Inputs) -> pl.Expr:
    """The consent's permissions; none at all where they are missing or unreadable."""
    return inputs.values["permissions"].fill_null("{}")


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        as_text,
        iep_plan_name,
        session_start,
        session_end,
        closed_account,
        grant_status,
        grant_token,
        grant_token_expiry,
        grant_permissions,
    )
}
