"""Labels PAIRS pairs of long texts: `python labeling_memory.py LEDGER PAIRS`; prints peak bytes."""

from __future__ import annotations

import hashlib
import resource
import sys
from pathlib import Path

import pandas as pd

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger

PASSAGES = 500


class QuickJudge:
    """Answers at once, with probabilities."""

    name, model, prompt_hash, scale, budget = "quick", "none", "p", DEFAULT_SCALE, None

    def request_hashes(self, pairs):
        return [
            hashlib.blake2b(f"{query} {text}".encode(), digest_size=16).hexdigest()
            for query, text in zip(pairs["query"], pairs["text"], strict=True)
        ]

    def grade(self, shards):
        for shard in shards:
            yield [
                Verdict(request, grade=2, probabilities=(0.1, 0.2, 0.4, 0.3), cost_usd=0.001)
                for request in self.request_hashes(shard)
            ]


def tables(pairs: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    passages = pd.DataFrame({"passage_id": [f"p{n}" for n in range(PASSAGES)]})
    passages["document_id"] = passages["passage_id"]
    for column in ("title", "heading", "path", "author", "modified"):
        passages[column] = "x"
    passages["text"] = [f"{n} " * 500 for n in range(PASSAGES)]
    asked = pairs // PASSAGES
    queries = pd.DataFrame({"query_id": [f"q{n}" for n in range(asked)]})
    queries["text"], queries["passage_id"] = queries["query_id"], ""
    candidates = queries[["query_id"]].merge(passages[["passage_id"]], how="cross")
    return candidates, queries, passages


if __name__ == "__main__":
    ledger, count = sys.argv[1:]
    result = run_labeling(Pairs(*tables(int(count))), QuickJudge(), Ledger(Path(ledger)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(f"{len(result.labels)} {peak}\n")
