"""The peers do the same work, or comparing their times would mean nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from bench.peers import CORE
from bench.peers.__main__ import run

from person_unify.pipeline import MigrateOptions, migrate
from person_unify.sample import SampleOptions, write_sample
from person_unify.schema import UNIFIED


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    write_sample(folder / "old.db", SampleOptions(persons=60, seed=3, faults=0))
    migrate(MigrateOptions(folder / "old.db", folder / "new.db", keep_backup=False))
    return folder


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("sql-naive", tuple(UNIFIED)),
        ("sql-tuned", tuple(UNIFIED)),
        ("sql-unsafe", tuple(UNIFIED)),
        ("row-by-row", tuple(UNIFIED)),
        ("sqlalchemy", tuple(UNIFIED)),
        ("pandas", CORE),
    ],
)
def test_peer_writes_the_rows_that_we_write(
    ours: Path, tmp_path: Path, name: str, tables: tuple[str, ...]
) -> None:
    run(name, ours / "old.db", tmp_path / "new.db")

    with closing(sqlite3.connect(ours / "new.db")) as connection:
        connection.execute("ATTACH ? AS peer", (str(tmp_path / "new.db"),))
        for table in tables:
            counts = [
                connection.execute(f'SELECT count(*) FROM {catalog}."{table}"').fetchone()[0]
                for catalog in ("main", "peer")
            ]
            assert counts[0] == counts[1], table
            assert differing(connection, table) == [], table


def differing(connection: sqlite3.Connection, table: str) -> list[str]:
    """Columns in which rows of one id differ; fresh ids are nobody's fault."""
    columns = UNIFIED[table].column_names
    if "id" not in columns:
        return []
    compared = [c for c in columns if c not in ("id", "person_id")]
    sums = ", ".join(f'sum(m."{c}" IS NOT p."{c}")' for c in compared)
    row = connection.execute(
        f'SELECT {sums} FROM main."{table}" AS m JOIN peer."{table}" AS p ON p.id = m.id'
    ).fetchone()
    return [c for c, n in zip(compared, row, strict=True) if n]
