"""What became of every patient, child and parent link: target rows, and each cell they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from person_unify.frames import MAP, Outcome
from person_unify.mappings.bind import Binding, BoundMapping
from person_unify.reading import Reader, constant_default
from person_unify.spec import Copy, Decided
from person_unify.stages.resolve.links import ID, PATIENT, PERSON
from person_unify.stages.resolve.views import (
    ADDED,
    OF_CHILD,
    PAIR,
    PARENT,
    RELATION,
    SPEAKS,
    TEXTS,
    VIEW,
    ParentLinks,
)

CLINICIAN_VIEW = "@clinician_view"
_VIEW_CELLS = (*TEXTS, "relationship_type", "is_primary_caregiver", "added_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Settled:
    """The bound core mappings by (source, target), and the views as settled."""

    bound: Mapping[tuple[str, str], BoundMapping]
    views: pl.DataFrame

    def bindings(self, source: str, target: str) -> tuple[Binding, ...]:
        """The columns of one core mapping; none where the source has no such table."""
        found = self.bound.get((source, target))
        return found.columns if found else ()


def of_patients(frame: pl.DataFrame, reader: Reader, settled: Settled) -> Outcome:
    """Rows of persons and clinician_patient_views; every patient is represented."""
    persons = _persons(reader, settled.bindings("patients", "persons"), None)
    has_view = pl.col(CLINICIAN_VIEW).is_not_null()
    clinical: dict[str, pl.Expr] = {}
    for binding in settled.bindings("patients", "clinician_patient_views"):
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


def of_children(
    frame: pl.DataFrame, reader: Reader, settled: Settled
) -> tuple[Outcome, pl.DataFrame]:
    """Rows of persons for standalone children, and the view cells that only a child row states.

    The second frame has ``@person``, ``@parent`` and one column per such target column.
    """
    alone = pl.col(PATIENT).is_null()
    persons = _persons(reader, settled.bindings("children", "persons"), alone)
    frame = frame.join(
        settled.views.select(*PAIR, VIEW, ADDED, "@created_first", "@supplier", "@linked"),
        on=PAIR,
        how="left",
        maintain_order="left",
    )
    unstated = pl.col(SPEAKS) & pl.col(ADDED).is_null() & pl.col("@created_first").is_null()
    reader.counted.setdefault(("created_at", "required_default"), []).append(
        unstated & pl.col("@linked").is_null()
    )
    reader.carry("linked_patient_id", "TEXT", where=~alone)
    own = _view_cells(reader, settled.bindings("children", "parent_child_views"))
    rows = {"persons": _select(frame.filter(alone), persons)}
    paired = frame.filter(pl.col(PARENT).is_not_null())
    maps = {"child_to_person": _map(frame, PERSON), "child_to_view": _map(paired, VIEW)}
    cells = frame.filter(pl.col(SPEAKS)).select(
        *PAIR, *(expression.alias(name) for name, expression in own.items())
    )
    return _outcome(frame, reader, rows, maps, whole=~alone), cells


def _view_cells(reader: Reader, bindings: tuple[Binding, ...]) -> dict[str, pl.Expr]:
    """Note which cells of a child its view holds; return those that the child row alone states."""
    has_view = pl.col(PARENT).is_not_null()
    own: dict[str, pl.Expr] = {}
    for binding in bindings:
        name, word = binding.target.name, binding.word
        if isinstance(word, Copy) and binding.names is not None:
            reader.carry(word.column, "TEXT", where=has_view)
        elif isinstance(word, Copy):
            own[name] = reader.required(
                word.column, binding.target, binding.type, where=pl.col(SPEAKS)
            )
        elif isinstance(word, Decided) and word.column is not None:
            reader.value(word.column, binding.type, where=has_view)
            single = has_view & (pl.col("@rows") == 1)
            if word.rule == "joined_text":
                reader.carry(word.column, "TEXT", where=single)
            elif word.rule == "updated_at":
                missing = reader.peek(word.column, "DATETIME").value.is_null()
                reader.carry(word.column, "DATETIME", where=single, lost=missing)
                reader.count_missing(word.column, "DATETIME", single)
            else:
                supplies = has_view & pl.col(ADDED).is_null() & (pl.col(ID) == pl.col("@supplier"))
                reader.carry(word.column, "DATETIME", where=supplies.fill_null(value=False))
    return own


def of_links(links: ParentLinks, reader: Reader, settled: Settled) -> tuple[Outcome, pl.DataFrame]:
    """Where the cells of ``parent_children`` went, and the view cells that only a link states."""
    frame = links.loaded.join(
        settled.views.select(
            *PAIR,
            VIEW,
            "@created_first",
            pl.col("relationship_type").alias("@view_relation"),
            pl.col("added_at").alias("@view_added"),
        ),
        on=PAIR,
        how="left",
        maintain_order="left",
    )
    speaks = pl.col(SPEAKS)
    reader.carry("patient_id", "TEXT", also=pl.col(OF_CHILD), where=speaks)
    reader.carry("parent_id", "TEXT", where=speaks)
    relation, added = pl.col("@view_relation"), pl.col("@view_added")
    reader.carry("relationship_type", "TEXT", result=relation, where=speaks)
    reader.carry("added_at", "DATETIME", result=added, where=speaks)
    unstated = speaks & pl.col(ADDED).is_null() & pl.col("@created_first").is_null()
    reader.counted[("added_at", "required_default")] = [unstated]
    reader.counted[("relationship_type", "required_default")] = [
        speaks & pl.col(RELATION).is_null()
    ]
    own = {
        binding.target.name: reader.required(
            binding.word.column, binding.target, binding.type, where=speaks
        )
        for binding in settled.bindings("parent_children", "parent_child_views")
        if isinstance(binding.word, Copy) and binding.names is None
    }
    cells = frame.filter(speaks).select(
        *PAIR, *(expression.alias(name) for name, expression in own.items())
    )
    outcome = _outcome(
        frame,
        reader,
        {},
        {"parent_link_to_view": _map(frame, VIEW)},
        whole=pl.col("@rows") > 1,
        orphans=links.orphans,
    )
    return outcome, cells


def view_rows(settled: Settled, *stated: pl.DataFrame) -> pl.DataFrame:
    """The rows of parent_child_views, with the cells that single child or link rows state."""
    rows = settled.views.select(
        *PAIR,
        pl.col(VIEW).alias("id"),
        pl.col(PERSON).alias("person_id"),
        pl.col(PARENT).alias("parent_id"),
        *_VIEW_CELLS,
    )
    for cells in stated:
        rows = rows.join(cells, on=PAIR, how="left", maintain_order="left")
    stated_only = {name for cells in stated for name in cells.columns} - set(PAIR)
    for source in ("children", "parent_children"):
        for binding in settled.bindings(source, "parent_child_views"):
            column = binding.target
            if column.name in stated_only and column.not_null:
                # A pair without such a row takes the default that an absent column would take.
                default = constant_default(column, binding.type)
                empty = "" if binding.type == "TEXT" else 0
                filler = empty if default is None else default
                rows = rows.with_columns(pl.col(column.name).fill_null(filler))
    return rows.drop(PAIR)


def _persons(
    reader: Reader, bindings: tuple[Binding, ...], where: pl.Expr | None
) -> dict[str, pl.Expr]:
    """The cells of a person from its own record, for rows ``where`` the record is the origin."""
    settled = {
        "gender": pl.col("@gender").fill_null("unknown"),
        "unique_udid": pl.col("@udid"),
    }
    made: dict[str, pl.Expr] = {}
    for binding in bindings:
        name, word = binding.target.name, binding.word
        if isinstance(word, Copy):
            made[name] = reader.required(word.column, binding.target, binding.type, where=where)
        elif isinstance(word, Decided) and word.rule in settled:
            column = word.column or ""
            made[name] = reader.carry(column, "TEXT", result=settled[word.rule], where=where)
        else:
            made[name] = pl.col(PERSON if name == "id" else "@note")
    return made


def _select(frame: pl.DataFrame, cells: dict[str, pl.Expr]) -> pl.DataFrame:
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
        archive=reader.archive(frame, whole, outs),
        maps=maps,
        not_loaded={reason: out.height for out, reason in outs if out.height},
    )
