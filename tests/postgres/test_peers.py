"""Those that a delivery is compared with load the same rows, or their times would mean nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.postgres.server import Database
from tests.postgres.support import Run, place

from person_unify.postgres.catalogue import TARGET, homes
from person_unify.postgres.mirror import differences, mirror
from person_unify.postgres.server import Server
from person_unify.progress import silent
from person_unify.schema import UNIFIED


@pytest.mark.parametrize("peer", ["psycopg_copy", "pgloader"])
def test_peer_loads_the_rows_that_we_deliver(
    run: Run, empty: Database, tmp_path: Path, peer: str
) -> None:
    if peer == "pgloader" and shutil.which("pgloader") is None:
        pytest.skip("pgloader is not installed")
    where = [empty.url] if peer == "psycopg_copy" else [str(empty.server.directory), empty.name]
    words = ["-m", f"bench.peers.{peer}", str(run.target), *where]

    subprocess.run([sys.executable, *words], check=True)

    with Server(place(empty)) as server:
        mirror(server, homes(server, TARGET).values(), tmp_path / "back.db", silent)
    columns = {name: (table.primary_key, table.column_names) for name, table in UNIFIED.items()}
    assert list(differences(run.target, tmp_path / "back.db", columns)) == []
