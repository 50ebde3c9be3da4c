"""The base model before training, and its cut points."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.evaluation.graders import ScoreGrades, UntrainedEncoder
from relevance_distillery.grading import DEFAULT_SCALE as SCALE


@pytest.fixture(scope="module")
def encoder() -> UntrainedEncoder:
    return UntrainedEncoder("bundled")


def test_similarities_rank_what_fits_first(encoder: UntrainedEncoder) -> None:
    pairs = pd.DataFrame(
        {
            "query": ["holiday rules"] * 2 + ["crane repair"] * 2,
            "text": ["How paid leave works.", "How to mend a crane."] * 2,
        },
        index=[5, 3, 9, 1],
    )
    scores = encoder.scores(pairs)
    assert scores.index.tolist() == [5, 3, 9, 1]
    for column in ("cosine", "late_interaction"):
        assert scores.loc[5, column] > scores.loc[3, column]
        assert scores.loc[1, column] > scores.loc[9, column]
    again = encoder.scores(pairs.iloc[[2]])
    assert again.to_numpy() == pytest.approx(scores.loc[[9]].to_numpy(), abs=1e-5)


def test_a_text_is_most_similar_to_itself(encoder: UntrainedEncoder) -> None:
    same = encoder.scores(pd.DataFrame({"query": ["berth fees"], "text": ["berth fees"]}))
    assert same.to_numpy() == pytest.approx(np.ones((1, 2)), abs=1e-4)


def test_cut_points_recover_grades_of_a_monotone_score() -> None:
    rng = np.random.default_rng(0)
    grades = rng.integers(0, 4, 400)
    scores = 0.2 + 0.1 * grades + rng.normal(0, 0.01, 400)
    given = ScoreGrades(scores, grades, SCALE)(scores)
    assert (given == grades).mean() > 0.97


@pytest.mark.parametrize("scores", [np.full(20, 0.5), np.linspace(1, 0, 20)])
def test_useless_scores_still_give_grades_of_the_scale(scores: np.ndarray) -> None:
    given = ScoreGrades(scores, np.repeat([0, 3], 10), SCALE)(scores)
    assert set(given) <= set(SCALE.values.tolist())
