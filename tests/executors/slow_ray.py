"""Scores a file by two workers of Ray, slowly: slow_ray.py PAIRS SCORED LOG SECONDS."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from ray import cloudpickle

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "scoring"))
from slow_scoring import LengthGrader  # noqa: E402

from relevance_distillery.executors.execution import ExecutionParameters  # noqa: E402
from relevance_distillery.pipelines.scoring.nodes import score_pairs  # noqa: E402
from relevance_distillery.pipelines.scoring.parameters import ScoringParameters  # noqa: E402
from relevance_distillery.scoring.pairs_file import GivenPairs, ScoringOutput  # noqa: E402

if __name__ == "__main__":
    # Workers cannot import the tests.
    cloudpickle.register_pickle_by_value(sys.modules["slow_scoring"])
    logging.basicConfig(level=logging.INFO)
    pairs, scored, log, seconds = sys.argv[1:]
    score_pairs(
        GivenPairs(pairs),
        LengthGrader(Path(log), float(seconds)),
        ScoringOutput(scored),
        ScoringParameters(),
        ExecutionParameters(executor="ray", workers=2, cpus_per_worker=0.5),
    )
