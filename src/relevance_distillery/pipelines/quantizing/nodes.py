"""A labeler becomes a version in int8, if that grades as before."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.pipelines.quantizing.parameters import QuantizingParameters
from relevance_distillery.scoring.graders import GraderShelf, called

if TYPE_CHECKING:
    from relevance_distillery.labeler.inference import Labeler

logger = logging.getLogger(__name__)

LEAST_CORRELATION, MOST_LOST = 0.99, 0.005
HELD_OUT = ("test", "early_stopping")  # folds learn from the pairs that calibrate
_BATCH = 10


def quantize_labeler(
    graders: GraderShelf,
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    parameters: QuantizingParameters,
) -> tuple[dict[str, Any], Path]:
    """Make the labeler in int8 and compare the grades of both on pairs that it did not learn from.

    Labels, splits, queries and passages are the last run's; some passages show which values occur.

    Returns:
        The content of quantization.json, and the folder of the labeler in int8.

    Raises:
        UserError: No such labeler, or `write_int8` cannot read it; no pairs were held out.
    """
    from relevance_distillery.labeler.artifact import ARTIFACT_NAME
    from relevance_distillery.labeler.inference import Labeler
    from relevance_distillery.learning.labelled_pairs import pairs_of_split

    tables = [pairs_of_split(one, labels, splits, queries, passages) for one in HELD_OUT]
    pairs = pd.concat(tables, ignore_index=True)
    if pairs.empty:
        raise UserError(
            "quantize: no labelled pair was held out to compare grades on; set "
            "distillation.splits.test above 0 and distill again"
        )
    before, source = graders.find_labeler(parameters.labeler)
    assert before.folder is not None
    sample = passages.sample(min(parameters.texts, len(passages)), random_state=parameters.seed)
    rows: list[dict[str, Any]] = sample.to_dict("records")  # type: ignore[assignment]
    texts = [before.facts.template.passage_text(row) for row in rows]
    folder = write_int8(before.folder, texts, Path(parameters.workspace) / ARTIFACT_NAME)
    # On a GPU it would be read as before, not in int8.
    found = agreement(before, Labeler.load(folder, device="cpu"), pairs)
    return {"labeler": source, "texts": len(texts), **found}, folder


def accept_labeler(quantization: dict[str, Any], candidate: Path) -> Path:
    """The labeler in int8, where it grades as before.

    Raises:
        UserError: It does not; quantization.json has the figures.
    """
    if not quantization["passes"]:
        raise UserError(
            f"int8 changes the grades of {called(quantization['labeler'])}: "
            f"{_said(quantization)}; a correlation of {LEAST_CORRELATION} and at most {MOST_LOST} "
            "less kappa are asked, no new version was made"
        )
    return candidate


def register_labeler(
    labeler: Path, quantization: dict[str, Any], parameters: QuantizingParameters
) -> dict[str, str]:
    """Register the labeler with the alias `challenger`, and say what changes.

    Returns:
        {"name", "version", "run_id", "digest"}.
    """
    from relevance_distillery.labeler import flavor

    source = quantization["labeler"]
    tags = {
        "quantized_from": source["version"] or source["name"],
        "quantized_from_digest": source["digest"],
    }
    kappa = quantization["quadratic_kappa"]
    metrics = {
        "quantization.correlation": quantization["correlation"],
        "quantization.quadratic_kappa_before": kappa["before"],
        "quantization.quadratic_kappa_after": kappa["after"],
    }
    registered = flavor.log_and_register(labeler, parameters.registered_name, tags, metrics)
    logger.info(
        "%s in int8: %s; version %s of %s is the challenger",
        called(source),
        _said(quantization),
        registered["version"],
        registered["name"],
    )
    return registered


def write_int8(source: Path, passages: Sequence[str], folder: Path) -> Path:
    """Copy a labeler's folder and add its encoder in int8, replacing what was there.

    `passages` are rendered (`InputTemplate.passage_text`) and show which values occur.

    Raises:
        UserError: The labeler is in int8 already, or of another architecture; OpenVINO or NNCF
            is not installed.
    """
    from relevance_distillery.encoders.batching import by_length
    from relevance_distillery.encoders.layers import can_stop
    from relevance_distillery.labeler.artifact import copy_artifact
    from relevance_distillery.labeler.inference import Labeler
    from relevance_distillery.labeler.int8_stages import write_int8_stages
    from relevance_distillery.labeler.stages import torch_stages

    labeler = Labeler.load(source, device="cpu", precision="fp32")
    facts, model = labeler.facts, labeler.model
    if facts.int8:
        raise UserError(f"labeler {source}: is in int8 already; name the version it was made from")
    if model.encodes_jointly or not can_stop(model.base):
        raise UserError(
            f"labeler {source}: int8 is for BERT and its relatives that encode query and passage "
            f"separately, not for {facts.architecture} on {model.base.config.model_type}"
        )
    rows = facts.template.encode_separately(labeler.tokenizer, passages, is_query=False)
    lengths = [len(row["input_ids"]) for row in rows]
    batches = by_length(lengths, _BATCH, longest_first=False)
    texts = [labeler.tokens(rows, chosen) for chosen in batches]
    layer = facts.early_exit.layer if facts.early_exit else None
    stages = torch_stages(model.base, facts.levels, layer)
    return copy_artifact(
        source, folder, lambda copy: write_int8_stages(stages, texts, copy), int8=True
    )


def agreement(before: Labeler, after: Labeler, pairs: pd.DataFrame) -> dict[str, Any]:
    """How alike two labelers grade pairs, the first of which is trusted.

    The pairs are as for `Labeler.grade`, with a column grade by people or a judge.

    Returns:
        pairs; correlation of scores; same_grades as a share; quadratic_kappa with the column
        grade, `before` and `after`; and `passes`.
    """
    from relevance_distillery.labeler.calibration import quadratic_kappa

    scale = before.scale
    old, new = before.grade(pairs), after.grade(pairs)
    given, was, now = (
        scale.positions(table["grade"].to_numpy(dtype=np.int64)) for table in (pairs, old, new)
    )
    kappa = {
        when: quadratic_kappa(given, grades, scale.size)
        for when, grades in (("before", was), ("after", now))
    }
    correlation = float(np.corrcoef(old["score"], new["score"])[0, 1])
    passes = correlation >= LEAST_CORRELATION and kappa["before"] - kappa["after"] <= MOST_LOST
    return {
        "pairs": len(pairs),
        "correlation": round(correlation, 6),
        "same_grades": round(float((was == now).mean()), 6),
        "quadratic_kappa": {when: round(value, 6) for when, value in kappa.items()},
        "passes": bool(passes),
    }


def _said(quantization: dict[str, Any]) -> str:
    kappa = quantization["quadratic_kappa"]
    return (
        f"on {quantization['pairs']} held-out pairs scores correlate at "
        f"{quantization['correlation']:.4f}, {quantization['same_grades']:.1%} of grades are the "
        f"same, quadratic kappa {kappa['before']:.3f} → {kappa['after']:.3f}"
    )
