"""How time and memory of training and indexing a retriever grow with the passages.

    BENCHMARKS=/folder/of/the/sets python benchmarks/retriever_scale.py [--sizes 1000 10000 100000]

Passages are drawn word by word from `trec-dl20`, for size only: 24 words each; 5,000 queries of
6 words (fewer where there are fewer than 20 passages a query), each with 40 graded passages. Mining
by BM25 and the bundled encoder, the listwise recipe of 7 steps, the index. Every size runs in a
process of its own, whose peak of resident memory counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from graded_sets import read_set
from pages import BENCHMARKS, machine, table
from scale import peak

from relevance_distillery.channels.dense import DenseSettings
from relevance_distillery.collections.system_runs import read_runs
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.pipelines.retrieving import nodes
from relevance_distillery.pipelines.retrieving.parameters import RetrievingParameters
from relevance_distillery.retriever.settings import RetrieverSettings
from relevance_distillery.scoring.graders import GraderShelf

SET = "trec-dl20"
WORDS, QUERY_WORDS, GRADED, LENGTH = 24, 6, 40, 48


def tables(passages: int, queries: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Passages, queries and grades of as many."""
    words = np.array(
        " ".join(read_set(BENCHMARKS / SET, None).passages["text"]).split(), dtype=object
    )
    draw = np.random.default_rng(0)
    texts = [" ".join(row) for row in draw.choice(words, (passages, WORDS))]
    ids = [f"p{i}" for i in range(passages)]
    corpus = pd.DataFrame(
        {"passage_id": ids, "document_id": ids, "position": 0, "title": "", "heading": "",
         "text": texts},
    )  # fmt: skip
    asked = pd.DataFrame(
        {
            "query_id": [f"q{i}" for i in range(queries)],
            "text": [" ".join(row) for row in draw.choice(words, (queries, QUERY_WORDS))],
            "passage_id": "",
        }
    )
    places = np.concatenate([draw.choice(passages, GRADED, replace=False) for _ in range(queries)])
    grades = pd.DataFrame(
        {
            "query_id": np.repeat(asked["query_id"].to_numpy(), GRADED),
            "passage_id": corpus["passage_id"].to_numpy()[places],
            "grade": draw.choice(4, len(places), p=[0.6, 0.2, 0.1, 0.1]),
            "graded_by": "people",
        }
    )
    return corpus, asked, grades


def measure(passages: int, workspace: Path) -> dict[str, Any]:
    """Seconds of each step and the peak of memory so far, GB."""
    corpus, asked, grades = tables(passages, min(5000, passages // 20))
    parameters = RetrievingParameters(
        grades="recorded",
        grade_unjudged=False,
        channels=("bm25", "dense"),
        dense=DenseSettings(max_length=LENGTH),
        training=RetrieverSettings(recipes=("listwise",), max_steps=7, max_length=LENGTH, seed=0),
        workspace=str(workspace),
        seed=0,
    )
    engines, shelf = read_runs(None, optional=True), GraderShelf("none", "none", "none")
    found: dict[str, Any] = {"passages": passages, "queries": len(asked)}

    def clock(name: str, started: float) -> float:
        now = time.perf_counter()
        found[f"{name}_s"], found[f"{name}_gb"] = round(now - started, 1), round(peak(), 2)
        return now

    at = time.perf_counter()
    pairs = nodes.mine(corpus, asked, grades, engines, shelf, parameters, DEFAULT_SCALE)[0]
    at = clock("mining", at)
    found["pairs"] = len(pairs)
    folder, _ = nodes.train(pairs, asked, corpus, grades, parameters, DEFAULT_SCALE)
    at = clock("training", at)
    nodes.index(folder, corpus, parameters)
    clock("index", at)
    return found


def main() -> None:
    """Measure each size in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(options.one, Path(folder))))
        return
    rows = []
    for size in options.sizes:
        command = [sys.executable, __file__, "--one", str(size)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    print(machine())
    print(table(list(rows[0]), [list(row.values()) for row in rows]))


if __name__ == "__main__":
    main()
