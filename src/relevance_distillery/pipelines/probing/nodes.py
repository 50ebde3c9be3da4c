"""Steps of the probing pipeline."""

import logging
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.robustness import Attacks, as_lines, choose_pairs, probe
from relevance_distillery.grading import GradeScale
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.probing.parameters import ProbingParameters
from relevance_distillery.pipelines.scoring.nodes import choose_grader
from relevance_distillery.scoring.graders import GraderShelf

logger = logging.getLogger(__name__)


def probe_graders(
    labels: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    benchmark: Benchmark,
    attacks: dict[str, Any],
    graders: GraderShelf,
    recorded: RecordedGrades,
    prompt: Prompt,
    parameters: ProbingParameters,
    labeling: dict[str, Any],
    scale: GradeScale,
) -> dict[str, Any]:
    """Plant hostile texts in irrelevant passages and measure what each judge does.

    Returns:
        The content of robustness.json: attacks_digest, pairs by origin, and by judge what
        `evaluation.robustness.probe` gives.

    Raises:
        UserError: The attacks are not understood, nothing is irrelevant, or a judge cannot
            grade texts that it has not seen.
    """
    known = Attacks.read(attacks, "the file of attacks", "; correct it")
    pairs = choose_pairs(labels, queries, passages, benchmark, parameters.pairs, parameters.seed)
    if pairs.empty:
        raise UserError(
            "no label has the lowest grade, so there is no irrelevant pair to probe with: run "
            "`kedro run --pipeline=label` on more candidates"
        )
    judges = {}
    for name in parameters.judges(str(labeling["judge"])):
        grader = choose_grader(graders.find(name), recorded, prompt, labeling, scale)
        result = probe(grader, pairs, known, scale, parameters.resamples, parameters.seed)
        if not result["pairs"]:
            raise UserError(
                f"judge={name} called none of {len(pairs)} irrelevant pairs irrelevant, so nothing "
                f"can be probed ({result['left_out']}); recorded grades know no other texts"
            )
        for line in as_lines(result):
            logger.info("%s", line)
        judges[name] = result
    return {
        "attacks_digest": known.digest,
        "pairs": {str(k): int(v) for k, v in pairs["origin"].value_counts().items()},
        "relevant_from": scale.relevant_from,
        "judges": judges,
    }
