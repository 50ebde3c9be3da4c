"""Scores a file with a slow grader, to be killed: slow_scoring.py PAIRS SCORED LOG SECONDS."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import pandas as pd

from relevance_distillery.datasets.pairs import PairsDataset
from relevance_distillery.datasets.scored import ScoredDataset
from relevance_distillery.pipelines.scoring.nodes import score_pairs
from relevance_distillery.pipelines.scoring.parameters import ScoringParameters


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


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    pairs, scored, log, seconds = sys.argv[1:]
    job = score_pairs(
        PairsDataset(filepath=pairs).load(),
        LengthGrader(Path(log), float(seconds)),
        ScoringParameters(),
    )
    ScoredDataset(filepath=scored).save(job)
