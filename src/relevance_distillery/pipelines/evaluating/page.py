"""The evaluation as one page: tables and dots, no script, nothing from elsewhere."""

from __future__ import annotations

from typing import Any

from relevance_distillery.pipelines.evaluating.view import build_view
from relevance_distillery.reporting.pages import fill


def write_page(found: dict[str, Any]) -> str:
    """Render the evaluation; names in it may be hostile, they are escaped.

    Args:
        found: The content of evaluation.json. It holds no text of documents or queries.
    """
    return fill("evaluation.html.jinja2", **build_view(found))
