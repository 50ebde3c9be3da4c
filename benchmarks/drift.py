"""Is drift quiet on pairs like training, and does it speak on others?

    python benchmarks/drift.py PROJECT $BENCHMARKS/trec-dl19 $BENCHMARKS/chorus

PROJECT is a checkout in which `kedro run` made a labeler. Its newest labeler grades the pairs of
the test split, which it never saw, all mined pairs, the pairs of the benchmark, and pairs drawn
from each BEIR folder. Then the false alarms: the queries of the mined pairs are dealt at random
into a vocabulary, held-out queries and a batch, again and again; whatever is not `ok` is one.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import load_benchmark
from relevance_distillery.evaluation.drift.comparisons import DriftSettings
from relevance_distillery.evaluation.drift.drift_report import (
    BatchStatistics,
    compare,
    watch_over,
)
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.inference import SHARD_ROWS, Labeler
from relevance_distillery.labeler.profile import HeldOut, TrainingProfile
from relevance_distillery.labeler.tallies import PairReader, Vocabulary, by_group, tally_grades
from relevance_distillery.learning.labelled_pairs import join_texts
from relevance_distillery.scoring.shards import GradedShard, PairShard

SEED = 20260121
SIZES = (200, 500, 1000, 1900)
SHARES = (0.4, 0.15)
"""Of the queries: vocabulary, held out; the rest is the batch."""


def newest(entry: Path) -> Path:
    """The newest version of a versioned catalog entry."""
    return max(entry.glob(f"*/{entry.name}"))


def beir_pairs(folder: Path, most: int) -> pd.DataFrame:
    """Judged pairs of a BEIR folder with their texts, at most `most` of them drawn."""
    benchmark = load_benchmark(str(folder), DEFAULT_SCALE)
    assert benchmark.documents is not None
    queries = benchmark.queries.rename(columns={"text": "query"})[["query_id", "query"]]
    pairs = benchmark.judgments[["query_id", "document_id"]].drop_duplicates()
    pairs = pairs.merge(queries, on="query_id").merge(
        benchmark.documents[["document_id", "title", "text"]], on="document_id"
    )
    return pairs.sample(min(most, len(pairs)), random_state=SEED)


def drift_of(labeler: Labeler, pairs: pd.DataFrame, graded: pd.DataFrame) -> dict[str, Any]:
    """What a scoring of these pairs says."""
    watch = watch_over(labeler, len(pairs), DriftSettings(), SEED)
    observed = [
        watch.observe(
            GradedShard(
                PairShard(start // SHARD_ROWS, (), pairs[start : start + SHARD_ROWS], None),
                graded[start : start + SHARD_ROWS],
                {},
            )
        )
        for start in range(0, len(pairs), SHARD_ROWS)
    ]
    return watch.conclude(observed)


def false_alarms(labeler: Labeler, pairs: pd.DataFrame, graded: pd.DataFrame, draws: int) -> None:
    """Print how often batches like training are called `watch` or `distrust`, by batch size."""
    rng = np.random.default_rng(SEED)
    names = np.unique(pairs["query_id"])
    rows_of = {name: np.flatnonzero(pairs["query_id"] == name) for name in names}
    outputs = tally_grades(graded, labeler.scale)
    found = {size: Counter[str]() for size in SIZES}
    first, second = (round(share * len(names)) for share in np.cumsum(SHARES))
    for draw in range(draws):
        dealt = np.split(rng.permutation(names), [first, second])
        rows = [np.concatenate([rows_of[name] for name in part]) for part in dealt]
        texts = labeler.facts.template.render(pairs.iloc[rows[0]])
        vocabulary = Vocabulary.of([*dict.fromkeys(texts[0]), *dict.fromkeys(texts[1])])
        reader = PairReader(labeler, vocabulary)
        held_out, batch = (
            by_group(
                {**{n: v[r] for n, v in outputs.items()}, **reader.tally(pairs.iloc[r])},
                pairs["query_id"].iloc[r].tolist(),
            )
            for r in rows[1:]
        )
        profile = TrainingProfile(
            key=vocabulary.key.hex(),
            taught_by=(),
            people=False,
            pairs=len(rows[0]),
            queries=first,
            taught_grades={},
            lengths={},
            vocabulary="",
            query_digests="",
            held_out=HeldOut(
                pairs=len(rows[1]),
                queries=second - first,
                accuracy=0.0,
                confidence=0.0,
                tallies={name: values.tolist() for name, values in held_out.items()},
            ),
        )
        order = rng.permutation(len(names) - second)
        filled = batch["pairs"].ravel()[order].cumsum()
        for size in SIZES:
            if filled[-1] < size:
                continue
            taken = order[: int(np.searchsorted(filled, size)) + 1]
            totals = {name: values[taken].sum(axis=0) for name, values in batch.items()}
            statistics = BatchStatistics(totals, len(taken))
            found[size][compare(profile, statistics, DriftSettings(), draw)["verdict"]] += 1
    print("\n| pairs | batches | ok | watch | distrust |\n|---|---|---|---|---|")
    for size, verdicts in found.items():
        told = {name: verdicts[name] for name in ("ok", "watch", "distrust")}
        total = max(sum(told.values()), 1)
        shares = " | ".join(f"{count / total:.1%}" for count in told.values())
        print(f"| {size} | {sum(told.values())} | {shares} |")


def main() -> None:
    """Grade, compare, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("project", type=Path)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--most", type=int, default=3000, help="pairs drawn from each folder")
    parser.add_argument("--draws", type=int, default=200, help="batches for the false alarms")
    given = parser.parse_args()
    data = given.project / "data"
    labeler = Labeler.load(newest(data / "06_models" / "labeler"))
    splits = pd.read_parquet(newest(data / "05_model_input" / "splits.parquet"))
    queries = pd.read_parquet(newest(data / "03_primary" / "queries.parquet"))
    passages = pd.read_parquet(data / "02_intermediate" / "passages.parquet")
    mined = join_texts(splits[["query_id", "passage_id", "split"]], queries, passages)
    graded = labeler.grade(mined)
    test = mined["split"] == "test"
    benchmark = pd.read_parquet(data / "07_model_output" / "benchmark_pairs.parquet")
    sets = {
        "test split": (mined[test], graded[test]),
        "all mined pairs": (mined, graded),
        "the benchmark's pairs": (benchmark, labeler.grade(benchmark)),
    }
    for folder in given.folders:
        pairs = beir_pairs(folder, given.most)
        sets[folder.name] = (pairs, labeler.grade(pairs))
    print("| batch | pairs | queries | what the run says | accuracy |\n|---|---|---|---|---|")
    for name, (pairs, grades) in sets.items():
        drift = drift_of(labeler, pairs, grades)
        cells = (name, drift["pairs"], drift["queries"], drift["line"], drift["accuracy"])
        print(f"| {' | '.join(map(str, cells))} |")
    false_alarms(labeler, mined, graded, given.draws)


if __name__ == "__main__":
    main()
