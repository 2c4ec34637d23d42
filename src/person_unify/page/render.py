"""From a report to the page: the sections say what stands in it, the template how it looks."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import PurePath

import jinja2
from markupsafe import Markup

from person_unify.escaping.text import on_page
from person_unify.page.advice import next_steps, verdict
from person_unify.page.sections import Folded, Grid, sections
from person_unify.report import Report


def render_page(report: Report) -> str:
    """The page as HTML text; ``report`` may be that of a check, a migration or a verification."""
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("person_unify.page", "."),
        autoescape=True,
        finalize=on_page,
        undefined=jinja2.StrictUndefined,
    )
    environment.tests.update(
        grid=lambda block: isinstance(block, Grid), folded=lambda block: isinstance(block, Folded)
    )
    made = environment.get_template("report.html.j2").render(
        report=report,
        title=_title(report),
        moment=f"{datetime.fromtimestamp(report.started_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC",
        verdict=verdict(report),
        steps=next_steps(report),
        sections=sections(report),
        style=Markup(style),  # escaping would change it, and its hash with it
        # The policy allows this one sheet by its hash, and nothing else.
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
    return made + "\n"


def _title(report: Report) -> str:
    """What was done to which files, as it should stand in a list of open windows."""
    old = PurePath(report.source.path).name
    new = PurePath(report.target.path).name if report.target else ""
    return {
        "check": f"Check of {old}",
        "migrate": f"Migration of {old} into {new}" if new else f"Migration of {old}",
        "verify": f"Verification of {new} against {old}",
    }.get(report.command, f"{report.command} {old}")
