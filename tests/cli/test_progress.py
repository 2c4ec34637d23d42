from __future__ import annotations

import io
import json

import pytest

from person_unify.cli.live import RichProgress, show_json, show_plain, watch
from person_unify.cli.streams import Screen
from person_unify.progress import (
    PHASES,
    Event,
    Note,
    PhaseFinished,
    PhaseStarted,
    TableAdvanced,
    TableFinished,
    TableStarted,
)

STORY: tuple[Event, ...] = (
    PhaseStarted("extract"),
    TableStarted("extract", "patients", 1206),
    TableFinished("extract", "patients", 1206, 0.5),
    Note("column patients.nickname is unknown"),
    PhaseFinished("extract", 1206, 0.6),
    PhaseStarted("load"),
    TableAdvanced("load", "persons", 1000),
    TableFinished("load", "persons", 1630, 0.001),
    PhaseFinished("load", 1630, 0.25),
)


def test_story_has_nine_phases() -> None:
    story = "snapshot extract resolve transform load archive verify publish"

    assert " ".join(PHASES) == story


def test_json_is_one_object_per_line_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    for event in STORY:
        show_json(event)

    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert captured.err == ""
    assert events[0] == {"event": "phase_started", "phase": "extract"}
    assert events[1] == {
        "event": "table_started",
        "phase": "extract",
        "table": "patients",
        "rows": 1206,
    }
    assert events[3] == {"event": "note", "message": "column patients.nickname is unknown"}
    assert len(events) == len(STORY)


def test_plain_is_one_line_per_finished_thing_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    for event in STORY:
        show_plain(event)

    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split() for line in captured.err.splitlines()] == [
        ["extract", "patients", "1,206", "rows", "0.50", "s", "2,412", "rows/s"],
        ["note:", "column", "patients.nickname", "is", "unknown"],
        ["extract", "(done)", "1,206", "rows", "0.60", "s", "2,010", "rows/s"],
        ["load", "persons", "1,630", "rows", "0.00", "s"],
        ["load", "(done)", "1,630", "rows", "0.25", "s", "6,520", "rows/s"],
    ]


def test_terminal_shows_a_line_per_phase_with_rows_rate_and_seconds() -> None:
    stream = io.StringIO()
    console = Screen(file=stream, width=100, force_terminal=True, color_system=None)
    with RichProgress(console) as progress:
        for event in STORY:
            progress(event)

    last = stream.getvalue().splitlines()[-2:]
    assert [line.split()[-6:] for line in last if "load" in line] == [
        ["1,630", "rows", "6,520", "rows/s", "0.2", "s"]
    ]
    assert "column patients.nickname is unknown" in stream.getvalue()


def test_terminal_takes_table_names_literally() -> None:
    stream = io.StringIO()
    console = Screen(file=stream, width=100, force_terminal=True, color_system=None)
    with RichProgress(console) as progress:
        progress(PhaseStarted("extract"))
        progress(TableStarted("extract", "[red]\x1b]0;x\x07", None))

    assert "\x1b]0" not in stream.getvalue()


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with watch(quiet=True) as progress:
        for event in STORY:
            progress(event)

    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_progress_is_plain() -> None:
    with watch() as progress:
        assert progress is show_plain


def test_json_wins_over_quiet() -> None:
    with watch(quiet=True, as_json=True) as progress:
        assert progress is show_json
