"""``decisions.toml``: readable, in one order, and nothing taken from it that was not said."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from person_unify.errors import DecisionsRefused, UsageError
from person_unify.frames.decisions import (
    MOST_BYTES,
    Decision,
    Decisions,
    read_decisions,
    write_decisions,
)

EVIDENCE = "ab" * 32
TAKE = Decision(
    *("demographic_mismatch", "children", "c1", "p1", "first_name", "child", EVIDENCE),
    reviewer="R. Iyer",
    note='as in the "passport"\nshown on Monday',
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def written(tmp_path: Path, *decisions: Decision, name: str = "decisions.toml") -> Path:
    path = tmp_path / name
    write_decisions(Decisions(decisions), path)
    return path


def test_file_reads_like_this(tmp_path: Path) -> None:
    text = written(tmp_path, TAKE).read_text(encoding="utf-8")

    assert text.endswith(
        f"""
format = 1

[[decision]]
kind = "demographic_mismatch"
source_table = "children"
source_id = "c1"
related_id = "p1"
field = "first_name"
decision = "child"
evidence = "{EVIDENCE}"
reviewer = "R. Iyer"
note = "as in the \\"passport\\"\\nshown on Monday"
"""
    )


@settings(deadline=None)  # the disk may be busy
@given(st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.none() | TEXTS), unique_by=lambda t: t[0]))
def test_what_is_written_is_read_whatever_the_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str | None, str | None]]
) -> None:
    tmp_path = tmp_path_factory.mktemp("toml")
    given_ = {
        Decision("implied_grant", "children", i, r, None, "none", EVIDENCE, note=n)
        for i, r, n in texts
    }

    found = read_decisions(written(tmp_path, *given_))

    assert set(found.decisions) == given_


def test_order_of_decisions_makes_no_difference(tmp_path: Path) -> None:
    other = Decision("implied_grant", "children", "c1", "p1", None, "none", EVIDENCE)
    one, two = (
        written(tmp_path, *d, name=n) for d, n in (((TAKE, other), "1"), ((other, TAKE), "2"))
    )

    assert one.read_bytes() == two.read_bytes()
    assert read_decisions(one).digest == read_decisions(two).digest


def test_an_existing_file_is_not_replaced(tmp_path: Path) -> None:
    path = written(tmp_path, TAKE)

    with pytest.raises(UsageError, match="exists already"):
        write_decisions(Decisions(), path)
    assert read_decisions(path).decisions == (TAKE,)


HEAD = "format = 1\n"
BLOCK = (
    '[[decision]]\nkind = "implied_grant"\nsource_table = "children"\nsource_id = "c1"\n'
    'related_id = "p1"\ndecision = "none"\nevidence = "aa"\n'
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind = ", "not valid TOML"),
        ("format = 2\n", "format 1"),
        ("", "format 1"),
        (HEAD + "decision = 3\n", "decision 1: not a table"),
        (HEAD + BLOCK + "colour = 'red'\n", "decision 1: unknown keys"),
        (HEAD + BLOCK + "note = 3\n", "no text: note"),
        (HEAD + BLOCK.replace("source_id", "#"), "missing: source_id"),
        (HEAD + BLOCK.replace("implied_grant", "merged_tag"), "nothing can be decided about"),
        (HEAD + BLOCK.replace('"none"', '"perhaps"'), "use active, pending, none"),
        (HEAD + BLOCK + 'link_to = "p2"\n', "link_to"),
        (HEAD + BLOCK + BLOCK, "answered 2 times"),
        (
            HEAD + BLOCK.replace("[[decision]]", "[[decisions]]"),
            "line \\d+: unknown keys .*: decisions",
        ),
        (HEAD + "[Decision]\nkind = 'x'\n", "line 2: unknown keys .*: Decision"),
        (HEAD + "weather = 1\n" + BLOCK, "line 2: unknown keys .*: weather"),
        (HEAD + BLOCK.replace("decision =", "Decision ="), "line 2, decision 1: unknown keys.*Dec"),
        (HEAD + BLOCK + BLOCK.replace('"none"', '"x"'), "line 9, decision 2: unknown decision"),
        (HEAD + BLOCK + 'kind = "x"\n', "not valid TOML at line 9"),
        (HEAD + "decision = " + "[" * 5000, "nested too deeply"),
        (HEAD + "a = " + "{a=" * 5000, "nested too deeply"),
        (HEAD + "a." * 20_000 + "b = 1\n", "key of over 1,000 characters in line 2"),
    ],
)
def test_a_file_that_says_something_else_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "decisions.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(DecisionsRefused, match=said):
        read_decisions(path)


def test_a_file_that_cannot_be_believed_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"format = 1\n# \xff")
    (tmp_path / "endless.toml").symlink_to("/dev/zero")
    with open(tmp_path / "large.toml", "wb") as file:
        file.truncate(MOST_BYTES + 1)

    for name, said in (
        *(("bytes", "not valid TOML"), ("endless", "not a file"), ("large", "larger than 64 MB")),
        ("", "is not a file"),
    ):
        with pytest.raises(DecisionsRefused, match=said):
            read_decisions(tmp_path / f"{name}.toml" if name else tmp_path)


def test_of_very_many_problems_the_first_are_told(tmp_path: Path) -> None:
    path = tmp_path / "decisions.toml"
    path.write_text(HEAD + BLOCK.replace('"none"', '"x"') * 1000, encoding="utf-8")

    with pytest.raises(DecisionsRefused, match="has 1,000 problems") as refused:
        read_decisions(path)

    assert refused.value.problems[-1] == "and 800 more"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "decisions.toml"
    path.write_text(HEAD + BLOCK.replace('"none"', '"x"') + BLOCK + BLOCK, encoding="utf-8")

    with pytest.raises(DecisionsRefused, match=r"2 problems.*\n.*decision 1.*\n.*2 times"):
        read_decisions(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DecisionsRefused, match=r"none\.toml does not exist"):
        read_decisions(tmp_path / "none.toml")


def test_the_file_is_plain_toml(tmp_path: Path) -> None:
    document = tomllib.loads(written(tmp_path, TAKE).read_text(encoding="utf-8"))

    assert document["decision"][0]["note"] == TAKE.note
