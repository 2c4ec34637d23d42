"""Decisions that a person made about discrepancies, and the file they are kept in.

A decision answers one question (:data:`person_unify.frames.model.QUESTION`) and is keyed to the
evidence that the reviewer saw.  ``decisions.toml`` is made to be read, compared and kept under
version control: one ``[[decision]]`` per answer, sorted, ids and words only; the reviewer's note is
free.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from person_unify.errors import DecisionsRefused
from person_unify.files import NotRead, create_private, read_bounded
from person_unify.findings import QUESTIONS
from person_unify.frames.model import DECISION

FORMAT = 1
MOST_BYTES = 64_000_000
"""Of a file of decisions: some 100,000 of them."""
MOST_PROBLEMS = 200
# A parser of TOML takes the square of a dotted key's length.
_LONG_KEY = re.compile(r"^[^=\n]{1001}", re.M)
_HEAD = """\
# Decisions about discrepancies of a migration, made by the reviewers named below.
# Each holds only for the values that its evidence was made of: where they have changed, the
# decision is reported as stale and not applied.  Use: person-unify migrate --decisions THIS_FILE
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer; the first five fields name its question, ``evidence`` is 64 hex digits."""

    kind: str
    source_table: str
    source_id: str
    related_id: str | None
    field: str | None
    decision: str
    evidence: str
    link_to: str | None = None
    reviewer: str | None = None
    note: str | None = None

    @property
    def key(self) -> tuple[str | None, ...]:
        """What names the question."""
        return (self.kind, self.source_table, self.source_id, self.related_id, self.field)

    @property
    def place(self) -> str:
        """The question in words, without any value: for messages."""
        return " ".join(part for part in self.key if part)


@dataclass(frozen=True, slots=True)
class Decisions:
    """All answers of one review, and the SHA-256 of the file they were read from, if any.

    asked: of a review that came back, how many questions there were.
    """

    decisions: tuple[Decision, ...] = ()
    digest: str | None = None
    asked: int | None = None

    def recorded(self) -> dict[str, str]:
        """The file's digest as it stands in report and ledger; nothing without a file."""
        return {} if self.digest is None else {"decisions": self.digest}

    def onto(self, earlier: Decisions) -> Decisions:
        """These decisions and the earlier ones, less those about the same questions."""
        own = {decision.key for decision in self.decisions}
        kept = (decision for decision in earlier.decisions if decision.key not in own)
        return Decisions((*kept, *self.decisions))

    def frame(self) -> pl.DataFrame:
        """A frame of :data:`person_unify.frames.model.DECISION`."""
        names = [field.name for field in fields(Decision)]
        rows = [astuple(decision) for decision in self.decisions]
        frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
        return frame.select(list(DECISION))


def write_decisions(decisions: Decisions, path: Path) -> None:
    """Write ``decisions.toml`` for its owner only, in one order whatever order they come in.

    Raises :class:`UsageError` where the path is taken: it may hold decisions made by hand.
    """
    ordered = sorted(decisions.decisions, key=lambda d: tuple(part or "" for part in d.key))
    blocks = [f"{_HEAD}\nformat = {FORMAT}\n", *map(_block, ordered)]
    create_private(path, "\n".join(blocks).encode())


def _block(decision: Decision) -> str:
    lines = ["[[decision]]"]
    for field in fields(decision):
        value = getattr(decision, field.name)
        if value is not None:
            lines.append(f"{field.name} = {_quoted(value)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    r"""A TOML basic string: JSON's, but that DEL is escaped too.

    >>> _quoted('a "b"\n\x7f')
    '"a \\"b\\"\\n\\u007f"'
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_decisions(path: Path) -> Decisions:
    """Read ``decisions.toml``; raises :class:`DecisionsRefused` that names every problem at once.

    Problems are named by line, position and ids, never by a note.
    """
    try:
        raw = read_bounded(path, MOST_BYTES)
    except NotRead as error:
        raise DecisionsRefused(f"{path} {error}: give the file that review import wrote") from error
    document = _parsed(path, raw)
    if document.pop("format", None) != FORMAT:
        raise DecisionsRefused(
            f"{path} is not a file of decisions of format {FORMAT}: write it with person-unify "
            "review import"
        )
    listed = document.pop("decision", [])
    problems = [_beside(raw, document)] if document else []
    found = []
    entries = listed if isinstance(listed, list) else [None]
    for place, entry in zip(_places(raw, len(entries)), entries, strict=True):
        problem = _problem(entry)
        if problem is not None:
            problems.append(f"{place}: {problem}")
        else:
            found.append(Decision(**{f.name: entry.get(f.name) for f in fields(Decision)}))
    problems += repeated(found)
    if problems:
        raise refused(path, problems)
    return Decisions(tuple(found), hashlib.sha256(raw).hexdigest())


def _parsed(path: Path, raw: bytes) -> dict[str, Any]:
    """What the file says as TOML, which decisions need little of."""
    try:
        text = raw.decode("utf-8")
        far = _LONG_KEY.search(text)
        if far is not None:
            line = text.count("\n", 0, far.start()) + 1
            raise DecisionsRefused(f"{path} has a key of over 1,000 characters in line {line}")
        return tomllib.loads(text)
    except RecursionError as error:
        raise DecisionsRefused(f"{path} is nested too deeply: decisions are a flat list") from error
    except ValueError as error:
        said = re.search(r"at line \d+", str(error))
        where = f" {said[0]}" if said else ""
        raise DecisionsRefused(
            f"{path} is not valid TOML{where}: write it with person-unify review import"
        ) from error


def _beside(raw: bytes, unknown: Mapping[str, Any]) -> str:
    """That there are keys which belong to no decision, with the line of the first if it is told."""
    said = f"unknown keys beside the decisions: {_names(unknown)}"
    name = rb"[\"']?" + re.escape(min(unknown).encode()) + rb"(?![\w-])"
    # What is no header stands before the first one.
    places = (re.search(rb"(?m)^\s*" + before + name, raw) for before in (rb"\[+\s*", b""))
    found = next(filter(None, places), None)
    if found is None:
        return said
    line = raw.count(b"\n", 0, found.end()) + 1
    return f"line {line}: {said}"


def _places(raw: bytes, count: int) -> list[str]:
    """``line 12, decision 2`` of each entry; without the line where they cannot be told."""
    lines = [
        number
        for number, line in enumerate(raw.split(b"\n"), start=1)
        if re.match(rb"\s*\[\[\s*decision\s*\]\]", line)
    ]
    positions = [f"decision {position}" for position in range(1, count + 1)]
    if len(lines) != count:
        return positions
    return [f"line {line}, {place}" for line, place in zip(lines, positions, strict=True)]


def refused(path: Path, problems: list[str]) -> DecisionsRefused:
    """All problems of a file as one error; of very many, the first."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
    more = len(problems) - MOST_PROBLEMS
    listed = [*problems[:MOST_PROBLEMS], *([f"and {more:,} more"] if more > 0 else [])]
    return DecisionsRefused(f"{path} has {count}, nothing was written:", listed)


def _names(keys: Iterable[str]) -> str:
    """Keys that nobody knows, short enough for a message."""
    shown = sorted(keys)
    more = [f"and {len(shown) - 5} more"] if len(shown) > 5 else []
    return ", ".join([*(key[:40] for key in shown[:5]), *more])


def repeated(decisions: list[Decision]) -> list[str]:
    """A sentence for each question that is answered more than once."""
    counted = Counter(decision.key for decision in decisions)
    first = {decision.key: decision for decision in decisions}
    return [
        f"{first[key].place}: answered {count} times" for key, count in counted.items() if count > 1
    ]


def _problem(entry: Any) -> str | None:
    """Why an entry is no decision, or None."""
    names = {field.name for field in fields(Decision)}
    if not isinstance(entry, dict):
        return "not a table"
    wrong = sorted(n for n, value in entry.items() if n not in names or not isinstance(value, str))
    if wrong:
        return f"unknown keys, or values that are no text: {_names(wrong)}"
    missing = [
        n for n in ("kind", "source_table", "source_id", "decision", "evidence") if n not in entry
    ]
    if missing:
        return f"keys are missing: {', '.join(missing)}"
    if entry["kind"] not in QUESTIONS:
        return f"nothing can be decided about {entry['kind'][:40]!r}: use {', '.join(QUESTIONS)}"
    allowed = QUESTIONS[entry["kind"]].decisions
    if entry["decision"] not in allowed:
        return f"unknown decision {entry['decision'][:40]!r}: use {', '.join(allowed)}"
    needs = entry["kind"] == "missing_linked_patient" and entry["decision"] == "link"
    if needs is not bool(entry.get("link_to")):
        return "link_to names the patient of a link decided for missing_linked_patient, only there"
    return None
