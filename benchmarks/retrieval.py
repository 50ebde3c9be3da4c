"""What training a retriever gains, ingredient by ingredient, on sets that people graded.

    BENCHMARKS=/folder/of/the/sets python benchmarks/retrieval.py [--seeds 3] [--recipes NAME …]

Writes docs/results/retrieval.md and .json. trec-dl19 teaches and trec-dl20 tests; of chorus and
feedbackqa half of the queries, chosen by a digest of their ids, teach and the other half test.
Seeds are averaged within each query before queries are resampled. A killed run goes on behind the
last finished stage.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pages import BENCHMARKS, PAGES, ROOT, cell, machine, table, write

from relevance_distillery.collections.benchmark import Benchmark, load_benchmark
from relevance_distillery.collections.system_runs import read_runs
from relevance_distillery.documents.forgetting import ForgottenDocuments
from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.retrieval import PRIMARY, query_values, summarise
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.judges.recorded import recorded_grades_of
from relevance_distillery.pipelines.retrieving import nodes
from relevance_distillery.pipelines.retrieving.parameters import RetrievingParameters
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.retriever.buckets import KEY
from relevance_distillery.retriever.rankings import rank_systems
from relevance_distillery.retriever.recipes import ABLATIONS, train_recipes
from relevance_distillery.retriever.settings import RetrieverSettings
from relevance_distillery.retriever.training_data import training_texts
from relevance_distillery.scoring.graders import GraderShelf
from relevance_distillery.synthesizers.query_log import QueryLog

WORK = ROOT / "build" / "benchmarks" / "retrieval"
SETS = {"trec-dl": ("trec-dl19", "trec-dl20"), "chorus": ("chorus",), "feedbackqa": ("feedbackqa",)}
RECIPES = ("listwise", "curriculum", "one_stage")
# Short enough for two cores; the same for all sets.
SCHEDULE: dict[str, Any] = {"max_length": 128, "evaluations": 1, "max_validation_pairs": 1000}
SHOWN = (PRIMARY, f"condensed_{PRIMARY}", "R(rel=2)@100", "embarrassing@10")


def half(benchmark: Benchmark, part: int) -> Benchmark:
    """The queries whose digest is even, or odd."""
    digests = [int(hex_digest(query), 16) % 2 for query in benchmark.queries["query_id"]]
    queries = benchmark.queries[[digest == part for digest in digests]]
    judged = benchmark.judgments["query_id"].isin(queries["query_id"])
    return dataclasses.replace(benchmark, queries=queries, judgments=benchmark.judgments[judged])


def values_of(
    name: str, seeds: int, ablation_seeds: int, alternatives: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Values of every system and query of a set's test queries, and what training tells."""
    train, test = SETS[name][0], SETS[name][-1]
    benchmark = load_benchmark(BENCHMARKS / test, DEFAULT_SCALE)
    if train == test:
        benchmark = half(benchmark, 1)
    synthesis = SynthesisParameters.model_validate(
        {
            "cleaning": {"boilerplate_share": None, "deduplicate": False},
            "passages": {"split": False},
            "synthesizer": "log",
            "seed": 0,
        }
    )
    parameters = RetrievingParameters(
        grades="recorded",
        grade_unjudged=False,
        channels=("bm25", "dense"),
        training=RetrieverSettings(seed=0),
    )
    folder = str(BENCHMARKS / train)
    passages, queries, grades, exclusions = nodes.gather(
        pd.DataFrame(),
        pd.DataFrame(),
        pd.DataFrame(),
        DocumentSource.parse(folder),
        QueryLog.parse(folder),
        recorded_grades_of(folder, "human"),
        ForgottenDocuments(str(WORK / "none.json")),
        benchmark,
        synthesis,
        parameters,
        DEFAULT_SCALE,
    )
    shelf = GraderShelf("none", "none", "none")
    pairs, buckets, channels = nodes.mine(
        passages, queries, grades, read_runs(None, optional=True), shelf, parameters, DEFAULT_SCALE
    )
    texts = training_texts(pairs, queries, passages, DEFAULT_SCALE)
    relevant = grades.loc[grades["grade"] >= DEFAULT_SCALE.relevant_from, KEY]
    folders, facts, best = {}, {}, {}
    for seed in range(seeds):
        recipes = (*alternatives, *(ABLATIONS if seed < ablation_seeds else ()))
        settings = RetrieverSettings(recipes=recipes, seed=seed, **SCHEDULE)  # pyrefly: ignore
        trained = train_recipes(texts, settings, WORK / name / str(seed), relevant)
        facts[str(seed)] = trained.facts
        for recipe, path in trained.folders.items():
            if recipe != "untrained":
                folders[f"{recipe}@{seed}"] = path
            elif not seed:
                folders[recipe] = path
        untrained = trained.best == "untrained"
        best[f"retriever@{seed}"] = "untrained" if untrained else f"{trained.best}@{seed}"
    test_passages = passages
    if train != test:
        test_passages = synthesis.split(benchmark.documents)
    rankings = rank_systems(
        folders,
        benchmark.queries,
        test_passages,
        parameters.language,
        parameters.depth,
        registered=best["retriever@0"],
    )
    rankings |= {name: rankings[system] for name, system in best.items()}
    values = query_values(
        rankings, benchmark.judgments[["query_id", "document_id", "grade"]], DEFAULT_SCALE
    )
    plain = values.reset_index()
    plain["system"] = plain["system"].str.partition("@")[0]
    averaged = plain.groupby(["query_id", "system"], sort=False).mean()
    return averaged, {
        "training": facts, "buckets": buckets, "channels": channels, "exclusions": exclusions,
    }  # fmt: skip


def page(found: dict[str, Any], commands: dict[str, str]) -> list[str]:
    """The page's parts."""
    parts = [
        "# What training a retriever gains",
        f"On {machine()}, {datetime.date.today():%d %B %Y}, by the commands below. Settings other "
        f"than the defaults: {', '.join(f'{key} {value}' for key, value in SCHEDULE.items())}. "
        "Channels: BM25 and dense. People's grades teach and test; seeds are averaged within each "
        "query, intervals resample queries; all intervals are in retrieval.json.",
    ]
    for name, facts in found.items():
        rows = []
        for system, row in facts["systems"].items():
            gain = facts["differences"].get(system, {}).get(PRIMARY)
            rest = [cell({"estimate": row.get(one, {}).get("estimate")}) for one in SHOWN]
            rows.append([system, cell(gain, signed=True), *rest])
        queries = facts["queries"]["graded"] - facts["queries"]["without_relevant"]
        parts += [
            f"## {name}: {queries} queries",
            f"`{commands[name]}`" if name in commands else "",
            table(["system", f"{PRIMARY} minus untrained", *SHOWN], rows),
        ]
    return parts


def main() -> None:
    """Train, rank, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ablation-seeds", type=int, default=1)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    WORK.mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        values, facts = values_of(name, options.seeds, options.ablation_seeds, options.recipes)
        facts["command"] = (
            f"python benchmarks/retrieval.py --sets {name} --seeds {options.seeds} "
            f"--ablation-seeds {options.ablation_seeds} --recipes {' '.join(options.recipes)}"
        )
        values.reset_index().to_parquet(WORK / f"{name}.parquet")
        (WORK / f"{name}.json").write_text(json.dumps(facts))
    done = {name: WORK / f"{name}.json" for name in SETS if (WORK / f"{name}.json").is_file()}
    training = {name: json.loads(file.read_text()) for name, file in done.items()}
    values = {
        name: pd.read_parquet(file.with_suffix(".parquet")).set_index(["query_id", "system"])
        for name, file in done.items()
    }
    found = {name: summarise(one, Options()) for name, one in values.items()}
    common = set.intersection(*(set(one.index.unique("system")) for one in values.values()))
    pooled = pd.concat(values, names=["set"])
    pooled = pooled[pooled.index.get_level_values("system").isin(common)]
    if len(values) > 1:
        found["all sets, pooled by query"] = summarise(pooled, Options())
    commands = {name: facts["command"] for name, facts in training.items()}
    write(PAGES / "retrieval.md", page(found, commands))
    told = {"sets": found, "training": training}
    Path(PAGES / "retrieval.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
