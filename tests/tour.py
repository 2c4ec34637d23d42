"""The console blocks of a page: run in a fresh directory, compared, or written anew.

A block is marked by ``<!-- tour: … -->`` on the line above its fence.  The mark says what is shown:
nothing but ``tour`` shows everything; otherwise the paragraphs whose first line starts with one of
the named words (``Tables 9`` shows the first 9 lines of it), after the first one, which is always
shown; ``…`` stands for what is left out.  The blocks of one page share a directory; nothing is left
over from another page.  ``python -m tests.tour`` rewrites all pages, or those that are named.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
ELLIPSIS = "…"

BLOCK = re.compile(r"<!-- tour:?(?P<shown>[^>]*?) -->\n```console\n(?P<body>.*?)```\n", re.DOTALL)

VOLATILE = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"sha256 [0-9a-f]+"), "sha256 #"),
    (re.compile(r"\.(backup|pre-migration|rolled-back)-\S+"), r".\1-#"),
    (re.compile(r"\d+(\.\d+)? ?(B|kB|MB|GB)\b"), "# bytes"),
    (re.compile(r" +(< )?\d+ min  "), "  # min  "),
    (re.compile(r" of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC "), " of # UTC "),
    (
        re.compile(
            r"^ +(snapshot|extract|resolve|transform|load|archive|verify|publish|sample|all) "
            r".*$",
            re.M,
        ),
        r"  \1 #",
    ),
    (re.compile(r"^  phase .*$", re.M), "  phase #"),
    (re.compile(r"^  -+$", re.M), "  --"),
    (re.compile(r", in \d+\.\d s$", re.M), ", in # s"),
)
"""What differs from run to run: fresh ids, hashes, times, sizes, and widths that follow them."""


@dataclass(frozen=True, slots=True)
class Block:
    """The commands of one block with their expected output, as it stands in the README."""

    shown: tuple[str, ...]
    body: str

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(line[2:] for line in self.body.splitlines() if line.startswith("$ "))


def blocks(text: str) -> list[Block]:
    """Every marked block, in order."""
    found = []
    for match in BLOCK.finditer(text):
        words = (word.strip() for word in match["shown"].split(";"))
        found.append(Block(tuple(word for word in words if word), match["body"]))
    return found


def masked(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, replacement in VOLATILE:
        text = pattern.sub(replacement, text)
    return text


def play(block: Block, directory: Path, last: int = 0) -> tuple[str, int]:
    """What the block's commands print today, and the exit code of the last one."""
    printed = []
    for command in block.commands:
        if command == "echo $?":
            output = f"{last}\n"
        else:
            output, last = run(command, directory)
        printed.append(f"$ {command}\n{shorten(output, block.shown)}")
    return "".join(printed), last


def run(command: str, directory: Path) -> tuple[str, int]:
    """Stdout and, when the command fails, the line that says why; and the exit code.

    ``… | grep -q WORD`` stands for a reader who leaves once the word has come.
    """
    command, _, word = command.partition(" | grep -q ")
    program, *arguments = shlex.split(command)
    assert program == "person-unify", f"the tour only runs the tool itself: {command}"
    inherited = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    # What other processes leave in the common one would show in what purge lists.
    temporary = directory / ".tmp"
    temporary.mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-m", "person_unify", *arguments],
        cwd=directory,
        env={**inherited, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        if word:
            next(line for line in process.stdout if word in line)
            process.stdout.close()
            process.stdout = None
        output, errors = process.communicate()
    why = [line for line in errors.splitlines() if line.startswith("person-unify: ")]
    return (output or "") + "".join(f"{line}\n" for line in why), process.returncode


def shorten(output: str, shown: tuple[str, ...]) -> str:
    """The paragraphs that are shown, with an ellipsis for each stretch that is not."""
    if not shown:
        return output
    limits = {re.sub(r" \d+$", "", word): re.search(r" (\d+)$", word) for word in shown}
    kept: list[str] = []
    for position, paragraph in enumerate(output.rstrip("\n").split("\n\n")):
        name = next((word for word in limits if paragraph.startswith(word)), None)
        lines = paragraph.split("\n")
        limit = limits[name] if name else None
        if position and name is None:
            lines = [ELLIPSIS]
        elif limit and len(lines) > int(limit[1]):
            lines = [*lines[: int(limit[1])], f"  {ELLIPSIS}"]
        if lines != [ELLIPSIS] or kept[-1] != ELLIPSIS:
            kept.append("\n".join(lines))
    return "\n\n".join(kept) + "\n"


def rewrite(path: Path) -> None:
    """Play every block of a page and put today's output in the place of what stands there."""
    text = path.read_text(encoding="utf-8")
    last = 0
    with tempfile.TemporaryDirectory() as directory:
        for block in blocks(text):
            today, last = play(block, Path(directory), last)
            if last == 1:
                raise SystemExit(f"the tool failed, {path.name} stays as it is:\n{today}")
            text = text.replace(f"```console\n{block.body}```", f"```console\n{today}```", 1)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for page in [Path(name) for name in sys.argv[1:]] or PAGES:
        rewrite(page)
