"""Steps of the cascading pipeline."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.recorded_grades import read_recorded_grades
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.cascades.fitting import (
    GradedSet,
    check_calibration_set,
    check_graded_set,
    fit_cascade,
    validate_cascade,
)
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.composites.cascade_fit import CascadeFit, Identity
from relevance_distillery.judges.composites.composite import Answered, distinct_names
from relevance_distillery.judges.composites.settings import judge_names
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.sources import JudgeSources
from relevance_distillery.llm.prices import Budget
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.cascading.judges import graded_pairs, identity, judge_of_set
from relevance_distillery.pipelines.cascading.parameters import CascadingParameters
from relevance_distillery.pipelines.cascading.prices import call_prices, in_last_judges_calls
from relevance_distillery.pipelines.cascading.reporting import summarise
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.schemas import Failures, empty

logger = logging.getLogger(__name__)

TRAIN, BENCHMARK = "train_set", "benchmark"
"""The two sets: where the cascade is fitted, and where it is measured."""


def ask_judges(
    train_set: Benchmark,
    benchmark: Benchmark,
    prompt: Prompt,
    ledger: Ledger,
    parameters: LabelingParameters,
    scale: GradeScale,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Ask every judge about every graded pair of both sets, through the ledger.

    Args:
        train_set: Graded pairs that the cascade is fitted on.
        benchmark: Graded pairs that it is measured on.
        prompt: The grading prompt, for judges that read instructions.
        ledger: Where answers are kept.
        parameters: `cascade.judges`, and the settings of all kinds of judge.
        scale: The grades.

    Returns:
        cascade_pairs (set, query_id, passage_id, human, characters), cascade_labels (set and
        the columns of `Labels`, `judge` being the judge's name in the cascade) and
        cascade_judges (who they are; failures by set and judge).

    Raises:
        UserError: A set or a judge is missing, or the train set lacks a grade or has too few
            queries; all of it before a judge is asked.
    """
    names = judge_names(parameters.cascade.judges, "the pipeline cascade")
    pairs, labels = [], []
    judges: list[dict[str, Any]] = []
    failed: dict[str, dict[str, int]] = {}
    sets = {TRAIN: train_set, BENCHMARK: benchmark}
    for place, graded in sets.items():
        _check_set(place, graded)
    nothing = read_recorded_grades(None, None)
    budget = Budget(parameters.llm.max_cost_usd)
    tables = {place: graded_pairs(graded) for place, graded in sets.items()}
    human, queries = tables[TRAIN]["human"].to_numpy(), pd.factorize(tables[TRAIN]["query_id"])[0]
    check_calibration_set(train_set.name, scale.positions(human), queries, scale)
    sources = JudgeSources(
        scale,
        parameters,
        recorded=nothing,
        prompt=prompt,
        benchmark_queries=benchmark.query_texts(),
    )
    # All judges of both sets are there before one is asked: answers may cost money.
    ready = {
        place: [judge_of_set(name, graded, sources, ledger, budget) for name in names]
        for place, graded in sets.items()
    }
    for place, table in tables.items():
        made = ready[place]
        shown = distinct_names(made)
        judges = [
            identity(name, judge) | {"name_in_cascade": own}
            for name, own, judge in zip(names, shown, made, strict=True)
        ]
        failed[place] = {}
        for own, judge in zip(shown, made, strict=True):
            result = run_labeling(
                table.drop(columns="human"),
                judge,
                ledger,
                retry_failures=parameters.retry_failures,
                max_attempts=parameters.max_attempts,
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


def fit(
    pairs: pd.DataFrame,
    labels: pd.DataFrame,
    judges: dict[str, Any],
    labeling: LabelingParameters,
    parameters: CascadingParameters,
    scale: GradeScale,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit the cascade on the train set, measure it on the benchmark.

    Args:
        pairs: From `ask_judges`.
        labels: From `ask_judges`.
        judges: From `ask_judges`.
        labeling: `cascade`: target, maps and folds; and prices.
        parameters: Prices of calls, resamples.
        scale: The grades.

    Returns:
        cascade, the state that judge=cascade uses, and cascade_report.

    Raises:
        UserError: The train set lacks a grade or has too few queries.
    """
    identities = [
        Identity(row["judge"], row["name"], row["model"], row["prompt_hash"])
        for row in judges["judges"]
    ]
    names = [row["name_in_cascade"] for row in judges["judges"]]
    sets = {
        place: _graded_set(judges["sets"][place]["name"], place, pairs, labels, names, scale)
        for place in (TRAIN, BENCHMARK)
    }
    check_graded_set(identities, sets[TRAIN], scale)
    prices = call_prices(
        [row | {"name": row["name_in_cascade"]} for row in judges["judges"]],
        labels[labels["set"] == TRAIN],
        float(pairs.loc[pairs["set"] == TRAIN, "characters"].mean()),
        labeling.prices,
        parameters,
    )
    units = in_last_judges_calls(prices)
    settings = labeling.cascade
    fitted = fit_cascade(identities, sets[TRAIN], scale, units, settings, parameters.seed)
    if not fitted.choice.reached:
        logger.warning(
            "no thresholds reach %s %.3f on the train set: the nearest stand in",
            settings.target,
            fitted.value,
        )
    maps = _other_maps(identities, sets[TRAIN], scale, units, labeling, parameters.seed, fitted.fit)
    report = summarise(
        fitted=fitted,
        validation=validate_cascade(
            identities, sets[TRAIN], scale, units, settings, parameters.seed
        ),
        maps=maps,
        train=sets[TRAIN],
        benchmark=sets[BENCHMARK],
        facts=judges,
        names=names,
        prices=prices,
        units=units,
        settings=settings,
        parameters=parameters,
        scale=scale,
    )
    return {"judge": "cascade", **fitted.fit.to_state()}, report


def _check_set(place: str, graded: Benchmark) -> None:
    if graded.kind == "held_out":
        raise UserError(
            f"no {place} is given: a cascade is fitted on graded pairs and measured on others, "
            '--params="train_set=DIR,benchmark=DIR,judges=FIRST;SECOND;LAST"'
        )
    if graded.others:
        raise UserError(f"{place}: a cascade takes one set, {len(graded.everything)} are given")


def _graded_set(
    name: str,
    place: str,
    pairs: pd.DataFrame,
    labels: pd.DataFrame,
    names: Sequence[str],
    scale: GradeScale,
) -> GradedSet:
    keys = pairs[pairs["set"] == place].reset_index(drop=True)
    nothing = empty(Failures)
    answers = []
    for judge in names:
        own = labels[(labels["set"] == place) & (labels["judge"] == judge)]
        answers.append(Answered.of(judge, own, nothing, keys, scale).answers)
    queries, _ = pd.factorize(keys["query_id"])
    return GradedSet(
        name,
        tuple(answers),
        scale.positions(keys["human"].to_numpy()),
        queries.astype(np.int64),
    )


def _other_maps(
    identities: Sequence[Identity],
    graded: GradedSet,
    scale: GradeScale,
    units: tuple[float, ...],
    labeling: LabelingParameters,
    seed: int,
    fit: CascadeFit,
) -> dict[str, CascadeFit]:
    """The same cascade with each map of probabilities; none where no judge has probabilities."""
    if not any(answer.sure.any() for answer in graded.answers):
        return {}
    kinds = ("none", "single", "per_class")
    return {
        kind: fit
        if kind == labeling.cascade.map
        else fit_cascade(
            identities,
            graded,
            scale,
            units,
            labeling.cascade.model_copy(update={"map": kind}),
            seed,
        ).fit
        for kind in kinds
    }
