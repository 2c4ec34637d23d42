"""The one report of a run: what went in, what came out, and whether it adds up.

Plain frozen data, written to ``new.report.json`` and rendered as text by the command line.
It holds counts, ids, names of files, tables and columns, and never a cell.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from person_unify.findings import FINDINGS, Severity

INSTANTS = range(-62_135_596_800_000, 253_402_300_800_000)
"""The milliseconds since the epoch that a calendar has: years 1 to 9999."""
_BEYOND = 2.0**63

# What stands behind the type is what a value must be in.
Instant = Annotated[int, INSTANTS]
Kind = Annotated[str, FINDINGS]
Outcome = Literal["passed", "failed", "not_applicable", "error"]

Shape = TypeVar("Shape")

ASKS = "the target asks of"
"""How the notes of drift begin that name a rule of the target's own."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A database file as it stood: size in bytes and SHA-256 (None where it was not hashed)."""

    path: str
    bytes: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class PhaseTiming:
    """Rows handled and wall-clock seconds spent in one phase."""

    phase: str
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TableCount:
    """Where the rows of one source table went; ``archived`` counts rows not loaded, by reason."""

    source: str
    target: str | None
    source_rows: int
    loaded: int
    archived: Mapping[str, int] = field(default_factory=dict)

    @property
    def residual(self) -> int:
        """Source rows that are neither loaded nor archived; anything but 0 is a loss."""
        return self.source_rows - self.loaded - sum(self.archived.values())


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of an equation."""

    sign: Literal["+", "-"]
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Equation:
    """``name left = term + term - term``, as in ``persons 5 = patients 3 + standalone 2``."""

    name: str
    left: int
    terms: tuple[Term, ...]

    @property
    def residual(self) -> int:
        """Left side minus the signed terms; 0 when everything is explained."""
        return self.left - sum(t.count if t.sign == "+" else -t.count for t in self.terms)


@dataclass(frozen=True, slots=True)
class Place:
    """How often something was found in a source table, and in which column (None for the row)."""

    table: str
    column: str | None
    count: int


@dataclass(frozen=True, slots=True)
class DiscrepancyCount:
    """How many discrepancies of one kind (contract section 8) the run logged, and where."""

    kind: Kind
    severity: Severity
    count: int
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionCount:
    """How many decisions of one kind ended as ``applied``, ``stale`` or ``not_needed``.

    rows: ``<table> <id>`` of those that were not applied.
    """

    kind: str
    outcome: str
    count: int
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Normalisation:
    """How many cells of one source column a rule brought into canonical form."""

    table: str
    column: str
    rule: str
    cells: int


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check of contract section 10; ``detail`` names ids and columns, never values."""

    name: str
    table: str | None
    expected: int | str | None
    actual: int | str | None
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LineageLine:
    """Where the cells of one source column went and by which rule (contract section 9)."""

    source_table: str
    source_column: str
    disposition: str
    target_table: str | None
    target_column: str | None
    rule: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one command found, in the order a reader asks for it.

    needs_baseline: the target records no migration of Prisma's.  failed_migrations: those that it
    records as begun and neither finished nor rolled back.
    """

    tool_version: str
    command: str
    started_ms: Instant
    finished_ms: Instant
    source: FileFacts
    target: FileFacts | None
    ledger: str | None
    outcome: str
    options: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    phases: tuple[PhaseTiming, ...] = ()
    tables: tuple[TableCount, ...] = ()
    equations: tuple[Equation, ...] = ()
    discrepancies: tuple[DiscrepancyCount, ...] = ()
    decisions: tuple[DecisionCount, ...] = ()
    normalisations: tuple[Normalisation, ...] = ()
    drift: tuple[str, ...] = ()
    verification: tuple[CheckResult, ...] = ()
    lineage: tuple[LineageLine, ...] = ()
    needs_baseline: bool = False
    failed_migrations: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    source_sha256_after: str | None = None
    source_changed: bool = False

    @property
    def failed_checks(self) -> tuple[CheckResult, ...]:
        """The checks that failed or could not be carried out."""
        return tuple(c for c in self.verification if c.outcome in ("failed", "error"))

    @property
    def unexplained(self) -> tuple[str, ...]:
        """Names of the equations and source tables whose residual is not 0."""
        equations = tuple(e.name for e in self.equations if e.residual)
        return equations + tuple(t.source for t in self.tables if t.residual)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON types, residuals included for readers that do not add up."""
        raw = dataclasses.asdict(self)
        for table, counted in zip(raw["tables"], self.tables, strict=True):
            table["residual"] = counted.residual
        for equation, stated in zip(raw["equations"], self.equations, strict=True):
            equation["residual"] = stated.residual
        return raw

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Report:
        """The report that :meth:`to_json` wrote; keys that this version lacks are ignored.

        Raises :class:`ValueError` or :class:`TypeError` for what no report of ours is.
        """
        return shaped(cls, raw)


def shaped(kind: type[Shape], raw: Any) -> Shape:
    """A value of JSON as one of the types of a report, wherever it was found.

    Raises :class:`ValueError` or :class:`TypeError` for any other, so that whoever shows a report
    need not ask whether its kinds and instants are any.
    """
    read: Shape = _read(kind, raw)
    return read


def _read(kind: Any, raw: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(raw, dict):
        hints = _hints(kind)
        return kind(**{name: _read(hint, raw[name]) for name, hint in hints.items() if name in raw})
    if origin is Annotated:
        value = _read(inner[0], raw)
        if value not in inner[1]:
            raise ValueError("a report has a value where none of its kind can be")
        return value
    if origin is tuple and isinstance(raw, list | tuple):
        return tuple(_read(inner[0], item) for item in raw)
    if origin is Mapping and isinstance(raw, dict):
        return {_read(inner[0], key): _read(inner[1], value) for key, value in raw.items()}
    if origin in (types.UnionType, Union):
        given = dict if isinstance(raw, dict) else type(raw)
        fitting = [
            o for o in inner if given is o or (given is dict and dataclasses.is_dataclass(o))
        ]
        if fitting:
            return _read(fitting[0], raw)
    if isinstance(raw, int | float) and not -_BEYOND <= raw < _BEYOND:  # or no number at all
        raise ValueError("a report has a number that no count comes to")
    if (origin is Literal and raw in inner) or type(raw) is kind:
        return raw
    if kind is float and type(raw) is int:
        return float(raw)
    raise TypeError(f"a report has a {type(raw).__name__} where it has none")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)
