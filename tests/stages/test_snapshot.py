"""Snapshot: the copy is complete and private, and the source is left as it was."""

from __future__ import annotations

import hashlib
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.strategies.handmade import write

from person_unify.errors import MigrationError, SourceError
from person_unify.stages.snapshot import take

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_copy_is_named_dated_and_private(tmp_path: Path) -> None:
    source = write(tmp_path / "old.db", users=[{"id": "u1"}])

    snapshot = take(source, tmp_path, MOMENT)

    assert snapshot.path.name == "old.db.backup-20260102T030405.000000Z"
    assert stat.S_IMODE(snapshot.path.stat().st_mode) == 0o600
    assert snapshot.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert snapshot.source_bytes == source.stat().st_size


def test_earlier_copy_is_never_overwritten(tmp_path: Path) -> None:
    source = write(tmp_path / "old.db")
    first = take(source, tmp_path, MOMENT).path.read_bytes()

    with pytest.raises(MigrationError, match="backup"):
        take(source, tmp_path, MOMENT)

    assert (tmp_path / "old.db.backup-20260102T030405.000000Z").read_bytes() == first


def test_source_that_is_no_database_leaves_no_copy(tmp_path: Path) -> None:
    source = tmp_path / "old.db"
    source.write_bytes(b"SQLite format 3\x00" + b"\xa5" * 5000)

    with pytest.raises(SourceError):
        take(source, tmp_path, MOMENT)

    assert list(tmp_path.iterdir()) == [source]
