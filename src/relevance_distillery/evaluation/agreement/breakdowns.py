"""Agreement in parts: at each grade as a threshold of relevance, and on slices of the benchmark."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.evaluation.agreement import confusion
from relevance_distillery.evaluation.agreement.estimates import Options, estimates
from relevance_distillery.evaluation.agreement.graded_pairs import (
    GradedPairs,
    grading_judges,
    pairs_of,
    probabilities_of,
)
from relevance_distillery.evaluation.agreement.metrics import counts_by_query, graded_statistics
from relevance_distillery.evaluation.statistics.arrays import Floats
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale

SLICE_METRICS = ("quadratic_kappa", "accuracy", "bias", "pairwise_accuracy")

GRADE_METRICS = ("accuracy", "within_one", "mean_absolute_error", "bias")
"""Slices of one human grade: metrics corrected for chance or of an order are not defined there."""

FEW_QUERIES_IN_SLICE = 10

MOST_VALUES = 12
"""Most values of one slicing; of more, the rarer ones are joined as `other`."""

OTHER = "other"

_WORDS = {2: "1–2 words", 4: "3–4 words", 8: "5–8 words", np.inf: "9 or more"}
_PASSAGES = {1: "1 passage", 4: "2–4 passages", np.inf: "5 or more"}
"""Slices of a number above 0 by their highest value."""

_CONFIDENCE = {0.5: "below 50 %", 0.7: "50–70 %", 0.9: "70–90 %", np.inf: "90 % or more"}
"""Slices of a probability by the value that they stay below."""

_UNDEFINED = {
    "kappa": "both put all pairs on the same side of the threshold",
    "precision": "the judge put no pair at or above the threshold",
    "recall": "no pair belongs at or above the threshold",
    "f1": "neither of the two put a pair at or above the threshold",
    "accuracy": "there are no graded pairs",
}


def measure_thresholds(
    judges: dict[str, GradedPairs], scale: GradeScale, options: Options | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Binary agreement at each grade above the lowest.

    Returns:
        By judge one entry a threshold: `from` and `name` (the grade), `people` and `judge`
        (share of pairs at or above it, null without pairs), and estimates with intervals of
        kappa, precision, recall, f1 and accuracy, people being right.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, pairs in judges.items():
        by_query = counts_by_query(pairs, scale)
        figures = {
            str(place): {metric: _figure(by_query, place, metric) for metric in _FIGURES}
            for place in range(1, scale.size)
        }
        found = estimates(figures, options or Options(), _UNDEFINED.__getitem__)
        rows[name] = []
        for place, grade in enumerate(scale.grades[1:], start=1):
            halves = confusion.halves(by_query.sum(0), place)
            total = halves.sum()
            rows[name].append(
                {
                    "from": grade.value,
                    "name": grade.name,
                    "people": number(halves[1].sum() / total) if total else None,
                    "judge": number(halves[:, 1].sum() / total) if total else None,
                    **found[str(place)],
                }
            )
    return rows


def _figure(by_query: Floats, threshold: int, metric: str) -> SumStatistic:
    size = by_query.shape[-1]
    lowest = -1.0 if metric == "kappa" else 0.0

    def finish(sums: Floats) -> Floats:
        return _FIGURES[metric](confusion.halves(sums.reshape(-1, size, size), threshold))

    return SumStatistic(by_query.reshape(-1, size * size), finish, (lowest, 1.0))


def _f1(halves: Floats) -> Floats:
    """Harmonic mean of precision and recall (van Rijsbergen, 1979), shape (...)."""
    wrong = halves[..., 0, 1] + halves[..., 1, 0]
    return confusion.divide(2.0 * halves[..., 1, 1], 2.0 * halves[..., 1, 1] + wrong)


_FIGURES: dict[str, Callable[[Floats], Floats]] = {
    "kappa": confusion.kappa,
    "precision": lambda halves: confusion.precision_by_grade(halves)[..., 1],
    "recall": lambda halves: confusion.recall_by_grade(halves)[..., 1],
    "f1": _f1,
    "accuracy": confusion.accuracy,
}


def measure_slices(
    grades: pd.DataFrame,
    scale: GradeScale,
    options: Options | None = None,
    confident: Iterable[str] = (),
) -> dict[str, list[dict[str, Any]]]:
    """Measure every judge that gives grades on every slice, see `slicings`.

    Returns:
        By slicing one entry a value, with pairs, queries, small (fewer pairs than
        `options.slice_pairs`, or fewer than 10 queries) and why, and the judges' metrics; a slicing
        with one value only is left out, it would repeat the whole.
    """
    options = options or Options()
    judges = grading_judges(grades)
    needed = ["query_id", "human", "weight", *(f"{judge}_grade" for judge in judges)]
    table = grades[[column for column in needed if column in grades]]
    found: dict[str, list[dict[str, Any]]] = {}
    for name, values in slicings(grades, scale, confident).items():
        kinds = values.cat.categories
        if len(kinds) < 2:
            continue
        metrics = GRADE_METRICS if name == "grade" else SLICE_METRICS
        found[name] = []
        for kind in kinds:
            part = table[(values == kind).to_numpy()]
            queries = int(part["query_id"].nunique())
            every = {
                judge: graded_statistics(pairs_of(part, judge), scale)
                for judge in grading_judges(part)
            }
            figures = {judge: {m: own[m] for m in metrics} for judge, own in every.items()}
            sizes = (
                (len(part), "pairs", options.slice_pairs),
                (queries, "queries", FEW_QUERIES_IN_SLICE),
            )
            few = [f"{n} {unit}, fewer than {enough}" for n, unit, enough in sizes if n < enough]
            found[name].append(
                {
                    "value": kind,
                    "pairs": len(part),
                    "queries": queries,
                    "small": bool(few),
                    "why": "; ".join(few),
                    "judges": estimates(figures, options),
                }
            )
    return found


def slicings(
    grades: pd.DataFrame, scale: GradeScale, confident: Iterable[str] = ()
) -> dict[str, pd.Series]:
    """The value of each way to slice for every row, missing where a row belongs to none.

    Slicings come from the columns style, query_words, passages, seen and folder of the
    benchmark_grades table, whichever are there, from people's grades, and from the confidence of
    judges, the probability of their likeliest grade, where they have probabilities.

    Returns:
        By name of the slicing an ordered categorical, whose categories are the values that
        occur, at most `MOST_VALUES`, in the order of the report.
    """
    found: dict[str, pd.Series] = {}
    if "style" in grades:
        styles = _words(grades["style"]).str.replace(r"[_-]", " ", regex=True)
        found["query style"] = _frequent(styles)
    if "query_words" in grades:
        found["query length"] = _banded(grades["query_words"], 0, _WORDS)
    if "passages" in grades:
        found["document length"] = _banded(grades["passages"], 0, _PASSAGES)
    if "seen" in grades:
        seen = grades["seen"].map({True: "seen", False: "unseen"})
        found["document in training"] = _ordered(seen, ("seen", "unseen"))
    if "folder" in grades:
        found["folder"] = _frequent(_words(grades["folder"]))
    for judge in confident:
        probabilities = probabilities_of(grades, judge)
        if probabilities is not None:
            highest = pd.Series(probabilities.max(axis=1), index=grades.index)
            found[f"confidence of {judge}"] = _banded(highest, -np.inf, _CONFIDENCE, right=False)
    titles = {grade.value: f"{grade.value} {grade.name}".strip() for grade in scale.grades}
    found["grade"] = _ordered(grades["human"].map(titles), tuple(titles.values()))
    return found


def _words(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), "").astype(str)


def _frequent(values: pd.Series) -> pd.Series:
    """The most frequent values in alphabetical order, then the others together."""
    counts = values[values != ""].value_counts()
    if len(counts) > MOST_VALUES:
        ranked = sorted(counts.index, key=lambda value: (-counts[value], value))
        kept = ranked[: MOST_VALUES - 1]
        values = values.where(values.isin(kept) | (values == ""), OTHER)
    kinds = sorted(set(values) - {"", OTHER})
    return _ordered(values, (*kinds, OTHER))


def _banded(
    values: pd.Series, lowest: float, bands: Mapping[float, str], right: bool = True
) -> pd.Series:
    """Each value's band; missing for a value that is missing or not above the lowest."""
    cut = pd.cut(pd.to_numeric(values), [lowest, *bands], right=right, labels=list(bands.values()))
    return cut.cat.remove_unused_categories()


def _ordered(values: pd.Series, order: tuple[str, ...]) -> pd.Series:
    kind = pd.CategoricalDtype(list(dict.fromkeys(order)), ordered=True)
    return values.where(values != "").astype(kind).cat.remove_unused_categories()
