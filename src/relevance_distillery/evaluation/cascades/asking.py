"""What the judges of a cascade say about graded sets, and what a call of each costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from relevance_distillery.io.files import parts_of
from relevance_distillery.judges.base import JUDGES, KINDS, Judge, parse_judge
from relevance_distillery.judges.composites.answers import Answers, numbered
from relevance_distillery.judges.composites.panel import distinct_names
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.recorded import RecordedJudge
from relevance_distillery.judges.registry import JudgeSources, prepare_judge
from relevance_distillery.judges.settings import MeasurementSettings
from relevance_distillery.llm.prices import Budget, Price

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
    """Ask every judge, in the order of the cascade, about every graded pair, through the ledger.

    `sets` are `TRAIN` and `BENCHMARK`; `retry_failures` and `max_attempts` are as in
    `run_labeling`.

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
    failed: dict[str, dict[str, int]] = {}
    for place, table in tables.items():
        shown = distinct_names(ready[place])
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
        "judges": [
            {
                "judge": name,
                "name": judge.name,
                "model": judge.model,
                "prompt_hash": judge.prompt_hash,
                "name_in_cascade": own,
            }
            for name, own, judge in zip(names, shown, ready[place], strict=True)
        ],
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
    """`TRAIN` or `BENCHMARK` with the answers of all judges, from what `ask_judges` returned."""
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
    queries = benchmark.queries.rename(columns={"text": "query"})[["query_id", "query"]]
    pairs = benchmark.judgments.rename(columns={"grade": "human"}).merge(queries, on="query_id")
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

    `name` is `KIND` or `KIND:MODEL`; `recorded:NAME`, or a bare name that is no kind, is a recorded
    judge of the set's folder.

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


@dataclass(frozen=True)
class CallPrice:
    """Price of a judge's calls.

    Attributes:
        judge: Its name.
        usd_per_1000: Dollars for 1,000 calls; None where it is not known.
        basis: `given`, `measured`, `measured time`, `list price` or `not known`.
        source: In words, for the report.
    """

    judge: str
    usd_per_1000: float | None
    basis: str
    source: str


def _given_prices(text: str | None) -> dict[str, float]:
    """`NAME:USD;NAME:USD` as a mapping; names may hold colons."""
    found: dict[str, float] = {}
    for part in parts_of(text):
        name, _, usd = part.rpartition(":")
        try:
            price = float(usd)
        except ValueError:
            price = -1.0
        if not name or price < 0:
            raise UserError(
                f"judges_usd_per_1000: {part[:60]!r} is not NAME:USD; write, for instance, "
                "judges_usd_per_1000=first:0.02;second:1.1"
            )
        found[name.strip()] = price
    return found


def call_prices(
    judges: Sequence[Mapping[str, Any]],
    labels: pd.DataFrame,
    characters: float,
    prices: Mapping[str, Price],
    assumed: MeasurementSettings,
) -> list[CallPrice]:
    """The price of each judge's calls.

    Given figures come first, then what the ledger paid, then list prices (by model or judge) at
    the tokens that labels counted or, where they did not, at those assumed for the mean number of
    characters of query and document; then, for a judge in this process, the time that it took on
    a machine of the stated price. `judges` are those in the facts of `ask_judges`.

    Raises:
        UserError: A given price is malformed, or for a judge that is not there.
    """
    given = _given_prices(assumed.judges_usd_per_1000)
    known = {str(judge[key]) for judge in judges for key in ("judge", "name_in_cascade")}
    unknown = sorted(set(given) - known)
    if unknown:
        raise UserError(
            f"judges_usd_per_1000: no judge {unknown[0]!r} in the cascade; it has "
            f"{', '.join(str(judge['name_in_cascade']) for judge in judges)}"
        )
    found = []
    for judge in judges:
        own = labels[labels["judge"] == judge["name_in_cascade"]]
        found.append(_price(judge, own, characters, given, prices, assumed))
    return found


def in_last_judges_calls(prices: Sequence[CallPrice]) -> tuple[float, ...]:
    """Prices in units of the last judge's call.

    Where not all are known, or the last one is free, only the last judge's calls count; those
    of the others count so little that they merely settle ties.
    """
    usd = [price.usd_per_1000 for price in prices]
    last = usd[-1]
    if last and all(price is not None for price in usd):
        return tuple(float(price or 0.0) / last for price in usd)
    return (*(1e-9,) * (len(prices) - 1), 1.0)


def _price(
    judge: Mapping[str, Any],
    labels: pd.DataFrame,
    characters: float,
    given: Mapping[str, float],
    prices: Mapping[str, Price],
    assumed: MeasurementSettings,
) -> CallPrice:
    name = str(judge["name_in_cascade"])
    for key in (str(judge["judge"]), name):
        if key in given:
            return CallPrice(name, given[key], "given", "assumed, by judges_usd_per_1000")
    if len(labels) and labels["cost_usd"].sum() > 0:
        paid = 1000 * float(labels["cost_usd"].mean())
        return CallPrice(name, paid, "measured", "what the ledger's answers cost")
    listed = prices.get(name) or prices.get(str(judge["model"]))
    if listed is not None:
        if len(labels) and labels["input_tokens"].sum() > 0:
            how = "counted"
            read = float(labels["input_tokens"].mean())
            written = float(labels["output_tokens"].mean())
        else:
            how = "assumed"
            read = assumed.prompt_tokens + characters / assumed.characters_per_token
            written = float(assumed.output_tokens)
        tokens = f"{how} {read:.0f} tokens read and {written:.0f} written"
        usd = 1000 * listed.usd(read, written)
        return CallPrice(name, usd, "list price", f"{listed.basis}; {tokens}")
    if len(labels) and labels["seconds"].sum() > 0:
        usd = 1000 * float(labels["seconds"].mean()) / 3600 * assumed.usd_per_hour
        machine = f"time on this machine at an assumed ${assumed.usd_per_hour:g} an hour"
        return CallPrice(name, usd, "measured time", machine)
    return CallPrice(name, None, "not known", "no price was given")
