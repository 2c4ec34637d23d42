"""What a sample database is asked to be."""

from __future__ import annotations

from dataclasses import dataclass

from person_unify.errors import UsageError


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """``persons``: how many; ``seed``: which ones; ``faults`` (0..1): how broken the database is.

    With ``faults`` 0 the database keeps every promise of the old schema; with 1 every fault of the
    contract's sections 1 to 7 is frequent.  Any value above 0 plants each fault at least once
    where there is a row to carry it.  Raises UsageError on a value outside its range.
    """

    persons: int = 5000
    seed: int = 7
    faults: float = 0.02

    def __post_init__(self) -> None:
        if self.persons < 1:
            raise UsageError(f"a sample needs at least 1 person, not {self.persons}")
        if not 0 <= self.faults <= 1:
            raise UsageError(f"the share of faults lies between 0 and 1, not {self.faults}")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"the seed lies between 0 and 2^63 - 1, not {self.seed}")
