"""Steps of the cascading pipeline."""

import logging
from dataclasses import replace
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.recorded_grades import read_recorded_grades
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.settings import judge_names
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.cascading.parameters import CascadingParameters
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters

logger = logging.getLogger(__name__)


def ask_judges(
    train_set: Benchmark,
    benchmark: Benchmark,
    prompt: Prompt,
    ledger: Ledger,
    parameters: LabelingParameters,
    scale: GradeScale,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Ask the judges of `parameters.cascade` about every graded pair of both sets.

    Returns:
        cascade_pairs, cascade_labels and cascade_judges, see `evaluation.cascades.asking`.

    Raises:
        UserError: Several prompts are asked for, or as of `asking.ask_judges`.
    """
    from relevance_distillery.evaluation.cascades import asking
    from relevance_distillery.judges.registry import JudgeSources

    if parameters.llm.prompts > 1:
        raise UserError(
            f"prompts={parameters.llm.prompts}: each judge of a cascade has one prompt; leave "
            "prompts at 1"
        )
    return asking.ask_judges(
        judge_names(parameters.cascade.judges, "the pipeline cascade"),
        {asking.TRAIN: train_set, asking.BENCHMARK: benchmark},
        JudgeSources(
            scale,
            parameters,
            recorded=read_recorded_grades(None, None),
            prompt=prompt,
            benchmark_queries=benchmark.query_texts(),
        ),
        ledger,
        retry_failures=parameters.retry_failures,
        max_attempts=parameters.max_attempts,
    )


def fit(
    pairs: pd.DataFrame,
    labels: pd.DataFrame,
    judges: dict[str, Any],
    labeling: LabelingParameters,
    parameters: CascadingParameters,
    scale: GradeScale,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit the cascade on the train set, measure it on the benchmark; errors are `Fitting.fit`'s.

    Returns:
        cascade, the state that judge=cascade uses, and cascade_report.
    """
    from relevance_distillery.evaluation.cascades.asking import (
        BENCHMARK,
        TRAIN,
        call_prices,
        graded_set,
        in_last_judges_calls,
    )
    from relevance_distillery.evaluation.cascades.fitting import Fitting
    from relevance_distillery.evaluation.cascades.report import Measurement, write_report
    from relevance_distillery.judges.composites.cascade import Identity

    settings, asked = labeling.cascade, judges["judges"]
    identities = [
        Identity(row["judge"], row["name"], row["model"], row["prompt_hash"]) for row in asked
    ]
    train = graded_set(TRAIN, pairs, labels, judges, scale)
    prices = call_prices(
        asked,
        labels[labels["set"] == TRAIN],
        float(pairs.loc[pairs["set"] == TRAIN, "characters"].mean()),
        labeling.prices,
        parameters,
    )
    fitting = Fitting(identities, scale, in_last_judges_calls(prices), settings, parameters.seed)
    fitted = fitting.fit(train)
    if not fitted.choice.reached:
        logger.warning(
            "no thresholds reach %s %.3f on the train set: the nearest are taken",
            settings.target,
            fitted.value,
        )
    maps = {}
    if any(answer.has_probabilities.any() for answer in train.answers):
        for kind in ("none", "single", "per_class"):
            other = settings.model_copy(update={"map": kind})
            own = kind == settings.map
            maps[kind] = fitted.fit if own else replace(fitting, settings=other).fit(train).fit
    measured = Measurement(
        graded_set(BENCHMARK, pairs, labels, judges, scale),
        scale,
        [row["name_in_cascade"] for row in asked],
        prices,
        parameters,
    )
    validation = fitting.validate(train)
    report = write_report(measured, fitted, validation, maps, train, judges, settings)
    return {"judge": "cascade", **fitted.fit.to_state()}, report
