"""``lineage`` and ``diff`` on the command line; ``trace`` is tested with its module."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from tests.migration.support import SMALL, Migrated, change, migrated
from typer.testing import CliRunner

from person_unify.cli.app import app
from person_unify.cli.evidence.lineage import as_markdown, as_mermaid, as_text
from person_unify.evidence.lineage import built_in_lineage
from person_unify.schema import OLD

runner = CliRunner()

CONTACTS = {
    **SMALL,
    "patient_contacts": [
        {"id": f"k{n}", "patient_id": "p1", "first_name": "Never Shown"} for n in range(3)
    ],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    return migrated(tmp_path_factory.mktemp("run"), CONTACTS)


def damaged(run: Migrated, directory: Path, *statements: str) -> list[str]:
    """The arguments of a source and of a copy of its target that some SQL changed."""
    for path in (run.target, run.ledger):
        shutil.copy(path, directory)
    change(directory / run.target.name, *statements)
    return [str(run.source), str(directory / run.target.name)]


def test_the_text_names_every_old_column_on_a_hundred_columns() -> None:
    text = "\n".join(as_text(built_in_lineage().to_dicts()))

    sections = {block.split(" ", 1)[0]: block.splitlines()[2:] for block in text.split("\n\n")}
    assert set(sections) == set(OLD)
    for name, lines in sections.items():
        named = [line.split()[0] for line in lines if re.match(r"  \S", line)]
        assert named == list(OLD[name].column_names)
    assert max(map(len, text.splitlines())) <= 100
    assert text.isascii()


def test_the_counts_of_a_run_fit_beside_the_columns(run: Migrated) -> None:
    result = runner.invoke(app, ["lineage", str(run.target)])

    assert result.exit_code == 0
    assert "patient_contacts (3 rows) -> contacts\n" in result.stdout
    assert re.search(r"^  relationship +same name +3$", result.stdout, re.MULTILINE)
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_the_markdown_has_a_table_per_table_and_escapes_what_would_break_it() -> None:
    rows = built_in_lineage().to_dicts()
    rows[0] |= {"source_column": "a|b\n"}

    text = "\n".join(as_markdown(rows))

    assert len(re.findall("^## `", text, re.MULTILINE)) == len(OLD)
    assert "| `a\\|b\\n` |" in text
    bars = {line.replace("\\|", "").count("|") for line in text.splitlines() if line[:1] == "|"}
    assert bars == {5}


def test_the_drawing_has_a_node_per_table_and_only_edges_between_nodes() -> None:
    rows = built_in_lineage().to_dicts()
    rows += [{**rows[0], "source_table": 'we"ird [%s]', "target_table": None}]

    head, *lines = as_mermaid(rows)

    assert head == "flowchart LR"
    node, label = r"(\w+)", r'"[^"\[\]]*"'
    nodes = [m[1] for line in lines if (m := re.fullmatch(rf" +{node}\[\(?{label}\)?\]", line))]
    edges = [
        m.groups()
        for line in lines
        if (m := re.fullmatch(rf"  {node} (?:-->|-\.->)\|{label}\| {node}", line))
    ]
    frame = [line for line in lines if re.fullmatch(r'  (end|subgraph \w+\["[\w ]+"\])', line)]
    assert len(nodes) + len(edges) + len(frame) == len(lines)
    assert len(nodes) == len(set(nodes))
    assert {end for edge in edges for end in edge} == set(nodes)
    assert len(edges) < 110
    assert '"we#34;ird #91;#37;s#93;"' in "\n".join(lines)


def test_the_data_repeat_nothing_but_hold_everything(run: Migrated) -> None:
    result = runner.invoke(app, ["lineage", str(run.target), "--format", "json"])

    tables = {table["table"]: table for table in json.loads(result.stdout)["tables"]}
    columns = {column["column"]: column for column in tables["patient_contacts"]["columns"]}
    assert tables["patient_contacts"]["rows"] == 3
    assert columns["patient_id"]["lines"] == [
        {
            "disposition": "mapped_id",
            "target_table": "contacts",
            "target_column": "person_id",
            "rule": "person",
        }
    ]
    assert columns["patient_id"]["carried"] == 3


def test_a_source_and_a_target_are_not_taken_together(run: Migrated) -> None:
    both = runner.invoke(app, ["lineage", str(run.target), "--source", str(run.source)])
    before = runner.invoke(app, ["lineage", "--source", str(run.source), "--format", "markdown"])
    absent = runner.invoke(app, ["lineage", str(run.target.with_name("none.db"))])

    assert (both.exit_code, before.exit_code, absent.exit_code) == (2, 0, 3)
    assert "not both" in both.stderr
    assert before.stdout.startswith("# Lineage\n")


def test_diff_of_a_healthy_target_says_what_was_compared(run: Migrated) -> None:
    result = runner.invoke(app, ["diff", str(run.source), str(run.target), "contacts"])

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "compared patient_contacts",
        "  3 source rows, 3 target rows, 63 target cells, 66 source cells",
        "",
        "no difference",
    ]


def test_diff_of_nothing_is_not_called_equal(run: Migrated) -> None:
    result = runner.invoke(app, ["diff", str(run.source), str(run.target), "messages"])

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "nothing to compare"
    assert "no row on either side" in result.stdout


def test_diff_names_keys_and_columns_and_ends_with_4(run: Migrated, tmp_path: Path) -> None:
    files = damaged(
        run,
        tmp_path,
        "DELETE FROM contacts WHERE id = 'k0'",
        "UPDATE contacts SET first_name = 'Somebody' WHERE id = 'k1'",
    )

    result = runner.invoke(app, ["diff", *files, "patient_contacts"])

    assert result.exit_code == 4
    assert result.stderr == "person-unify: 3 differences of patient_contacts\n"
    assert [line for line in result.stdout.splitlines() if line.startswith("    ")] == [
        "    id k0",
        "    id k1",
        "    id k1",
    ]
    assert "  patient_contacts -> contacts.first_name  (1)\n" in result.stdout
    assert "Never Shown" not in result.stdout + result.stderr
    assert "Somebody" not in result.stdout + result.stderr


def test_diff_as_data_and_of_one_column(run: Migrated, tmp_path: Path) -> None:
    changes = "UPDATE contacts SET first_name = 'x', relationship = 'y' WHERE id <> 'k1'"
    files = damaged(run, tmp_path, changes)
    options = ["--column", "first_name", "--limit", "1", "--json"]
    result = runner.invoke(app, ["diff", *files, "contacts", *options])

    event, error = map(json.loads, result.stdout.splitlines())
    assert (result.exit_code, event["exit_code"], error["exit_code"]) == (4, 4, 4)
    assert {d["column"] for d in event["differences"]} == {"first_name"}
    assert [(d["count"], len(d["rows"])) for d in event["differences"]] == [(2, 1), (2, 1)]
    assert event["differences"][0]["rows"] == [{"source_key": ["k0"], "target_key": ["k0"]}]


@pytest.mark.parametrize("asked", [["clinic"], ["contacts", "--column", "shoe_size"]])
def test_diff_of_an_unknown_name_is_wrong_usage(run: Migrated, asked: list[str]) -> None:
    result = runner.invoke(app, ["diff", str(run.source), str(run.target), *asked])

    assert result.exit_code == 2
    assert asked[-1] in result.stderr
