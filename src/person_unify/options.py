"""What the operator can choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What ``check`` is asked: the source, a target that may be there already, and the choices.

    decisions: a file of :mod:`person_unify.decisions`.  memory: bytes that the run should not
    exceed, None for a share of what the machine has.  allow_empty: take a source without a person.
    """

    source: Path
    target: Path | None = None
    timezone: str = "Asia/Kolkata"
    implied_grants: str = "active"
    decisions: Path | None = None
    memory: int | None = None
    allow_empty: bool = False


@dataclass(frozen=True, slots=True)
class MigrateOptions:
    """What ``migrate`` is asked; ``backup_dir`` None keeps the snapshot beside the source.

    ``busy_timeout``: how many seconds to wait for a database that another program has locked.
    ``resume``: go on with an unfinished run, if there is one; ``fresh``: discard it first.
    decisions: a file of :mod:`person_unify.decisions`.
    ids_from: the ledger of an earlier run, whose ids are kept.
    memory: bytes that the run should not exceed, None for a share of what the machine has.
    allow_empty: take a source without a person.
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
        }
