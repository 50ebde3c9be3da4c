"""Fills the report's template."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from relevance_distillery.pipelines.reporting.view import build_view

_TEMPLATES = files("relevance_distillery.pipelines.reporting") / "templates"


def render_report(results: dict[str, Any]) -> str:
    """One self-contained HTML page: no script, no font or picture from elsewhere.

    Args:
        results: See `view.build_view`; names in it may be hostile, they are escaped.
    """
    sources = {
        name: (_TEMPLATES / name).read_text(encoding="utf-8")
        for name in ("report.html.jinja2", "report.css")
    }
    environment = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja2")
    return page.render(css=sources["report.css"], **build_view(results))
