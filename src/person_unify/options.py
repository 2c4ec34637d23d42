"""What the operator can choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from person_unify.schema import Schema

POSTGRESQL = "postgresql"
"""What report and ledger say of a run whose values PostgreSQL can hold."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What ``check`` is asked: the source, a target that may be there already, and the choices.

    decisions: a file of :mod:`person_unify.frames.decisions`.  memory: bytes that the run should
    not exceed, None for a share of what the machine has.  allow_empty: take a source without a
    person.  for_postgresql: tell of values as a run with that option treats them.
    """

    source: Path
    target: Path | None = None
    timezone: str = "Asia/Kolkata"
    implied_grants: str = "active"
    decisions: Path | None = None
    memory: int | None = None
    allow_empty: bool = False
    for_postgresql: bool = False


@dataclass(frozen=True, slots=True)
class MigrateOptions:
    """What ``migrate`` is asked; ``backup_dir`` None keeps the snapshot beside the source.

    ``busy_timeout``: how many seconds to wait for a database that another program has locked.
    ``resume``: go on with an unfinished run, if there is one; ``fresh``: discard it first.
    decisions: a file of :mod:`person_unify.frames.decisions`.
    ids_from: the ledger of an earlier run, whose ids are kept.
    memory: bytes that the run should not exceed, None for a share of what the machine has.
    allow_empty: take a source without a person.
    for_postgresql: archive what PostgreSQL cannot hold, so that the target can be delivered there.
    schema: what a new target is made with, None for the built-in one.
    origin: the PostgreSQL address of which the source is a snapshot.
    """

    source: Path
    target: Path
    timezone: str = "Asia/Kolkata"
    implied_grants: str = "active"
    strict: bool = False
    relax_unique: bool = False
    backup_dir: Path | None = None
    keep_backup: bool = True
    busy_timeout: float = 5.0
    resume: bool = False
    fresh: bool = False
    decisions: Path | None = None
    ids_from: Path | None = None
    memory: int | None = None
    allow_empty: bool = False
    for_postgresql: bool = False
    schema: Schema | None = None
    origin: str | None = None

    def deciding(self) -> dict[str, str | int | bool | None]:
        """The choices that the result depends on, which a resumed run must share."""
        return {name: value for name, value in self.recorded().items() if name != "keep_backup"}

    def recorded(self) -> dict[str, str | int | bool | None]:
        """The choices as they stand in report and ledger."""
        return {
            "timezone": self.timezone,
            "implied_grants": self.implied_grants,
            "strict": self.strict,
            "relax_unique": self.relax_unique,
            "keep_backup": self.keep_backup,
            **({"for": POSTGRESQL} if self.for_postgresql else {}),
            **({"source": self.origin} if self.origin is not None else {}),
        }
