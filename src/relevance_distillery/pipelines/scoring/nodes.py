"""Steps of scoring: choose what grades, grade a file of pairs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.executors.execution import LOCAL, ExecutionParameters
from relevance_distillery.grading import GradeScale
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.scoring.parameters import ScoringParameters
from relevance_distillery.scoring.graders import Grader, JudgeGrader, NamedJudge
from relevance_distillery.scoring.pairs_file import GivenPairs, ScoringOutput

if TYPE_CHECKING:
    from relevance_distillery.pipelines.labeling.parameters import LabelingParameters

logger = logging.getLogger(__name__)


def choose_grader(
    grader: Grader | NamedJudge,
    recorded: RecordedGrades,
    prompt: Prompt,
    labeling: dict[str, Any],
    scale: GradeScale,
) -> Grader:
    """Prepare the judge that is named; a labeler is ready as it is.

    `recorded` is empty for others than recorded judges, the prompt is for those that read
    instructions. `labeling` is the group as it is written: here `judge` may name a labeler's alias,
    which labeling itself does not know.

    Returns:
        What grades the pairs; a judge's answers go through the ledger.
    """
    if not isinstance(grader, NamedJudge):
        return grader
    from relevance_distillery.judges.base import KINDS, parse_judge
    from relevance_distillery.judges.registry import JudgeSources, is_prepared, prepare_judge

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
    sources = JudgeSources(
        scale, parameters, recorded=recorded, prompt=prompt, ledger=grader.ledger
    )
    judge = prepare_judge(grader.name, sources)
    return JudgeGrader(judge, grader.ledger)


def _parameters(labeling: dict[str, Any], judge: str) -> LabelingParameters:
    from relevance_distillery.pipelines.labeling.parameters import LabelingParameters

    return LabelingParameters.read({**labeling, "judge": judge}, "labeling")


def score_pairs(
    pairs: GivenPairs,
    grader: Grader,
    output: ScoringOutput,
    parameters: ScoringParameters,
    execution: ExecutionParameters = LOCAL,
) -> tuple[Path, dict[str, Any]]:
    """Grade every pair of a file, shard by shard, and compare the batch with training.

    Returns:
        The file with the rows of `pairs` and the columns grade, expected_grade, confidence,
        probabilities; and how far the batch is from the labeler's training: verdict, line,
        comparisons and more, see `evaluation.drift.drift_report.compare`.
    """
    from relevance_distillery.evaluation.drift.drift_report import watch_over
    from relevance_distillery.judges.labeling import runs_on_workers
    from relevance_distillery.labeler.inference import Labeler
    from relevance_distillery.scoring.job import score_file

    file = pairs.open()
    if isinstance(grader, Labeler):
        grader.batch_size = parameters.batch_size
    watch = watch_over(grader, file.rows, parameters.drift, parameters.seed)
    executor = execution.make()
    if isinstance(grader, JudgeGrader) and not runs_on_workers(grader.judge):
        if execution.executor != "local":
            logger.info("judge %s: asked by this process alone", grader.name)
        executor = map
    drift = score_file(file, grader, output, watch, executor, parameters.second_pass)
    return output.path, drift
