"""Publish: a name is given once, and never taken from another file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from person_unify.errors import TargetError
from person_unify.stages.publish import ledger_path, publish, require_publishable


def test_published_file_has_its_name_and_its_owner_only(tmp_path: Path) -> None:
    staged, final = tmp_path / "staged", tmp_path / "final.db"
    staged.write_text("rows")
    staged.chmod(0o644)

    publish(staged, final)

    assert final.read_text() == "rows"
    assert stat.S_IMODE(final.stat().st_mode) == 0o600
    assert staged.samefile(final)


def test_publishing_again_after_a_kill_is_no_collision(tmp_path: Path) -> None:
    staged, final = tmp_path / "staged", tmp_path / "final.db"
    staged.write_text("rows")

    publish(staged, final)
    publish(staged, final)

    assert final.read_text() == "rows"


def test_name_that_was_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    staged, final = tmp_path / "staged", tmp_path / "final.db"
    staged.write_text("rows")
    final.write_text("somebody else's")

    with pytest.raises(TargetError, match="appeared"):
        publish(staged, final)

    assert (final.read_text(), staged.read_text()) == ("somebody else's", "rows")


@pytest.mark.parametrize(
    ("target", "ledger"),
    [
        ("dev-v2.db", "dev-v2.ledger.db"),
        ("a.b.sqlite", "a.b.ledger.sqlite"),
        ("plain", "plain.ledger.db"),
    ],
)
def test_name_of_the_ledger(target: str, ledger: str) -> None:
    assert ledger_path(Path("x") / target) == Path("x") / ledger


def test_hard_link_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "new.db"
    target.touch()
    (tmp_path / "other").hardlink_to(target)

    with pytest.raises(TargetError, match="several hard links"):
        require_publishable(target, ledger_path(target))


def test_dangling_symbolic_link_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "new.db"
    target.symlink_to(tmp_path / "nowhere")

    with pytest.raises(TargetError, match="symbolic link"):
        require_publishable(target, ledger_path(target))
