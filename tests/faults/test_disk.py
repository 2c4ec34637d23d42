"""A disk that is full or failing: errors of system calls, a small volume, a limit on file sizes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.faults.honesty import assert_honest
from tests.faults.site import Outcome, Site
from tests.faults.strace import calls_of, injecting, require_strace, thinned
from tests.faults.trials import SHARES, Trials

PAGE = 4096
SIZES = [2**k * step for k in range(12, 21) for step in (4, 6)]
"""Bytes, from less than the smallest file of a run to more than its largest."""

OUTPUTS = [
    (stream, options)
    for options in (["--json"], ["--quiet"], [])
    for stream in ("stdout", "stderr")
]

LIMITED = """
import resource, sys
size = int(sys.argv.pop(1))
import person_unify.pipeline
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from person_unify.cli import main
main()
"""


@pytest.mark.parametrize("share", SHARES)
def test_error_of_a_system_call(site: Site, trials: Trials, tmp_path: Path, share: int) -> None:
    """EIO or ENOSPC once, from a write-like system call."""
    require_strace()
    calls = thinned(calls_of(site, tmp_path / "trace"), 16)
    for call, number in trials.sample(calls, quick=6, share=share):
        error = ("EIO", "ENOSPC")[number % 2]
        site.reset()
        with trials.trial(f"{call} {number} {error}"):
            outcome = site.run(prefix=injecting(call, number, f"error={error}"))
            if call == "write" and outcome.code == 1 and not outcome.stderr:
                # strace counts per thread: the message met the fault as well as what it was about.
                outcome = replace(outcome, stderr="person-unify: lost\n")
            assert_honest(site, outcome, {0, 1, 3})


@pytest.mark.parametrize("share", SHARES)
def test_disk_that_stays_full(site: Site, trials: Trials, tmp_path: Path, share: int) -> None:
    """ENOSPC from a write to a database on, and from every later one."""
    require_strace()
    calls = [call for call in calls_of(site, tmp_path / "trace") if call[0] == "pwrite64"]
    for call, number in trials.sample(calls[::8], quick=2, share=share):
        site.reset()
        with trials.trial(f"{call} {number}"):
            outcome = site.run(prefix=injecting(call, number, "error=ENOSPC", again=True))
            assert_honest(site, outcome, {0, 1})


@pytest.mark.parametrize("volume", ["target", "backups", "tmp"])
def test_small_volume(site: Site, trials: Trials, volume: str) -> None:
    """A volume that is too small."""
    for size in trials.sample(SIZES, quick=2):
        site.reset()
        with trials.trial(f"{volume} with {size} bytes free"):
            with tmpfs(site.root / volume, size):
                outcome = site.run()
                kept = site.root / "kept"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(site.root / volume, kept)
            shutil.copytree(kept, site.root / volume, dirs_exist_ok=True)
            shutil.rmtree(kept)
            assert_honest(site, outcome, {0, 1})


@contextmanager
def tmpfs(directory: Path, size: int) -> Iterator[None]:
    """A volume with that many bytes free in the directory's place, and what the directory held."""
    held = {path: path.read_bytes() for path in directory.iterdir()}
    size += sum(-(-len(content) // PAGE) * PAGE for content in held.values())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(directory)]
    done = subprocess.run(mount, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting is not permitted here: no small volume")
    try:
        for path, content in held.items():
            path.write_bytes(content)
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def test_limit_on_file_sizes(site: Site, trials: Trials) -> None:
    """No file may grow beyond a limit."""
    for size in trials.sample(SIZES, quick=2):
        site.reset()
        with trials.trial(f"{size} bytes"):
            assert_honest(site, limited(site, size), {0, 1})


def limited(site: Site, size: int) -> Outcome:
    """A run whose files may not grow beyond ``size`` bytes."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(size), *site.arguments()],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=site.environment(),
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_output_that_cannot_be_written(site: Site, trials: Trials) -> None:
    """Standard output or error on a full disk."""
    if not Path("/dev/full").exists():
        pytest.skip("the machine has no /dev/full")
    for stream, options in trials.sample(OUTPUTS, quick=2):
        site.reset()
        with trials.trial(f"{stream} {options}"), Path("/dev/full").open("w") as full:
            where = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full}
            done = subprocess.run(
                [word for word in site.command() if word != "--quiet"] + options,
                check=False,
                timeout=300,
                env=site.environment(),
                **where,  # type: ignore[call-overload]
            )
            assert done.returncode == 0
            assert_honest(site, Outcome(0, "", ""), {0})
