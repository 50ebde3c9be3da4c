"""How fast a retriever trains beside sentence-transformers' trainer, on the same pairs.

    BENCHMARKS=/folder/of/the/sets python benchmarks/retriever_speed.py [--extras FOLDER]

Prints pairs of query and passage a second, in alternation: ours as it is by default (the two upper
layers learn), ours with every layer, and SentenceTransformerTrainer with its defaults and
MultipleNegativesRankingLoss. FOLDER holds `datasets`, which that trainer needs:
`pip install --no-deps --target FOLDER datasets dill multiprocess xxhash`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from pages import BENCHMARKS, machine

from relevance_distillery.collections.benchmark import load_benchmark
from relevance_distillery.encoders.base_model import load_encoder, resolve_model
from relevance_distillery.encoders.devices import choose_precision
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.retriever.settings import RetrieverSettings
from relevance_distillery.retriever.towers import Towers
from relevance_distillery.retriever.training import Examples, Stage, run_stage

SET, QUERIES, EACH, LENGTH = "trec-dl19", 24, 4, 192


def some_pairs() -> pd.DataFrame:
    """Positives and negatives of some queries, as `Examples.of` reads them."""
    benchmark = load_benchmark(BENCHMARKS / SET, DEFAULT_SCALE)
    assert benchmark.documents is not None
    text = dict(zip(benchmark.documents["document_id"], benchmark.documents["text"], strict=True))
    asked = dict(zip(benchmark.queries["query_id"], benchmark.queries["text"], strict=True))
    rows = benchmark.judgments.rename(columns={"document_id": "passage_id"})
    rows["relevant"] = rows["grade"] >= DEFAULT_SCALE.relevant_from
    few = rows.groupby(["query_id", "relevant"], sort=False).head(EACH)
    whole = few.groupby("query_id")["passage_id"].transform("size") == 2 * EACH
    kept = few[whole & few["query_id"].isin(few.loc[whole, "query_id"].unique()[:QUERIES])]
    return kept.assign(
        query=kept["query_id"].map(asked),
        passage=kept["passage_id"].map(text),
        gain=kept["grade"] / 3.0,
        bucket=np.where(kept["relevant"], "other_positive", "other_negative"),
    )


def ours(pairs: pd.DataFrame, tuned_layers: int | None) -> float:
    """Pairs a second of one epoch."""
    network, tokenizer = load_encoder("bundled")
    towers = Towers(network.eval(), tokenizer, tuned_layers, "cpu", choose_precision("cpu"))
    settings = RetrieverSettings(seed=0, epochs=4, evaluations=1, tuned_layers=tuned_layers)
    read = partial(tokenise, tokenizer, limit=LENGTH)
    learn = Examples.of(pairs, read)
    none = Examples.of(pairs.iloc[:0], read)
    result = run_stage(towers, Stage("mnrl"), learn, none, None, settings)
    return float(result.facts["pairs_per_second"])


def theirs(pairs: pd.DataFrame) -> float:
    """The same by sentence-transformers, each positive with a negative as a row."""
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import (
        MultipleNegativesRankingLoss,
    )

    from datasets import Dataset

    rows = []
    for _, group in pairs.groupby("query_id", sort=False):
        query = group["query"].iloc[0]
        good, bad = (group.loc[group["relevant"] == one, "passage"] for one in (True, False))
        rows += [{"anchor": query, "positive": p, "negative": n} for p, n in product(good, bad)]
    rows = rows[: 2 * len(pairs)]
    model = SentenceTransformer(resolve_model("bundled"), device="cpu")
    model.max_seq_length = LENGTH
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder, num_train_epochs=1, save_strategy="no", report_to=[],
            disable_tqdm=True, use_cpu=True,
        )  # fmt: skip
        trainer = SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            loss=MultipleNegativesRankingLoss(model),
        )
        started = time.perf_counter()
        trainer.train()
        return 2 * len(rows) / (time.perf_counter() - started)


def main() -> None:
    """Measure in alternation and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extras", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.extras:
        sys.path.append(str(options.extras))
    pairs = some_pairs()
    ways = {
        "ours, two upper layers": lambda: ours(pairs, 2),
        "ours, all layers": lambda: ours(pairs, None),
        "SentenceTransformerTrainer": lambda: theirs(pairs),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, run in ways.items():
            rates[way].append(run())
    peer = np.array(rates["SentenceTransformerTrainer"])
    print(f"{len(pairs)} pairs of {SET}, {machine()}")
    for way, found in rates.items():
        ratio = float(np.median(np.array(found) / peer))
        print(f"{way}: {np.median(found):.1f} pairs/s, {ratio:.2f} of the trainer's")


if __name__ == "__main__":
    main()
