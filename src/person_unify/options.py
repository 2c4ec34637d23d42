"""What the operator can choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What ``check`` is asked: the source, a target that may be there already, and the choices."""

    source: Path
    target: Path | None = None
    timezone: str = "Asia/Kolkata"
    implied_grants: str = "active"


@dataclass(frozen=True, slots=True)
class MigrateOptions:
    """What ``migrate`` is asked; ``backup_dir`` None keeps the snapshot beside the source."""

    source: Path
    target: Path
    timezone: str = "Asia/Kolkata"
    implied_grants: str = "active"
    strict: bool = False
    relax_unique: bool = False
    backup_dir: Path | None = None
    keep_backup: bool = True
    prove: bool = False

    def recorded(self) -> dict[str, str | int | bool | None]:
        """The choices as they stand in report and ledger."""
        return {
            "timezone": self.timezone,
            "implied_grants": self.implied_grants,
            "strict": self.strict,
            "relax_unique": self.relax_unique,
            "keep_backup": self.keep_backup,
            **({"prove": True} if self.prove else {}),
        }
