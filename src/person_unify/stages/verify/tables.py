"""Tables that are migrated row by row (contract sections 6 and 7), and those archived whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from person_unify.mappings import CORE_TABLES
from person_unify.mappings.bind import BoundMapping
from person_unify.mappings.spec import NewId
from person_unify.schema import Table
from person_unify.stages.verify.archive import (
    NOT_CARRIED,
    Archive,
    archive_of,
    asked_first,
    keys,
    lanes_of,
)
from person_unify.stages.verify.cells import alike
from person_unify.stages.verify.compare import Arm, Side, compare
from person_unify.stages.verify.context import Context, Rows, key_of
from person_unify.stages.verify.fates import MERGED, Fates, deciding_columns, settle, source_ids
from person_unify.stages.verify.findings import Found, texts
from person_unify.stages.verify.held import Range
from person_unify.stages.verify.homes import Home
from person_unify.stages.verify.homes import lanes_of as lanes_of_target
from person_unify.stages.verify.logs import check_ids, owed_of_row


def read_ahead(context: Context, usual: str) -> None:
    """Have an old table, its archive and what it fills read beside, as far as they fit in a part.

    Of larger ones what is asked of all rows first.
    """
    for bound in context.plan.of(usual):
        by_itself = bound.target is not None and usual not in CORE_TABLES
        first = _columns_of_all(context, bound) if by_itself else ()
        context.source.read_ahead(context.beside, bound.source, first)
        findings = context.answers.findings
        wanted = findings is None or context.answers.wants(bound.name)
        if wanted and bound.target is not None and bound.target.name in context.homes:
            table = context.homes[bound.target.name].table
            context.target.read_ahead(context.beside, table, (), lanes_of_target(table))
        archive = context.ledger.tables.get(f"archive_{bound.source.name}")
        if archive is not None:
            archive = archive.known_as(bound.source)
            key, *own = asked_first(archive, bound.source)
            lanes = lanes_of(archive, bound.source)
            context.ledger.read_ahead(context.beside, archive, (*key, *own), lanes)


def read_rows(context: Context, bound: BoundMapping) -> tuple[Rows, list[Range] | None]:
    """All rows of a table: whole, or the columns that decide, with the parts for the others."""
    source = bound.source
    columns = _columns_of_all(context, bound)
    return Rows(source, context.source.read(source, columns)), context.source.ranges(source)


def _columns_of_all(context: Context, bound: BoundMapping) -> Sequence[str]:
    """The columns that are read of all rows at once: those that decide, if not all fit."""
    whole = context.source.ranges(bound.source) is None
    return bound.source.column_names if whole else deciding_columns(context, bound)


def check_table(context: Context, bound: BoundMapping) -> None:
    """One source table with a home in the target."""
    assert bound.target is not None
    context.progress(bound.name)
    rows, ranges = read_rows(context, bound)
    fates = settle(context, bound, rows)
    archive = archive_of(context, bound.source, rows.cells)
    home = context.homes[bound.target.name]
    nothing = alike(None, rows.height, pl.String())
    kept = nothing if archive is None else archive.kept_out
    live = fates.loaded & kept.is_null()
    places = home.places(fates.keys)
    at = places.zip_with(live, pl.Series([None], dtype=places.dtype))
    home.claim(at.drop_nulls())
    arm = Arm(bound, home, live, at, checks=CHECKS.get(bound.mapping.source, {}))
    key = key_columns(rows, bound.mapping.source)
    side = Side(context, bound.mapping.source, rows, archive, [arm], at.is_not_null(), key=key)
    arm.log = lambda words, there, note: owed_of_row(words, fates.person, there, note)
    ids = source_ids(bound, rows)
    check_ids(context, bound.name, ids)
    _check_fates(side, home, fates, (kept, live, places))
    if context.answers.findings is None or context.answers.wants(bound.name):
        compare(side, ranges)
        side.owe_cells(ids, fates.person)
        report(side, (NOT_CARRIED, bound.mapping.orphan_kind, "duplicate_key", MERGED))


CHECKS = {
    "consent_grants": dict.fromkeys(
        ("status", "person_id", "grantor_id", "grantor_type"), "grants_not_wider"
    )
}
"""Columns whose cells belong to a check of their own."""


def key_columns(rows: Rows, usual: str) -> list[pl.Series]:
    """What names the rows of a table for people: the cells of its key, or its rowids."""
    names = key_of(rows.table, usual)
    shown = [rows.value(name, "TEXT") for name in names if name in rows.cells.columns]
    return shown or [rows.cells.row.cast(pl.String)]


_Places = tuple[pl.Series, pl.Series, pl.Series]


def _check_fates(side: Side, home: Home, fates: Fates, found: _Places) -> None:
    """Every row is in the target, or kept out for a reason that the source bears out."""
    kept, live, places = found
    out = kept.is_not_null()
    target = home.table.name
    free = ~home.claimed
    there = free.gather(places).fill_null(value=False)
    missing = (live & places.is_null()) | (~fates.loaded & ~out & ~there)
    uncaused = out & (kept != fates.kind)
    stray = ~fates.loaded & ~out & there
    home.claim(places.filter(stray))
    revived = out & there
    answers, name = side.context.answers, side.name
    answers.compare("rows_accounted", name, out.len(), out.len() - int(missing.sum()))
    total = int(out.sum())
    if total:
        answers.judge("rows_not_revived", name, total, [("in the target", int(revived.sum()))])
    if total or stray.any():
        wrong = [("without cause", int(uncaused.sum())), ("loaded without cause", int(stray.sum()))]
        answers.judge("rows_justified", name, max(total, int(stray.sum())), wrong)
    side.tell(
        "minus", (target, None, "neither in the target nor archived whole"), missing.arg_true()
    )
    side.tell("minus", (target, None, "kept out without cause"), uncaused.arg_true())
    _merged_apart(side, home, fates)


def _merged_apart(side: Side, home: Home, fates: Fates) -> None:
    """Rows that became one must lead to one row of the target."""
    merged = fates.kind == MERGED
    if not merged.any():
        return
    rows = side.rows
    frame = pl.DataFrame(
        {
            "human": side.context.people.of(rows.value("patient_id", "TEXT"), "patients")["human"],
            "tag": rows.value("tag", "TEXT"),
            "key": fates.keys["k0"],
            "kind": fates.kind,
        }
    )
    first = frame.filter(pl.col("kind") == "loaded").select("human", "tag", due="key")
    found = frame.join(first, on=["human", "tag"], how="left", maintain_order="left")
    apart = merged & found["key"].ne_missing(found["due"])
    wrong = [("mapped to another row than the one they became", int(apart.sum()))]
    side.context.answers.judge("rows_justified", side.name, int(merged.sum()), wrong)
    side.tell("minus", (home.table.name, None, "mapped to another row"), apart.arg_true())


def report(side: Side, reasons: tuple[str, ...]) -> None:
    """The checks that a comparison adds up to."""
    answers, name = side.context.answers, side.name
    compared(side)
    for check in dict.fromkeys(("cells_match", *(check for check, _ in side.wrong))):
        wrong = [(label, n) for (c, label), n in side.wrong.items() if c == check]
        if check == "cells_match" or wrong:
            table = name if check == "cells_match" else side.arms[-1].home.table.name
            answers.judge(check, table, side.compared.get(check, 0), wrong)
    check_lists(side, reasons)
    side.context.inverse.end(side.name)
    side.context.look(side.name, [arm.home.table.name for arm in side.arms])


def compared(side: Side) -> None:
    """Say for ``diff`` how much was compared, and how rows are named."""
    findings, rows = side.context.answers.findings, side.rows
    if findings is None:
        return
    findings.keys[side.name] = key_of(rows.table, side.usual) or ("_rowid",)
    findings.count("source rows", rows.height)
    for name in dict.fromkeys(arm.home.table.name for arm in side.arms):
        findings.rows.setdefault(name, side.context.homes[name].height)
    if side.archive is not None:
        findings.count("archive rows", side.archive.cells.height)
    findings.count("target cells", sum(side.compared.values()))
    findings.count("source cells", int(side.due.sum()) * len(rows.table.columns))


def check_lists(side: Side, reasons: tuple[str, ...]) -> None:
    """Archive rows name existing columns, all that are never carried, all of a whole row.

    What they hold is judged by the inverse; here, that they hold nothing that they do not name.
    """
    source, answers, archive = side.rows.table, side.context.answers, side.archive
    always = frozenset(source.column_names) - _carriers(side) - set(source.primary_key)
    needed = side.due if always or not side.arms else alike(False, side.rows.height)
    if side.whole is not None:
        needed = needed | (side.whole & side.due)
    bare = needed if archive is None else needed & archive.of.is_null()
    side.tell("lost", (None, None, "no archive row"), bare.arg_true())
    if archive is None:
        answers.judge("archive_lists", side.name, int(needed.sum()), [_bare(bare)])
        return
    listed = archive.cells.columns[archive.listed]
    failures = dict.fromkeys(
        ("no JSON list", "missing columns", "unknown columns", "unknown reasons"), 0
    )
    every = frozenset(source.column_names) - set(archive.key)
    for where, said, detail in _kinds(side, listed, (reasons, always & every, every)):
        failures[said] += int(where.sum())
        if said != "unknown reasons":
            _tell_archive(side, archive, detail, where)
    strangers = archive.at.is_null()
    own = keys(archive.cells, list(archive.key))
    repeated = _again(own)
    _tell_archive(side, archive, "an archive row of no source row", strangers)
    _tell_archive(side, archive, "a repeated archive row", repeated)
    failures |= {
        "rows of no source row": int(strangers.sum()),
        "repeated rows": int(repeated.sum()),
    }
    height = archive.cells.height
    answers.judge("archive_lists", side.name, height, [*failures.items(), _bare(bare)])
    answers.judge("archive_verbatim", side.name, height, list(_unnamed(side, archive)))


def _bare(rows: pl.Series) -> tuple[str, int]:
    return "rows without an archive row", int(rows.sum())


def _carriers(side: Side) -> frozenset[str]:
    """The source columns that some target cell holds, or that an id map names."""
    found = {b.word.holds for arm in side.arms for b in arm.bound.columns}
    new = any(isinstance(b.word, NewId) for arm in side.arms for b in arm.bound.columns)
    return frozenset(name for name in (*found, "id" if new else None) if name is not None)


def _unnamed(side: Side, archive: Archive) -> Iterator[tuple[str, int]]:
    """Cells, by column, that archive rows hold although their lists do not name them."""
    context, table = side.context, archive.table
    columns = sorted(archive.stored - set(archive.key))
    found = dict.fromkeys(columns, 0)
    start = 0
    parts: Sequence[Range | None] = context.ledger.ranges(table) or [None]
    for part in parts:
        cells = context.ledger.read(table, columns, None if part is None else [part], archive.lanes)
        at = pl.arange(start, start + cells.height, eager=True, dtype=pl.UInt32)
        start += cells.height
        for column in columns:
            wrong = ~cells.is_null(column) & ~archive.names(column, at)
            if wrong.any():
                found[column] += int(wrong.sum())
                rows = wrong.arg_true() + (start - cells.height)
                side.tell(
                    "archive",
                    (None, column, "an archived cell that its list does not name"),
                    archive.at.gather(rows).drop_nulls(),
                )
    yield from found.items()


_Asked = tuple[tuple[str, ...], frozenset[str], frozenset[str]]


def _kinds(side: Side, listed: pl.Series, asked: _Asked) -> Iterator[tuple[pl.Series, str, str]]:
    """What is wrong with lists and reasons, and in which archive rows."""
    archive = side.archive
    assert archive is not None
    reasons, always, every = asked
    reason = archive.reasons
    yield ~reason.is_in(list(reasons)).fill_null(value=False), "unknown reasons", ""
    columns = set(archive.source.column_names)
    partly = reason.fill_null("") == NOT_CARRIED
    if side.whole is not None:
        partly &= ~side.whole.gather(archive.at).fill_null(value=False)
    for text, names in archive.lists.items():
        has = listed.eq_missing(pl.Series([text], dtype=pl.String))
        if names is None:
            yield has, "no JSON list", "its list of columns cannot be read"
            continue
        for needed, of_kind in ((always, partly), (every, ~partly)):
            missing = sorted(needed - names)
            if missing:
                yield (
                    has & of_kind,
                    "missing columns",
                    f"its list does not name {', '.join(missing)}",
                )
        if names - columns:
            detail = f"its list names {len(names - columns)} columns that do not exist"
            yield has, "unknown columns", detail


def _again(keys: pl.DataFrame) -> pl.Series:
    return keys.is_duplicated() & ~keys.select(pl.struct(pl.all()).is_first_distinct()).to_series()


def _tell_archive(side: Side, archive: Archive, detail: str, rows: pl.Series) -> None:
    if not rows.any():
        return
    like = Found("archive", side.name, None, None, detail, 0, ())
    shown = [archive.cells.columns[c].cast(pl.String) for c in archive.key]
    at = rows.arg_true()
    side.context.answers.tell(
        like, at.len(), lambda limit: [(key, None) for key in texts(shown, at, limit)]
    )


def check_archived_whole(context: Context, source: Table, usual: str) -> None:
    """A table without a counterpart: every row is in the archive, verbatim (section 9)."""
    context.progress(source.name)
    answers = context.answers
    rows_ = _whole_rows(context, source, usual)
    archive = archive_of(context, source, rows_.cells)
    if archive is None:
        answers.compare("rows_accounted", source.name, rows_.height, 0)
        lost = alike(True, rows_.height)
        side = Side(context, usual, rows_, None, (), lost, key=key_columns(rows_, usual))
        side.tell("minus", (None, None, "not in the archive"), lost.arg_true())
        return
    due = archive.of.is_not_null()
    side = Side(context, usual, rows_, archive, (), due, key=key_columns(rows_, usual))
    answers.compare("rows_accounted", source.name, rows_.height, int(due.sum()))
    side.tell("minus", (None, None, "not in the archive"), (~due).arg_true())
    if answers.findings is None or answers.wants(source.name):
        check_lists(side, ("unmapped_table",))
        context.inverse.check(side.name, side)
        context.look(side.name, ())
        compared(side)


def _whole_rows(context: Context, source: Table, usual: str) -> Rows:
    """The rows by their keys, or with all their cells where those fit into one part."""
    columns = source.column_names
    if context.source.ranges(source) is not None:
        columns = tuple(dict.fromkeys((*source.primary_key, *key_of(source, usual))))
    return Rows(source, context.source.read(source, columns))
