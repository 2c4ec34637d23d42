"""Who belongs to the synthetic clinic: persons, families, clinicians, as functions of a number.

Persons are numbered from 0.  Each is a child with a patient record (55%), a child alone (20%) or
a patient alone (25%); brothers and sisters share their parents.  Everything here is a pure function
of the seed and the number, so every table can ask it for any person at any time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from person_unify.sample.identity import Flags, Floats, Ints, Keys, below, keys, scatter, share

DAY = 86_400_000
OPENED = 1_546_300_800_000
"""The clinic's first day, 2019-01-01 UTC, in ms."""
TODAY = 1_751_241_600_000
"""The day the sample was "taken", 2025-06-30 UTC, in ms; a sample never depends on the clock."""
PARENT_USERS = np.uint64(1 << 40)
"""Keys of users: clinicians count from 0, parents from here."""


@dataclass(frozen=True, slots=True)
class Clinic:
    """The people of a sample with that seed and number of persons."""

    seed: int
    persons: int

    @property
    def clinicians(self) -> int:
        """How many clinicians there are: one for a hundred persons, at least six."""
        return max(6, self.persons // 100)

    def has_patient(self, person: Ints) -> Flags:
        """Whether the person has a patient record (80%); person 0 has every record."""
        lot = self._lot("kind", person)
        chosen: Flags = (lot < 0.55) | (lot >= 0.75) | (person == 0)
        return chosen

    def has_child(self, person: Ints) -> Flags:
        """Whether the person has a child record (75%)."""
        chosen: Flags = (self._lot("kind", person) < 0.75) | (person == 0)
        return chosen

    def has_parent(self, person: Ints) -> Flags:
        """Whether a parent is known: for every child, and for two patients in five."""
        return self.has_child(person) | (self._lot("guarded", person) < 0.4)

    def family(self, person: Ints) -> Ints:
        """The number of the family: one's own, or the neighbour's for one odd number in seven."""
        sibling = (person % 2 == 1) & (self._lot("sibling", person) < 1 / 7)
        family: Ints = person - sibling
        return family

    def has_second_parent(self, family: Ints) -> Flags:
        """Whether the family has two parents in the database (35%)."""
        chosen: Flags = (self._lot("second parent", family) < 0.35) | (family == 0)
        return chosen

    def parent(self, person: Ints, which: Ints | int = 0) -> Keys:
        """Key of the person's first (0) or second (1) parent."""
        return keys(self.family(person) * 2 + which)

    def clinician(self, person: Ints) -> Ints:
        """Number of the clinician who treats the person."""
        chosen = below(self.seed, "clinician", keys(person), self.clinicians)
        return np.where(person == 0, 0, chosen)

    def arrived(self, person: Ints) -> Ints:
        """When the person was registered, ms, between the clinic's opening and this spring."""
        return OPENED + below(self.seed, "arrived", keys(person), TODAY - OPENED - 60 * DAY)

    def born(self, person: Ints) -> Ints:
        """Birthday at midnight UTC, ms: 1 to 17 years before arrival, one in 80 an adult."""
        key = keys(person)
        adult = self._lot("adult", person) < 1 / 80
        age = np.where(
            adult, below(self.seed, "age", key, 15_000) + 8_000, below(self.seed, "age", key, 5_900)
        )
        return (self.arrived(person) // DAY - 380 - age) * DAY

    def is_girl(self, person: Ints) -> Flags:
        """Whether the person is recorded as female (42%)."""
        return self._lot("girl", person) < 0.42

    def lot(self, name: str, person: Ints) -> Keys:
        """64 random bits of the person for whatever ``name`` says."""
        return scatter(self.seed, name, keys(person))

    def _lot(self, name: str, person: Ints) -> Floats:
        return share(self.seed, name, keys(person))
