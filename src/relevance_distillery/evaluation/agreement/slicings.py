"""By what a benchmark is cut: the value of every row for each way of slicing it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from relevance_distillery.evaluation.agreement.tables import probabilities_of
from relevance_distillery.grading import GradeScale

MOST_VALUES = 12
"""Values of one slicing that are shown; of more, the rarer ones are summed up."""

OTHER = "other"

_Bands = tuple[tuple[float, float, str], ...]

_ALL = np.inf
_WORDS: _Bands = (
    (1, 2, "1–2 words"),
    (3, 4, "3–4 words"),
    (5, 8, "5–8 words"),
    (9, _ALL, "9 or more"),
)
_PASSAGES: _Bands = ((1, 1, "1 passage"), (2, 4, "2–4 passages"), (5, _ALL, "5 or more"))
_CONFIDENCE = ((0.5, "below 50 %"), (0.7, "50–70 %"), (0.9, "70–90 %"), (_ALL, "90 % or more"))


def slicings(
    grades: pd.DataFrame, scale: GradeScale, confident: Iterable[str] = ()
) -> dict[str, pd.Series]:
    """The value of each slicing for every row, empty where a row belongs to none.

    Args:
        grades: The benchmark_grades table; slicings come from its columns style, query_words,
            passages, seen and folder, whichever are there, and from people's grades.
        scale: The grades.
        confident: Judges whose confidence, the probability of their likeliest grade, cuts the
            benchmark too; those that give no probabilities are passed over.

    Returns:
        By name of the slicing an ordered categorical, whose categories are the values that
        occur, at most `MOST_VALUES`, in the order of the report.
    """
    found: dict[str, pd.Series] = {}
    if "style" in grades:
        styles = _words(grades["style"]).str.replace(r"[_-]", " ", regex=True)
        found["query style"] = _frequent(styles)
    if "query_words" in grades:
        found["query length"] = _bands(grades["query_words"], _WORDS)
    if "passages" in grades:
        found["document length"] = _bands(grades["passages"], _PASSAGES)
    if "seen" in grades:
        seen = grades["seen"].map({True: "seen", False: "unseen"})
        found["document in training"] = _ordered(seen, ("seen", "unseen"))
    if "folder" in grades:
        found["folder"] = _frequent(_words(grades["folder"]))
    for judge in confident:
        probabilities = probabilities_of(grades, judge)
        if probabilities is not None:
            found[f"confidence of {judge}"] = _confidence(probabilities.max(axis=1), grades.index)
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


def _bands(numbers: pd.Series, bands: _Bands) -> pd.Series:
    value = pd.to_numeric(numbers).to_numpy(dtype=np.float64, na_value=np.nan)
    names = np.full(len(value), "", dtype=object)
    for low, high, name in bands:
        names[(value >= low) & (value <= high)] = name
    return _ordered(pd.Series(names, index=numbers.index), tuple(band[2] for band in bands))


def _confidence(highest: np.ndarray, index: pd.Index) -> pd.Series:
    place = np.searchsorted([limit for limit, _ in _CONFIDENCE], highest, side="right")
    names = np.array([name for _, name in _CONFIDENCE] + [""], dtype=object)
    place = np.where(np.isfinite(highest), np.minimum(place, len(_CONFIDENCE) - 1), -1)
    return _ordered(pd.Series(names[place], index=index), tuple(name for _, name in _CONFIDENCE))


def _ordered(values: pd.Series, order: tuple[str, ...]) -> pd.Series:
    kind = pd.CategoricalDtype(list(dict.fromkeys(order)), ordered=True)
    return values.where(values != "").astype(kind).cat.remove_unused_categories()
