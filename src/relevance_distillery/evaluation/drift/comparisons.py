"""What of a batch is compared with training, what a difference means, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from relevance_distillery.evaluation.statistics.arrays import Floats
from relevance_distillery.strict import StrictModel

if TYPE_CHECKING:
    from relevance_distillery.labeler.tallies import Tally


FLOOR = 0.005
"""A bin with a smaller share counts as this much, or an empty bin would decide everything."""

Figure = Callable[["Tally"], Floats]


class Limits(StrictModel):
    """From where on a difference matters, however well it is measured."""

    watch: float = Field(ge=0)
    """From here on the verdict is `watch`."""
    distrust: float = Field(ge=0)
    """From here on the verdict is `distrust`."""

    @model_validator(mode="after")
    def _order(self) -> Limits:
        if self.distrust < self.watch:
            raise ValueError(f"distrust={self.distrust:g} is below watch={self.watch:g}")
        return self


class DriftSettings(StrictModel):
    """When a scored batch is too unlike training to be trusted."""

    sample: int = Field(10_000, ge=0)
    """Pairs read once more to count lengths and unknown words, drawn evenly over the file; 0 turns
    the comparison off."""
    fewest_pairs: int = Field(200, ge=1)
    """A batch with fewer graded pairs is too small to tell."""
    fewest_queries: int = Field(10, ge=2)
    """The same with fewer queries."""
    false_alarms: float = Field(0.05, gt=0, lt=1)
    """Share of batches like training that chance may call `watch`; a fifth of it for `distrust`."""
    resamples: int = Field(2000, ge=200)
    """Batches drawn from the training profile to see what chance does."""
    distribution: Limits = Limits(watch=0.1, distrust=0.25)
    """Population stability index of grades, expected grades and lengths."""
    confidence: Limits = Limits(watch=0.05, distrust=0.1)
    """How far mean confidence fell."""
    unknown_words: Limits = Limits(watch=0.08, distrust=0.16)
    """How far the share of words rose that training had not."""
    common_words: Limits = Limits(watch=0.1, distrust=0.2)
    """How far the share of the commonest words of training moved; it falls in another language and
    in lists of keywords."""
    fields: Limits = Limits(watch=0.25, distrust=0.5)
    """How far the share of pairs with a title, path, … moved."""
    truncated: Limits = Limits(watch=0.15, distrust=0.3)
    """How far the share of pairs rose that do not fit and are cut."""


@dataclass(frozen=True)
class Comparison:
    """One thing that is compared.

    Attributes:
        name: Key in drift.json; the tally's too where a distribution is compared.
        title: As it reads in a sentence.
        limits: Field of `DriftSettings`.
        means, do: What a difference means and what to do.
        figure: The share of one side that is compared, or several shares in the last axis; None
            for a distribution.
        change: Which change of the figure is the effect size.
        texts: Whether it comes from the pairs that were read.
        worst: The worst verdict that it alone can give.
    """

    name: str
    title: str
    limits: str
    means: str
    do: str
    figure: Figure | None = None
    change: Literal["rise", "fall", "size", "largest size"] = "rise"
    texts: bool = True
    worst: Literal["watch", "distrust"] = "distrust"

    def measure(self, batch: Tally, reference: Tally) -> Floats:
        """Effect size, shape (...), from tallies whose arrays have the shape (..., width)."""
        if self.figure is None:
            return stability_index(batch[self.name], reference[self.name])
        rise = self.figure(batch) - self.figure(reference)
        if self.change in ("rise", "fall"):
            return rise if self.change == "rise" else -rise
        size: Floats = np.abs(rise)
        return size if self.change == "size" else size.max(axis=-1)


def shares(counts: Floats) -> Floats:
    """Counts over their sum, shape (..., bins); nan where the sum is 0."""
    return ratio(counts, counts.sum(axis=-1, keepdims=True))


def stability_index(batch: Floats, reference: Floats) -> Floats:
    """Population stability index: sum of (b - r) ln(b / r) over the bins' shares.

    Below 0.1 is usually read as stable and above 0.25 as another population (Siddiqi, 2006,
    Credit Risk Scorecards); under chance it is about (bins - 1)(1/n + 1/m) (Yurdakul, 2018).
    From counts of shape (..., bins) to shape (...); 0 for equal shares, nan where one side is
    empty.
    """
    b, r = np.maximum(shares(batch), FLOOR), np.maximum(shares(reference), FLOOR)
    return np.asarray(((b - r) * np.log(b / r)).sum(axis=-1))


def jensen_shannon(batch: Floats, reference: Floats) -> Floats:
    """Jensen–Shannon divergence in bits (Lin, 1991): 0 for equal shares, 1 for disjoint ones.

    From counts of shape (..., bins) to shape (...); nan where one side is empty.
    """
    from scipy.special import rel_entr

    b, r = shares(batch), shares(reference)
    middle = (b + r) / 2
    return (rel_entr(b, middle) + rel_entr(r, middle)).sum(axis=-1) / (2 * np.log(2))


def ratio(part: Floats, whole: Floats) -> Floats:
    """The share of `part` in `whole`, shape (...); nan where `whole` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole == 0, np.nan, part / whole)


def share_of(name: str, part: int, whole: str) -> Figure:
    """Column `part` of one tally over the first of another."""
    return lambda tally: ratio(tally[name][..., part], tally[whole][..., 0])


def field_shares(tally: Tally) -> Floats:
    """Share of pairs that have each field, shape (..., len(FIELDS))."""
    return ratio(tally["fields"], tally["read"])


_GRADE_PAIRS = "have people grade some of these pairs and report on them"
NEW_DOMAIN = f"{_GRADE_PAIRS}, or distill on documents and queries like these"

COMPARISONS = (
    Comparison(
        "grades",
        "mix of grades",
        limits="distribution",
        texts=False,
        worst="watch",
        means="Another mix of grades than among held-out pairs of training. By itself it is no "
        "error: another search engine brings other pairs.",
        do=f"if you did not expect it, {_GRADE_PAIRS}",
    ),
    Comparison(
        "expected_grade",
        "expected grades",
        limits="distribution",
        texts=False,
        worst="watch",
        means="As the mix of grades, finer: it moves before a grade changes.",
        do=f"if you did not expect it, {_GRADE_PAIRS}",
    ),
    Comparison(
        "confidence",
        "confidence",
        limits="confidence",
        figure=share_of("confidence_sum", 0, "pairs"),
        change="fall",
        texts=False,
        means="The labeler is less sure than on held-out pairs, so it errs more often.",
        do=f"look at the pairs with low confidence first; {_GRADE_PAIRS}",
    ),
    Comparison(
        "query_tokens",
        "length of queries",
        limits="distribution",
        worst="watch",
        means="Queries are shorter or longer than those of training, so of another kind.",
        do="distill on queries of this kind (queries=FILE)",
    ),
    Comparison(
        "text_tokens",
        "length of texts",
        limits="distribution",
        worst="watch",
        means="Texts are shorter or longer than the passages of training.",
        do="split documents into passages as mining does, or distill on texts like these",
    ),
    Comparison(
        "unknown_query_words",
        "unknown words in queries",
        limits="unknown_words",
        figure=share_of("query_terms", 1, "query_terms"),
        means="More words of the queries were never seen in training.",
        do=NEW_DOMAIN,
    ),
    Comparison(
        "unknown_text_words",
        "unknown words in texts",
        limits="unknown_words",
        figure=share_of("text_terms", 1, "text_terms"),
        means="More words of the texts were never seen in training: another subject.",
        do=NEW_DOMAIN,
    ),
    Comparison(
        "common_text_words",
        "common words in texts",
        limits="common_words",
        figure=share_of("text_terms", 2, "text_terms"),
        change="size",
        means="Function words of training are rarer or more frequent: another language, or "
        "keywords and tables instead of sentences.",
        do=NEW_DOMAIN,
    ),
    Comparison(
        "fields",
        "filled fields",
        limits="fields",
        figure=field_shares,
        change="largest size",
        means="Titles, texts or metadata are there more or less often than in training.",
        do="give the columns that training had: title, heading, path, author, modified",
    ),
    Comparison(
        "truncated",
        "cut inputs",
        limits="truncated",
        figure=share_of("truncated", 0, "read"),
        means="More pairs do not fit into the labeler's input; what was cut was not read.",
        do="split documents into passages, or distill with a larger max_length",
    ),
)
