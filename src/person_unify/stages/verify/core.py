"""Patients, children and parent links, whose cells may live in two target rows (sections 3, 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.mappings.spec import Copy, Decided, Type
from person_unify.stages.verify.archive import NOT_CARRIED, archive_of
from person_unify.stages.verify.cells import alike
from person_unify.stages.verify.compare import Arm, Side, compare
from person_unify.stages.verify.context import Context, Rows, entries, gathered
from person_unify.stages.verify.families import Families
from person_unify.stages.verify.humans import Humans
from person_unify.stages.verify.logs import check_ids, note_unreadable, readings
from person_unify.stages.verify.tables import key_columns, report
from person_unify.stages.verify.words import Expected, Words

TEXTS = ("medical_history", "current_concerns", "developmental_notes")
_VIEW = "parent_child_views"
_NONE = pl.Series([None], dtype=pl.UInt32)


def bound_to(context: Context, source: str, target: str) -> BoundMapping | None:
    """The mapping of an old table into a target table; None where the file lacks the table."""
    return next(
        (b for b in context.plan.of(source) if b.target is not None and b.target.name == target),
        None,
    )


def _places(context: Context, target: str, ids: pl.Series) -> pl.Series:
    """Where rows with some ids are in a target table, claimed as accounted for."""
    home = context.homes[target]
    at = home.places(ids.rename("k0").to_frame())
    home.claim(at.drop_nulls())
    return at


def _side(context: Context, usual: str, arms: list[Arm], due: pl.Series) -> Side:
    rows = context.people.rows[usual]
    archive = archive_of(context, rows.table, rows.cells)
    check_ids(context, rows.table.name, rows.value("id", "TEXT"))
    return Side(context, usual, rows, archive, arms, due, key=key_columns(rows, usual))


def _finish(side: Side, person: pl.Series, reasons: tuple[str, ...] = (NOT_CARRIED,)) -> None:
    """Compare the parts and report, unless only other tables' rows are asked for."""
    context, table = side.context, side.rows.table
    if context.answers.findings is not None and not context.answers.wants(side.name):
        return
    context.progress(side.name)
    compare(side, context.source.ranges(table))
    side.owe_cells(side.rows.value("id", "TEXT"), person)
    report(side, reasons)


def settled(
    values: pl.Series, carries: str | None = None
) -> Callable[[Words, pl.Series], Expected]:
    """A column whose value is known for every row of its table."""

    def decided(words: Words, at: pl.Series) -> Expected:
        del words
        return Expected(values.gather(at), carries)

    return decided


def check_patients(context: Context, humans: Humans) -> None:
    """Patients: their persons, and what their clinicians see."""
    persons = bound_to(context, "patients", "persons")
    views = bound_to(context, "patients", "clinician_patient_views")
    if persons is None or views is None:
        return
    people = context.people
    frame = people.patients
    every = alike(True, frame.height)
    at = _places(context, "persons", frame["person"])
    seen = humans.seen
    mapped = gathered(context.maps["patient_to_view"], frame["old"], "old_id")["new_id"]
    view_at = _places(context, "clinician_patient_views", mapped)
    view_at = view_at.zip_with(seen, _NONE)
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
    side = _side(context, "patients", arms, at.is_not_null())
    for arm in arms:
        asked = [pair for pair in readings(arm.bound) if pair[0] != "clinician_id"]
        arm.log = _noting(side, asked)
    lost = seen & view_at.is_null()
    side.tell(
        "minus", ("clinician_patient_views", None, "without the clinician's view"), lost.arg_true()
    )
    _finish(side, frame["person"])


def _noting(side: Side, asked: Sequence[tuple[str, Type]]) -> Callable[[Words, pl.Series], None]:
    def log(words: Words, at: pl.Series) -> None:
        note_unreadable(words, asked, at, side.note)

    return log


def _person_columns(
    context: Context, humans: Humans, bound: BoundMapping, usual: str
) -> dict[str, Callable[[Words, pl.Series], Expected]]:
    """The columns of a person that are settled for all who are one."""
    rows = context.people.rows[usual]
    found: dict[str, Callable[[Words, pl.Series], Expected]] = {}
    found["gender"] = _counted(settled(humans.gender[usual], "gender"), "gender")
    if bound.source.column("udid_number") is not None:
        found["udid_number"] = _counted(settled(humans.udid[usual], "udid_number"), "udid_number")
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


def _counted(
    decided: Callable[[Words, pl.Series], Expected], column: str
) -> Callable[[Words, pl.Series], Expected]:
    """Count conversions of the cells that a settled column holds."""

    def found(words: Words, at: pl.Series) -> Expected:
        expected = decided(words, at)
        if column in words.rows.cells.columns:
            said = words.rows.value(column, "TEXT")
            held = said.is_not_null() & said.eq_missing(expected.value)
            for rule, rows in words.rows.read(column, "TEXT").recast.items():
                words.counts.add(column, rule, rows & held)
        return expected

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
    views = bound_to(context, "children", _VIEW)
    if persons is None or views is None:
        return
    frame = context.people.children
    alone = frame["alone"]
    own = frame["person"].zip_with(alone, pl.Series([None], dtype=pl.String))
    at = _places(context, "persons", own)
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
            context.homes[_VIEW],
            of.first,
            of.at.zip_with(of.first, _NONE),
            _child_view(context, of, views),
            {"is_primary_caregiver": "primary_caregiver", "*": "parent_views"},
        ),
    ]
    side = _side(context, "children", arms, frame["person"].is_not_null())
    side.whole = ~alone
    arms[0].log = _noting(side, readings(persons))
    side.look = _looking(side, of, views)
    lost = of.there & of.at.is_null()
    side.tell("minus", (_VIEW, None, "without the parent's view"), lost.arg_true())
    _finish(side, person)


def _looking(side: Side, of: PairsOf, views: BoundMapping) -> Callable[[Rows, int], None]:
    """Children that speak for a view or a person, though another row may hold what they say."""
    extras = of.extras(views)
    children = side.context.people.children

    def look(rows: Rows, start: int) -> None:
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


class PairsOf:
    """The pair that each row of children or parent links belongs to.

    there: it has one.  first: it speaks for it.  pair: its number.  at: the view, by the row's map.
    """

    def __init__(self, context: Context, families: Families, usual: str) -> None:
        rows = context.people.rows[usual]
        link = 0 if usual == "children" else 1
        self.context, self.usual, self.families = context, usual, families
        self.pairs = families.pairs.with_row_index("pair")
        self.members = members = self._members(link)
        number = pl.Series("row", range(rows.height), dtype=pl.Int64)
        found = gathered(members.select("row", "pair", "view"), number, "row")
        self.pair = found["pair"]
        self.there = found["pair"].is_not_null()
        speaker = self.pairs["child" if link == 0 else "link"].gather(self.pair)
        self.first = (speaker == number).fill_null(value=False)
        self.at = _places(context, _VIEW, found["view"])

    def _members(self, link: int) -> pl.DataFrame:
        """Children (0) or links (1), those of a pair in its order."""
        return self.families.members.filter(pl.col("link") == link).join(
            self.pairs.select("human", "parent", "pair"),
            on=["human", "parent"],
            maintain_order="left",
        )

    def of(self, column: str) -> pl.Series:
        """A column of the pair of each row."""
        return self.pairs[column].gather(self.pair)

    @property
    def added_at(self) -> pl.Series:
        """What the view of each row's pair says it was added at."""
        added = self.of("link_at").zip_with(self.of("link_at").is_not_null(), self.of("child_at"))
        return added.fill_null(self.context.options.run_time_ms)

    @property
    def updated_at(self) -> pl.Series:
        """The latest ``updated_at`` of the children of each row's pair, else when it was added."""
        rows = self.context.people.rows["children"]
        updated = rows.value("updated_at", "DATETIME").rename("updated").to_frame()
        members = self._members(0)
        latest = (
            members.with_columns(updated=updated["updated"].gather(members["row"]))
            .group_by("pair")
            .agg(pl.col("updated").max())
        )
        found = gathered(latest, self.pair.cast(pl.UInt32), "pair")["updated"]
        return found.zip_with(found.is_not_null(), self.added_at)

    @property
    def relationship(self) -> pl.Series:
        """What the speaking link of each row's pair says, else ``parent``."""
        links = self.context.people.rows["parent_children"]
        said = links.value("relationship_type", "TEXT")
        return said.gather(self.of("link")).fill_null("parent")

    def merged_text(self, column: str) -> pl.Series:
        """The distinct non-empty texts of the children of pairs that have several, joined."""
        several = self.pairs.filter(pl.col("children") > 1)["pair"]
        members = self.members.filter(pl.col("pair").is_in(several.implode()))
        rows = self.context.people.rows["children"]
        at = members["row"].sort().cast(pl.UInt32)
        none = alike(None, self.pair.len(), pl.String())
        if not at.len() or rows.table.column(column) is None:
            return none
        cells = self.context.source.read_part(rows.table, [column], rows.cells.row.gather(at))
        text = Rows(rows.table, cells).value(column, "TEXT")
        texts = pl.DataFrame({"row": at.cast(pl.Int64), "text": text})
        joined = (
            members.join(texts, on="row", maintain_order="left")
            .filter(pl.col("text") != "")
            .unique(["pair", "text"], keep="first", maintain_order=True)
            .group_by("pair", maintain_order=True)
            .agg(pl.col("text").str.join("\n\n"))
        )
        return gathered(joined, self.pair, "pair")["text"]

    def extras(self, bound: BoundMapping | None) -> list[Binding]:
        """Columns of views that only this file has."""
        if bound is None:
            return []
        known = {*TEXTS, "id", "person_id", "parent_id", "relationship_type", "added_at"}
        known |= {"updated_at", "is_primary_caregiver"}
        return [b for b in bound.columns if b.target.name not in known and isinstance(b.word, Copy)]


def _view_columns(of: PairsOf) -> dict[str, Callable[[Words, pl.Series], Expected]]:
    """Columns of a view that both a child and a link can be asked for."""
    human = of.of("human")
    return {
        "person_id": settled(of.context.people.person.gather(human)),
        "parent_id": settled(of.of("parent"), "parent_id"),
        "is_primary_caregiver": settled(of.of("primary").cast(pl.Int64)),
        "relationship_type": settled(of.relationship),
        "added_at": settled(of.added_at),
        "updated_at": settled(of.updated_at),
    }


def _child_view(
    context: Context, of: PairsOf, bound: BoundMapping
) -> dict[str, Callable[[Words, pl.Series], Expected]]:
    found = _view_columns(of)
    single = of.of("children") == 1
    for name in TEXTS:
        found[name] = _text_of(name, single, of.merged_text(name))
    supplies = of.of("link_at").is_null() & of.there
    found["added_at"] = _instant_of("created_at", of.added_at, supplies, ~(of.of("links") > 0))
    found["updated_at"] = _instant_of("updated_at", of.updated_at, single, single)
    links = bound_to(context, "parent_children", _VIEW)
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


def _instant_of(
    column: str, values: pl.Series, supplies: pl.Series, counts: pl.Series
) -> Callable[[Words, pl.Series], Expected]:
    """An instant of a view that a row's cell may supply; a default counts where it should have."""

    def decided(words: Words, at: pl.Series) -> Expected:
        value, own = values.gather(at), words.rows.value(column, "DATETIME")
        may = supplies.gather(at).fill_null(value=False)
        held = may & own.eq_missing(value) & own.is_not_null()
        if column in words.rows.cells.columns:
            for rule, rows in words.rows.read(column, "DATETIME").recast.items():
                words.counts.add(column, rule, rows & held)
        missing = may & own.is_null() & counts.gather(at).fill_null(value=False)
        if missing.any():
            words.counts.add(column, "required_default", missing)
        return Expected(value, column, own=may)

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


def check_links(context: Context, families: Families) -> None:
    """Parent links: the views they speak for, and those that are kept out."""
    bound = bound_to(context, "parent_children", _VIEW)
    if bound is None:
        return
    of = PairsOf(context, families, "parent_children")
    rows = context.people.rows["parent_children"]
    human = context.people.of(rows.value("patient_id", "TEXT"), "patients")
    person = context.people.person.gather(human["human"])
    arm = Arm(
        bound,
        context.homes[_VIEW],
        of.first,
        of.at.zip_with(of.first, _NONE),
        _link_view(of, bound),
        {"is_primary_caregiver": "primary_caregiver", "*": "parent_views"},
        quiet=(of.of("children") > 0).fill_null(value=False),
    )
    side = _side(context, "parent_children", [arm], of.at.is_not_null())
    kept = alike(None, rows.height, pl.String()) if side.archive is None else side.archive.kept_out
    side.due = side.due & kept.is_null()
    side.whole = (of.of("links") > 1).fill_null(value=False)
    arm.log = _noting_links(side, of, bound)
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
    _finish(side, person, (NOT_CARRIED, "orphaned_record"))


def _noting_links(
    side: Side, of: PairsOf, bound: BoundMapping
) -> Callable[[Words, pl.Series], None]:
    children = bound_to(side.context, "children", _VIEW)
    theirs = {b.target.name for b in of.extras(children)}
    with_child = of.of("children") > 0

    def log(words: Words, at: pl.Series) -> None:
        for binding in of.extras(bound):
            if binding.target.name in theirs:
                spots = ~with_child.gather(at).fill_null(value=False)
            else:
                spots = alike(True, at.len())
            assert isinstance(binding.word, Copy)
            mask = words.rows.read(binding.word.column, binding.type).unreadable
            if mask is not None:
                side.note(binding.word.column, at.filter(mask & spots))

    return log


def _link_view(
    of: PairsOf, bound: BoundMapping
) -> dict[str, Callable[[Words, pl.Series], Expected]]:
    found = _view_columns(of)
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
    found["parent_id"] = _counted(found["parent_id"], "parent_id")
    none = of.of("child_at").is_null()
    found["added_at"] = _instant_of("added_at", of.added_at, of.there, none)
    for name in TEXTS:
        found[name] = settled(alike(None, of.pair.len(), pl.String()))
    children = bound_to(of.context, "children", _VIEW)
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
    context.owed.append(
        entries(
            lost,
            "orphaned_record",
            side.name,
            source_id=pl.col("id"),
            related_id=pl.when(known).then("parent").otherwise("patient"),
            person_id=pl.col("person"),
            field=pl.when(known).then(pl.lit("parent_id")).otherwise(pl.lit("patient_id")),
        )
    )
    children = frame.filter(pl.col("there") & pl.col("child"))
    context.owed.append(
        entries(
            children,
            "child_id_in_patient_column",
            side.name,
            source_id=pl.col("id"),
            related_id=pl.col("patient"),
            person_id=pl.col("person"),
            field=pl.lit("patient_id"),
        )
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
    side.tell(
        "minus", (_VIEW, None, "neither in the target nor archived whole"), missing.arg_true()
    )
    side.tell("minus", (_VIEW, None, "kept out without cause"), uncaused.arg_true())
