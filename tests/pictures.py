"""The README's pictures: the summary as a terminal shows it, the page as a browser does, twice.

``python -m tests.pictures`` makes them anew; those of the page only where there is a chromium.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from person_unify.cli.render import render
from person_unify.cli.streams import Screen
from person_unify.evidence.finished import finished_report
from person_unify.options import MigrateOptions
from person_unify.page import render_page
from person_unify.pipeline import migrate
from person_unify.report import Report
from person_unify.sample import SampleOptions, write_sample

DOCS = Path(__file__).parent.parent / "docs"


def main() -> None:
    """Migrate a small sample and take the pictures of it."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name).resolve()
        os.chdir(directory)
        write_sample(directory / "old.db", SampleOptions(persons=200, seed=7))
        migrate(MigrateOptions(directory / "old.db", directory / "new.db"))
        raw = json.dumps(finished_report(directory / "new.db").to_json())
        report = Report.from_json(json.loads(raw.replace(str(directory), "/data")))
        picture = of_the_summary(report)
        (DOCS / "terminal.svg").write_text(picture, encoding="utf-8")
        browser = shutil.which("chromium") or shutil.which("chromium-browser")
        if browser is not None:
            page = directory / "page.html"
            page.write_text(render_page(report), encoding="utf-8")
            of_the_page(browser, page, DOCS / "page.png")
            of_the_page(browser, page, DOCS / "page-dark.png", "--force-dark-mode")
        os.chdir(DOCS)


def of_the_summary(report: Report) -> str:
    """The summary as an SVG picture that loads nothing."""
    written = io.StringIO()
    render(report, Screen(file=written, width=100, force_terminal=True, color_system="truecolor"))
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(Text.from_ansi(written.getvalue()))
    alone = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="person-unify migrate old.db new.db", code_format=alone)


def of_the_page(browser: str, page: Path, picture: Path, *options: str) -> None:
    """The upper part of the page, as a browser shows it."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={profile}", "--window-size=1000,1250"),
                *(f"--screenshot={picture}", *options, page.as_uri()),
            ],
            check=True,
            capture_output=True,
            timeout=240,
        )


if __name__ == "__main__":
    main()
