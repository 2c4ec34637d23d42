"""The log: what the source calls for against what the ledger holds, as one relation (section 8)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

import polars as pl

from person_unify.findings import FINDINGS
from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.mappings.spec import ClinicianOf, Computed, Copy, Fold, Person, Type, Via, Word
from person_unify.schema import UNIFIED
from person_unify.stages.verify.cells import alike
from person_unify.stages.verify.context import ENTRY, Context, Note
from person_unify.stages.verify.fates import MERGED, source_ids
from person_unify.stages.verify.people import TOKEN
from person_unify.stages.verify.words import PEOPLE, Words

WORDS = (("notifications", "action_url"), ("notifications", "action_data"))
"""Texts in which old ids are searched as whole words."""

_BY_CHECK = {
    "id_collision": "id_collisions",
    "soft_reference": "soft_references",
    "demographic_mismatch": "demographic_mismatches",
    "suspected_duplicate": "suspected_duplicates",
    "unreadable_value": "unreadable_values",
}
_WHERE = {
    "id_collisions": None,
    "demographic_mismatches": "children",
    "suspected_duplicates": "persons",
}
_KEPT_OUT = ("orphaned_record", "orphaned_consent_grant", "duplicate_key", MERGED)


def owed_of_row(words: Words, person: pl.Series | None, positions: pl.Series, note: Note) -> None:
    """What the log owes live rows of a table: broken references, and cells that cannot be read."""
    rows = words.rows
    nothing = alike(None, rows.height, pl.String())
    ids = pl.DataFrame(
        {
            "source_id": source_ids(words.bound, rows),
            "person": nothing if person is None else person.gather(positions),
        }
    )
    for kind, column, related, where in _broken(words):
        _owe(words, ids.with_columns(related=related), where, kind, column)
    note_unreadable(words, readings(words.bound), positions, note)
    for binding in words.bound.columns:
        word = binding.word
        if isinstance(word, Computed) and word.null_is_unreadable and word.carries is not None:
            note(word.carries, positions.filter(rows.value(word.carries, binding.type).is_null()))
    search(words)


def note_unreadable(
    words: Words, asked: Iterable[tuple[str, Type]], positions: pl.Series, note: Note
) -> None:
    """Note the rows whose cells cannot be read as some types."""
    for column, type_ in asked:
        mask = words.rows.read(column, type_).unreadable
        if mask is not None:
            note(column, positions.filter(mask))


def _owe(words: Words, frame: pl.DataFrame, where: pl.Series, kind: str, column: str) -> None:
    words.context.owe(
        frame.filter(where),
        kind,
        words.bound.name,
        source_id=pl.col("source_id"),
        related_id=pl.col("related"),
        person_id=pl.col("person"),
        field=pl.lit(column),
    )


def _broken(words: Words) -> Iterator[tuple[str, str, pl.Series, pl.Series]]:
    """Kind, column, related id and rows of what references of live rows are logged for."""
    for binding in words.bound.columns:
        word = binding.word
        column = getattr(word, "column", None)
        if column is None or column not in words.rows.cells.columns:
            continue
        said = words.rows.value(column, "TEXT")
        if isinstance(word, Person):
            human = words.human(column, word.first)
            if binding.strength == "optional":
                lost = said.is_not_null() & human["human"].is_null()
                yield "dangling_reference", column, said, lost
            if word.first == "patients":
                child = (~human["own"]).fill_null(value=False)
                yield "child_id_in_patient_column", column, said, child
        elif isinstance(word, Via) and binding.strength == "loose":
            yield (
                "dangling_reference",
                column,
                said,
                said.is_not_null() & ~words.exists(column, word.table),
            )
        elif isinstance(word, Copy) and binding.names and binding.strength != "required":
            lost = said.is_not_null() & ~words.exists(column, binding.names)
            if words.bound.mapping.source == "consent_grants":
                lost &= said != ""
            yield "dangling_reference", column, said, lost.fill_null(value=False)


def readings(bound: BoundMapping) -> list[tuple[str, Type]]:
    """Every source column that words of a mapping read, and as what (sections 1, 6 and 11)."""
    found = [pair for b in bound.columns for pair in reads_of(b.word, b.type)]
    found += [pair for w in bound.mapping.exposes.values() for pair in reads_of(w, "TEXT")]
    return list(dict.fromkeys(found))


def reads_of(word: Word, type_: Type) -> Iterator[tuple[str, Type]]:
    """Source columns that a word reads, and as what."""
    if isinstance(word, Computed):
        yield from ((read.column, read.type) for read in word.reads)
    elif isinstance(word, Fold):
        yield from ((part.column, part.type) for part in word.parts)
    else:
        column = getattr(word, "column", None)
        if column is not None:
            yield column, type_ if isinstance(word, Copy) else "TEXT"
        otherwise = getattr(word, "otherwise", None)
        if isinstance(otherwise, Copy):
            yield from reads_of(otherwise, type_)


def search(words: Words) -> None:
    """Note the source columns whose target cells hold an old patient or child id."""
    assert words.bound.target is not None
    target = words.bound.target
    for binding in words.bound.columns:
        name, word = binding.target.name, binding.word
        column = getattr(word, "column", None)
        if column is None or column not in words.rows.cells.columns:
            continue
        if not isinstance(word, Copy | Via | ClinicianOf) or not _searched(words, binding):
            continue
        place = (words.bound.name, column)
        if place in words.context.soft:
            continue
        expected = words.expected(binding)
        if expected is not None and _holds_old_id(
            words.context, expected.value, whole=(target.name, name) not in WORDS
        ):
            words.context.soft.add(place)


def _searched(words: Words, binding: Binding) -> bool:
    assert words.bound.target is not None
    table, name = words.bound.target, binding.target.name
    if (table.name, name) in WORDS:
        return isinstance(binding.word, Copy)
    declared = UNIFIED.get(table.name, table).foreign_key(name) is not None
    return name != "person_id" and not declared and name.endswith(("_id", "_by"))


def _holds_old_id(context: Context, values: pl.Series, whole: bool) -> bool:
    """Whether a value is an old id, or (not ``whole``) has one as a word of its own."""
    people = context.people
    if values.dtype != pl.String:
        return False
    if whole:
        return bool(people.has(values.filter(values != "")).any())
    texts = values.drop_nulls()
    if people.has(texts.str.extract_all(TOKEN).explode().drop_nulls()).any():
        return True
    return any(_has_word(text, old) for old in people.strange_ids for text in texts)


def _has_word(text: str, word: str) -> bool:
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if not _adjoins(text[max(0, start - 1) : start]) and not _adjoins(text[end : end + 1]):
            return True
        start = text.find(word, start + 1)
    return False


def _adjoins(character: str) -> bool:
    kind = unicodedata.category(character) if character else ""
    return character in ("_", "-") or kind.startswith("L") or kind == "Nd"


def check_log(context: Context) -> None:
    """Kinds, rows and entries of the discrepancies."""
    log = context.log
    answers = context.answers
    known = pl.DataFrame(
        {"kind": list(FINDINGS), "severity": [one.severity for one in FINDINGS.values()]}
    )
    strange = log.join(known, on=["kind", "severity"], how="anti")
    answers.judge(
        "discrepancy_kinds", None, log.height, [("unknown kind or severity", strange.height)]
    )
    _check_tables(context)
    soft = pl.DataFrame(
        sorted(context.soft), schema={"table": pl.String, "column": pl.String}, orient="row"
    )
    for table in soft["table"].unique():
        of_table = soft.filter(table=table)
        context.owe(of_table, "soft_reference", str(table), field=pl.col("column"))
    expected = pl.concat(context.owed) if context.owed else pl.DataFrame(schema=ENTRY)
    found = log.select(*ENTRY).filter(pl.col("kind").is_in(list(FINDINGS)))
    _check_entries(context, expected, found)


def check_ids(context: Context, table: str, ids: pl.Series | None) -> None:
    """Every discrepancy of a table names one of its rows, which have these ids."""
    frame = context.log.filter(pl.col("source_table") == table)
    if not frame.height:
        return
    of_rows = frame.filter(~pl.col("kind").is_in(["soft_reference", "implausible_instant"]))
    failures = [("no such row", 0)]
    if ids is not None:
        known = of_rows["source_id"].is_in(ids.implode()).fill_null(value=False)
        failures = [("no such row", int((~known).sum()))]
    context.answers.judge("discrepancy_ids", table, frame.height, failures)


def _check_tables(context: Context) -> None:
    """Every discrepancy names a table of the source."""
    known = [bound.name for bound in context.plan.bound]
    strange = context.log.filter(~pl.col("source_table").is_in(known).fill_null(value=False))
    for (name,), frame in strange.group_by("source_table", maintain_order=True):
        shown = str(name or "")
        context.answers.judge(
            "discrepancy_ids", shown, frame.height, [("no such table", frame.height)]
        )


def _check_entries(context: Context, expected: pl.DataFrame, found: pl.DataFrame) -> None:
    """The log holds exactly the entries that the source calls for, each as often."""
    names = list(ENTRY)
    sides = [f.group_by(names).len() for f in (expected, found)]
    both = sides[0].join(sides[1], on=names, how="full", nulls_equal=True, coalesce=True)
    counted = both.with_columns(pl.col("len", "len_right").fill_null(0)).with_columns(
        missing=(pl.col("len") - pl.col("len_right").cast(pl.Int64)).clip(0),
        strange=(pl.col("len_right") - pl.col("len").cast(pl.Int64)).clip(0),
    )
    people = [context.file_name(usual) for usual in PEOPLE]
    kept_out = pl.col("kind").is_in(_KEPT_OUT) & ~pl.col("source_table").is_in(people)
    check = (
        pl.when(kept_out)
        .then(pl.lit("rows_logged"))
        .otherwise(pl.col("kind").replace_strict(_BY_CHECK, default="discrepancies"))
    )
    totals = counted.with_columns(check=check).with_columns(
        pl.when(pl.col("check").is_in(list(_WHERE)))
        .then(pl.col("check").replace_strict(_WHERE, default=None))
        .otherwise("source_table")
        .alias("where")
    )
    groups = (
        totals.group_by("check", "where", "kind")
        .agg(pl.col("len").sum(), pl.col("missing").sum(), pl.col("strange").sum())
        .sort("check", "where", "kind")
    )
    for (name, where), frame in groups.group_by("check", "where", maintain_order=True):
        failures = []
        for row in frame.iter_rows(named=True):
            failures.append((f"{row['kind']} not logged", row["missing"]))
            failures.append((f"{row['kind']} without cause", row["strange"]))
        if name == "id_collisions":
            made = context.maps["collision_to_id"].height
            failures.append(
                ("map entries missing or too many", abs(made - int(frame["len"].sum())))
            )
        table = None if where is None else str(where)
        context.answers.judge(str(name), table, max(1, int(frame["len"].sum())), failures)
