"""The frames with their columns as Markdown: what stands in ``docs/EXPLORE.md``.

``python -m person_unify.explore.document FILE`` writes it between the two marks of the page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from person_unify.explore.columns import COMPARED, DIFFERENCES, FRAMES, TRACE, Columns

BEGIN, END = "<!-- frames:begin -->", "<!-- frames:end -->"


def render() -> str:
    """One table of columns per frame."""
    frames = {f"run.{name}": columns for name, columns in FRAMES.items()}
    frames |= {"run.diff(table)": DIFFERENCES, "run.trace(kind, *key)": TRACE}
    frames |= {f"compare(run, other).{name}": columns for name, columns in COMPARED.items()}
    return "\n\n".join("\n".join(_section(name, columns)) for name, columns in frames.items())


def _section(name: str, columns: Columns) -> Iterator[str]:
    yield f"**`{name}`**\n"
    yield "| column | type | holds |"
    yield "| --- | --- | --- |"
    for column, (dtype, meaning) in columns.items():
        yield f"| `{column}` | {_word(dtype)} | {meaning} |"


def _word(dtype: pl.DataType) -> str:
    words = {"Datetime": "Datetime, ms, UTC", "List": "List of String"}
    plain = str(dtype).partition("(")[0]
    return words.get(plain, plain)


def rewritten(text: str) -> str:
    """A page with what stands between the marks put anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{render()}\n{END}{after}"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(rewritten(page.read_text(encoding="utf-8")), encoding="utf-8")
