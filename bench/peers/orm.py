"""``sqlalchemy``: mapped objects on both sides, added and flushed a thousand at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, DateTime, create_engine, event, select
from sqlalchemy.engine import Engine
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import Session

from bench.peers.row_by_row import Row, Run
from person_unify.schema import UNIFIED, create_statements

BATCH = 1000


def migrate(old: Path, new: Path) -> None:
    """The row-by-row script, with objects in place of SQL."""
    with closing(sqlite3.connect(new)) as connection:
        for statement in create_statements(UNIFIED):
            connection.execute(statement)
    source, target = (create_engine(f"sqlite:///{path}") for path in (old, new))
    before, after = models(source), models(target)
    waiting: list[Any] = []
    with Session(source) as reading, Session(target) as writing:

        def read(table: str) -> Iterable[Row]:
            for found in reading.scalars(select(before[table]).execution_options(yield_per=BATCH)):
                yield vars(found)

        def insert(table: str, made: Row) -> None:
            waiting.append(after[table](**made))
            if len(waiting) >= BATCH:
                writing.add_all(waiting)
                writing.flush()
                writing.expunge_all()
                waiting.clear()

        Run(read, insert).all()
        writing.add_all(waiting)
        writing.commit()


def models(engine: Engine) -> dict[str, Any]:
    """A mapped class per table; instants stay what the file holds."""
    base = automap_base()

    @event.listens_for(base.metadata, "column_reflect")
    def _instants(inspector: Any, table: Any, column: Any) -> None:
        if isinstance(column["type"], DateTime):
            column["type"] = BigInteger()

    base.prepare(autoload_with=engine, generate_relationship=lambda *_, **__: None)
    return {mapped.__table__.name: mapped for mapped in base.classes}
