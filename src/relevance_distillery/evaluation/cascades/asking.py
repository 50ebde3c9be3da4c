"""Asking the judges of a cascade about graded sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.cascades.fitting import GradedSet, check_calibration_set
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import JUDGES, KINDS, Judge, parse_judge
from relevance_distillery.judges.composites.answers import Answers, numbered
from relevance_distillery.judges.composites.panel import distinct_names
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.recorded import RecordedJudge
from relevance_distillery.judges.registry import JudgeSources, prepare_judge
from relevance_distillery.llm.prices import Budget

TRAIN, BENCHMARK = "train_set", "benchmark"
"""The two sets: where a cascade is fitted, and where it is measured."""


def ask_judges(
    names: Sequence[str],
    sets: Mapping[str, Benchmark],
    sources: JudgeSources,
    ledger: Ledger,
    *,
    retry_failures: bool,
    max_attempts: int,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Ask every judge about every graded pair of both sets, through the ledger.

    Args:
        names: The judges, in the order of the cascade.
        sets: Graded pairs by `TRAIN` and `BENCHMARK`.
        sources: What judges are prepared from.
        ledger: Where answers are kept.
        retry_failures: As in `run_labeling`.
        max_attempts: As in `run_labeling`.

    Returns:
        Pairs (set, query_id, passage_id, human, characters), labels (set and the columns of
        `Labels`, `judge` being the judge's name in the cascade), and facts: `judges` (who they
        are), `failed` (by set and judge), `sets`.

    Raises:
        UserError: A set or a judge is missing, or the train set lacks a grade or has too few
            queries; all of it before a judge is asked.
    """
    for place, graded in sets.items():
        if graded.kind == "held_out":
            raise UserError(
                f"no {place} is given: a cascade is fitted on graded pairs and measured on others, "
                '--params="train_set=DIR,benchmark=DIR,judges=FIRST;SECOND;LAST"'
            )
        if graded.others:
            raise UserError(f"{place}: a cascade takes one set, {len(graded.everything)} are given")
    tables = {place: graded_pairs(graded) for place, graded in sets.items()}
    train = tables[TRAIN]
    human, (queries, _) = train["human"].to_numpy(), pd.factorize(train["query_id"])
    check_calibration_set(sets[TRAIN].name, sources.scale.positions(human), queries, sources.scale)
    sources = replace(sources, budget=Budget(sources.settings.llm.max_cost_usd), ledger=ledger)
    # All judges of both sets are there before one is asked: answers may cost money.
    ready = {
        place: [judge_of_set(name, graded, sources) for name in names]
        for place, graded in sets.items()
    }
    pairs, labels = [], []
    judges: list[dict[str, Any]] = []
    failed: dict[str, dict[str, int]] = {}
    for place, table in tables.items():
        shown = distinct_names(ready[place])
        judges = [
            {
                "judge": name,
                "name": judge.name,
                "model": judge.model,
                "prompt_hash": judge.prompt_hash,
                "name_in_cascade": own,
            }
            for name, own, judge in zip(names, shown, ready[place], strict=True)
        ]
        failed[place] = {}
        for own, judge in zip(shown, ready[place], strict=True):
            result = run_labeling(
                table.drop(columns="human"),
                judge,
                ledger,
                retry_failures=retry_failures,
                max_attempts=max_attempts,
            )
            failed[place][own] = len(result.failures)
            labels.append(result.labels.assign(judge=own, set=place))
        characters = table[["query", "title", "text"]].map(len).sum(axis=1)
        pairs.append(
            table[["query_id", "passage_id", "human"]].assign(set=place, characters=characters)
        )
    facts = {
        "judges": judges,
        "failed": failed,
        "sets": {
            place: {"name": graded.name, "human": graded.human, "digest": graded.digest}
            for place, graded in sets.items()
        },
    }
    return pd.concat(pairs, ignore_index=True), pd.concat(labels, ignore_index=True), facts


def graded_set(
    place: str,
    pairs: pd.DataFrame,
    labels: pd.DataFrame,
    facts: Mapping[str, Any],
    scale: GradeScale,
) -> GradedSet:
    """A set with the answers of all judges.

    Args:
        place: `TRAIN` or `BENCHMARK`.
        pairs: From `ask_judges`.
        labels: From `ask_judges`.
        facts: From `ask_judges`.
        scale: The grades.
    """
    keys = pairs[pairs["set"] == place].reset_index(drop=True)
    own = labels[labels["set"] == place]
    answers = [
        Answers.of_labels(
            numbered(own[own["judge"] == judge["name_in_cascade"]], keys), len(keys), scale
        )
        for judge in facts["judges"]
    ]
    queries, _ = pd.factorize(keys["query_id"])
    human = scale.positions(keys["human"].to_numpy())
    return GradedSet(facts["sets"][place]["name"], tuple(answers), human, queries.astype(np.int64))


def graded_pairs(benchmark: Benchmark) -> pd.DataFrame:
    """Every graded document with its query; a document is judged whole, as one passage.

    Returns:
        Columns `PAIR_COLUMNS` and human, its texts empty where the set brings no documents.
    """
    grades = benchmark.judgments[benchmark.judgments["annotator"] == ""]
    queries = benchmark.queries.rename(columns={"text": "query"})[["query_id", "query"]]
    pairs = grades.rename(columns={"grade": "human"}).merge(queries, on="query_id")
    if benchmark.documents is not None:
        texts = benchmark.documents[["document_id", "title", "text", "path", "author", "modified"]]
        pairs = pairs.merge(texts, on="document_id", how="inner")
    pairs["passage_id"] = pairs["document_id"]
    for column in PAIR_COLUMNS:
        if column not in pairs.columns:
            pairs[column] = False if column in ("is_seed", "in_seed_document") else ""
    return pairs[[*PAIR_COLUMNS, "human"]].reset_index(drop=True)


def judge_of_set(name: str, benchmark: Benchmark, sources: JudgeSources) -> Judge:
    """The judge of that name for a graded set.

    Args:
        name: `KIND` or `KIND:MODEL`; `recorded:NAME`, or a bare name that is no kind, is a
            recorded judge of the set's folder.
        benchmark: The set.
        sources: What other judges are prepared from.

    Raises:
        UserError: No such judge; or it reads documents and the set has none; or it is itself
            made of judges, or of documents.
    """
    kind, _, model = name.partition(":")
    if kind == "recorded" or kind not in JUDGES:
        own = model if kind == "recorded" else name
        grades = benchmark.judge(own) if own else None
        if grades is None:
            raise UserError(
                f"there is no judge {own!r}: it is none of {', '.join(JUDGES)}, and "
                f"{benchmark.name} has no judges/{Path(own).name}.tsv (it has: "
                f"{', '.join(benchmark.judge_files) or 'none'})"
            )
        return RecordedJudge(RecordedGrades(own, grades), sources.scale)
    found = KINDS[parse_judge(name).kind]
    if found.composite:
        raise UserError(f"judge {name} cannot be part of a cascade: name the judges themselves")
    if found.from_corpus:
        raise UserError(
            f"judge {name} cannot be part of a cascade: it is made of the documents that it "
            "labels, and what its answers are worth on graded ones says nothing about those; "
            "name the labeler that it taught, labeler:champion"
        )
    if benchmark.documents is None:
        raise UserError(
            f"judge {name} reads documents and {benchmark.name} brings none: give a folder in "
            "BEIR's layout with corpus.jsonl"
        )
    return prepare_judge(name, sources)
