"""Graded samples: what each graded pair stands for, and which pairs must stay out of estimates.

A pair that was drawn with inclusion probability π stands for 1 / π pairs (Horvitz and
Thompson, 1952). Pairs that were picked because a judge doubted them were not drawn at random:
they have no such probability and say nothing about the rest, so they never evaluate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from relevance_distillery.io.digests import hex_digest

ACTIVE = "active"
"""The design of pairs that were picked where judges doubt."""


@dataclass(frozen=True)
class RowFacts:
    """What a file of grades says about one pair besides its grade.

    Attributes:
        document_id: The document of a graded passage; empty where documents were graded.
        design: How the pair was chosen; empty where the file does not say.
        unit: `query` where whole queries were drawn, `pair` for single pairs.
        probability: Its inclusion probability, nan where there is none.
        digest: Of the text that was graded, empty where the file does not say.
    """

    document_id: str = ""
    design: str = ""
    unit: str = ""
    probability: float = math.nan
    digest: str = ""

    @property
    def estimates(self) -> bool:
        """The pair may stand for others."""
        return self.design != ACTIVE and math.isfinite(self.probability)


@dataclass(frozen=True)
class Sampled:
    """How graded pairs were drawn.

    Attributes:
        weights: Columns query_id, document_id, weight: 1 / inclusion probability.
        whole_queries: Queries were drawn with all their pairs.
    """

    weights: pd.DataFrame
    whole_queries: bool


def probability_of(value: Any) -> float | None:
    """An inclusion probability from a cell; nan for an empty one, None for nonsense."""
    text = "" if value is None else str(value).strip()
    if text.casefold() in ("", "nan", "none"):
        return math.nan
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if 0.0 < number <= 1.0 else None


def sampled(facts: dict[tuple[str, str], RowFacts]) -> Sampled:
    """Weights of the pairs that may stand for others.

    Args:
        facts: By query and document.
    """
    rows = [(*key, 1.0 / row.probability) for key, row in facts.items() if row.estimates]
    units = {row.unit for row in facts.values() if row.estimates}
    table = pd.DataFrame(rows, columns=["query_id", "document_id", "weight"])
    return Sampled(
        table.astype({"query_id": str, "document_id": str, "weight": "float64"}),
        units == {"query"},
    )


def text_digest(title: str, heading: str, text: str) -> str:
    """Twelve hexadecimal digits of what a grader read, to notice that it changed since."""
    return hex_digest("\x1f".join((title, heading, text)))
