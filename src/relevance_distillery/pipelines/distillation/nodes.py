"""Labels become splits, splits a labeler, the labeler a registered version."""

from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.grading import GradeScale
from relevance_distillery.learning.labelled_pairs import labelled_pairs
from relevance_distillery.learning.splits import exclude_benchmarks, split_pairs
from relevance_distillery.pipelines.distillation.parameters import DistillationParameters


def split_labels(
    labels: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    benchmark: Benchmark,
    parameters: DistillationParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Keep the benchmarks out and split the rest by seed document and query.

    Returns:
        The table splits (query_id, passage_id, split, group) and what was kept out.
    """
    left, exclusions = exclude_benchmarks(
        labels,
        queries,
        passages,
        benchmark.everything,
        parameters.language,
        parameters.near_duplicate,
    )
    splits = split_pairs(
        left, queries, passages, parameters.splits.shares(), parameters.training.seed
    )
    names = "; ".join(one.name for one in benchmark.everything)
    return splits, {"benchmark": names, **exclusions}


def train_labeler(
    labels: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    splits: pd.DataFrame,
    scale: GradeScale,
    parameters: DistillationParameters,
) -> tuple[Path, dict[str, Any]]:
    """Train on the split train, stop and calibrate on the other two.

    Returns:
        The artifact folder in the workspace and the facts of training.
    """
    from relevance_distillery.labeler.distilling import DistillationData, distill

    parts = {
        name: labelled_pairs(
            splits.loc[splits["split"] == name, ["query_id", "passage_id", "group"]].merge(
                labels, on=["query_id", "passage_id"], how="inner"
            ),
            queries,
            passages,
            scale,
        )
        for name in ("train", "early_stopping", "calibration")
    }
    data = DistillationData(
        learn=parts["train"],
        early=parts["early_stopping"],
        calibrate=parts["calibration"],
        queries=queries,
        passages=passages,
        taught_by=tuple(sorted(set(labels["judge"]))),
    )
    return distill(data, parameters.training, scale, Path(parameters.workspace))


def register_labeler(
    labeler: Path, training_facts: dict[str, Any], parameters: DistillationParameters
) -> dict[str, str]:
    """Log the labeler as a model and register it with the alias `challenger`.

    Returns:
        {"name", "version", "run_id", "digest"}.
    """
    from relevance_distillery.labeler import flavor

    metrics = {
        f"distillation.{name}": float(training_facts[name])
        for name in ("calibration_quadratic_kappa", "train_pairs", "steps")
    }
    return flavor.log_and_register(labeler, parameters.registered_name, {}, metrics)
