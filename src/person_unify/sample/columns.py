"""Columns that several tables share: instants, names, addresses, e-mail addresses, authors."""

from __future__ import annotations

import numpy as np
import polars as pl

from person_unify.sample import vocab
from person_unify.sample.clinic import PARENT_USERS, TODAY, Clinic
from person_unify.sample.draw import Cells, Draw, take, text, where
from person_unify.sample.identity import Ints, Keys, below, keys
from person_unify.sample.rows import Rows

Columns = dict[str, Cells]


def stamps(rows: Rows, draw: Draw) -> Columns:
    """``created_at`` and a later ``updated_at``."""
    changed = draw.integers(0, 1000) * (TODAY - rows.created) // 1000
    return {"created_at": rows.created, "updated_at": rows.created + changed}


def emails(clinic: Clinic, user: Keys) -> pl.Series:
    """The e-mail address of each user, unique because the user's number is part of it."""
    latin = [name.lower() for name in (*vocab.GIRLS, *vocab.BOYS) if name.isascii()]
    names = take(latin, below(clinic.seed, "e-mail", user, len(latin)))
    staff = user < PARENT_USERS
    number = np.where(staff, user, user - PARENT_USERS)
    own = text("dr.{}.{}@asha-clinic.example", names, number)
    return where(staff, own, text("{}{}@mail.example", names, number))


def names(rows: Rows) -> tuple[pl.Series, pl.Series, pl.Series]:
    """First name, last name and gender of each row's person: the same for child and patient."""
    clinic, who = rows.clinic, rows.owner
    lot = clinic.lot("first name", who)
    girl = clinic.is_girl(who)
    girls = take(vocab.GIRLS, (lot % np.uint64(len(vocab.GIRLS))).astype(np.int64))
    boys = take(vocab.BOYS, (lot % np.uint64(len(vocab.BOYS))).astype(np.int64))
    leading = take(("", "", "Sai ", "Sri ", "Naga ", "Devi ", "Om "), (lot >> 40) % np.uint64(7))
    surname = clinic.lot("last name", clinic.family(who)) % np.uint64(len(vocab.SURNAMES))
    first = text("{}{}", leading, where(girl, girls, boys))
    gender = where(girl, "female", "male")
    return first, take(vocab.SURNAMES, surname.astype(np.int64)), gender


def place(draw: Draw) -> Columns:
    """Address columns whose city, state and PIN code belong together."""
    at = draw.integers(0, len(vocab.PLACES) - 1)
    towns, states, areas = zip(*vocab.PLACES, strict=True)
    pin = np.array(areas)[at] * 100 + draw.integers(1, 99)
    return {
        "address_line1": text("{}, {}", draw.integers(1, 900), draw.pick(vocab.STREETS)),
        "address_line2": draw.maybe(draw.pick(vocab.LANDMARKS), 0.4),
        "city": take(towns, at),
        "state": take(states, at),
        "pin_code": pl.Series(pin).cast(pl.String),
    }


def hexadecimal(rows: Rows, name: str) -> pl.Series:
    """32 hexadecimal digits per row, as tokens and hashes have; unique for each ``name``."""
    return rows.ids(f"{rows.table}/{name}").str.replace_all("-", "", literal=True)


def staff_ids(rows: Rows, draw: Draw) -> pl.Series:
    """Who wrote a row: mostly the person's clinician, sometimes any other."""
    others = below(rows.clinic.seed, f"{rows.table}/staff", rows.key, rows.clinic.clinicians)
    stand_in = rows.ids("users", keys(others))
    return where(draw.chance(0.1), stand_in, rows.clinician_ids())


def author_ids(rows: Rows, draw: Draw) -> tuple[pl.Series, pl.Series]:
    """Writers who may be parents, by user id or parent id, and ``parent`` or ``clinician``."""
    guarded = rows.clinic.has_parent(rows.owner)
    parent = guarded & draw.chance(0.3)
    guardian = where(draw.chance(0.5), rows.guardian_ids(), rows.guardian_user_ids())
    kind = where(parent, "parent", "clinician")
    return where(parent, guardian, rows.clinician_ids()), kind


def lot(rows: Rows, name: str, limit: int) -> Ints:
    """A number below ``limit`` for each row, the same whenever it is asked for."""
    return below(rows.clinic.seed, f"{rows.table}/{name}", rows.key, limit)
