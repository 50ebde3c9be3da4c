"""Answers of a judge, as numbers, and the grades and shares of grades that they give.

A judge may have answered several times for a pair, or have left the mean of several answers.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.judgments import (
    KEY,
    Contradictions,
    GradeCollector,
    GradeFile,
)
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.tables import cell_text, is_number

_EXACT = 1e-9
_DIGITS = 6


class AnswerCollector(GradeCollector):
    """Collects every row as an answer of its own; decimals between two grades are means.

    `rule` has our grade for each grade given where a set has another scale: what lies between two
    of them lies between ours. `named` is its parameter, for messages; the rest is as in
    `GradeCollector`.
    """

    def __init__(
        self,
        where: Path | str,
        scale: GradeScale | None,
        contradictions: Contradictions = "refuse",
        junk: bool = False,
        rule: Mapping[float, float] | None = None,
        named: str = "",
    ) -> None:
        super().__init__(where, scale, contradictions, junk)
        self.rule, self.named = dict(sorted((rule or {}).items())), named
        if named:
            self.advice = f"say what they mean, {named}.GIVEN=OURS, or {self.advice}"

    def collect(self, rows: Iterable[tuple[int, dict[str, Any]]]) -> GradeFile:
        """All answers of a file: the annotator is the row's number and whoever it names."""
        own = ((at, row | {"annotator": f"{at} {row.get('annotator', '')}"}) for at, row in rows)
        return super().collect(own)

    def _grade(self, number: int, value: Any) -> float:
        word = cell_text(value)
        given = float(word) if is_number(word) else math.nan
        if self.rule and math.isfinite(given):
            between = min(self.rule) < given < max(self.rule) and not given.is_integer()
            if given not in self.rule and not between:
                raise UserError(
                    f"{self.where}, row {number}: {self.named} maps "
                    f"{', '.join(f'{one:g}' for one in self.rule)} and not the grade "
                    f"{word[:20]!r}; add {self.named}.{word[:20]}=OURS or correct the row"
                )
            return float(np.interp(given, [*self.rule], [*self.rule.values()]))
        if math.isnan(given) or given.is_integer():
            return super()._grade(number, value)
        if self.allowed and not min(self.allowed) < given < max(self.allowed):
            self.off_scale.append((number, word))
        return given


def grades_of_answers(answers: pd.DataFrame, scale: GradeScale) -> pd.DataFrame:
    """One grade a pair, and shares of grades where its answers differ or are means.

    A mean between two grades of the scale is shared by them so that the expected grade is kept;
    answers to the same pair count alike. The grade is the lower median of the shares: a mean is
    rounded, a half down.

    Args:
        answers: Columns query_id, document_id, grade: a row an answer, none outside the scale.
        scale: The grades.

    Returns:
        Columns query_id, document_id, grade, expected_grade, probabilities (a tuple, lowest grade
        first, or None where there is but one grade), a row a pair in order of first appearance.
    """
    values = scale.values.astype(np.float64)
    given = answers["grade"].to_numpy(dtype=np.float64)
    below = np.clip(np.searchsorted(values, given, side="right") - 1, 0, scale.size - 2)
    above = (given - values[below]) / (values[below + 1] - values[below])
    pair = answers.groupby(KEY, sort=False).ngroup().to_numpy()
    pairs = answers[KEY].drop_duplicates(ignore_index=True)
    shares = np.zeros((len(pairs), scale.size))
    np.add.at(shares, (pair, below), 1.0 - above)
    np.add.at(shares, (pair, below + 1), above)
    shares /= shares.sum(axis=1, keepdims=True)
    lower_median = (shares.cumsum(axis=1) >= 0.5 - _EXACT).argmax(axis=1)
    soft = shares.max(axis=1, initial=0.0) < 1.0 - _EXACT
    rows = zip(shares.round(_DIGITS).tolist(), soft, strict=True)
    probabilities = [tuple(row) if differs else None for row, differs in rows]
    return pairs.assign(
        grade=scale.values[lower_median],
        expected_grade=shares @ values,
        probabilities=pd.Series(probabilities, dtype=object),
    )
