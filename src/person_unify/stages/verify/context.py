"""What the checks share: the three files, the plan, the ledger's maps and log, and the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from person_unify.allocators import give_memory_back
from person_unify.background import Beside
from person_unify.mappings.bind import BoundMapping, Plan
from person_unify.mappings.spec import Type
from person_unify.schema import OLD, Table
from person_unify.stages.verify.cells import Cells, alike, owned
from person_unify.stages.verify.check import VerifyOptions
from person_unify.stages.verify.findings import Answers
from person_unify.stages.verify.places import Places
from person_unify.stages.verify.reader import File
from person_unify.stages.verify.reading import Reading, read

if TYPE_CHECKING:
    from person_unify.stages.verify.decided import Decisions
    from person_unify.stages.verify.homes import Home
    from person_unify.stages.verify.inverse import Inverse
    from person_unify.stages.verify.people import People
    from person_unify.stages.verify.structure import Soundness

MAPS = (
    "patient_to_person",
    "child_to_person",
    "child_to_view",
    "patient_to_view",
    "consent_to_grant",
    "parent_link_to_view",
)
"""The ledger's maps of the form (old_id, new_id)."""

LOG = (
    *("kind", "severity", "source_table", "source_id", "related_id", "person_id", "field"),
    *("child_value", "patient_value", "chosen_value"),
)


@dataclass(frozen=True)
class Known:
    """Loaded rows of a table that others look up: ``old``, ``new`` and attributes, by ``old``."""

    rows: pl.DataFrame
    _places: dict[str, Places] = field(default_factory=dict)

    def of(self, ids: pl.Series, column: str) -> pl.Series:
        """A column of the rows with some old ids, null where none has one."""
        return self.rows[column].gather(self._by("old").of(ids))

    def has(self, ids: pl.Series, column: str = "old") -> pl.Series:
        """Whether some row has each id in a column; false for NULL."""
        return self._by(column).has(ids)

    def _by(self, column: str) -> Places:
        if column not in self._places:
            self._places[column] = Places(self.rows[column])
        return self._places[column]


Note = Callable[[str, pl.Series], None]
"""Notes the rows, by position, whose cell of a column cannot be read."""


@dataclass
class Context:
    """source, target, ledger: the files.  inverse: gives the source's tables back.

    maps: the ledger's id maps, each old id once.  known: of tables that others look up, the loaded
    rows.  in_file: of tables whose ids win over another's, the ids of all rows.  owed: what the
    log must hold, as frames of :data:`ENTRY`.  normalised: (table, column, rule) -> cells.
    """

    source: File
    target: File
    ledger: File
    plan: Plan
    options: VerifyOptions
    progress: Callable[[str], None]
    answers: Answers
    beside: Beside
    maps: dict[str, pl.DataFrame] = field(default_factory=dict)
    log: pl.DataFrame = field(default_factory=pl.DataFrame)
    known: dict[str, Known] = field(default_factory=dict)
    in_file: dict[str, Places] = field(default_factory=dict)
    owed: list[pl.DataFrame] = field(default_factory=list)
    normalised: dict[tuple[str, str, str], int] = field(default_factory=dict)
    homes: dict[str, Home] = field(default_factory=dict)
    soft: set[tuple[str, str]] = field(default_factory=set)
    sound: dict[str, Soundness] = field(default_factory=dict)

    inverse: Inverse = field(init=False)
    people: People = field(init=False)
    decisions: Decisions = field(init=False)
    implied: pl.DataFrame = field(init=False)

    def look(self, source: str, targets: Iterable[str]) -> None:
        """Look at the indexes of a table, of its archive and of what it fills, and let go of it."""
        of_files = (
            ("source_indexes", self.source, [source]),
            ("ledger_integrity", self.ledger, [f"archive_{source}"]),
            ("integrity", self.target, targets),
        )
        for check, file, names in of_files:
            for name in names:
                if check in self.sound:
                    self.sound[check].look(name)
                file.forget(name)
        if not self.source.small(self.source.tables[source]):
            give_memory_back()

    def owe(self, frame: pl.DataFrame, kind: str, table: str, **columns: pl.Expr | None) -> None:
        """Expect one discrepancy in the log for each row; columns not given are NULL."""
        if not frame.height:
            return
        given = {"kind": pl.lit(kind), "source_table": pl.lit(table), **columns}

        def column(name: str) -> pl.Expr:
            expression = given.get(name)
            return pl.lit(None, pl.String) if expression is None else expression.cast(pl.String)

        self.owed.append(owned(frame.select(column(name).alias(name) for name in ENTRY)))

    def mapping(self, usual: str) -> BoundMapping | None:
        """The first mapping of an old table that fills a target table."""
        return next((b for b in self.plan.of(usual) if b.target is not None), None)

    def file_name(self, usual: str) -> str:
        """An old table's name in the file."""
        return self.plan.source_names.get(usual, usual)

    def ledger_frame(self, table: str, columns: Sequence[str]) -> pl.DataFrame:
        """Columns of one of the ledger's tables as texts, cells of other classes null."""
        return texts_of(self.ledger, table, columns)


def texts_of(file: File, table: str, columns: Sequence[str]) -> pl.DataFrame:
    """Columns of a table of a ledger as texts, cells of other classes null."""
    found = file.tables[table]
    cells = file.read(found, [c for c in columns if found.column(c) is not None])
    missing = alike(None, cells.height, pl.String())
    return pl.DataFrame({name: cells.columns.get(name, missing) for name in columns})


ENTRY = {
    "kind": pl.String,
    "source_table": pl.String,
    "source_id": pl.String,
    "related_id": pl.String,
    "person_id": pl.String,
    "field": pl.String,
    "child_value": pl.String,
    "patient_value": pl.String,
    "chosen_value": pl.String,
}
"""What of a discrepancy can be told from the source."""


@dataclass
class Rows:
    """Rows of a source table in hand, with their readings; each reading is made once."""

    table: Table
    cells: Cells
    readings: dict[tuple[str, Type], Reading] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.cells.height

    def read(self, column: str, type_: Type) -> Reading:
        """A column as a type."""
        found = self.readings.get((column, type_))
        if found is None:
            found = self.readings[column, type_] = read(self.cells, column, type_)
        return found

    def value(self, column: str, type_: Type) -> pl.Series:
        """The readable values of a column."""
        return self.read(column, type_).value

    def take(self, at: pl.Series) -> Rows:
        """The rows at some positions."""
        return self if at.len() == self.height else Rows(self.table, self.cells.take(at))


def key_of(table: Table, usual: str) -> tuple[str, ...]:
    """The columns by which discrepancies and people name a table's rows; () if there are none."""
    known = OLD[usual].primary_key if usual in OLD else ()
    there = all(table.column(column) is not None for column in known)
    return (known if there else ()) or table.primary_key


def gathered(frame: pl.DataFrame, on: pl.Series, key: str) -> pl.DataFrame:
    """The rows of a frame whose ``key`` (each once) equals each value, null where none does."""
    return (
        on.rename("@on")
        .to_frame()
        .join(frame, left_on="@on", right_on=key, how="left", maintain_order="left")
    )
