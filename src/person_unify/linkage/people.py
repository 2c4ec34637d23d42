"""Who is compared: the persons of a unified database, or of an old one as they would resolve."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from person_unify.errors import SourceError
from person_unify.files import private_directory
from person_unify.frames.reading import Reader
from person_unify.stages.extract import Extractor
from person_unify.stages.snapshot import require_file, take

PEOPLE = pl.Schema(
    {
        "table": pl.String(),
        "id": pl.String(),
        "first_name": pl.String(),
        "last_name": pl.String(),
        "date_of_birth": pl.Int64(),
        "gender": pl.String(),
    }
)
"""One row per human; ``date_of_birth`` in ms since the epoch, NULL where it cannot be read."""

_DETAILS = ("first_name", "last_name", "date_of_birth", "gender")


def read_people(database: Path) -> pl.DataFrame:
    """The :data:`PEOPLE` of a unified database (``persons``) or an old one.

    Of an old database: every patient, and every child that is not linked to one (contract
    section 3).  Raises :class:`SourceError` for a file that is neither.
    """
    require_file(database)
    with private_directory() as directory:
        # The file may be in use: what is read is one instant of it, and never the file itself.
        snapshot = take(database, directory, datetime.now(UTC))
        extractor = Extractor(snapshot.path)
        if "persons" in extractor.tables:
            return _read(extractor, "persons").select(PEOPLE.names())
        tables = [name for name in ("patients", "children") if name in extractor.tables]
        if not tables:
            raise SourceError(
                f"{database} has neither persons nor patients nor children: "
                "give an old database or a unified one"
            )
        people = pl.concat(_read(extractor, name) for name in tables)
    patients = people.filter(pl.col("table") == "patients").select(linked="id")
    unlinked = people.join(patients, on="linked", how="anti", maintain_order="left")
    return unlinked.select(PEOPLE.names())


def _read(extractor: Extractor, table: str) -> pl.DataFrame:
    wanted = ("id", *_DETAILS, "linked_patient_id")
    reader = Reader(extractor.read(table, wanted), run_time=0)
    linked = reader.peek("linked_patient_id", "TEXT").value
    cells = {
        name: reader.peek(name, "DATETIME" if name == "date_of_birth" else "TEXT").value
        for name in ("id", *_DETAILS)
    }
    # Only a child can be linked; a patient's or person's column of that name means nothing.
    cells["linked"] = linked if table == "children" else pl.lit(None, dtype=pl.String)
    frame = reader.source.frame.select(value.alias(name) for name, value in cells.items())
    return frame.select(pl.lit(table).alias("table"), *cells)
