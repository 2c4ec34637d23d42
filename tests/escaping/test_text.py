"""A text from elsewhere is taken literally by whatever shows it."""

from __future__ import annotations

import re
import unicodedata

import jinja2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from person_unify.escaping.text import as_code, in_markdown, in_mermaid, on_page, printable

TEXTS = st.text() | st.text(
    st.sampled_from(
        "a\x00\x1b\x7f\x9b\u00ad\u202e\u2066\u200b\u200d\u2028\ufeff\u3164\ue000`|<>&_*"
    ),
    max_size=20,
)
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def steering(text: str) -> list[str]:
    """Characters that a reader cannot see or that move what follows."""
    return [c for c in text if unicodedata.category(c) in UNSEEN or c in "\u3164\u034f\ufe0f"]


@settings(deadline=None)
@given(TEXTS)
@example("\u034f\u3164\ufe0f\U000e0101")
def test_a_terminal_gets_nothing_that_cannot_be_seen(text: str) -> None:
    shown = printable(text)

    assert [c for c in steering(shown) if c not in "\u200c\u200d"] == []
    assert "\n" not in shown


def test_what_is_hidden_is_spelled_out_and_letters_stay() -> None:
    assert (
        printable("\u202eAsha\u200b \u0905\u0936\u093e") == "\\u202eAsha\\u200b \u0905\u0936\u093e"
    )


def test_a_joiner_stays_where_a_script_is_spelled_with_it() -> None:
    malayalam = "\u0d28\u0d4d\u200d"

    assert printable(malayalam) == malayalam
    assert printable("Ash\u200da") == "Ash\\u200da"


@settings(deadline=None)
@given(TEXTS)
def test_a_page_shows_it_as_text(text: str) -> None:
    template = jinja2.Environment(autoescape=True, finalize=on_page).from_string("<p>{{ x }}</p>")

    page = template.render(x=text)

    assert re.fullmatch("<p>[^<>]*</p>", page)
    assert [c for c in steering(page) if c not in "\u200c\u200d"] == []


@settings(deadline=None)
@given(TEXTS)
@example("`")
@example("a``b`")
@example("\r\n## head")
def test_markdown_takes_a_name_as_code(name: str) -> None:
    shown = as_code(name)
    fence = re.match("`+", shown)

    assert fence is not None
    inside = shown[len(fence.group()) : -len(fence.group())]
    assert shown.endswith(fence.group())
    assert fence.group() not in re.findall("`+", inside)
    assert "|" not in inside.replace("\\|", "")
    assert inside.strip(" ").replace("\\|", "|") == printable(name).strip(" ")


@settings(deadline=None)
@given(TEXTS)
def test_markdown_takes_a_text_literally(text: str) -> None:
    shown = in_markdown(text)

    assert re.sub(r"\\(.)", "", shown).find("<") == -1
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*<>|\[\]&~]", shown)


@settings(deadline=None)
@given(TEXTS)
def test_a_label_of_mermaid_holds_no_quote_and_no_markup(text: str) -> None:
    assert not re.search(r'["<>`&|\[\]{}()]', in_mermaid(text))
