"""What of a batch is compared with training, what a difference means, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from relevance_distillery.strict import StrictModel

if TYPE_CHECKING:
    from relevance_distillery.labeler.tallies import Tally

Array = NDArray[np.float64]

FLOOR = 0.005
"""A bin with a smaller share counts as this much, or an empty bin would decide everything."""

Figure = Callable[["Tally"], Array]
Measure = Callable[["Tally", "Tally"], Array]


class Limits(StrictModel):
    """From where on a difference matters, however well it is measured."""

    watch: float = Field(ge=0, description="From here on the verdict is `watch`.")
    distrust: float = Field(ge=0, description="From here on the verdict is `distrust`.")

    @model_validator(mode="after")
    def _order(self) -> Limits:
        if self.distrust < self.watch:
            raise ValueError(f"distrust={self.distrust:g} is below watch={self.watch:g}")
        return self


class DriftSettings(StrictModel):
    """When a scored batch is too unlike training to be trusted."""

    sample: int = Field(
        default=10_000,
        ge=0,
        description="Pairs whose texts are read once more to count lengths and unknown words, "
        "drawn evenly over the file; 0 turns the comparison with training off.",
    )
    fewest_pairs: int = Field(
        default=200,
        ge=1,
        description="A batch with fewer graded pairs is too small to tell.",
    )
    fewest_queries: int = Field(
        default=10,
        ge=2,
        description="A batch with fewer queries is too small to tell, since pairs of one query "
        "are alike.",
    )
    false_alarms: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Share of batches like training that chance may call `watch`; a fifth of it "
        "for `distrust`.",
    )
    resamples: int = Field(
        default=2000,
        ge=200,
        description="Batches drawn from the training profile to see what chance does.",
    )
    distribution: Limits = Field(
        default=Limits(watch=0.1, distrust=0.25),
        description="Population stability index of grades, expected grades and lengths.",
    )
    confidence: Limits = Field(
        default=Limits(watch=0.05, distrust=0.1),
        description="How far mean confidence fell.",
    )
    unknown_words: Limits = Field(
        default=Limits(watch=0.08, distrust=0.16),
        description="How far the share of words rose that training had not.",
    )
    common_words: Limits = Field(
        default=Limits(watch=0.1, distrust=0.2),
        description="How far the share of the commonest words of training moved; it falls in "
        "another language and in lists of keywords.",
    )
    fields: Limits = Field(
        default=Limits(watch=0.25, distrust=0.5),
        description="How far the share of pairs with a title, path, … moved.",
    )
    truncated: Limits = Field(
        default=Limits(watch=0.15, distrust=0.3),
        description="How far the share of pairs rose that do not fit and are cut.",
    )


@dataclass(frozen=True)
class Comparison:
    """One thing that is compared.

    Attributes:
        name: Key in drift.json.
        title: As it reads in a sentence.
        needs: The tally without which it is not defined.
        limits: Field of `DriftSettings`.
        measure: From the batch's and the reference's tallies, each array (..., width), to the
            effect size, shape (...).
        figure: The share of one side that is compared; None where it is a distribution.
        texts: Whether it comes from the pairs that were read.
        worst: The worst verdict that it alone can give.
        means, do: What a difference means and what to do.
    """

    name: str
    title: str
    needs: str
    limits: str
    measure: Measure
    means: str
    do: str
    figure: Figure | None = None
    texts: bool = True
    worst: Literal["watch", "distrust"] = "distrust"


def shares(counts: Array) -> Array:
    """Counts over their sum, shape (..., bins); nan where the sum is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = counts / counts.sum(axis=-1, keepdims=True)
    return result


def stability_index(batch: Array, reference: Array) -> Array:
    """Population stability index: sum of (b - r) ln(b / r) over the bins' shares.

    Below 0.1 is usually read as stable and above 0.25 as another population (Siddiqi, 2006,
    Credit Risk Scorecards); under chance it is about (bins - 1)(1/n + 1/m) (Yurdakul, 2018).

    Args:
        batch: Counts, shape (..., bins).
        reference: Counts, shape (..., bins).

    Returns:
        Shape (...); 0 for equal shares, nan where one side is empty.
    """
    b, r = np.maximum(shares(batch), FLOOR), np.maximum(shares(reference), FLOOR)
    result: Array = ((b - r) * np.log(b / r)).sum(axis=-1)
    return result


def jensen_shannon(batch: Array, reference: Array) -> Array:
    """Jensen–Shannon divergence in bits (Lin, 1991): 0 for equal shares, 1 for disjoint ones.

    Args:
        batch: Counts, shape (..., bins).
        reference: Counts, shape (..., bins).

    Returns:
        Shape (...); nan where one side is empty.
    """
    from scipy.special import rel_entr

    b, r = shares(batch), shares(reference)
    middle = (b + r) / 2
    result: Array = (rel_entr(b, middle) + rel_entr(r, middle)).sum(axis=-1) / (2 * np.log(2))
    return result


def ratio(part: Array, whole: Array) -> Array:
    """The share of `part` in `whole`, shape (...); nan where `whole` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = np.where(whole == 0, np.nan, part / whole)
    return result


def share_of(name: str, part: int, whole: str, column: int = 0) -> Figure:
    """Column `part` of one tally over column `column` of another."""
    return lambda tally: ratio(tally[name][..., part], tally[whole][..., column])


def _distribution(name: str) -> Measure:
    return lambda batch, reference: stability_index(batch[name], reference[name])


def _rise(figure: Figure) -> Measure:
    return lambda batch, reference: figure(batch) - figure(reference)


def _fall(figure: Figure) -> Measure:
    return lambda batch, reference: figure(reference) - figure(batch)


def _move(figure: Figure) -> Measure:
    return lambda batch, reference: np.abs(figure(batch) - figure(reference))


def field_shares(tally: Tally) -> Array:
    """Share of pairs that have each field, shape (..., len(FIELDS))."""
    return ratio(tally["fields"], tally["read"])


def _fields_move(batch: Tally, reference: Tally) -> Array:
    result: Array = np.abs(field_shares(batch) - field_shares(reference)).max(axis=-1)
    return result


_CONFIDENCE = share_of("confidence_sum", 0, "pairs")
_QUERY_UNKNOWN = share_of("query_terms", 1, "query_terms")
_TEXT_UNKNOWN = share_of("text_terms", 1, "text_terms")
_TEXT_COMMON = share_of("text_terms", 2, "text_terms")
_TRUNCATED = share_of("truncated", 0, "read")
_GRADE_PAIRS = "have people grade some of these pairs and report on them"
NEW_DOMAIN = f"{_GRADE_PAIRS}, or distill on documents and queries like these"

COMPARISONS = (
    Comparison(
        "grades",
        "mix of grades",
        needs="grades",
        limits="distribution",
        measure=_distribution("grades"),
        texts=False,
        worst="watch",
        means="Another mix of grades than among held-out pairs of training. By itself it is no "
        "error: another search engine brings other pairs.",
        do=f"if you did not expect it, {_GRADE_PAIRS}",
    ),
    Comparison(
        "expected_grade",
        "expected grades",
        needs="expected_grade",
        limits="distribution",
        measure=_distribution("expected_grade"),
        texts=False,
        worst="watch",
        means="As the mix of grades, finer: it moves before a grade changes.",
        do=f"if you did not expect it, {_GRADE_PAIRS}",
    ),
    Comparison(
        "confidence",
        "confidence",
        needs="pairs",
        limits="confidence",
        measure=_fall(_CONFIDENCE),
        figure=_CONFIDENCE,
        texts=False,
        means="The labeler is less sure than on held-out pairs, so it errs more often.",
        do=f"look at the pairs with low confidence first; {_GRADE_PAIRS}",
    ),
    Comparison(
        "query_tokens",
        "length of queries",
        needs="query_tokens",
        limits="distribution",
        measure=_distribution("query_tokens"),
        worst="watch",
        means="Queries are shorter or longer than those of training, so of another kind.",
        do="distill on queries of this kind (queries=FILE)",
    ),
    Comparison(
        "text_tokens",
        "length of texts",
        needs="text_tokens",
        limits="distribution",
        measure=_distribution("text_tokens"),
        worst="watch",
        means="Texts are shorter or longer than the passages of training.",
        do="split documents into passages as mining does, or distill on texts like these",
    ),
    Comparison(
        "unknown_query_words",
        "unknown words in queries",
        needs="query_terms",
        limits="unknown_words",
        measure=_rise(_QUERY_UNKNOWN),
        figure=_QUERY_UNKNOWN,
        means="More words of the queries were never seen in training.",
        do=NEW_DOMAIN,
    ),
    Comparison(
        "unknown_text_words",
        "unknown words in texts",
        needs="text_terms",
        limits="unknown_words",
        measure=_rise(_TEXT_UNKNOWN),
        figure=_TEXT_UNKNOWN,
        means="More words of the texts were never seen in training: another subject.",
        do=NEW_DOMAIN,
    ),
    Comparison(
        "common_text_words",
        "common words in texts",
        needs="text_terms",
        limits="common_words",
        measure=_move(_TEXT_COMMON),
        figure=_TEXT_COMMON,
        means="Function words of training are rarer or more frequent: another language, or "
        "keywords and tables instead of sentences.",
        do=NEW_DOMAIN,
    ),
    Comparison(
        "fields",
        "filled fields",
        needs="read",
        limits="fields",
        measure=_fields_move,
        means="Titles, texts or metadata are there more or less often than in training.",
        do="give the columns that training had: title, heading, path, author, modified",
    ),
    Comparison(
        "truncated",
        "cut inputs",
        needs="read",
        limits="truncated",
        measure=_rise(_TRUNCATED),
        figure=_TRUNCATED,
        means="More pairs do not fit into the labeler's input; what was cut was not read.",
        do="split documents into passages, or distill with a larger max_length",
    ),
)
