"""A labeler around its recalibration: the scores at its start, the folder at its end."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.labeler.artifact import read_facts, write_facts
from relevance_distillery.labeler.calibration import Array, Link
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.recalibration import Graded, Rules
from relevance_distillery.scoring.grading_job import PairSource

_KEY = ["query_id", "document_id"]


def rules_of(labeler: Labeler) -> Rules:
    """What turns a labeler's scores into grades beside its link."""
    facts = labeler.facts
    return Rules(facts.scale, facts.cut_points, facts.length_slope)


def as_graded(labeler: Labeler, pairs: pd.DataFrame) -> Graded:
    """Documents that people graded, as the labeler sees them.

    Args:
        labeler: Scores every passage.
        pairs: From `evaluation.benchmarks.selection.select_pairs`: every passage of every
            graded document.
    """
    # Neighbours share their passage, which is then read once.
    pairs = pairs.sort_values("passage_id", kind="stable", ignore_index=True)
    raw, scores = labeler.raw(pairs)
    graded = labeler.decide(raw, scores, pairs.index)
    graded[_KEY] = pairs[_KEY]
    given = labeler.document_grades(graded).set_index(_KEY)["grade"]
    best = pairs[_KEY].assign(human=pairs["human"], weight=pairs.get("weight", 1.0), score=scores)
    best["passages"] = best.groupby(_KEY)["score"].transform("size")
    best = best.sort_values("score", ascending=False, kind="stable").drop_duplicates(_KEY)
    best = best.sort_index()
    probabilities = np.array(graded.loc[best.index, "probabilities"].tolist(), dtype=np.float64)
    scale = labeler.scale
    return Graded(
        scores=best["score"].to_numpy(dtype=np.float64),
        passages=best["passages"].to_numpy(dtype=np.int64),
        positions=scale.positions(best["human"].to_numpy(dtype=np.int64)),
        queries=best["query_id"].to_numpy(dtype=object),
        weights=best["weight"].to_numpy(dtype=np.float64),
        probabilities=probabilities.reshape(len(best), scale.size),
        given=scale.positions(given.loc[pd.MultiIndex.from_frame(best[_KEY])].to_numpy()),
    )


def scores_of(labeler: Labeler, pairs: PairSource, most: int, seed: int) -> tuple[Array, Array]:
    """Scores and own probabilities of pairs in a file, shapes (pairs,) and (pairs, grades).

    Args:
        labeler: Scores them.
        pairs: Rows without a query, or with neither title nor text, are passed over.
        most: Where there are more, so many are drawn.
        seed: Draws them.
    """
    drawn = None
    if pairs.rows > most:
        drawn = np.sort(np.random.default_rng(seed).choice(pairs.rows, most, replace=False))
    scores, probabilities = [np.zeros(0)], [np.zeros((0, labeler.scale.size))]
    for shard in pairs.shards():
        texts = shard.texts
        written = texts["text"].str.strip() != ""
        if "title" in texts.columns:
            written |= texts["title"].str.strip() != ""
        written &= texts["query"].str.strip() != ""
        if drawn is not None:
            written &= np.isin(np.arange(len(texts)) + shard.first_row - 1, drawn)
        raw, scored = labeler.raw(texts[written])
        scores.append(scored)
        probabilities.append(labeler.facts.calibrated(raw, scored))
    return np.concatenate(scores), np.concatenate(probabilities)


def write_recalibrated(
    source: Path,
    folder: Path,
    link: Link,
    cut_points: tuple[float, ...],
    told: Mapping[str, Any],
) -> Path:
    """Copy a labeler's folder and give the copy another calibration.

    Args:
        source: The labeler's folder, which stays as it is.
        folder: The new one; what stood there is replaced.
        link: From score to probabilities.
        cut_points: On the expected grade.
        told: How it was recalibrated; stands in the facts of training as `recalibration`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, folder)
    facts = read_facts(folder)
    changed = {
        "calibration": link,
        "cut_points": cut_points,
        "training": {**facts.training, "recalibration": dict(told)},
    }
    write_facts(folder, facts.model_copy(update=changed))
    return folder
