"""Pairs and a grader become a grading job, which the catalog carries out as it writes."""

from __future__ import annotations

from relevance_distillery.labeler.grading_job import Grader, GradingJob, PairSource
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.pipelines.scoring.parameters import ScoringParameters


def score_pairs(pairs: PairSource, grader: Grader, parameters: ScoringParameters) -> GradingJob:
    """Say what is to be graded by whom.

    Nothing is graded here: the file may be larger than memory, so grading happens shard by
    shard while the dataset `scored` writes, which is also what can resume.

    Args:
        pairs: Columns query, text and, where there are any, title, heading, path, author,
            modified, query_id, document_id.
        grader: A labeler or a judge.
        parameters: The group `scoring`.

    Returns:
        The job; its rows are those of `pairs` with the columns grade, expected_grade,
        confidence, probabilities.
    """
    if isinstance(grader, Labeler):
        grader.batch_size = parameters.batch_size
    return GradingJob(source=pairs, grader=grader)
