"""What a grade made of several answers gained over one answer: of prompts, or of judges."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from relevance_distillery.evaluation.agreement.annotators import mean_of_couples
from relevance_distillery.evaluation.agreement.estimates import Options, differences, estimates
from relevance_distillery.evaluation.agreement.graded_pairs import graded_by, pairs_of
from relevance_distillery.evaluation.agreement.metrics import PRIMARY, primary, statistics
from relevance_distillery.evaluation.statistics.arrays import Floats
from relevance_distillery.evaluation.statistics.bootstrap import SumStatistic
from relevance_distillery.grading import GradeScale

ALONE, ALONE_EXPECTED = "teacher_alone", "teacher_alone_expected"
"""Columns of benchmark_grades: lists of the grades, and expected grades, of each one that the
teacher is made of, nan where it gave none."""


def gain_of_combining(grades: pd.DataFrame, scale: GradeScale, options: Options) -> dict[str, Any]:
    """The teacher's agreement with people, against that of the answers it is made of.

    `grades` are benchmark_grades. Pairs count that people, the teacher and each of its parts
    graded. Kappa is of the grades, pairwise accuracy of the expected grades.

    Returns:
        `answers` a pair, `pairs`, and by metric `alone` (the mean over the parts), `together`, and
        `gain` (together minus alone, with its test); empty where a teacher gives one answer.
    """
    if ALONE not in grades:
        return {}
    answered = graded_by(grades, "teacher") & grades[[ALONE, "human"]].notna().all(axis=1)
    grades = grades[answered]
    every = [np.isfinite(row).all() for row in grades[ALONE]]
    grades = grades[every].reset_index(drop=True)
    if grades.empty:
        return {}
    alone = [np.stack(grades[name].tolist()) for name in (ALONE, ALONE_EXPECTED)]
    pairs = pairs_of(grades, "teacher")

    def figures(given: Floats, expected: Floats) -> dict[str, SumStatistic]:
        scores = replace(pairs, judge=expected, graded=False)
        ordering = cast(SumStatistic, statistics(scores, scale)["pairwise_accuracy"])
        return {
            PRIMARY: primary(replace(pairs, judge=given), scale),
            "pairwise_accuracy": ordering,
        }

    number = alone[0].shape[1]
    parts = mean_of_couples([figures(alone[0][:, i], alone[1][:, i]) for i in range(number)])
    said = grades[["teacher_grade", "teacher_expected"]].to_numpy(dtype=np.float64)
    # As often as there are parts, so that the test can swap the two within queries.
    whole = mean_of_couples([figures(said[:, 0], said[:, 1])] * number)
    return {
        "answers": number,
        "pairs": len(grades),
        **estimates({"alone": parts, "together": whole}, options),
        "gain": differences(whole, parts, options),
    }
