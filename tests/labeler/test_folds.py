"""Folds of queries: who learns what, what is held out, how the models become one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.artifact import read_facts, read_model
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.folds import averaged, fold_splits
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.network import resolve_settings
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.learning.labelled_pairs import LabelledPairs
from tiny_models import tiny_data, tiny_settings


def _pairs(queries: int, first: int = 0, group: int = 1) -> LabelledPairs:
    rows = [(f"q{q}", f"g{q // group}") for q in range(first, first + queries) for _ in range(5)]
    positions = np.arange(len(rows)) % 4
    frame = pd.DataFrame(rows, columns=["query_id", "group"])
    return LabelledPairs(frame, np.eye(4)[positions], positions)


def test_every_query_is_held_out_once_and_no_group_is_torn() -> None:
    settings = TrainingSettings(folds=3, tuning="full", architecture="late_interaction")
    splits = fold_splits(_pairs(20, group=2), _pairs(4, first=20), settings)
    assert len(splits) == 3
    held_out = [query for _, rest in splits for query in set(rest.queries)]
    assert sorted(held_out) == sorted({f"q{q}" for q in range(24)})
    for learn, rest in splits:
        assert not set(learn.groups) & set(rest.groups)
        assert len(learn) + len(rest) == 24 * 5
    again = fold_splits(_pairs(20, group=2), _pairs(4, first=20), settings)
    for (one, _), (other, _) in zip(splits, again, strict=True):
        pd.testing.assert_frame_equal(one.pairs, other.pairs)


@pytest.mark.parametrize(("folds", "group"), [(1, 1), (3, 100)])
def test_one_fold_or_one_group_uses_the_splits_as_they_are(folds: int, group: int) -> None:
    settings = TrainingSettings(folds=folds, tuning="full", architecture="late_interaction")
    learn, calibrate = _pairs(12, group=group), _pairs(3, group=group)
    assert fold_splits(learn, calibrate, settings) == [(learn, calibrate)]


def test_a_labeler_of_three_folds(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_encoder, folds=3, epochs=2)
    folder, training = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)
    # All pairs, and 15 % of copies with stuffed query words.
    assert [one["train_pairs"] for one in training["folds"]] == [156 + 23, 162 + 24, 162 + 24]
    # Eight queries cannot tell checkpoints apart: they teach, and calibrate, too.
    assert training["early_stopping_queries"] == 0
    assert training["train_queries"] == training["calibration_queries"] == 40
    assert training["calibration_pairs"] == 240
    assert training["steps"] == sum(one["steps"] for one in training["folds"])
    labeler = Labeler.load(folder)
    data = tiny_data()
    graded = labeler.grade(data.learn.pairs)
    human = data.learn.positions
    assert np.corrcoef(graded["expected_grade"], human)[0, 1] > 0.5
    assert not list(folder.parent.glob("fold-*"))


def test_averaging_is_the_mean_of_the_weights(tiny_encoder: Path, tmp_path: Path) -> None:
    folders = [
        distill(
            tiny_data(), tiny_settings(tiny_encoder, epochs=1, seed=seed), DEFAULT_SCALE, tmp_path
        )[0]
        for seed in (0, 1)
    ]
    model = averaged(folders, read_facts(folders[0]))
    parts = [read_model(folder, read_facts(folder)).state_dict() for folder in folders]
    for name, value in model.state_dict().items():
        expected = (parts[0][name] + parts[1][name]) / 2 if value.is_floating_point() else value
        torch.testing.assert_close(value, expected)
    head = load_file(folders[0] / "head.safetensors")
    assert not torch.equal(head["linear.weight"], model.head.linear.weight)


def test_a_grade_with_three_examples_is_learned_from(tiny_encoder: Path, tmp_path: Path) -> None:
    data = tiny_data()
    everything = data.learn.followed_by(data.early).followed_by(data.calibrate)
    tops = np.flatnonzero(everything.positions == 3)
    rare = everything.take(
        np.sort(np.concatenate([np.flatnonzero(everything.positions != 3), tops[:3]]))
    )
    third = len(rare) // 3
    parts = replace(
        data,
        learn=rare.take(np.arange(third, len(rare))),
        early=rare.take(np.arange(0, 6)),
        calibrate=rare.take(np.arange(6, third)),
    )
    settings = tiny_settings(tiny_encoder, folds=3, epochs=1)
    folder, training = distill(parts, settings, DEFAULT_SCALE, tmp_path)
    assert training["train_grades"]["3"] == 3
    graded = Labeler.load(folder).grade(rare.pairs)
    assert 1 <= (graded["grade"] == 3).sum() <= len(rare) // 10
    assert np.isfinite(graded[["expected_grade", "confidence", "score"]].to_numpy()).all()


def test_twenty_queries_stop_training_early(tiny_encoder: Path, tmp_path: Path) -> None:
    data = tiny_data(120)
    assert data.early.pairs["query_id"].nunique() >= 20
    settings = tiny_settings(tiny_encoder, epochs=2, evaluations_per_epoch=2)
    _, training = distill(data, settings, DEFAULT_SCALE, tmp_path)
    assert training["early_stopping_queries"] >= 20
    history = training["folds"][0]["early_stopping"]
    best = max(history, key=lambda entry: entry["quadratic_kappa"])
    assert training["best_step"] == best["step"]


def test_only_the_top_layers_of_an_encoder_are_tuned(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_encoder, epochs=1, tuned_layers=1)
    folder, _ = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)
    before = load_file(tiny_encoder / "model.safetensors")
    after = load_file(folder / "model.safetensors")
    same = {
        name.removeprefix("bert."): torch.equal(value, before[name.removeprefix("bert.")])
        for name, value in after.items()
        if name.removeprefix("bert.") in before
    }
    layers = sorted({int(name.split(".")[2]) for name in same if ".layer." in name})
    top = f"encoder.layer.{layers[-1]}."
    assert len(layers) > 1
    assert all(held for name, held in same.items() if "embeddings" in name)
    assert all(held for name, held in same.items() if ".layer." in name and top not in name)
    assert not all(held for name, held in same.items() if top in name)


def test_the_plain_classifier_is_of_some_use(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_encoder, epochs=1)
    assert resolve_settings(settings).architecture == "late_interaction"
    folder, _ = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)
    labeler = Labeler.load(folder)
    pairs = tiny_data().learn
    queries, passages = labeler.facts.template.render(pairs.pairs)
    from relevance_distillery.encoders.batching import pad

    rows = labeler.facts.template.encode_jointly(labeler.tokenizer, queries, passages)
    with torch.inference_mode():
        logits = labeler.model.classify(pad(rows, 0))
    expected = torch.softmax(logits, -1) @ torch.arange(4.0)
    assert np.corrcoef(expected.numpy(), pairs.positions)[0, 1] > 0.2
