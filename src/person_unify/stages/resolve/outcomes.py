"""What became of every patient, child and parent link: target rows, and each cell they hold.

Who is who is settled from a few columns of all rows.  Here the rows come once more, whole but part
by part, and each gets beside it what was settled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from person_unify.frames.archive import assemble
from person_unify.frames.model import MAP, ROW, Outcome, SourceFrame, left_join
from person_unify.frames.reading import Reader, constant_filler, implausible_log
from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.mappings.reads import reads
from person_unify.mappings.spec import Copy, Decided
from person_unify.stages.resolve.cells import person_cells, stated_alone, view_cells
from person_unify.stages.resolve.deciding import DECIDING
from person_unify.stages.resolve.demographics import TAKE, taken_columns
from person_unify.stages.resolve.links import (
    ALONE,
    CREATED,
    ID,
    NAMED,
    PATIENT,
    PERSON,
)
from person_unify.stages.resolve.views import (
    ADDED,
    CHILDREN,
    OF_CHILD,
    ORPHAN_FIELD,
    PAIR,
    PARENT,
    PERSON_CELLS,
    RELATION,
    SPEAKS,
    TEXTS,
    VIEW,
    joined_texts,
)

CLINICIAN_VIEW = "@clinician_view"
_SETTLED = ("relationship_type", "is_primary_caregiver", "added_at", "updated_at")
"""Cells of a view that are settled from all rows of its pair."""

_OF_VIEW = "@view:"
"""Prefix of these cells beside a child or a link."""

REPRESENTED = ("patients", "parent_children", "children")
"""The tables whose rows are made here, in the order in which they come."""


@dataclass(slots=True)
class Outcomes:
    """Makes what became of the rows of :data:`REPRESENTED`, part by part.

    bound: the core mappings by (source, target).  run_time: ms since the epoch.
    views: of :func:`views.make_views`.
    beside: source -> ``@row`` and what was settled of each row that has not come yet, in order.
    """

    bound: Mapping[tuple[str, str], BoundMapping]
    run_time: int
    views: pl.DataFrame
    beside: dict[str, pl.DataFrame]
    _link_cells: list[pl.DataFrame] = field(default_factory=list)
    _several: list[pl.DataFrame] = field(default_factory=list)
    _early: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        bound: Mapping[tuple[str, str], BoundMapping],
        run_time: int,
        views: pl.DataFrame,
        patients: pl.DataFrame,
        children: pl.DataFrame,
        links: pl.DataFrame,
    ) -> Outcomes:
        """Keep of the frames what the rows need beside them.

        patients: settled, with ``@clinician`` and :data:`CLINICIAN_VIEW`.  children, links: of
        :func:`views.children_with_parent` and :func:`views.resolve_links`.
        """
        of_views = views.select(
            *PAIR,
            VIEW,
            "@created_first",
            *(pl.col(name).alias(f"{_OF_VIEW}{name}") for name in _SETTLED),
        )
        of_children = of_views.with_columns(views.select(ADDED, "@supplier", "@linked"))
        said = (ROW, ID, *PAIR, OF_CHILD, ADDED, RELATION, SPEAKS, "@rows", ORPHAN_FIELD)
        beside = {
            "patients": patients.select(
                ROW,
                ID,
                PERSON,
                *PERSON_CELLS,
                *taken_columns(patients),
                "@clinician",
                CLINICIAN_VIEW,
            ),
            "parent_children": left_join(links.select(said), of_views, PAIR),
            "children": left_join(
                children.select(
                    *(ROW, ID, CREATED, *PAIR, NAMED, PATIENT, ALONE, SPEAKS, "@rows"),
                    *PERSON_CELLS,
                ),
                of_children,
                PAIR,
            ),
        }
        return cls(bound, run_time, views, beside)

    def made(self, source: str, part: SourceFrame, *, last: bool) -> Outcome:
        """What became of the next part of ``source``, which is its name in the contract."""
        reader = Reader(part, self.run_time)
        mapped = [read for (of, _), b in self.bound.items() if of == source for read in reads(b)]
        reader.prepare([*mapped, *DECIDING[source].items()])
        frame = self._beside(source, reader.source.frame)
        make = {"patients": self._of_patients, "children": self._of_children}
        outcome = make.get(source, self._of_links)(frame, reader)
        self._early.setdefault(source, Counter()).update(reader.implausible(frame))
        early = implausible_log(outcome.source, self._early[source]) if last else []
        return replace(outcome, discrepancies=(*outcome.discrepancies, *early))

    def _beside(self, source: str, part: pl.DataFrame) -> pl.DataFrame:
        waiting = self.beside.pop(source)
        settled, later = waiting.head(part.height), waiting.slice(part.height)
        if not settled[ROW].equals(part[ROW]):
            raise RuntimeError(f"rows of {source} came in another order than they were settled in")
        if later.height:
            self.beside[source] = later
        return part.hstack(settled.drop(ROW))

    def _bindings(self, source: str, target: str) -> tuple[Binding, ...]:
        """The columns of one core mapping; none where the source has no such table."""
        found = self.bound.get((source, target))
        return found.columns if found else ()

    def _view_bindings(self, source: str) -> tuple[Binding, ...]:
        return self._bindings(source, "parent_child_views")

    def _of_patients(self, frame: pl.DataFrame, reader: Reader) -> Outcome:
        """Rows of persons and clinician_patient_views; every patient is represented."""
        reader.value("gender", "TEXT")
        taken = frozenset(name.removeprefix(TAKE) for name in taken_columns(frame))
        persons = person_cells(reader, self._bindings("patients", "persons"), None, taken)
        has_view = pl.col(CLINICIAN_VIEW).is_not_null()
        clinical: dict[str, pl.Expr] = {}
        for binding in self._bindings("patients", "clinician_patient_views"):
            name, word = binding.target.name, binding.word
            if isinstance(word, Decided):
                clinical[name] = pl.col(PERSON if word.rule == "person" else CLINICIAN_VIEW)
            elif isinstance(word, Copy) and binding.names is not None:
                reader.carry(word.column, "TEXT", where=has_view)
                clinical[name] = pl.col("@clinician")
            elif isinstance(word, Copy):
                clinical[name] = reader.required(
                    word.column, binding.target, binding.type, where=has_view
                )
        rows = {
            "persons": _select(frame, persons),
            "clinician_patient_views": _select(frame.filter(has_view), clinical),
        }
        maps = {
            "patient_to_person": _map(frame, PERSON),
            "patient_to_view": _map(frame.filter(has_view), CLINICIAN_VIEW),
        }
        return _outcome(frame, reader, rows, maps)

    def _of_children(self, frame: pl.DataFrame, reader: Reader) -> Outcome:
        """Rows of persons for standalone children, and the views that one child alone states.

        The cells of children that share a view are kept for :meth:`other_views`.
        """
        alone = pl.col(ALONE)
        reader.value("gender", "TEXT")
        reader.value("linked_patient_id", "TEXT")
        persons = person_cells(reader, self._bindings("children", "persons"), alone)
        unstated = pl.col(SPEAKS) & pl.col(ADDED).is_null() & pl.col("@created_first").is_null()
        reader.counted.setdefault(("created_at", "required_default"), []).append(
            unstated & pl.col("@linked").is_null()
        )
        # A decided link is not what the cell says.
        as_said = (pl.col(PATIENT) == pl.col(NAMED)).fill_null(value=False)
        reader.carry("linked_patient_id", "TEXT", where=as_said)
        own = view_cells(reader, self._view_bindings("children"))
        texts = {text: reader.peek(text, "TEXT").value for text in TEXTS}
        stated = [cell.alias(name) for name, cell in (texts | own).items()]
        self._several.append(
            frame.filter(pl.col("@rows") > 1).select(*PAIR, CREATED, ID, SPEAKS, *stated)
        )
        single = frame.filter(pl.col("@rows") == 1)
        rows = {
            "persons": _select(frame.filter(alone), persons),
            "parent_child_views": self._view_rows(single, _OF_VIEW, single.select(*PAIR, *stated)),
        }
        paired = frame.filter(pl.col(PARENT).is_not_null())
        maps = {"child_to_person": _map(frame, PERSON), "child_to_view": _map(paired, VIEW)}
        return _outcome(frame, reader, rows, maps, whole=~alone)

    def _of_links(self, frame: pl.DataFrame, reader: Reader) -> Outcome:
        """Where the cells of ``parent_children`` went; those that only a link states are kept."""
        out = pl.col(ORPHAN_FIELD).is_not_null()
        frame, orphans = frame.filter(~out), frame.filter(out)
        reader.value("added_at", "DATETIME")
        reader.value("relationship_type", "TEXT")
        reader.value("is_primary", "BOOLEAN")
        speaks = pl.col(SPEAKS)
        reader.carry("patient_id", "TEXT", also=pl.col(OF_CHILD), where=speaks)
        reader.carry("parent_id", "TEXT", where=speaks)
        relation, added = pl.col(f"{_OF_VIEW}relationship_type"), pl.col(f"{_OF_VIEW}added_at")
        reader.carry("relationship_type", "TEXT", result=relation, where=speaks)
        reader.carry("added_at", "DATETIME", result=added, where=speaks)
        unstated = speaks & pl.col(ADDED).is_null() & pl.col("@created_first").is_null()
        reader.counted["added_at", "required_default"] = [unstated]
        reader.counted["relationship_type", "required_default"] = [
            speaks & pl.col(RELATION).is_null()
        ]
        own = [
            reader.required(column, target, type_, where=speaks).alias(target.name)
            for column, target, type_ in stated_alone(self._view_bindings("parent_children"))
        ]
        if own:
            self._link_cells.append(frame.filter(speaks).select(*PAIR, *own))
        return _outcome(
            frame,
            reader,
            {},
            {"parent_link_to_view": _map(frame, VIEW)},
            whole=pl.col("@rows") > 1,
            orphans=orphans,
        )

    def other_views(self) -> pl.DataFrame:
        """The rows of parent_child_views that several children state, or a link without a child."""
        stated = []
        if self._several:
            several = pl.concat(self._several)
            texts = joined_texts(several.select(*PAIR, CREATED, ID, *TEXTS))
            stated = [texts, several.filter(SPEAKS).drop(CREATED, ID, SPEAKS, *TEXTS)]
        return self._view_rows(self.views.filter(pl.col(CHILDREN) != 1), "", *stated)

    def _view_rows(self, frame: pl.DataFrame, settled: str, *stated: pl.DataFrame) -> pl.DataFrame:
        """Rows of parent_child_views, with the cells that single child or link rows state.

        settled: the prefix of the cells that are settled from all rows of the pair.
        """
        rows = frame.select(
            *PAIR,
            pl.col(VIEW).alias("id"),
            pl.col(PERSON).alias("person_id"),
            pl.col(PARENT).alias("parent_id"),
            *(pl.col(f"{settled}{name}").alias(name) for name in _SETTLED),
        )
        of_links = [pl.concat(self._link_cells)] if self._link_cells else []
        for cells in (*stated, *of_links):
            rows = left_join(rows, cells, PAIR)
        for source in ("children", "parent_children"):
            for _, target, type_ in stated_alone(self._view_bindings(source)):
                if target.not_null and target.name in rows.columns:
                    # A pair without such a row takes the default that an absent column would take.
                    filler = constant_filler(target, type_)
                    rows = rows.with_columns(pl.col(target.name).fill_null(filler))
        return rows.drop(PAIR)


def _select(frame: pl.DataFrame, cells: Mapping[str, pl.Expr]) -> pl.DataFrame:
    return frame.select(expression.alias(name) for name, expression in cells.items())


def _map(frame: pl.DataFrame, new: str) -> pl.DataFrame:
    return frame.select(pl.col(ID).alias("old_id"), pl.col(new).alias("new_id")).cast(MAP)


def _outcome(
    frame: pl.DataFrame,
    reader: Reader,
    rows: dict[str, pl.DataFrame],
    maps: dict[str, pl.DataFrame],
    whole: pl.Expr | None = None,
    orphans: pl.DataFrame | None = None,
) -> Outcome:
    unreadable, counted = reader.settle(frame, pl.col(PERSON))
    outs = [] if orphans is None else [(orphans, "orphaned_record")]
    return Outcome(
        source=reader.source.table.name,
        source_rows=reader.source.height,
        rows=rows,
        discrepancies=tuple(unreadable),
        normalisations=tuple(counted),
        archive=assemble(reader.source, reader.lost, frame, whole, outs),
        maps=maps,
        not_loaded={reason: out.height for out, reason in outs if out.height},
    )
