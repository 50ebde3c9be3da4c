"""Pages from templates: one file each, no script, nothing from elsewhere, everything escaped."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

_TEMPLATES = files("relevance_distillery.reporting") / "templates"


def fill(template: str, **values: Any) -> str:
    """Fill a template.

    Args:
        template: Its file name in `templates/`. It may use the report's style as `css`, and the
            filters `figure` (digits, a dash for nothing) and `interval` (estimate and limits).
        values: What it shows; texts in it may be hostile, they are escaped.
    """
    sources = {
        file.name: file.read_text(encoding="utf-8")
        for file in _TEMPLATES.iterdir()
        if file.name.endswith(".jinja2")
    }
    css = _TEMPLATES / "report.css"
    environment = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "interval": interval}
    page = environment.get_template(template)
    return page.render(css=css.read_text(encoding="utf-8"), **values)


def figure(value: float | None, digits: int = 3) -> str:
    """A number with some digits; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(row: dict[str, Any]) -> str:
    """Estimate and limits of an interval in JSON."""
    if row["low"] is None or row["high"] is None:
        return figure(row["estimate"])
    return f"{figure(row['estimate'])} ({figure(row['low'])} to {figure(row['high'])})"
