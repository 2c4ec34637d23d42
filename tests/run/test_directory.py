"""The run directory: what it takes for its own when it removes, whatever its facts say."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.faults.site import write_small
from tests.migration.test_resume import MOMENT
from tests.strategies.examples import examples
from typer.testing import CliRunner

from person_unify import __version__
from person_unify.cli.app import app
from person_unify.errors import TargetError
from person_unify.files import locks
from person_unify.files.names import stamp
from person_unify.pipeline import MigrateOptions, migrate
from person_unify.progress import Event, Note, PhaseStarted
from person_unify.run.directory import Facts, RunDirectory, place_of, run_directory, this_machine
from person_unify.run.purge import leftovers, purge
from person_unify.run.rollback import rollback

NAME = f"old.db.backup-{stamp(MOMENT)}"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an unfinished run, whose copy of the source is in another beside it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return _site(tmp_path)


def _site(tmp_path: Path) -> Path:
    for name in ("run", "backups"):
        (tmp_path / "site" / name).mkdir(parents=True)
    copy = tmp_path / "site" / "backups" / NAME
    copy.write_text("the copy")
    directory = RunDirectory.claim(tmp_path / "site" / "run" / "new.db")
    facts = Facts(
        id="6f0e7d3a-0000-4000-8000-000000000000",
        tool_version=__version__,
        moment=MOMENT,
        seed="ab" * 32,
        source=str(tmp_path / "site" / "old.db"),
        target=str(directory.target),
        in_place=False,
        options=MigrateOptions(tmp_path / "old.db", directory.target).deciding(),
        machine=this_machine(),
        snapshot=str(copy),
    )
    directory.adopt(facts, copy, copy, locks.sha256(copy))
    directory.leave()
    return tmp_path / "site"


def _edit(site: Path, **facts: object) -> None:
    path = run_directory(site / "run" / "new.db") / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def _purged(site: Path, *places: Path) -> list[tuple[str, str]]:
    """Purge, and say what was done with which kinds."""
    target = site / "run" / "new.db"
    found = leftovers(target, places=places)
    purge(target, found)
    return [(leftover.kind, leftover.state) for leftover in found]


def test_copy_of_a_run_at_home_is_known_by_its_identity(site: Path) -> None:
    assert _purged(site) == [("unfinished run", "here"), ("copy of the source", "here")]
    assert not (site / "backups" / NAME).exists()
    assert not run_directory(site / "run" / "new.db").exists()


@pytest.mark.parametrize("named", [True, False])
def test_copied_run_has_the_copy_that_the_operator_points_at(named: bool, site: Path) -> None:
    copied = site.with_name("copied")
    shutil.copytree(site, copied)

    done = _purged(copied, *([copied / "backups"] if named else []))

    assert done[1] == ("copy of the source", "here" if named else "unproven")
    assert (copied / "backups" / NAME).exists() != named
    assert (site / "backups" / NAME).exists()


VICTIMS = {
    "another name": ("letter", {}),
    "no digest": (NAME, {"snapshot_sha256": None}),
    "no digest, another name": ("letter", {"snapshot_sha256": None}),
    "a path of its own": (NAME, {}),
    "upwards": (f"../victim/{NAME}", {}),
}


@pytest.mark.parametrize("home", [True, False], ids=["at home", "copied"])
@pytest.mark.parametrize("edit", VICTIMS)
def test_edited_facts_remove_nothing_of_others(edit: str, home: bool, site: Path) -> None:
    """The file is never that which the facts hold by device and inode."""
    name, facts = VICTIMS[edit]
    victim = site.with_name("victim") / Path(name).name
    victim.parent.mkdir()
    victim.write_text("dear")
    if not home:
        shutil.copytree(site, site.with_name("copied"))
        site = site.with_name("copied")
    written = site / name if name.startswith("..") else victim
    digest = {"snapshot_sha256": locks.sha256(victim), "snapshot_file": None}
    _edit(site, snapshot=str(written), **{**digest, **facts})

    directory = RunDirectory.claim(site / "run" / "new.db", [site / "backups"])
    found = directory.facts()
    assert found is not None
    directory.remove_snapshot(found)
    directory.leave()
    _purged(site)

    assert victim.read_text() == "dear"


def test_identity_alone_does_not_do_for_a_file_of_another_name(site: Path) -> None:
    letter = site / "letter"
    letter.write_text("dear")
    place = place_of(letter)
    _edit(site, snapshot=str(letter), snapshot_file=place, snapshot_sha256=locks.sha256(letter))

    assert _purged(site) == [("unfinished run", "here")]

    assert letter.exists()


@pytest.mark.parametrize("text", ["[" * 99_999, '{"moment": []}', '{"home": [], "moment": "x"}'])
def test_facts_of_no_such_shape_are_one_sentence(text: str, site: Path) -> None:
    (run_directory(site / "run" / "new.db") / "run.json").write_text(text)

    with pytest.raises(TargetError, match="this version cannot read"):
        leftovers(site / "run" / "new.db")


def test_facts_with_paths_that_no_file_has_are_refused(site: Path) -> None:
    _edit(site, snapshot="/tmp/\0")

    with pytest.raises(TargetError, match="this version cannot read"):
        leftovers(site / "run" / "new.db")


def test_fresh_names_the_copy_that_it_leaves(site: Path) -> None:
    _edit(site, snapshot_sha256="0" * 64)
    source = write_small(site / "old.db")
    notes: list[str] = []

    def hear(event: Event) -> None:
        notes.extend([event.message] if isinstance(event, Note) else [])

    migrate(MigrateOptions(source, site / "run" / "new.db", fresh=True), hear)

    assert (site / "backups" / NAME).exists()
    assert notes[0].startswith(f"{site / 'backups' / NAME} is not provably")


@pytest.mark.parametrize("call", ["purge", "rollback", "migrate"])
def test_directory_of_others_is_named_and_left(call: str, site: Path) -> None:
    source, target = write_small(site / "old.db"), site / "run" / "other.db"
    foreign = run_directory(target)
    (foreign / "photos").mkdir(parents=True)
    (foreign / "target.db").write_text("dear")
    calls: dict[str, Callable[[], object]] = {
        "purge": lambda: leftovers(target),
        "rollback": lambda: rollback(target),
        "migrate": lambda: migrate(MigrateOptions(source, target)),
    }
    if call == "rollback":
        migrate(MigrateOptions(source, site / "other.db"))
        for path in site.glob("other.*"):
            path.rename(target.with_name(path.name))

    with pytest.raises(TargetError, match=f"{foreign} holds files, and no run's"):
        calls[call]()

    assert sorted(path.name for path in foreign.iterdir()) == ["photos", "target.db"]


@pytest.mark.parametrize("finished", [True, False])
def test_what_no_run_puts_into_its_directory_stays(finished: bool, site: Path) -> None:
    target = site / "run" / "new.db"
    foreign = [run_directory(target) / name for name in ("letter", "photos/one", "run.json.bak")]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("dear")
    if finished:
        migrate(MigrateOptions(write_small(site / "old.db"), target, fresh=True))
    else:
        _purged(site)

    assert [path.read_text() for path in foreign] == ["dear"] * 3
    assert {path.name for path in run_directory(target).iterdir()} == {
        "letter",
        "photos",
        "run.json.bak",
    }


def test_report_that_appears_during_the_run_stays_and_the_run_goes_on_when_it_is_gone(
    site: Path,
) -> None:
    source, target = write_small(site / "old.db"), site / "run" / "other.db"
    report = target.with_name("other.report.json")

    def disturb(event: Event) -> None:
        if isinstance(event, PhaseStarted) and event.phase == "verify":
            report.write_text("dear")

    with pytest.raises(TargetError, match=r"other\.report\.json appeared") as refused:
        migrate(MigrateOptions(source, target), disturb)
    assert report.read_text() == "dear"
    assert "run again with --resume" in "".join(refused.value.__notes__)
    report.unlink()

    assert migrate(MigrateOptions(source, target, resume=True)).outcome == "published"
    assert not run_directory(target).exists()


def test_checkpoints_that_were_replaced_during_the_run_stay(site: Path) -> None:
    source, target = write_small(site / "old.db"), site / "run" / "other.db"
    checkpoints = target.with_name("other.checkpoints.json")

    def disturb(event: Event) -> None:
        if isinstance(event, PhaseStarted) and event.phase == "verify":
            checkpoints.unlink()
            checkpoints.write_text("dear")

    with pytest.raises(TargetError, match=r"other\.checkpoints\.json appeared"):
        migrate(MigrateOptions(source, target), disturb)

    assert checkpoints.read_text() == "dear"
    assert not target.exists()
    assert not run_directory(target).exists()


@st.composite
def edited_facts(draw: st.DrawFn, facts: dict[str, object]) -> bytes:
    """The facts of a run with some of them changed, lost, or cut off."""
    values: st.SearchStrategy[object] = st.sampled_from(
        [None, "", "x", "\0", "../bystander", "/etc/passwd", [], [[]], {}, -1, 2**70, 1.5, True]
    )
    for name in draw(st.lists(st.sampled_from(sorted(facts)), max_size=4)):
        if draw(st.booleans()):
            facts[name] = draw(values)
        else:
            facts.pop(name, None)
    content = json.dumps(facts).encode()
    return content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content


@settings(deadline=None, max_examples=examples(40))
@given(data=st.data())
def test_edited_facts_are_believed_or_refused_and_lead_nowhere(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        site = _site(Path(name))
        bystander = Path(name) / "bystander"
        bystander.write_bytes(b"somebody else's")
        path = run_directory(site / "run" / "new.db") / "run.json"
        path.write_bytes(data.draw(edited_facts(json.loads(path.read_text("utf-8")))))

        for words in (["status"], ["purge"], ["purge", "--yes"]):
            done = CliRunner().invoke(app, [*words, str(site / "run" / "new.db")])
            assert done.exit_code in (0, 1, 3), done.output
            assert "internal error" not in done.output
            assert len(done.stderr.splitlines()) == bool(done.exit_code)
        assert bystander.read_bytes() == b"somebody else's"
