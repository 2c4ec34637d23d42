"""Whatever comes back or comes along, no reader fails but by a sentence, and no decision is lost.

``make test`` tries some; ``PERSON_UNIFY_EXAMPLES=100000`` tries that many.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sqlite3
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.review.clinic import ANSWERS, fill, old_database
from tests.strategies.examples import examples
from typer.testing import CliRunner, Result

from person_unify.cli.app import app
from person_unify.cli.render import render
from person_unify.cli.streams import screen
from person_unify.errors import DecisionsRefused, MigrationError
from person_unify.escaping.tables import from_csv
from person_unify.evidence.finished import finished_report, finished_run
from person_unify.evidence.lineage import recorded_lineage
from person_unify.evidence.trace import trace
from person_unify.explore import open_run
from person_unify.explore.export import export_ledger
from person_unify.frames.decisions import Decision, read_decisions, write_decisions
from person_unify.frames.ledger import TABLES
from person_unify.page import render_page
from person_unify.pipeline import MigrateOptions, migrate
from person_unify.report import Report
from person_unify.review import export_review, import_review
from person_unify.review.xlsx import letters
from person_unify.run.earlier import read_earlier

EXAMPLES = examples(40)
FEWER = max(10, EXAMPLES // 4)
RUNNER = CliRunner()

Grid = list[list[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with decisions, and the review that they came from as CSV and workbook."""
    folder = tmp_path_factory.mktemp("run")
    old = old_database(folder / "old.db")
    migrate(MigrateOptions(old, folder / "first.db", keep_backup=False))
    export_review(folder / "first.ledger.db", folder / "review.xlsx")
    fill(folder / "review.xlsx", ANSWERS)
    write_decisions(import_review(folder / "review.xlsx"), folder / "decisions.toml")
    migrate(
        MigrateOptions(
            old, folder / "new.db", keep_backup=False, decisions=folder / "decisions.toml"
        )
    )
    export_review(folder / "new.ledger.db", folder / "review.csv")
    return folder


@pytest.fixture(scope="module")
def grid(run: Path) -> Grid:
    """The review with its answers as rows of cells."""
    with open(run / "review.csv", encoding="utf-8-sig", newline="") as file:
        return [[from_csv(cell) for cell in row] for row in csv.reader(file)]


@pytest.fixture(scope="module")
def expected(run: Path) -> set[Decision]:
    return set(import_review(run / "review.csv").decisions)


def as_xlsx(rows: Grid) -> bytes:
    """The smallest workbook that holds these rows."""
    cells = "".join(
        f'<row r="{number}">'
        + "".join(
            f'<c r="{letters(at)}{number}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
            for at, cell in enumerate(row)
        )
        + "</row>"
        for number, row in enumerate(rows, start=1)
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as parts:
        parts.writestr(
            "xl/workbook.xml", '<workbook xmlns:r="r"><sheet name="a" r:id="x"/></workbook>'
        )
        parts.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships><Relationship Id="x" Target="worksheets/a.xml"/></Relationships>',
        )
        parts.writestr(
            "xl/worksheets/a.xml", f"<worksheet><sheetData>{cells}</sheetData></worksheet>"
        )
    return buffer.getvalue()


def as_csv(rows: Grid) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


@st.composite
def handled(draw: st.DrawFn, rows: Grid) -> Grid:
    """What hands and programs do to a table without emptying an answer."""
    rows = [list(row) for row in rows]
    for _ in range(draw(st.integers(1, 3))):
        width = max(map(len, rows))
        at, number = draw(st.integers(0, width - 1)), draw(st.integers(0, len(rows) - 1))
        match draw(
            st.sampled_from(("rename", "case", "blank", "move", "column", "row", "twice", "swap"))
        ):
            case "rename" if at < len(rows[0]):
                rows[0][at] = draw(st.sampled_from(("", "x", "Decision", "Note", "Entscheidung")))
            case "case" if at < len(rows[0]):
                rows[0][at] = draw(st.sampled_from((str.upper, str.lower, str.title)))(rows[0][at])
            case "blank":
                rows[number] = [f" {cell} " if cell else cell for cell in rows[number]]
            case "move":
                for row in rows:
                    row.insert(0, row.pop(at) if at < len(row) else "")
            case "column":
                for row in rows:
                    row += [""] * (at - len(row))  # a row that was put in may be shorter
                    row.insert(at, "")
                rows[number][at] = draw(st.sampled_from(("", "x", "call them")))
            case "row":
                rows.insert(number, draw(st.sampled_from(([], [""], ["my list"], ["x"] * width))))
            case "twice":
                rows.insert(number, list(rows[draw(st.integers(0, len(rows) - 1))]))
            case "swap":
                other = draw(st.integers(0, len(rows) - 1))
                rows[number], rows[other] = rows[other], rows[number]
    return rows


@pytest.mark.parametrize("make", [as_csv, as_xlsx])
@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data())
def test_no_handling_of_a_review_loses_a_decision(
    make: Callable[[Grid], bytes],
    data: st.DataObject,
    grid: Grid,
    expected: set[Decision],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("r.csv" if make is as_csv else "r.xlsx")
        path.write_bytes(make(data.draw(handled(grid))))
        try:
            found = import_review(path)
        except DecisionsRefused:
            return
    assert {d.key: d.decision for d in found.decisions} == {d.key: d.decision for d in expected}


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes cut out, put in, doubled or changed."""
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(content)))
        end = min(len(content), begin + draw(st.integers(0, 60)))
        piece = content[begin:end]
        new = draw(
            st.binary(max_size=8)
            | st.sampled_from(
                (b"", piece * 2, b'"', b"[[", b"{", b"<", b"\n", b"\x00", b"=", b"\xff")
            )
        )
        content = content[:begin] + new + content[end:]
    return content


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data())
def test_damaged_decisions_are_read_wholly_or_refused(data: st.DataObject, run: Path) -> None:
    raw = data.draw(damaged((run / "decisions.toml").read_bytes()) | st.binary(max_size=200))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "d.toml").write_bytes(raw)
        try:
            found = read_decisions(Path(folder) / "d.toml")
        except DecisionsRefused:
            return
    assert len(found.decisions) == len(tomllib.loads(raw.decode())["decision"])


@pytest.mark.parametrize("name", ["review.csv", "review.xlsx"])
@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data())
def test_damaged_reviews_are_read_or_refused(name: str, data: st.DataObject, run: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(_damaged_file(data, run / name))
        with suppress(DecisionsRefused):
            import_review(path)


def _damaged_file(data: st.DataObject, path: Path) -> bytes:
    """The file with some bytes changed; of a workbook, mostly those inside one of its parts."""
    if path.suffix == ".csv" or data.draw(st.integers(0, 3)) == 0:
        return data.draw(damaged(path.read_bytes()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w") as new:
        chosen = data.draw(st.sampled_from(sorted(old.namelist())))
        for part in old.namelist():
            content = old.read(part)
            new.writestr(part, data.draw(damaged(content)) if part == chosen else content)
    return buffer.getvalue()


VALUES: Sequence[Any] = (
    *(
        None,
        "",
        "x",
        "\u202e",
        "[",
        "{}",
        "[1]",
        '["a',
        "../new.db",
        "..",
        "y" * 5000,
        "\ud7ff\x00",
    ),
    *(0, -1, 2**62, 1.5, float("inf"), b"", b"\xff\xfe", "2026", "null", "[[[[[[[["),
)


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[str, tuple[Any, ...]]]:
    """Statements that change a ledger as an editor of databases would."""
    found: list[tuple[str, tuple[Any, ...]]] = []
    if draw(st.integers(0, 5)) == 0:
        return [*_endless(draw(st.sampled_from([*TABLES, "archive_children"])))]
    for _ in range(draw(st.integers(1, 2))):
        table = draw(st.sampled_from([*TABLES, "archive_children", "archive_patients"]))
        columns = list(TABLES.get(table, ())) or ["id", "_archived", "_reason", "first_name"]
        column, value = draw(st.sampled_from(columns)), draw(st.sampled_from(VALUES))
        change = f'UPDATE OR IGNORE {table} SET "{column}" = ?'
        whole = draw(st.booleans())
        match draw(st.sampled_from(("cell", "cell", "cell", "text", "drop", "rename", "empty"))):
            case "cell":
                where = "" if whole else " WHERE rowid = (SELECT min(rowid) FROM " + table + ")"
                found.append((change + where, (value,)))
            case "text":  # that is not UTF-8
                found.append(
                    (f"UPDATE OR IGNORE {table} SET \"{column}\" = CAST(x'ff' AS TEXT)", ())
                )
            case "drop":
                found.append((f"DROP TABLE {table}", ()))
            case "rename":
                found.append((f'ALTER TABLE {table} RENAME COLUMN "{column}" TO other', ()))
            case "empty":
                found.append((f"DELETE FROM {table}", ()))
    return found


def _endless(table: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """A view in the place of a table, whose rows never end."""
    columns = list(TABLES.get(table, ())) or ["id", "_archived", "_reason"]
    listed = ", ".join(f'n AS "{column}"' for column in columns)
    rows = "WITH RECURSIVE r (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r)"
    yield f"DROP TABLE {table}", ()
    yield f"CREATE VIEW {table.upper()} AS {rows} SELECT {listed} FROM r", ()


def told(*words: object) -> Result:
    """A command, which may refuse in one line but not fail."""
    result = RUNNER.invoke(app, list(map(str, words)))
    assert "internal error" not in result.stderr, result.stderr
    assert result.exit_code in (0, 1, 2, 3), result.stderr
    assert len(result.stderr.splitlines()) == bool(result.exit_code)
    return result


def shown(report: Report) -> None:
    """The report in every form that people and programs get."""
    render_page(report).encode()
    for everything in (False, True):
        render(report, screen(io.StringIO()), everything=everything)
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def commands(folder: Path) -> Iterator[Sequence[object]]:
    """All that shows a finished run."""
    target = folder / "new.db"
    yield "report", target, folder / "page.html"
    yield from (
        ("lineage", target, "--format", form) for form in ("text", "markdown", "json", "mermaid")
    )
    for id_ in ("c1", "c8"):
        yield "trace", target, "child", id_
        yield "trace", target, "any", id_, "--json"
    yield "leftovers", target
    yield "leftovers", target, "--kind", "orphaned_record", "--json"
    yield "status", target


def readers(folder: Path) -> Iterator[Callable[[], object]]:
    """All that reads a finished run but does not compare it with the old database."""
    target, ledger = folder / "new.db", folder / "new.ledger.db"
    yield lambda: export_review(ledger, folder / "again.xlsx")
    yield lambda: export_ledger(ledger, folder / "csv", "csv")
    yield lambda: export_ledger(ledger, folder / "parquet", "parquet")
    yield lambda: [trace(target, "child", id_) for id_ in ("c1", "c2", "c8")]
    yield lambda: _lineage(target)
    yield lambda: shown(finished_report(target))
    yield lambda: read_earlier(ledger)
    for name in ("discrepancies", "persons", "tables", "completeness", "verification", "timings"):
        yield lambda name=name: getattr(open_run(ledger), name)  # type: ignore[misc]


def _lineage(target: Path) -> pl.DataFrame:
    with finished_run(target) as database:
        return recorded_lineage(database)


@settings(deadline=None, max_examples=FEWER)
@given(data=st.data(), edited=edits())
def test_an_edited_ledger_is_read_or_refused(
    data: st.DataObject, edited: list[tuple[str, tuple[Any, ...]]], run: Path
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("old.db", "new.db", "new.ledger.db"):
            shutil.copy(run / file, folder / file)
        with closing(sqlite3.connect(folder / "new.ledger.db")) as connection:
            for statement, values in edited:
                try:
                    connection.execute(statement, values)
                except sqlite3.Error:
                    return  # the ledger's own schema does not let that happen
            connection.commit()
        for read in readers(folder):
            with suppress(MigrationError):
                read()
        listed = st.lists(st.sampled_from(list(commands(folder))), max_size=4, unique=True)
        for words in data.draw(listed):
            told(*words)


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data())
def test_a_changed_report_is_shown_or_refused(data: st.DataObject, run: Path) -> None:
    raw = _changed(data, json.loads((run / "new.report.json").read_text("utf-8")))

    try:
        report = Report.from_json(raw)
    except (ValueError, TypeError):
        return

    shown(report)


@settings(deadline=None, max_examples=FEWER)
@given(data=st.data())
def test_a_damaged_report_in_a_ledger_is_shown_or_refused(data: st.DataObject, run: Path) -> None:
    whole = (run / "new.report.json").read_text("utf-8")
    content = data.draw(damaged(json.dumps(_changed(data, json.loads(whole))).encode()))
    with ledger_with("UPDATE report SET json = ?", content.decode(errors="replace"), run) as folder:
        (folder / "new.report.json").write_bytes(content)

        told("report", folder / "new.db", folder / "page.html")
        with suppress(MigrationError):
            assert open_run(folder / "new.ledger.db").timings is not None


@contextmanager
def ledger_with(statement: str, value: object, run: Path) -> Iterator[Path]:
    """A directory with the files of the run, whose ledger somebody has changed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("old.db", "new.db", "new.ledger.db"):
            shutil.copy(run / file, folder / file)
        with closing(sqlite3.connect(folder / "new.ledger.db")) as connection:
            connection.execute(statement, (value,))
            connection.commit()
        yield folder


def _kind(report: Any) -> None:
    report["discrepancies"][0]["kind"] = "weather"


def _severity(report: Any) -> None:
    report["discrepancies"][0]["severity"] = "grave"


def _instant(report: Any) -> None:
    report["started_ms"] = 10**18


def _number(report: Any) -> None:
    report["source"]["bytes"] = 10**400


@pytest.mark.parametrize("change", [_kind, _severity, _instant, _number])
def test_a_report_that_no_run_writes_is_refused(change: Callable[[Any], None], run: Path) -> None:
    raw = json.loads((run / "new.report.json").read_text("utf-8"))
    change(raw)
    with ledger_with("UPDATE report SET json = ?", json.dumps(raw), run) as folder:
        refused = told("report", folder / "new.db", folder / "page.html")

        assert refused.exit_code == 3
        assert "new.ledger.db holds no readable report of its run" in refused.stderr
        assert not (folder / "page.html").exists()


@pytest.mark.parametrize("cell", ["grave", b"\xff"])
def test_a_log_that_no_run_writes_is_refused(cell: object, run: Path) -> None:
    with ledger_with("UPDATE discrepancies SET severity = ?", cell, run) as folder:
        refused = told("trace", folder / "new.db", "child", "c1")

        assert refused.exit_code == 3
        assert "discrepancies has a row that no run writes" in refused.stderr


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a": ' * 100_000, b"\xff", None])
def test_a_report_beside_a_ledger_that_is_none_is_passed_over(
    content: bytes | None, run: Path
) -> None:
    with ledger_with("UPDATE report SET json = json WHERE ?", 0, run) as folder:
        path = folder / "new.report.json"
        os.mkfifo(path) if content is None else path.write_bytes(content)

        assert open_run(folder / "new.ledger.db").timings.height


PARTS: Sequence[Any] = (
    *(None, "x", "\ud800", "\x00", -1, 2**62, 10**18, 10**400, 1.5, float("nan"), float("inf")),
    *(True, [], {}, [[]], {"a": 1}),
)


def _changed(data: st.DataObject, whole: dict[str, Any]) -> Any:
    """The report with something in it put in the place of something else."""
    at: Any = whole
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return whole
        key = data.draw(st.sampled_from(keys))
        if isinstance(at[key], dict | list) and data.draw(st.booleans()):
            at = at[key]
            continue
        if data.draw(st.booleans()):
            at[key] = data.draw(st.sampled_from(PARTS))
        else:
            del at[key]
        return whole
