"""Parent links: the views that they speak for, and those that are kept out (section 4)."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.mappings.spec import Copy, Decided, Type
from person_unify.stages.verify.archive import NOT_CARRIED
from person_unify.stages.verify.cells import alike
from person_unify.stages.verify.compare import Arm, Side
from person_unify.stages.verify.context import Context, Note, gathered
from person_unify.stages.verify.families import Families
from person_unify.stages.verify.pairs import NONE, TEXTS, VIEW, PairsOf, instant_of, view_columns
from person_unify.stages.verify.parts import bound_to, counted, finish, settled, side_of
from person_unify.stages.verify.words import Expected, Words


def check_links(context: Context, families: Families) -> None:
    """Parent links: the views they speak for, and those that are kept out."""
    bound = bound_to(context, "parent_children", VIEW)
    if bound is None:
        return
    of = PairsOf(context, families, "parent_children")
    rows = context.people.rows["parent_children"]
    human = context.people.of(rows.value("patient_id", "TEXT"), "patients")
    person = context.people.person.gather(human["human"])
    arm = Arm(
        bound,
        context.homes[VIEW],
        of.first,
        of.at.zip_with(of.first, NONE),
        _link_view(of, bound),
        {"is_primary_caregiver": "primary_caregiver", "*": "parent_views"},
        quiet=(of.of("children") > 0).fill_null(value=False),
    )
    side = side_of(context, "parent_children", [arm], of.at.is_not_null())
    kept = alike(None, rows.height, pl.String()) if side.archive is None else side.archive.kept_out
    side.due = side.due & kept.is_null()
    side.whole = (of.of("links") > 1).fill_null(value=False)
    arm.log = _noting_links(side.context, of, bound)
    types: dict[str, Type] = {
        "relationship_type": "TEXT",
        "added_at": "DATETIME",
        "is_primary": "BOOLEAN",
    }
    for column, type_ in types.items():
        mask = rows.read(column, type_).unreadable
        if mask is not None:
            side.note(column, (mask & of.there).arg_true())
    _owe_links(context, side, of, human, person)
    _check_link_fates(side, of, kept)
    finish(side, person, (NOT_CARRIED, "orphaned_record"))


def _noting_links(
    context: Context, of: PairsOf, bound: BoundMapping
) -> Callable[[Words, pl.Series, Note], None]:
    children = bound_to(context, "children", VIEW)
    theirs = {b.target.name for b in of.extras(children)}
    with_child = of.of("children") > 0

    def log(words: Words, at: pl.Series, note: Note) -> None:
        for binding in of.extras(bound):
            if binding.target.name in theirs:
                spots = ~with_child.gather(at).fill_null(value=False)
            else:
                spots = alike(True, at.len())
            assert isinstance(binding.word, Copy)
            mask = words.rows.read(binding.word.column, binding.type).unreadable
            if mask is not None:
                note(binding.word.column, at.filter(mask & spots))

    return log


def _link_view(
    of: PairsOf, bound: BoundMapping
) -> dict[str, Callable[[Words, pl.Series], Expected]]:
    found = view_columns(of)
    person = of.context.people.person.gather(of.of("human"))

    def person_id(words: Words, at: pl.Series) -> Expected:
        for rule, rows in words.rows.read("patient_id", "TEXT").recast.items():
            words.counts.add("patient_id", rule, rows)
        return Expected(person.gather(at), "patient_id")

    def relationship(words: Words, at: pl.Series) -> Expected:
        del at
        binding = next(b for b in bound.columns if b.target.name == "relationship_type")
        assert isinstance(binding.word, Decided)
        said = words.rows.value("relationship_type", "TEXT")
        words.counts.add("relationship_type", "required_default", said.is_null())
        if "relationship_type" in words.rows.cells.columns:
            for rule, rows in words.rows.read("relationship_type", "TEXT").recast.items():
                words.counts.add("relationship_type", rule, rows)
        return Expected(said.fill_null("parent"), "relationship_type")

    found["person_id"], found["relationship_type"] = person_id, relationship
    found["parent_id"] = counted(found["parent_id"], "parent_id")
    none = of.of("child_at").is_null()
    found["added_at"] = instant_of("added_at", of.added_at, of.there, none)
    for name in TEXTS:
        found[name] = settled(alike(None, of.pair.len(), pl.String()))
    children = bound_to(of.context, "children", VIEW)
    theirs = {b.target.name for b in of.extras(children)}
    for binding in of.extras(bound):
        if binding.target.name in theirs:
            found[binding.target.name] = _unless_child(binding, of.of("children") > 0)
    return found


def _unless_child(
    binding: Binding, with_child: pl.Series
) -> Callable[[Words, pl.Series], Expected]:
    """A column of this file that a child of the pair fills before the link does."""

    def decided(words: Words, at: pl.Series) -> Expected:
        before = dict(words.counts.found)
        expected = words.expected(binding)
        assert expected is not None
        theirs = with_child.gather(at).fill_null(value=False)
        for place, rows in list(words.counts.found.items()):
            if place not in before or before[place] is not rows:
                words.counts.found[place] = rows & ~theirs
        return expected

    return decided


def _owe_links(
    context: Context, side: Side, of: PairsOf, human: pl.DataFrame, person: pl.Series
) -> None:
    rows = side.rows
    patient, parent = rows.value("patient_id", "TEXT"), rows.value("parent_id", "TEXT")
    frame = pl.DataFrame(
        {
            "id": rows.value("id", "TEXT"),
            "patient": patient,
            "parent": parent,
            "person": person,
            "known": human["human"].is_not_null(),
            "child": (~human["own"]).fill_null(value=False),
            "there": of.there,
        }
    )
    lost = frame.filter(~pl.col("there"))
    known = pl.col("known")
    context.owe(
        lost,
        "orphaned_record",
        side.name,
        source_id=pl.col("id"),
        related_id=pl.when(known).then("parent").otherwise("patient"),
        person_id=pl.col("person"),
        field=pl.when(known).then(pl.lit("parent_id")).otherwise(pl.lit("patient_id")),
    )
    children = frame.filter(pl.col("there") & pl.col("child"))
    context.owe(
        children,
        "child_id_in_patient_column",
        side.name,
        source_id=pl.col("id"),
        related_id=pl.col("patient"),
        person_id=pl.col("person"),
        field=pl.lit("patient_id"),
    )


def _check_link_fates(side: Side, of: PairsOf, kept: pl.Series) -> None:
    answers, name, out = side.context.answers, side.name, kept.is_not_null()
    missing = ~out & of.at.is_null()
    uncaused = out & of.there
    mapped = gathered(
        side.context.maps["parent_link_to_view"], side.rows.value("id", "TEXT"), "old_id"
    )["new_id"].is_not_null()
    answers.compare("rows_accounted", name, out.len(), out.len() - int(missing.sum()))
    if total := int(out.sum()):
        answers.judge("rows_justified", name, total, [("without cause", int(uncaused.sum()))])
        answers.judge(
            "rows_not_revived", name, total, [("in the target", int((out & mapped).sum()))]
        )
    side.tell("minus", (VIEW, None, "neither in the target nor archived whole"), missing.arg_true())
    side.tell("minus", (VIEW, None, "kept out without cause"), uncaused.arg_true())
