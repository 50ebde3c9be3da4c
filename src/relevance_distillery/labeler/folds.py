"""Every query both trains and calibrates: one model a fold of queries, their weights averaged.

With a hundred queries a split for calibration holds ten of them, and cut points fitted on ten
queries fit no others. So each fold's model learns from the other folds and scores its own
(cross-fitting); these held-out scores calibrate the average of the models' weights (a model soup;
Wortsman et al., 2022), which all start from the same encoder and stay close to it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from statistics import harmonic_mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from relevance_distillery.encoders import devices
from relevance_distillery.encoders.base_model import load_tokenizer
from relevance_distillery.encoders.batching import by_length, pad
from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.artifact import (
    FACTS_FILE,
    LabelerFacts,
    read_facts,
    read_model,
    write_artifact,
)
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.initialisation import HeadInitialiser
from relevance_distillery.labeler.model import PairModel
from relevance_distillery.labeler.network import fresh_network
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.learning.labelled_pairs import LabelledPairs
from relevance_distillery.learning.second_pass import Seen, of_long_queries
from relevance_distillery.learning.splits import deal_groups
from relevance_distillery.learning.stuffed_pairs import sample_with_stuffed

logger = logging.getLogger(__name__)
_TRAINED = "trained"
_FEWEST_TO_STOP = 20  # queries from which early stopping tells checkpoints apart
_MONITORED = 100  # pairs that are graded along the way where nothing depends on it
_MOST_CLASSIFIER_PAIRS = 400
_CLASSIFIER_RIDGE = 1e-2


@dataclass(frozen=True)
class HeldOutScores:
    """What the models say about pairs whose queries they did not learn from.

    `raw` are uncalibrated probabilities, shape (pairs, grades); `scores` have shape (pairs,).
    `looked` are pairs of queries with many passages and what was seen of them; None without any.
    """

    pairs: LabelledPairs
    raw: NDArray[np.float64]
    scores: NDArray[np.float64]
    looked: tuple[LabelledPairs, Seen] | None = None


def train_folds(
    learn: LabelledPairs,
    early: LabelledPairs,
    calibrate: LabelledPairs,
    collection: list[dict[str, Any]],
    settings: TrainingSettings,
    scale: GradeScale,
    folder: Path,
) -> tuple[Path, LabelerFacts, HeldOutScores]:
    """Train the models of all folds and average them.

    The pairs `early` decide when each model stops; with fewer than 20 queries they are learned
    from instead, and every model is trained to the end. With two folds or more the pairs
    `calibrate` are learned from too, and those of `learn` calibrate. `collection` are rows of the
    passages table, for the weights of tokens; a fold that was trained in `folder` is not trained
    again.

    Returns:
        The uncalibrated artifact in `folder`, its facts, and the held-out predictions.
    """
    assert settings.max_calibration_pairs is not None
    assert settings.max_head_pairs is not None
    stops = early.pairs["query_id"].nunique() >= _FEWEST_TO_STOP
    if not stops:
        learn = learn.followed_by(early)
    splits = fold_splits(learn, calibrate, settings)
    everything = splits[0][0].followed_by(splits[0][1]) if len(splits) > 1 else splits[0][0]
    head_pairs = sample_with_stuffed(
        everything, settings.max_head_pairs, settings.stuffed_share, settings.seed
    )
    initialiser = HeadInitialiser(head_pairs, collection)
    facts, held_out, trained, looked = None, [], [], []
    for number, (some, rest) in enumerate(splits, start=1):
        if len(splits) > 1:
            logger.info("fold %d of %d", number, len(splits))
        place = folder / f"fold-{number}"
        monitored = early if stops else rest.sample(_MONITORED, settings.seed)
        facts = _train_fold(some, monitored, stops, initialiser, settings, scale, place)
        trained.append(place / _TRAINED)
        asked = rest.sample(settings.max_calibration_pairs // len(splits) or 1, settings.seed)
        labeler = Labeler.load(place / _TRAINED)
        initialiser.share_frozen_layers(labeler)
        held_out.append((asked, *labeler.raw(asked.pairs)))
        # In each fold as many as else in all: there are few queries with so many passages.
        long = of_long_queries(rest, settings.max_calibration_pairs, settings.seed)
        if labeler.model.encodes_separately and len(long):
            looked.append((long, labeler.look(long.pairs)[1]))
    assert facts is not None
    model = averaged(trained, facts)
    tokenizer = load_tokenizer(settings.base_model)
    if not model.encodes_jointly:
        _fit_plain_classifier(model, tokenizer, facts, learn, settings)
    trainings = [read_facts(one).training for one in trained]
    rates = [one["pairs_per_second"] for one in trainings if one["pairs_per_second"]]
    training = {
        **facts.training,
        "folds": trainings,
        "train_queries": int(np.unique(np.concatenate([a.queries for a, _ in splits])).size),
        "early_stopping_queries": int(early.pairs["query_id"].nunique()) if stops else 0,
        "steps": sum(one["steps"] for one in trainings),
        "pairs_per_second": round(harmonic_mean(rates), 1) if rates else None,
    }
    facts = facts.model_copy(update={"training": training})
    asked, raws, scores = zip(*held_out, strict=True)
    pairs = reduce(LabelledPairs.followed_by, asked)
    of_long = None
    if looked:
        long, seen = zip(*looked, strict=True)
        of_long = reduce(LabelledPairs.followed_by, long), np.concatenate(seen)
    scored = HeldOutScores(pairs, np.concatenate(raws), np.concatenate(scores), of_long)
    return write_artifact(folder / "uncalibrated", model, tokenizer, facts), facts, scored


def fold_splits(
    learn: LabelledPairs, calibrate: LabelledPairs, settings: TrainingSettings
) -> list[tuple[LabelledPairs, LabelledPairs]]:
    """Pairs to learn from and pairs held out, a fold each; whole groups of queries.

    One fold, or a single group, learns from `learn` and holds out `calibrate`.
    """
    assert settings.folds is not None
    pool = learn.followed_by(calibrate)
    groups = pool.groups.astype(str)
    folds = min(settings.folds, len(np.unique(groups)))
    if folds == 1:
        return [(learn, calibrate)]
    fold = deal_groups(groups.tolist(), [1.0] * folds, settings.seed)
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
    for value in total.values():
        if value.is_floating_point():
            value /= len(folders)
    model.load_state_dict(total)
    return model


def _train_fold(
    pairs: LabelledPairs,
    monitored: LabelledPairs,
    stops: bool,
    initialiser: HeadInitialiser,
    settings: TrainingSettings,
    scale: GradeScale,
    folder: Path,
) -> LabelerFacts:
    # Transformers' Trainer takes seconds to import, which grading would wait for.
    from relevance_distillery.labeler.training import train

    done = folder / _TRAINED
    if (done / FACTS_FILE).is_file():
        return read_facts(done)
    assert settings.max_train_pairs is not None
    folder.mkdir(parents=True, exist_ok=True)
    model, tokenizer, facts = fresh_network(settings, scale)
    device = devices.choose_device()
    precision = devices.settle_precision(
        device, settings.precision, devices.choose_precision(device)
    )
    devices.choose_attention(model.backbone, device, precision, facts.template.max_length)
    grader = Labeler(model, tokenizer, facts, device=device, precision=precision)
    initialiser.share_frozen_layers(grader)
    queries = frozenset(pairs.queries.astype(str).tolist())
    learn = sample_with_stuffed(
        pairs, settings.max_train_pairs, settings.stuffed_share, settings.seed
    )
    training = train(grader, initialiser, queries, learn, monitored, stops, settings, folder)
    facts = facts.model_copy(update={"precision": precision, "training": training})
    write_artifact(done, model.cpu(), tokenizer, facts)
    return facts


def _fit_plain_classifier(
    model: PairModel,
    tokenizer: Any,
    facts: LabelerFacts,
    learn: LabelledPairs,
    settings: TrainingSettings,
) -> None:
    """Fit the output layer of a classifier whose training only encoded texts separately.

    Others load the artifact's folder as an ordinary sequence classifier, without the head, and
    encode query and passage jointly. So its output layer is fitted afterwards, in place and on
    the CPU, to the states of the finished encoder: multinomial logistic regression. It is a weak
    labeler beside the head's; `architecture=combined` trains both.
    """
    layer = [
        part
        for part in model.backbone.modules()
        if isinstance(part, nn.Linear) and part.out_features == model.head.grades
    ][-1]
    pairs = learn.sample(_MOST_CLASSIFIER_PAIRS, settings.seed)
    template = facts.template
    rows = template.encode_jointly(tokenizer, *template.render(pairs.pairs))
    # Training may have been on a GPU, and in a type that this processor lacks.
    precision = "fp32" if facts.precision == "fp32" else devices.choose_precision("cpu")
    devices.choose_attention(model.backbone, "cpu", precision, template.max_length)
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    order: list[int] = []
    model.eval()
    try:
        with torch.inference_mode(), devices.autocast("cpu", precision):
            for chosen in by_length([len(row["input_ids"]) for row in rows], 32):
                model.classify(pad([rows[i] for i in chosen], tokenizer.pad_token_id))
                order += chosen
    finally:
        hook.remove()
    states = torch.cat([one.flatten(0, -2) for one in seen]).float().clone()
    targets = torch.tensor(pairs.targets[order], dtype=torch.float32)
    weight = torch.zeros_like(layer.weight, dtype=torch.float32).requires_grad_()
    bias = torch.zeros(layer.out_features).requires_grad_()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(states @ weight.T + bias, targets)
        loss = loss + _CLASSIFIER_RIDGE * (weight**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(bias)
