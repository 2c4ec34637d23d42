"""Adding up what the stages made, for the report and its equations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from person_unify.evidence.lineage import lines
from person_unify.findings import FINDINGS
from person_unify.frames.model import Outcome
from person_unify.mappings.bind import Plan
from person_unify.report import (
    DecisionCount,
    DiscrepancyCount,
    Equation,
    Normalisation,
    Place,
    Report,
    TableCount,
    Term,
)


@dataclass(slots=True)
class Counts:
    """Counts of one run over the tables of a plan.

    places: discrepancies by kind, source table and column.  recast: cells by source table, column
    and rule.  rows: by target table.
    """

    plan: Plan
    tables: list[TableCount] = field(default_factory=list)
    places: Counter[tuple[str, str, str | None]] = field(default_factory=Counter)
    recast: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count one source table, or the next part of the one that was counted last."""
        name = outcome.source
        if not self.tables or self.tables[-1].source != name:
            self.tables.append(TableCount(name, self._targets(name), 0, 0, {}))
        so_far = self.tables[-1]
        self.tables[-1] = replace(
            so_far,
            source_rows=so_far.source_rows + outcome.source_rows,
            loaded=so_far.loaded + outcome.loaded,
            archived=dict(Counter(so_far.archived) + Counter(outcome.not_loaded)),
        )
        for table, frame in outcome.rows.items():
            self.rows[table] += frame.height
        self.say(outcome.discrepancies)
        for column, rule, cells in outcome.normalisations:
            self.recast[name, column, rule] += cells

    def _targets(self, source: str) -> str | None:
        bound = (b for b in self.plan.bound if b.name == source)
        targets = dict.fromkeys(b.target.name for b in bound if b.target is not None)
        return ", ".join(targets) or None

    @property
    def normalisations(self) -> tuple[Normalisation, ...]:
        """How many cells a rule brought into canonical form, table by table."""
        return tuple(Normalisation(*spot, cells) for spot, cells in self.recast.items())

    def say(self, frames: Iterable[pl.DataFrame]) -> None:
        """Count discrepancies by kind, table and column."""
        for frame in frames:
            grouped = frame.group_by("kind", "source_table", "field").len()
            for kind, table, column, count in grouped.iter_rows():
                self.places[kind, table, column] += count

    def discrepancies(self) -> tuple[DiscrepancyCount, ...]:
        """Counts by kind, errors first."""
        rank = {"error": 0, "warning": 1, "info": 2}
        found: dict[str, list[Place]] = {}
        for (kind, table, column), count in sorted(self.places.items(), key=lambda at: -at[1]):
            found.setdefault(kind, []).append(Place(table, column, count))
        return tuple(
            DiscrepancyCount(
                kind,
                FINDINGS[kind].severity,
                sum(place.count for place in found[kind]),
                tuple(sorted(found[kind], key=lambda p: (-p.count, p.table, p.column or ""))),
            )
            for kind in sorted(found, key=lambda kind: (rank[FINDINGS[kind].severity], kind))
        )

    @property
    def errors(self) -> int:
        """Discrepancies of severity error."""
        return sum(
            count
            for (kind, _, _), count in self.places.items()
            if FINDINGS[kind].severity == "error"
        )

    def told_in(
        self, report: Report, people: Mapping[str, int], actual: Mapping[str, int]
    ) -> Report:
        """The report with what was counted in it; people, actual: see :meth:`equations`."""
        return replace(
            report,
            tables=tuple(self.tables),
            equations=self.equations(people, actual),
            discrepancies=self.discrepancies(),
            normalisations=self.normalisations,
            drift=self.plan.notes,
            lineage=lines(self.plan),
        )

    def equations(
        self, people: Mapping[str, int], actual: Mapping[str, int]
    ) -> tuple[Equation, ...]:
        """The reconciliation.

        people: how many patients, children of each sort, and implied grants there are.  actual: the
        target's rows by table, as counted in it.
        """
        standalone = (
            Term("+", "standalone", people["standalone"]),
            Term("+", "missing link", people["missing_link"]),
        )
        linked = [Term("+", "linked", people["linked"])]
        if people["merged"]:
            linked.append(Term("+", "merged by decision", people["merged"]))
        children = Equation("children", people["children"], (*linked, *standalone))
        patients = Term("+", "patients", people["patients"])
        persons = Equation("persons", actual["persons"], (patients, *standalone))
        return (children, persons, self._grants(people, actual))

    def _grants(self, people: Mapping[str, int], actual: Mapping[str, int]) -> Equation:
        name = self.plan.source_names.get("consent_grants", "consent_grants")
        consents = next((t for t in self.tables if t.source == name), None)
        lost = dict(consents.archived) if consents else {}
        terms = [Term("+", "consents", consents.source_rows if consents else 0)]
        terms.append(Term("-", "orphaned", lost.pop("orphaned_consent_grant", 0)))
        terms += [Term("-", reason.replace("_", " "), count) for reason, count in lost.items()]
        terms.append(Term("+", "implied", people["implied"]))
        return Equation("grants", actual["access_grants"], tuple(terms))


def count_decisions(answered: pl.DataFrame) -> tuple[DecisionCount, ...]:
    """Decisions by kind and outcome; ``answered``: DECISION and ``outcome``."""
    row = pl.concat_str("source_table", "source_id", separator=" ")
    grouped = (
        answered.group_by("kind", "outcome")
        .agg(pl.len(), row.filter(pl.col("outcome") != "applied").unique().sort())
        .sort("outcome", "kind")
    )
    return tuple(
        DecisionCount(kind, outcome, count, tuple(rows))
        for kind, outcome, count, rows in grouped.iter_rows()
    )
