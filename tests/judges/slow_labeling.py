"""A labeling run that can be killed: `python slow_labeling.py LEDGER LOG SECONDS`.

The judge writes the key of every request into LOG before it answers, one answer at a time.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import pandas as pd

from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger

PAIRS = 60


class SlowJudge:
    """Takes its time, as a server does."""

    name, model, prompt_hash, scale = "slow", "none", "", DEFAULT_SCALE
    budget = None

    def __init__(self, log: Path, seconds: float) -> None:
        self._log, self._seconds = log, seconds

    def request_hashes(self, pairs):
        return [hashlib.sha256(text.encode()).hexdigest() for text in pairs["text"]]

    def grade(self, shards):
        for request in (key for pairs in shards for key in self.request_hashes(pairs)):
            with self._log.open("a") as log:
                log.write(request + "\n")
            time.sleep(self._seconds)
            yield [Verdict(request, grade=1, cost_usd=0.5)]


def pairs() -> pd.DataFrame:
    table = pd.DataFrame({column: [""] * PAIRS for column in PAIR_COLUMNS})
    table["query_id"] = "q"
    table["passage_id"] = [f"p{n}" for n in range(PAIRS)]
    table["text"] = [f"text {n}" for n in range(PAIRS)]
    return table


if __name__ == "__main__":
    ledger, log, seconds = sys.argv[1:]
    result = run_labeling(pairs(), SlowJudge(Path(log), float(seconds)), Ledger(Path(ledger)))
    sys.stdout.write(f"{len(result.labels)} {result.from_ledger} {result.requests}\n")
