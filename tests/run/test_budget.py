"""How much memory a run may take: sizes as people write them, and rows at once."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faults.site import write_small

from person_unify.errors import UsageError
from person_unify.pipeline import CheckOptions, MigrateOptions, check, migrate
from person_unify.progress import Event, Note, Progress
from person_unify.run import budget
from person_unify.run.budget import Budget

GIB = 2**30


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("256MiB", 2**28), ("2GiB", 2 * GIB), ("2G", 2 * GIB), ("512M", 2**29)),
        *(("300MB", 300_000_000), ("2GB", 2_000_000_000), ("2gib", 2 * GIB)),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert budget.parse(text) == size


@pytest.mark.parametrize("text", ["", "2", "2TB", "2 GiB", "-2GiB", "0GiB", "255MiB", "2GiB\n"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="as in 2GiB"):
        budget.parse(text)


def test_a_size_is_shown_as_it_is_written() -> None:
    assert [budget.shown(budget.parse(t)) for t in ("300MiB", "7GiB")] == ["300MiB", "7GiB"]


@given(
    size=st.integers(budget.LEAST, 2**40),
    rows=st.integers(0, 10**9),
    columns=st.integers(1, 2000),
    text=st.integers(0, 10**9),
)
def test_rows_at_once_shrink_with_the_budget(size: int, rows: int, columns: int, text: int) -> None:
    some = Budget(size).rows_at_once(rows, columns, text)

    each = 400 * columns + 6 * text
    assert 1 <= some <= max(1, 64 * 2**20 // each, rows // 16)
    assert some <= Budget(2 * size).rows_at_once(rows, columns, text)
    assert some == 1 or some * each <= size // 8


def test_the_usual_budget_is_a_share_of_the_machine() -> None:
    assert budget.LEAST <= Budget().size < 2**50


@pytest.mark.parametrize(
    ("groups", "files", "limits"),
    [
        ("0::/\n", {"memory.max": "1073741824\n"}, [GIB]),
        ("0::/\n", {"memory.max": "max\n"}, []),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "5", "memory.max": "7"}, [5, 7]),
        ("0::/of/the/host\n", {"memory.max": "9"}, [9]),
        (
            "5:cpu:/x\n4:memory,hugetlb:/c\n0::/\n",
            {"memory/c/memory.limit_in_bytes": "3", "cpu/x/memory.max": "1"},
            [3],
        ),
        ("0::/\n", {}, []),
    ],
)
def test_a_container_tells_its_limits(
    groups: str, files: dict[str, str], limits: list[int], tmp_path: Path
) -> None:
    told = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in (told | {"proc/self/cgroup": groups}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert list(budget.control_group_limits(tmp_path)) == limits


def test_a_container_smaller_than_the_machine_sets_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(budget, "control_group_limits", lambda: iter([2 * GIB, 8 * GIB]))

    assert budget.usual() == GIB // 2


def test_where_no_group_is_told_there_is_no_limit(tmp_path: Path) -> None:
    assert list(budget.control_group_limits(tmp_path)) == []


def notes(run: Callable[[Progress], object]) -> list[str]:
    """What a run tells beside its progress."""
    events: list[Event] = []
    run(events.append)
    return [event.message for event in events if isinstance(event, Note)]


def test_few_people_fit_and_many_are_told_of() -> None:
    assert Budget(GIB).too_small_for(1000) is None
    assert "2GiB of memory; 1024MiB are allowed" in str(Budget(GIB).too_small_for(2_000_000))


def test_rows_of_which_the_verification_keeps_much_are_told_of() -> None:
    assert Budget(GIB).too_small_for(1000, 1000) is None
    told = str(Budget(GIB).too_small_for(1000, 10_000_000))
    assert told.startswith("the verification keeps the ids of all rows")
    assert "1024MiB are allowed (--memory)" in told


def test_run_says_when_persons_need_more_than_it_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_PERSON_BYTES", GIB)
    source = write_small(tmp_path / "old.db")

    told = notes(partial(check, CheckOptions(source, memory=GIB)))

    assert [message.count("(--memory)") for message in told] == [1]
    assert not notes(partial(check, CheckOptions(source, memory=64 * GIB)))


def test_migration_says_when_its_verification_needs_more_than_it_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_KEPT_BYTES", GIB)
    source = write_small(tmp_path / "old.db")

    assert not notes(partial(check, CheckOptions(source, memory=GIB)))  # which verifies nothing
    told = notes(partial(migrate, MigrateOptions(source, tmp_path / "new.db", memory=GIB)))

    assert [message.startswith("the verification keeps") for message in told] == [True]


ARENAS = """
import ctypes, sys, tempfile, threading
from person_unify.allocators import share_one_arena
libc = ctypes.CDLL(None)
if sys.argv[1] == "told":
    share_one_arena()
started = threading.Barrier(4)

def allocate():
    started.wait()
    libc.malloc(10_000)

threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with tempfile.NamedTemporaryFile() as file:
    libc.fopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(file.read().count(b"<heap"))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="asks glibc")
def test_threads_share_one_arena() -> None:
    def arenas(word: str) -> int:
        command = [sys.executable, "-c", ARENAS, word]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return int(done.stdout)

    assert arenas("told") == 1
    assert arenas("untold") > 1


GIVEN_BACK = """
import ctypes, sys
from pathlib import Path
from person_unify.allocators import give_memory_back
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
blocks = [libc.malloc(50_000) for _ in range(4_000)]
for block in blocks:
    ctypes.memset(block, 1, 50_000)
for block in blocks[:-1]:
    libc.free(ctypes.c_void_p(block))
if sys.argv[1] == "told":
    give_memory_back()
print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="asks glibc")
def test_freed_memory_goes_back_to_the_machine() -> None:
    def resident(word: str) -> int:
        command = [sys.executable, "-c", GIVEN_BACK, word]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return int(done.stdout)

    assert resident("told") < resident("untold") - 100_000_000
