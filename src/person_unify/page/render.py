"""From a report to the page: the sections say what stands in it, the template how it looks."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import PurePath

import jinja2
from markupsafe import Markup

from person_unify import __version__
from person_unify.escaping.text import on_page
from person_unify.page.advice import Step, Verdict, next_steps, verdict
from person_unify.page.blocks import Folded, Grid, Section
from person_unify.page.sections import sections
from person_unify.report import Report


def render_page(report: Report) -> str:
    """The page as HTML text; ``report`` may be that of a check, a migration or a verification."""
    told, steps = verdict(report), next_steps(report)
    moment = report.started_ms
    return page_of(_title(report), moment, told, steps, sections(report), report.tool_version)


def page_of(
    title: str,
    started_ms: int,
    told: Verdict,
    steps: Sequence[Step],
    parts: Sequence[Section],
    version: str = __version__,
) -> str:
    """A page of a verdict, next steps and sections, as HTML text."""
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
        version=version,
        title=title,
        moment=f"{datetime.fromtimestamp(started_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC",
        verdict=told,
        steps=steps,
        sections=parts,
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
