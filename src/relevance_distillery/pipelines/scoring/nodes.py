"""Pairs and a grader become a grading job, which the catalog carries out as it writes."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.datasets.grader import AskedJudge
from relevance_distillery.datasets.scored import ScoredFile
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.drift.verdict import not_known
from relevance_distillery.evaluation.drift.watch import watch_over
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.kinds import KINDS, parse_judge
from relevance_distillery.judges.registry import is_prepared, prepare_judge
from relevance_distillery.judges.sources import JudgeSources
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.scoring.parameters import ScoringParameters
from relevance_distillery.scoring.grading_job import Grader, GradingJob, JudgeGrader, PairSource


def choose_grader(
    grader: Grader | AskedJudge,
    recorded: RecordedGrades,
    prompt: Prompt,
    labeling: dict[str, Any],
    scale: GradeScale,
) -> Grader:
    """Prepare the judge that is asked for; a labeler is ready as it is.

    Args:
        grader: From the catalog.
        recorded: Grades of the recorded judge, empty where there are none.
        prompt: The grading prompt, for judges that read instructions.
        labeling: The group `labeling` as it is written: here `judge` may name a labeler's alias,
            which labeling itself does not know.
        scale: The grades to give.

    Returns:
        What grades the pairs; a judge's answers go through the ledger.
    """
    if not isinstance(grader, AskedJudge):
        return grader
    asked = parse_judge(grader.name)
    if KINDS[asked.kind].from_corpus:
        return grader.as_prepared()
    parameters = _parameters(labeling, grader.name)
    # The judges of a consensus or cascade that has labelled are those that were prepared then.
    named = parameters.cascade.judges if asked.kind == "cascade" else parameters.consensus.judges
    kept = KINDS[asked.kind].composite and not named
    # A recorded judge was prepared with its grades; the settings of the others are today's.
    kept = kept or (asked.kind == "recorded" and recorded.locations is None)
    if kept and grader.state is not None and is_prepared(asked, grader.state):
        return grader.as_prepared()
    sources = JudgeSources(scale, parameters, recorded=recorded, prompt=prompt)
    judge = prepare_judge(grader.name, sources, ledger=grader.ledger)
    return JudgeGrader(judge, grader.ledger)


def _parameters(labeling: dict[str, Any], judge: str) -> LabelingParameters:
    try:
        return LabelingParameters.model_validate({**dict(labeling), "judge": judge})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"labeling.{where}: {first['msg']}") from error


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
    watch = watch_over(grader, pairs.rows, parameters.drift, parameters.seed)
    return GradingJob(source=pairs, grader=grader, watch=watch)


def report_drift(scored: ScoredFile) -> dict[str, Any]:
    """How far the batch is from the labeler's training, as it was found while grading.

    Returns:
        verdict, line, comparisons and more; see `evaluation.drift.verdict.compare`.
    """
    return scored.conclusion or not_known("the file was graded by another run; score it again")
