"""Scores a file slowly, to be killed: slow_scoring.py PAIRS SCORED LOG SECONDS [LABELER [twice]].

Drift of a LABELER goes into the file LOG.drift; `twice` has a second pass by query.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

import pandas as pd

from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.learning.second_pass import Seen
from relevance_distillery.pipelines.scoring.nodes import score_pairs
from relevance_distillery.pipelines.scoring.parameters import ScoringParameters
from relevance_distillery.scoring.pairs_file import GivenPairs, ScoringOutput

# Fewer texts are read than there are pairs, so that it matters which.
PARAMETERS = ScoringParameters(drift={"sample": 3000})


class LengthGrader:
    """Grades by the length of the text; writes down every query that it was asked."""

    name, digest = "length", "length-1"

    def __init__(self, log: Path | None = None, seconds: float = 0.0) -> None:
        self.log, self.seconds = log, seconds

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as stream:
                stream.write("".join(f"{query}\n" for query in pairs["query"]))
            time.sleep(self.seconds)
        grades = pairs["text"].str.len() % 4
        return pd.DataFrame(
            {
                "grade": grades,
                "expected_grade": grades.astype(float),
                "confidence": 1.0,
                "probabilities": [[1.0, 0.0, 0.0, 0.0]] * len(pairs),
            },
            index=pairs.index,
        )


class SlowLabeler(Labeler):
    """A labeler that takes its time."""

    seconds = 0.0

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        time.sleep(self.seconds)
        return super().grade(pairs)

    def look(self, pairs: pd.DataFrame) -> tuple[pd.DataFrame, Seen]:
        time.sleep(self.seconds)
        return super().look(pairs)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    pairs, scored, log, seconds, *folder = sys.argv[1:]
    parameters = PARAMETERS.model_copy(update={"second_pass": folder[1:] == ["twice"]})
    grader = LengthGrader(Path(log), float(seconds))
    if folder:
        grader = SlowLabeler.load(folder[0])
        grader.seconds = float(seconds)
    _, drift = score_pairs(GivenPairs(pairs), grader, ScoringOutput(scored), parameters)
    Path(f"{log}.drift").write_text(json.dumps(drift))
