"""Patients and children: their persons, and what clinicians and parents see (sections 3, 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.mappings.spec import Copy, Type
from person_unify.stages.verify.cells import alike
from person_unify.stages.verify.compare import Arm, Side
from person_unify.stages.verify.context import Context, Note, Rows, gathered
from person_unify.stages.verify.families import Families
from person_unify.stages.verify.humans import Humans
from person_unify.stages.verify.logs import note_unreadable, readings
from person_unify.stages.verify.pairs import NONE, TEXTS, VIEW, PairsOf, instant_of, view_columns
from person_unify.stages.verify.parts import bound_to, counted, finish, places_of, settled, side_of
from person_unify.stages.verify.words import Expected, Words


def check_patients(context: Context, humans: Humans) -> None:
    """Patients: their persons, and what their clinicians see."""
    persons = bound_to(context, "patients", "persons")
    views = bound_to(context, "patients", "clinician_patient_views")
    if persons is None or views is None:
        return
    people = context.people
    frame = people.patients
    every = alike(True, frame.height)
    at = places_of(context, "persons", frame["person"])
    seen = humans.seen
    mapped = gathered(context.maps["patient_to_view"], frame["old"], "old_id")["new_id"]
    view_at = places_of(context, "clinician_patient_views", mapped)
    view_at = view_at.zip_with(seen, NONE)
    decided = _person_columns(context, humans, persons, "patients")
    arms = [
        Arm(persons, context.homes["persons"], every, at, decided),
        Arm(
            views,
            context.homes["clinician_patient_views"],
            seen,
            view_at,
            {"person_id": settled(frame["person"])},
        ),
    ]
    side = side_of(context, "patients", arms, at.is_not_null())
    for arm in arms:
        asked = [pair for pair in readings(arm.bound) if pair[0] != "clinician_id"]
        arm.log = _noting(asked)
    lost = seen & view_at.is_null()
    side.tell(
        "minus", ("clinician_patient_views", None, "without the clinician's view"), lost.arg_true()
    )
    finish(side, frame["person"])


def _noting(asked: Sequence[tuple[str, Type]]) -> Callable[[Words, pl.Series, Note], None]:
    def log(words: Words, at: pl.Series, note: Note) -> None:
        note_unreadable(words, asked, at, note)

    return log


def _person_columns(
    context: Context, humans: Humans, bound: BoundMapping, usual: str
) -> dict[str, Callable[[Words, pl.Series], Expected]]:
    """The columns of a person that are settled for all who are one."""
    rows = context.people.rows[usual]
    found: dict[str, Callable[[Words, pl.Series], Expected]] = {}
    found["gender"] = counted(settled(humans.gender[usual], "gender"), "gender")
    if bound.source.column("udid_number") is not None:
        found["udid_number"] = counted(settled(humans.udid[usual], "udid_number"), "udid_number")
    else:
        found["udid_number"] = settled(alike(None, rows.height, pl.String()))

    def note(words: Words, at: pl.Series) -> Expected:
        del words
        return Expected(humans.told[usual].gather(at), truth=humans.notes[usual].gather(at))

    found["migration_notes"] = note
    if usual == "patients":
        for name, taken in humans.taken.items():
            binding = next((b for b in bound.columns if b.target.name == name), None)
            if binding is not None:
                found[name] = _taking(binding, taken, found.get(name))
    return found


def _taking(
    binding: Binding,
    taken: pl.DataFrame,
    usual: Callable[[Words, pl.Series], Expected] | None,
) -> Callable[[Words, pl.Series], Expected]:
    """A field of a person that takes a child's value where that was decided."""

    def decided(words: Words, at: pl.Series) -> Expected:
        base = usual(words, at) if usual else words.expected(binding)
        assert base is not None
        chosen = gathered(taken, at.cast(pl.Int64), "human")
        takes = chosen["takes"].fill_null(value=False)
        for (column, rule), rows in list(words.counts.found.items()):
            if column == base.carries:
                words.counts.found[column, rule] = rows & ~takes
        value = chosen["value"].cast(base.value.dtype).zip_with(takes, base.value)
        return Expected(value, base.carries, base.printed)

    return decided


def check_children(context: Context, humans: Humans, families: Families) -> None:
    """Children: the persons of those that stand alone, and what their parents see."""
    persons = bound_to(context, "children", "persons")
    views = bound_to(context, "children", VIEW)
    if persons is None or views is None:
        return
    frame = context.people.children
    alone = frame["alone"]
    own = frame["person"].zip_with(alone, pl.Series([None], dtype=pl.String))
    at = places_of(context, "persons", own)
    of = PairsOf(context, families, "children")
    person = context.people.person.gather(frame["human"])
    arms = [
        Arm(
            persons,
            context.homes["persons"],
            alone,
            at,
            _person_columns(context, humans, persons, "children"),
        ),
        Arm(
            views,
            context.homes[VIEW],
            of.first,
            of.at.zip_with(of.first, NONE),
            _child_view(context, of, views),
            {"is_primary_caregiver": "primary_caregiver", "*": "parent_views"},
        ),
    ]
    side = side_of(context, "children", arms, frame["person"].is_not_null())
    side.whole = ~alone
    arms[0].log = _noting(readings(persons))
    side.look = _looking(of, views)
    lost = of.there & of.at.is_null()
    side.tell("minus", (VIEW, None, "without the parent's view"), lost.arg_true())
    finish(side, person)


def _looking(of: PairsOf, views: BoundMapping) -> Callable[[Side, Rows, int], None]:
    """Children that speak for a view or a person, though another row may hold what they say."""
    extras = of.extras(views)

    def look(side: Side, rows: Rows, start: int) -> None:
        children = side.context.people.children
        at = pl.arange(start, start + rows.height, eager=True)
        paired, first = of.there.gather(at), of.first.gather(at)
        asked: list[tuple[str, Type, pl.Series]] = [(column, "TEXT", paired) for column in TEXTS]
        asked += [(column, "DATETIME", paired) for column in ("created_at", "updated_at")]
        asked += [(b.word.column, b.type, first) for b in extras if isinstance(b.word, Copy)]
        asked.append(("gender", "TEXT", ~children["alone"].gather(at)))
        asked.append(("linked_patient_id", "TEXT", alike(True, at.len())))
        for column, type_, where in asked:
            mask = rows.read(column, type_).unreadable
            if mask is not None:
                side.note(column, at.filter(mask & where))
        _count_recast(side, rows, "parent_id", paired)
        linked = (children["named"] == children["patient"]).fill_null(value=False)
        _count_recast(side, rows, "linked_patient_id", linked.gather(at))

    return look


def _count_recast(side: Side, rows: Rows, column: str, where: pl.Series) -> None:
    known = side.context.normalised
    for rule, those in rows.read(column, "TEXT").recast.items():
        if number := int((those & where).sum()):
            place = (side.name, column, rule)
            known[place] = known.get(place, 0) + number


def _child_view(
    context: Context, of: PairsOf, bound: BoundMapping
) -> dict[str, Callable[[Words, pl.Series], Expected]]:
    found = view_columns(of)
    single = of.of("children") == 1
    for name in TEXTS:
        found[name] = _text_of(name, single, of.merged_text(name))
    supplies = of.of("link_at").is_null() & of.there
    found["added_at"] = instant_of("created_at", of.added_at, supplies, ~(of.of("links") > 0))
    found["updated_at"] = instant_of("updated_at", of.updated_at, single, single)
    links = bound_to(context, "parent_children", VIEW)
    own = {binding.target.name for binding in bound.columns}
    for binding in of.extras(links):
        if binding.target.name not in own and links is not None:
            found[binding.target.name] = settled(_of_link(context, of, links, binding))
    return found


def _text_of(
    name: str, single: pl.Series, merged: pl.Series
) -> Callable[[Words, pl.Series], Expected]:
    """The only child's text as it is, or the joined one of several."""

    def decided(words: Words, at: pl.Series) -> Expected:
        own, alone = words.rows.value(name, "TEXT"), single.gather(at).fill_null(value=False)
        if name in words.rows.cells.columns:
            for rule, rows in words.rows.read(name, "TEXT").recast.items():
                words.counts.add(name, rule, rows & alone)
        return Expected(own.zip_with(alone, merged.gather(at)), name)

    return decided


def _of_link(context: Context, of: PairsOf, bound: BoundMapping, binding: Binding) -> pl.Series:
    """A column that only links have, for each child: what the speaking link says."""
    rows = context.people.rows["parent_children"]
    assert isinstance(binding.word, Copy)
    whole = Rows(rows.table, context.source.read(rows.table, rows.table.column_names))
    words = Words(context, bound, whole)
    expected = words.expected(binding)
    assert expected is not None
    value = expected.value.gather(of.of("link"))
    default = Words(context, bound, context.people.rows["children"]).unfilled(binding.target)
    return value.zip_with(of.of("link").is_not_null(), default.value)
