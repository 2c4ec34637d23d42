"""Exported files hold the ledger exactly, run no formula, and never replace another file."""

from __future__ import annotations

import csv
import json
import resource
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import openpyxl
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.explore.conftest import Sample
from tests.explore.strange import again, stored, strange
from tests.migration.support import SMALL, migrated, query
from typer.testing import CliRunner

from person_unify.cli.app import app
from person_unify.errors import DiskError, TargetError, UsageError
from person_unify.escaping.tables import from_csv, in_spreadsheet
from person_unify.explore import workbook
from person_unify.explore.export import Format, export_ledger, file_name

FORMATS: tuple[Format, ...] = ("parquet", "csv", "xlsx", "json")
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "'", "'=1")
runner = CliRunner()

Row = dict[str, Any]


def read_csv(directory: Path, table: str) -> list[Row]:
    """Rows as another program reads them; what keeps formulas from running taken off."""
    with open(directory / f"{table}.csv", newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    return [{name: from_csv(cell) for name, cell in row.items()} for row in rows]


def read_json(directory: Path, table: str) -> list[Row]:
    found: list[Row] = json.loads((directory / f"{table}.json").read_text(encoding="utf-8"))
    return found


def read_xlsx(directory: Path, table: str) -> list[Row]:
    """Rows of a sheet, one apostrophe taken off, and the pieces of a long text put together."""
    book = openpyxl.load_workbook(directory / "ledger.xlsx")
    (sheet,) = [row[0] for row in book["Contents"].values if row[1] == table]
    names, *rows = book[str(sheet)].values
    found = []
    for row in rows:
        cells: Row = {}
        for name, cell in zip(map(str, names), row, strict=True):
            whole, _, part = name.partition(" (")
            if part and cell is not None:
                cells[whole] += _plain(cell)
            elif not part:
                cells[name] = _plain(cell)
        found.append(cells)
    book.close()
    return found


def _plain(cell: Any) -> Any:
    return cell.removeprefix("'") if isinstance(cell, str) else cell


READERS: dict[str, Callable[[Path, str], list[Row]]] = {
    "csv": read_csv,
    "json": read_json,
    "xlsx": read_xlsx,
}


@pytest.mark.parametrize("format_", FORMATS)
def test_every_table_is_exported(format_: Format, sample: Sample, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = export_ledger(sample.ledger, out, format_)
    tables = query(sample.ledger, "SELECT name FROM sqlite_master WHERE type = 'table'")

    rows = sum(
        query(sample.ledger, f'SELECT count(*) AS n FROM "{row["name"]}"')[0]["n"] for row in tables
    )
    assert (written.tables, written.rows) == (len(tables), rows)
    assert sorted(out.iterdir()) == sorted(written.files)
    assert {stat.S_IMODE(path.stat().st_mode) for path in written.files} == {0o600}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700


@pytest.mark.parametrize("format_", READERS)
def test_an_archived_cell_comes_back_from_text_and_class(format_: Format, tmp_path: Path) -> None:
    done = migrated(tmp_path, SMALL, strange(""))
    cells = stored(done.source, "SELECT v FROM strange ORDER BY id")
    export_ledger(done.ledger, tmp_path / "out", format_, ["archive_strange"])

    rows = READERS[format_](tmp_path / "out", "archive_strange")
    found = [again(row["v"] or "", row["v_class"]) for row in rows]

    if format_ == "xlsx":  # which knows no carriage return and no NUL, and says so by an escape
        found = [(kind, _unescaped(cell)) for kind, cell in found]
    assert found == cells


def _unescaped(cell: Any) -> Any:
    for number in range(32):
        cell = (
            cell.replace(b"_x%04X_" % number, bytes([number])) if isinstance(cell, bytes) else cell
        )
    return cell


def test_parquet_has_types_where_a_column_has_one_class(tmp_path: Path) -> None:
    statements = [
        "CREATE TABLE plain (id TEXT PRIMARY KEY, n, x, t, b, mixed)",
        "INSERT INTO plain VALUES ('1', 7, 1.5, 'a', x'ff', 7), ('2', NULL, NULL, '', x'', '7')",
    ]
    done = migrated(tmp_path, SMALL, statements)
    export_ledger(done.target, tmp_path / "out", "parquet", ["archive_plain"])

    frame = pl.read_parquet(tmp_path / "out" / "archive_plain.parquet")

    assert frame.drop("_archived", "_reason").to_dict(as_series=False) == {
        "id": ["1", "2"],
        "n": [7, None],
        "x": [1.5, None],
        "t": ["a", ""],
        "b": [b"\xff", b""],
        "mixed": [b"7", b"7"],
        "mixed_class": ["integer", "text"],
    }


def test_parquet_keeps_every_mixed_cell_as_class_and_bytes(tmp_path: Path) -> None:
    done = migrated(tmp_path, SMALL, strange("DATETIME"))
    cells = stored(done.source, "SELECT v FROM strange ORDER BY id")
    export_ledger(done.ledger, tmp_path / "out", "parquet", ["archive_strange"])

    frame = pl.read_parquet(tmp_path / "out" / "archive_strange.parquet")
    makers = {"integer": int, "real": float}
    found = [
        ("text" if kind == "text_not_utf8" else kind, makers.get(kind, bytes)(cell))
        if cell is not None
        else (kind, None)
        for cell, kind in frame.select("v", "v_class").iter_rows()
    ]

    assert found == cells


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_no_cell_and_no_heading_is_a_formula(format_: Format, tmp_path: Path) -> None:
    rows = ", ".join(
        f"('{n}', '{cell.replace(chr(39), chr(39) * 2)}', -5)" for n, cell in enumerate(FORMULAS)
    )
    done = migrated(
        tmp_path,
        SMALL,
        [
            'CREATE TABLE "=cmd()" (id TEXT PRIMARY KEY, "=note" TEXT, "-n" INTEGER)',
            f'INSERT INTO "=cmd()" VALUES {rows}',
        ],
    )
    export_ledger(done.ledger, tmp_path / "out", format_, ["archive_=cmd()", "discrepancies"])

    if format_ == "csv":
        with open(
            tmp_path / "out" / "archive_%3Dcmd%28%29.csv", newline="", encoding="utf-8-sig"
        ) as file:
            texts = [cell for row in csv.reader(file) for cell in row]
    else:
        book = openpyxl.load_workbook(tmp_path / "out" / "ledger.xlsx")
        found = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
        assert {cell.data_type for cell in found} <= {"s", "n"}
        texts = [str(cell.value) for cell in found if cell.data_type == "s"]
    assert not [cell for cell in texts if cell.lstrip()[:1] in ("=", "+", "-", "@", "\uff1d")]
    tab = "'\t'=1" if format_ == "csv" else "'\t=1"  # which a spreadsheet may split at the tab
    assert {"'=1+1", tab, "'=note", "'-n"} <= set(texts)


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("=+-@'\t\r\n a1\uff0b\u00e9"), max_size=4) | st.none()))
def test_taking_one_apostrophe_off_gives_every_cell_back(cells: list[str | None]) -> None:
    frame = pl.DataFrame({"cell": cells}, schema={"cell": pl.String})

    safe = in_spreadsheet(frame)["cell"].to_list()

    assert [_plain(cell) for cell in safe] == cells
    assert not [c for c in safe if c and c.strip()[:1] in set("=+-@\uff0b")]
    assert not [cell for cell in safe if cell and cell[0] in "\t\r\n"]


NAMES = (
    *("*", "^a.*$", "@row", "@listed", "", "=x", "a;=1", 'quo"te', "new\nline", "v_class", "v"),
    *("_archived", "_reason", "rowid", "tab\t", "\u202e", "\x1b[2J", "a,b"),
)


@pytest.mark.parametrize("format_", [*READERS, "parquet"])
def test_columns_of_any_name_are_exported(format_: Format, tmp_path: Path) -> None:
    listed = ", ".join('"' + name.replace('"', '""') + '"' for name in NAMES)
    cells = ", ".join(f"'cell {number}'" for number, _ in enumerate(NAMES))
    statements = [
        f'CREATE TABLE "any" (id TEXT PRIMARY KEY, {listed})',
        f"INSERT INTO \"any\" VALUES ('1', {cells})",
    ]
    done = migrated(tmp_path, SMALL, statements)

    export_ledger(done.ledger, tmp_path / "out", format_, ["archive_any"])

    if format_ == "parquet":
        (row,) = pl.read_parquet(tmp_path / "out" / "archive_any.parquet").to_dicts()
    else:
        (row,) = READERS[format_](tmp_path / "out", "archive_any")
    found = set(row)
    if format_ == "csv":
        found = {from_csv(name) for name in row}
    if format_ == "xlsx":  # whose empty heading is no cell
        found = {_unescaped(name.encode()).decode().removeprefix("'") for name in row}
        found = {"" if name == "None" else name for name in found}
    assert found >= set(NAMES)
    assert {cell for cell in row.values() if str(cell).startswith("cell ")} == {
        f"cell {number}" for number, _ in enumerate(NAMES)
    }


def test_an_empty_text_and_null_differ_in_csv(tmp_path: Path) -> None:
    done = migrated(
        tmp_path,
        SMALL,
        ["CREATE TABLE t (id TEXT PRIMARY KEY, a, b)", "INSERT INTO t VALUES ('1', '', NULL)"],
    )
    export_ledger(done.ledger, tmp_path / "out", "csv", ["archive_t"])

    lines = (tmp_path / "out" / "archive_t.csv").read_text().splitlines()

    assert lines[1].startswith('"1","text","","text",,"null",')


def test_a_long_text_goes_on_in_further_columns(tmp_path: Path) -> None:
    long = "=x\U0001f600" * 30_000
    done = migrated(
        tmp_path,
        SMALL,
        [
            "CREATE TABLE t (id TEXT PRIMARY KEY, a)",
            f"INSERT INTO t VALUES ('1', '{long}'), ('2', 'short')",
        ],
    )
    export_ledger(done.ledger, tmp_path / "out", "xlsx", ["archive_t"])

    rows = read_xlsx(tmp_path / "out", "archive_t")

    assert [row["a"] for row in rows] == [long, "short"]


def test_a_text_for_too_many_columns_is_refused(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "PIECE", 1)
    monkeypatch.setattr(workbook, "MAX_COLUMNS", 20)

    with pytest.raises(UsageError, match="discrepancies holds texts too long"):
        export_ledger(sample.ledger, tmp_path / "out", "xlsx", ["discrepancies"])
    assert list((tmp_path / "out").iterdir()) == []


def test_many_rows_go_on_in_further_sheets(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = query(sample.ledger, "SELECT count(*) AS n FROM lineage")[0]["n"]
    monkeypatch.setattr(workbook, "MAX_ROWS", rows // 2)
    export_ledger(sample.ledger, tmp_path / "out", "xlsx", ["lineage"])

    book = openpyxl.load_workbook(tmp_path / "out" / "ledger.xlsx")
    contents = [row for row in book["Contents"].values if row[1] == "lineage"]

    assert len(contents) == 2 + rows % 2
    assert sum(int(str(row[2])) for row in contents) == rows
    assert sum(book[str(row[0])].max_row - 1 for row in contents) == rows


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from("aA'[]:*?/\\ ="), max_size=40), unique_by=str.lower, max_size=8
    )
)
def test_sheet_names_are_those_that_excel_takes(tables: list[str]) -> None:
    heights = dict.fromkeys(tables, 3 * workbook.MAX_ROWS)
    names = list(workbook.sheet_names(heights).values())

    assert len({name.lower() for name in names}) == 3 * len(tables)
    for name in names:
        assert 0 < len(name) <= 31
        assert not set(name) & set("[]:*?/\\")
        assert name.strip("'") == name
        assert name.lower() not in ("history", "contents")


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=300), unique=True))
def test_file_names_stay_in_their_directory_and_apart(tables: list[str]) -> None:
    names = [file_name(table) for table in tables]

    assert len(set(names)) == len(tables)
    for name in names:
        assert name.isascii()
        assert len(name) < 250
        assert not set(name) & set('/\\:*?"<>|\x00 ')
        assert not name.startswith(".")


@pytest.mark.parametrize("format_", FORMATS)
def test_an_existing_file_is_kept_unless_told(
    format_: Format, sample: Sample, tmp_path: Path
) -> None:
    name = "ledger.xlsx" if format_ == "xlsx" else f"run.{format_}"
    (tmp_path / name).write_text("mine")

    with pytest.raises(UsageError, match="--overwrite"):
        export_ledger(sample.ledger, tmp_path, format_, ["lineage", "run"])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"

    export_ledger(sample.ledger, tmp_path, format_, ["lineage", "run"], overwrite=True)
    assert (tmp_path / name).read_bytes()[:4] != b"mine"
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_file_that_comes_meanwhile_is_kept(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_csv(frame: pl.DataFrame, file: IO[bytes], **options: Any) -> None:
        file.write(b"exported")
        (tmp_path / "run.csv").write_text("mine")

    monkeypatch.setattr(pl.DataFrame, "write_csv", write_csv)
    with pytest.raises(UsageError, match="exists already"):
        export_ledger(sample.ledger, tmp_path, "csv", ["lineage", "run"])

    assert [path.name for path in tmp_path.iterdir()] == ["run.csv"]
    assert (tmp_path / "run.csv").read_text() == "mine"


@pytest.mark.parametrize("limit", [1, 4096])
@pytest.mark.parametrize("format_", FORMATS)
def test_limit_on_file_sizes_leaves_nothing_and_names_the_file(
    format_: Format, limit: int, sample: Sample, tmp_path: Path
) -> None:
    out, before = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(DiskError, match=rf"cannot write {out}/[\w.]+\.{format_}: "):
            export_ledger(sample.ledger, out, format_, ["lineage"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert list(out.iterdir()) == []


def test_unknown_tables_and_places_are_refused(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(UsageError, match="no table persons"):
        export_ledger(sample.ledger, tmp_path / "out", "csv", ["persons"])
    with pytest.raises(UsageError, match="is a file"):
        export_ledger(sample.ledger, tmp_path / "file", "csv")
    with pytest.raises(TargetError, match="no ledger"):
        export_ledger(sample.source, tmp_path / "out", "csv")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_command_says_what_it_wrote_and_whose_data_it_is(
    sample: Sample, tmp_path: Path
) -> None:
    asked = [str(sample.target), str(tmp_path / "out"), "--format", "csv"]
    result = runner.invoke(app, ["export", *asked, "--table", "run", "--table", "run"])

    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first.startswith(f"wrote 1 file into {tmp_path / 'out'}: 1 table, 1 rows, ")
    assert "personal data" in second
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.csv"]


def test_the_command_documents_its_exit_codes() -> None:
    result = runner.invoke(app, ["export", "--help"])

    assert result.exit_code == 0
    assert "\n    3 " in result.stdout


def test_the_command_refuses_in_one_line(sample: Sample, tmp_path: Path) -> None:
    asked = ["export", str(sample.ledger), str(tmp_path / "out"), "--format", "json"]

    assert runner.invoke(app, [*asked[:3]]).exit_code == 2
    assert runner.invoke(app, [*asked, "--table", "none"]).exit_code == 2
    assert runner.invoke(app, ["export", "none.db", *asked[2:]]).exit_code == 3
    assert runner.invoke(app, asked).exit_code == 0
    again_ = runner.invoke(app, asked)
    assert again_.exit_code == 2
    assert len(again_.stderr.splitlines()) == 1
    assert runner.invoke(app, [*asked, "--overwrite"]).exit_code == 0
