"""What a reviewer must see of the records in question: from the target, or else the archive.

All in sets: one query per table over the ids that some question names.  Texts travel as bytes,
because a cell of the archive may be anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from person_unify.errors import TargetError
from person_unify.evidence.finished import run_record
from person_unify.files.database import Database
from person_unify.findings import QUESTIONS
from person_unify.frames.model import QUESTION, QUESTION_KEY
from person_unify.schema import Catalogue, folded, literal, quote

RECORD = ("first_name", "last_name", "date_of_birth", "gender", "known_to", "udid_number")
"""Columns of a record, after ``table`` and ``id``."""


class Books:
    """A finished target with its ledger attached, read-only."""

    def __init__(self, database: Database, ledger: Path) -> None:
        """Look at what :func:`finished_run` opened; raises :class:`TargetError`."""
        self.database, self._path = database, ledger
        self.run = run_record(database, ledger)
        self.ledger = _tables(database, "ledger")
        if "questions" not in self.ledger:
            raise TargetError(
                f"{ledger} was written by a release without review: migrate again with this one"
            )

    def questions(self) -> pl.DataFrame:
        """Every question with the answer that was applied and with what was logged about it.

        Columns: QUESTION, ``decision``, ``link_to``, ``reviewer``, ``note``, and ``child_value``,
        ``patient_value``, ``message`` of the discrepancy.  Raises :class:`TargetError`.
        """
        same = " AND ".join(f"{{0}}.{name} IS q.{name}" for name in QUESTION_KEY)
        columns = {name: f"q.{name}" for name in QUESTION}
        columns |= {name: f"d.{name}" for name in ("decision", "link_to", "reviewer", "note")}
        columns |= {name: f"l.{name}" for name in ("child_value", "patient_value", "message")}
        found = self.frame(
            columns,
            f"FROM ledger.questions AS q LEFT JOIN ledger.decisions AS d ON {same.format('d')} "
            f"AND d.outcome = 'applied' LEFT JOIN ledger.discrepancies AS l ON {same.format('l')} "
            f"ORDER BY {', '.join(f'q.{name}' for name in QUESTION_KEY)}",
        )
        possible = [
            kind in QUESTIONS and set(str(options).split(" ")) <= set(QUESTIONS[kind].decisions)
            for kind, options in found.select("kind", "options").iter_rows()
        ]
        named = found.select("source_table", "source_id", "evidence").null_count().sum_horizontal()
        if not all(possible) or named.item():
            raise TargetError(
                f"{self._path} asks what no run asks (table questions): it was edited or damaged"
            )
        return found

    def records(self) -> pl.DataFrame:
        """``table``, ``id`` and :data:`RECORD` of every patient and child that is named."""
        clinician = (
            "LEFT JOIN ledger.patient_to_view AS x ON x.old_id = m.old_id "
            "LEFT JOIN main.clinician_patient_views AS v ON v.id = x.new_id "
            "LEFT JOIN main.users AS u ON u.id = v.clinician_id"
        )
        parent = (
            "LEFT JOIN ledger.child_to_view AS x ON x.old_id = m.old_id "
            "LEFT JOIN main.parent_child_views AS v ON v.id = x.new_id "
            "LEFT JOIN main.parents AS r ON r.id = v.parent_id "
            "LEFT JOIN main.users AS u ON u.id = r.user_id"
        )
        return pl.concat(
            [
                self._records("patients", "patient_to_person", clinician),
                self._records("children", "child_to_person", parent),
            ]
        )

    def _records(self, table: str, map_: str, joins: str) -> pl.DataFrame:
        name = f"archive_{table}"
        archive = self.ledger.get(name, ())
        # The ledger's own columns come last: what a row archives, and why.
        listed = f"a.{quote(archive[-2])}" if archive else "NULL"
        if "id" in archive:
            joins = f"LEFT JOIN ledger.{name} AS a ON a.id = m.old_id {joins}"
        else:
            archive = ()

        def cell(column: str) -> str:
            if column not in archive:
                return f"t.{column}"
            named = f"instr(lower({listed}), '\"{column}\"')"
            return f"CASE WHEN {named} THEN a.{column} ELSE t.{column} END"

        columns = {
            "table": f"'{table}'",
            "id": "m.old_id",
            **{column: cell(column) for column in RECORD if column != "known_to"},
            "known_to": "u.email",
        }
        columns["date_of_birth"] = day(columns["date_of_birth"])
        return self.frame(
            columns,
            f"FROM ledger.{map_} AS m JOIN main.persons AS t ON t.id = m.new_id {joins} "
            f"WHERE m.old_id IN ({_NAMED})",
        )

    def people(self, ids: pl.Series) -> pl.DataFrame:
        """``id``, ``name``, ``date_of_birth``, ``gender`` of these persons of the target."""
        listed = ", ".join(literal(str(id_)) for id_ in ids)
        columns = {
            "id": "t.id",
            "name": "trim(coalesce(t.first_name, '') || ' ' || coalesce(t.last_name, ''))",
            "date_of_birth": day("t.date_of_birth"),
            "gender": "t.gender",
        }
        return self.frame(columns, f"FROM main.persons AS t WHERE t.id IN ({listed})")

    def families(self) -> pl.DataFrame:
        """Of each person that is asked about, its parents.

        ``table``, ``id`` (the origin), ``parent_id``, ``email``, ``phone``, ``relationship``,
        ``flagged``, ``primary``, ``added_at``.
        """
        links = "archive_parent_children"
        flagged = "NULL"
        if {"id", "is_primary"} <= set(self.ledger.get(links, ())):
            flagged = (
                f"(SELECT max(lower(CAST(a.is_primary AS TEXT)) IN ('1', '1.0', 'true')) FROM "
                f"ledger.{links} AS a JOIN ledger.parent_link_to_view AS l ON l.old_id = a.id "
                "WHERE l.new_id = v.id)"
            )
        columns = {
            "table": "q.source_table",
            "id": "q.source_id",
            "parent_id": "v.parent_id",
            "email": "u.email",
            "phone": "r.phone",
            "relationship": "v.relationship_type",
            "flagged": yes(flagged),
            "primary": yes("v.is_primary_caregiver"),
            "added_at": day("v.added_at"),
        }
        people = (
            "SELECT 'patients' AS source_table, old_id, new_id FROM ledger.patient_to_person "
            "UNION ALL SELECT 'children', old_id, new_id FROM ledger.child_to_person"
        )
        return self.frame(
            columns,
            "FROM (SELECT DISTINCT source_table, source_id FROM ledger.questions "
            f"WHERE lower(field) = 'is_primary') AS q JOIN ({people}) AS m "
            "ON m.source_table = lower(q.source_table) AND m.old_id = q.source_id "
            "JOIN main.parent_child_views AS v ON v.person_id = m.new_id "
            "LEFT JOIN main.parents AS r ON r.id = v.parent_id "
            "LEFT JOIN main.users AS u ON u.id = r.user_id",
        )

    def frame(self, columns: Mapping[str, str], rest: str) -> pl.DataFrame:
        """A query as a frame of texts; ``columns`` gives the expression of each."""
        listed = ", ".join(
            f"CASE WHEN ({cell}) IS NULL THEN '-' ELSE hex({cell}) END" for cell in columns.values()
        )
        rows = self.database.rows(f"SELECT {listed} {rest}")
        raw = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
        # Polars cannot cast bytes that may be no UTF-8; a review is read by people, so it is small.
        return pl.DataFrame(
            {name: [_decoded(text) for text in raw[name]] for name in columns},
            schema=dict.fromkeys(columns, pl.String),
        )


_NAMED = "SELECT source_id FROM ledger.questions UNION SELECT related_id FROM ledger.questions"


def _decoded(shown: str) -> str | None:
    """The text of a cell as :meth:`Books.frame` fetches it; bytes that are no text as a mark."""
    return None if shown == "-" else bytes.fromhex(shown).decode("utf-8", errors="replace")


def day(cell: str) -> str:
    """An instant as people write it: the time only where it is not midnight UTC."""
    seconds = f"(({cell}) - (({cell}) % 1000 + 1000) % 1000) / 1000"
    moment = f"datetime({seconds}, 'unixepoch')"
    return (
        f"CASE WHEN typeof({cell}) <> 'integer' THEN CAST({cell} AS TEXT) "
        f"WHEN {moment} LIKE '% 00:00:00' THEN date({seconds}, 'unixepoch') "
        f"ELSE substr({moment}, 1, 16) || ' UTC' END"
    )


def yes(cell: str) -> str:
    """A flag in words."""
    return f"CASE WHEN {cell} = 1 THEN 'yes' ELSE 'no' END"


def _tables(database: Database, catalog: str) -> Catalogue[tuple[str, ...]]:
    """Tables and their columns, these in lower case."""
    found: dict[str, list[str]] = {}
    for table, column in database.rows(
        f"SELECT m.name, c.name FROM {catalog}.sqlite_master AS m, "
        f"pragma_table_info(m.name, '{catalog}') AS c WHERE m.type = 'table' ORDER BY m.name, c.cid"
    ):
        found.setdefault(str(table), []).append(folded(str(column)))
    return Catalogue({table: tuple(columns) for table, columns in found.items()})
