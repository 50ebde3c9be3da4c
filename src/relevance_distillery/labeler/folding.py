"""Every query both teaches and calibrates: one model a fold of queries, their weights averaged.

With a hundred queries a split for calibration holds ten of them, and cut points fitted on ten
queries fit no others. So each fold's model learns from the other folds and says what it thinks of
its own (cross-fitting); what they say together calibrates the average of their weights (a model
soup; Wortsman et al., 2022), which all start from the same encoder and stay close to it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.artifact import (
    FACTS_FILE,
    LabelerFacts,
    read_facts,
    read_model,
    write_artifact,
)
from relevance_distillery.labeler.head_start import HeadStart
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.model import PairModel
from relevance_distillery.labeler.network import fresh_network
from relevance_distillery.labeler.plain_classifier import fit_plain_classifier
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.labeler.template import load_tokenizer
from relevance_distillery.learning.labelled_pairs import LabelledPairs

logger = logging.getLogger(__name__)
_TRAINED = "trained"
_FEWEST_TO_STOP = 20
"""Queries from which early stopping tells checkpoints apart."""
_WATCHED = 100
"""Pairs that are graded along the way where nothing depends on it."""


@dataclass(frozen=True)
class HeldOut:
    """What the models say about pairs whose queries they did not learn from.

    Attributes:
        pairs: The pairs.
        raw: Uncalibrated probabilities, shape (pairs, grades).
        scores: Relevance scores, shape (pairs,).
    """

    pairs: LabelledPairs
    raw: NDArray[np.float64]
    scores: NDArray[np.float64]


def train_folds(
    learn: LabelledPairs,
    early: LabelledPairs,
    calibrate: LabelledPairs,
    collection: list[dict[str, Any]],
    settings: TrainingSettings,
    scale: GradeScale,
    folder: Path,
) -> tuple[Path, LabelerFacts, HeldOut]:
    """Train the models of all folds and average them.

    Args:
        learn: Pairs to learn from.
        early: Pairs that decide when each model stops; where they are of fewer than 20 queries
            they teach instead, and every model is trained to the end.
        calibrate: Pairs for calibration; with two folds or more they teach too, and those of
            `learn` calibrate.
        collection: Rows of the passages table, for the weights of tokens.
        settings: Resolved settings.
        scale: The grades.
        folder: Workspace; a fold that was trained there is not trained again.

    Returns:
        The uncalibrated artifact in `folder`, its facts, and the held-out predictions.
    """
    assert settings.max_calibration_pairs is not None
    assert settings.max_head_pairs is not None
    stops = early.pairs["query_id"].nunique() >= _FEWEST_TO_STOP
    if not stops:
        learn = learn.followed_by(early)
    splits = fold_splits(learn, calibrate, settings)
    teachers = splits[0][0].followed_by(splits[0][1]) if len(splits) > 1 else splits[0][0]
    start = HeadStart(teachers.even_sample(settings.max_head_pairs, settings.seed), collection)
    facts, held_out, trained = None, [], []
    for number, (some, rest) in enumerate(splits, start=1):
        if len(splits) > 1:
            logger.info("fold %d of %d", number, len(splits))
        place = folder / f"fold-{number}"
        watched = early if stops else rest.sample(_WATCHED, settings.seed)
        facts = _train_fold(some, watched, stops, start, settings, scale, place)
        trained.append(place / _TRAINED)
        labeler = Labeler.load(place / _TRAINED)
        asked = rest.sample(settings.max_calibration_pairs // len(splits) or 1, settings.seed)
        raw, scores = labeler.raw(asked.pairs)
        held_out.append(HeldOut(asked, raw, scores))
    assert facts is not None
    model = averaged(trained, facts)
    tokenizer = load_tokenizer(settings.base_model)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not model.reads_together:
        fit_plain_classifier(model, tokenizer, facts.template, learn, settings)
    training = {
        **facts.training,
        "folds": [read_facts(one).training for one in trained],
        "train_queries": int(np.unique(np.concatenate([a.queries for a, _ in splits])).size),
        "early_stopping_queries": int(early.pairs["query_id"].nunique()) if stops else 0,
        "steps": sum(read_facts(one).training["steps"] for one in trained),
    }
    facts = facts.model_copy(update={"training": training})
    pairs = held_out[0].pairs
    for one in held_out[1:]:
        pairs = pairs.followed_by(one.pairs)
    everything = HeldOut(
        pairs,
        np.concatenate([one.raw for one in held_out]),
        np.concatenate([one.scores for one in held_out]),
    )
    return write_artifact(folder / "uncalibrated", model, tokenizer, facts), facts, everything


def fold_splits(
    learn: LabelledPairs, calibrate: LabelledPairs, settings: TrainingSettings
) -> list[tuple[LabelledPairs, LabelledPairs]]:
    """Pairs to learn from and pairs held out, a fold each; whole groups of queries.

    One fold, or a single group, learns from `learn` and holds out `calibrate`.
    """
    assert settings.folds is not None
    pool = learn.followed_by(calibrate)
    groups, sizes = np.unique(pool.groups.astype(str), return_counts=True)
    if settings.folds == 1 or len(groups) == 1:
        return [(learn, calibrate)]
    folds = min(settings.folds, len(groups))
    filled = np.zeros(folds)
    fold_of: dict[str, int] = {}
    for place in np.random.default_rng(settings.seed).permutation(len(groups)):
        emptiest = int(np.argmin(filled))
        fold_of[groups[place]] = emptiest
        filled[emptiest] += sizes[place]
    fold = np.array([fold_of[group] for group in pool.groups.astype(str)])
    return [
        (pool.take(np.flatnonzero(fold != k)), pool.take(np.flatnonzero(fold == k)))
        for k in range(folds)
    ]


def averaged(folders: Sequence[Path], facts: LabelerFacts) -> PairModel:
    """A network with the mean of the weights of several artifacts of one base model."""
    model = read_model(folders[0], facts)
    if len(folders) == 1:
        return model
    total = {name: value.clone() for name, value in model.state_dict().items()}
    for folder in folders[1:]:
        for name, value in read_model(folder, facts).state_dict().items():
            if value.is_floating_point():
                total[name] += value
    with torch.no_grad():
        for value in total.values():
            if value.is_floating_point():
                value /= len(folders)
    model.load_state_dict(total)
    return model


def _train_fold(
    pairs: LabelledPairs,
    watched: LabelledPairs,
    stops: bool,
    start: HeadStart,
    settings: TrainingSettings,
    scale: GradeScale,
    folder: Path,
) -> LabelerFacts:
    # Transformers' Trainer takes seconds to import, which every command would wait for.
    from relevance_distillery.labeler.training import train

    done = folder / _TRAINED
    if (done / FACTS_FILE).is_file():
        return read_facts(done)
    assert settings.max_train_pairs is not None
    folder.mkdir(parents=True, exist_ok=True)
    model, tokenizer, facts = fresh_network(settings, scale)
    queries = frozenset(pairs.queries.astype(str).tolist())
    learn = pairs.even_sample(settings.max_train_pairs, settings.seed)
    memory = folder.parent.parent / "precision.json"
    facts, training = train(
        model, tokenizer, facts, start, queries, learn, watched, stops, settings, folder, memory
    )
    facts = facts.model_copy(update={"training": training})
    write_artifact(done, model.cpu(), tokenizer, facts)
    return facts
