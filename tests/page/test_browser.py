"""The page in a real browser: at four widths and on paper."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from person_unify.pipeline import MigrateOptions, migrate
from person_unify.sample import SampleOptions, write_sample

WIDTHS = (390, 768, 1000, 1400)
MEASURE = """
onload = () => {
  const measured = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, shown = [...page.querySelectorAll("td,p,pre,h1,h2,a,li")];
    return {
      asked: Number(frame.width),
      wide: page.documentElement.scrollWidth - page.documentElement.clientWidth,
      cards: frame.contentWindow.getComputedStyle(page.querySelector("thead")).display == "none",
      cut: shown.filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1).length,
      styled: frame.contentWindow.getComputedStyle(page.querySelector("nav")).display == "flex",
    };
  });
  document.body.dataset.measured = JSON.stringify(measured);
};
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_sample(folder / "old.db", SampleOptions(persons=60, seed=3, faults=0.3))
    migrate(MigrateOptions(folder / "old.db", folder / "new.db", keep_backup=False))
    return folder / "new.report.html"


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)


def test_the_page_fits_every_width_and_nothing_is_refused(browser: list[str], page: Path) -> None:
    frames = "".join(f'<iframe src="{page.name}" width={w} height=800></iframe>' for w in WIDTHS)
    outside = page.with_name("frames.html")
    outside.write_text(f"<body>{frames}<script>{MEASURE}</script>", encoding="utf-8")

    done = _run([*browser, "--dump-dom", outside.as_uri()])

    found = re.search(r'data-measured="([^"]*)"', done.stdout)
    assert found is not None, done.stderr
    measured: list[dict[str, Any]] = json.loads(html.unescape(found[1]))
    assert [one["asked"] for one in measured] == list(WIDTHS)
    for one in measured:
        assert (one["wide"], one["cut"], one["styled"]) == (0, 0, True), one
        assert one["cards"] == (one["asked"] <= 768)
    # A page whose sheet the policy refused is bare text, and the console says so.
    assert "Content Security Policy" not in done.stderr, done.stderr


def test_what_is_closed_on_the_screen_is_open_on_paper(
    browser: list[str], page: Path, tmp_path: Path
) -> None:
    closed = page.with_name("closed.html")
    text = page.read_text("utf-8")
    sheet = text.split("<style>")[1].split("</style>")[0]
    without = re.sub(r"details::details-content \{[^}]*\}", "", sheet)
    policy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    closed.write_text(policy.replace(sheet, without), encoding="utf-8")

    pages = {}
    for one in (page, closed):
        paper = tmp_path / f"{one.stem}.pdf"
        _run([*browser, "--no-pdf-header-footer", f"--print-to-pdf={paper}", one.as_uri()])
        pages[one] = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))

    assert pages[page] > 2 * pages[closed] > 0
