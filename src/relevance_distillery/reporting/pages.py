"""Pages from templates: one file each, no script, nothing from elsewhere, everything escaped."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from relevance_distillery.reporting import charts, formats

_FILTERS = (
    charts.bar,
    formats.count,
    formats.dollars,
    formats.figure,
    formats.interval,
    formats.listed,
    formats.p_value,
    formats.percent,
    formats.quantity,
    formats.rate,
    formats.span,
    formats.time_for_a_million,
    formats.times,
)


def fill(template: str, **values: Any) -> str:
    """Fill a template of `templates/`; texts in the values may be hostile, they are escaped.

    It may use the report's style as `css`, and the functions of `formats` as filters.
    """
    css = files("relevance_distillery.reporting") / "templates" / "report.css"
    return templates().get_template(template).render(css=css.read_text("utf-8"), **values)


@cache
def templates() -> Environment:
    """All templates, each compiled once."""
    environment = Environment(
        loader=PackageLoader("relevance_distillery.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in _FILTERS}
    return environment
