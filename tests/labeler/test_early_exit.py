"""Pairs that leave early: scored from the lower layers, the others exactly as without an exit."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoConfig, AutoModel

from relevance_distillery.encoders import layers
from relevance_distillery.encoders.base_model import load_tokenizer
from relevance_distillery.encoders.layers import can_stop, first_states, further_states
from relevance_distillery.evaluation.graders import UntrainedEncoder
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.artifact import LabelerFacts
from relevance_distillery.labeler.early_exit import EarlyExit, fit_early_exit, known_places
from relevance_distillery.labeler.features import feature_count
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.initialisation import HeadInitialiser
from relevance_distillery.labeler.model import PairModel
from relevance_distillery.labeler.network import freeze_lower_layers, load_backbone
from relevance_distillery.labeler.template import InputTemplate


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlm-roberta", "camembert"])
def test_layers_in_two_parts_are_the_whole_encoder(architecture: str) -> None:
    config = AutoConfig.for_model(
        architecture,
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    network = AutoModel.from_config(config).eval()
    assert can_stop(network)
    tokens = {
        "input_ids": torch.tensor([[5, 6, 7, 8], [9, 10, 1, 1]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]),
    }
    with torch.inference_mode():
        whole = network(**tokens, output_hidden_states=True).hidden_states
        states = first_states(network, tokens["input_ids"], tokens["attention_mask"], 1)
        states += further_states(network, states[-1], tokens["attention_mask"], 1, 3)
    for some, expected in zip(states, whole, strict=True):
        torch.testing.assert_close(some, expected)


@pytest.fixture(scope="module")
def labeler() -> Labeler:
    tokenizer = load_tokenizer("bundled")
    backbone = load_backbone("bundled", DEFAULT_SCALE, tokenizer.pad_token_id)
    model = PairModel(backbone, "late_interaction", DEFAULT_SCALE.size, levels=6)
    return Labeler(model, tokenizer, _facts(tokenizer), batch_size=3)


def test_frozen_layers_are_read_once_and_give_the_same_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer = load_tokenizer("bundled")
    backbone = load_backbone("bundled", DEFAULT_SCALE, tokenizer.pad_token_id)
    freeze_lower_layers(backbone, 2)
    model = PairModel(backbone, "late_interaction", DEFAULT_SCALE.size, levels=6)
    grader = Labeler(model, tokenizer, _facts(tokenizer), batch_size=3)
    plain = grader.features(_pairs())
    HeadInitialiser(None, []).share_frozen_layers(grader)  # type: ignore[arg-type]
    assert model.frozen is not None
    read: list[int] = []
    whole = layers.first_states

    def counted(network: Any, input_ids: torch.Tensor, *rest: Any) -> list[torch.Tensor]:
        read.append(len(input_ids))
        return whole(network, input_ids, *rest)

    monkeypatch.setattr(layers, "first_states", counted)
    for _ in range(2):
        torch.testing.assert_close(grader.features(_pairs()), plain, atol=1e-5, rtol=1e-4)
        assert sum(read) == 6  # two queries, four passages
    # What a reading has kept can be learned from.
    texts = grader.tokens(grader.tokenise(["lunch"], ["soup"]).passages, [0])
    model.encode(texts).pooled.sum().backward()
    stack = model.base.encoder.layer
    tuned = [layer for layer in stack if layer.output.dense.weight.grad is not None]
    assert len(tuned) == 2
    # No more is kept than fits.
    model.frozen = layers.FrozenLayers(model.base, 4, [0, 1, 2, 4], "fp32", most_bytes=10)
    for _ in range(2):
        torch.testing.assert_close(grader.features(_pairs()), plain, atol=1e-5, rtol=1e-4)
    assert sum(read) == 6 + 1 + 2 * 6


def test_a_student_and_its_base_share_the_layers_that_tuning_left(labeler: Labeler) -> None:
    model = deepcopy(labeler.model)
    with torch.no_grad():
        model.base.encoder.layer[4].output.dense.weight.mul_(1.1)
    student = Labeler(model, labeler.tokenizer, labeler.facts, batch_size=3)
    base = UntrainedEncoder("bundled", labeler.facts.template)
    expected = student.features(_pairs()), base.scores(_pairs())
    base.share_layers_with(student)
    assert model.frozen is not None
    assert model.frozen.layers == 4
    torch.testing.assert_close(student.features(_pairs()), expected[0], atol=1e-5, rtol=1e-4)
    pd.testing.assert_frame_equal(base.scores(_pairs()), expected[1], atol=1e-5)
    other = deepcopy(labeler.model)
    other.frozen = None
    with torch.no_grad():
        other.base.embeddings.LayerNorm.weight.mul_(1.1)
    UntrainedEncoder("bundled").share_layers_with(
        Labeler(other, labeler.tokenizer, labeler.facts, batch_size=3)
    )
    assert other.frozen is None


def _facts(tokenizer: Any) -> LabelerFacts:
    return LabelerFacts(
        base_model="bundled",
        architecture="late_interaction",
        levels=6,
        scale=DEFAULT_SCALE,
        template=InputTemplate.for_tokenizer(tokenizer, 64, 16),
        cut_points=(0.5, 1.5, 2.5),
    )


def _pairs() -> pd.DataFrame:
    queries = ["how do I book a desk", "lunch menu"]
    texts = [
        "Desks are booked in the office app.",
        "The canteen opens at eleven and serves soup.",
        "Volcanoes erupt when magma rises.",
        "Book a desk a day ahead; the app shows which desks are free.",
    ]
    return pd.DataFrame([{"query": q, "text": t} for q in queries for t in texts])


@pytest.mark.parametrize("layer", [1, 2, 5])
def test_pairs_that_stay_have_the_scores_of_all_layers(labeler: Labeler, layer: int) -> None:
    pairs = _pairs()
    _, whole = labeler.raw(pairs)
    places = known_places(6, 6, layer)
    rng = np.random.default_rng(layer)
    weights, features = rng.normal(size=len(places)), labeler.features(pairs)
    predicted = features[:, places].double().numpy() @ weights
    exit_ = EarlyExit(
        layer=layer, weights=tuple(weights), bias=0.25, below=float(np.median(predicted)) + 0.25
    )
    facts = labeler.facts.model_copy(update={"early_exit": exit_})
    _, found = Labeler(labeler.model, labeler.tokenizer, facts, batch_size=3).raw(pairs)
    leaves = predicted < np.median(predicted)
    assert 0 < leaves.sum() < len(pairs)
    np.testing.assert_allclose(found[~leaves], whole[~leaves], atol=1e-5)
    np.testing.assert_allclose(found[leaves], predicted[leaves] + 0.25, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu_the_same_pairs_leave(labeler: Labeler) -> None:
    places = known_places(6, 6, 2)
    known = labeler.features(_pairs())[:, places].sum(dim=1)
    exit_ = EarlyExit(layer=2, weights=(1.0,) * len(places), bias=0.0, below=float(known.mean()))
    facts = labeler.facts.model_copy(update={"early_exit": exit_})
    expected, found = (
        Labeler(deepcopy(labeler.model), labeler.tokenizer, facts, device=device)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(found.raw(_pairs())[1], expected.raw(_pairs())[1], atol=1e-3)
    found.model.head.place_cuts(torch.arange(8.0, device="cuda"), [0.25] * 4)


def _fitted(most_wrong: float, noise: float = 0.1) -> tuple[EarlyExit | None, dict[str, float]]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, feature_count(6)))
    # What lies at the embeddings tells nearly all.
    scores = features[:, known_places(6, 6, 1)].sum(axis=1) + rng.normal(scale=noise, size=600)
    queries = [f"q{i % 20}" for i in range(600)]
    return fit_early_exit(features, scores, queries, 6, 6, lambda s: s < 0, most_wrong)


def test_most_clear_pairs_leave_after_the_first_layer_that_tells() -> None:
    exit_, found = _fitted(0.01)
    assert exit_ is not None
    assert exit_.layer == 1
    assert found["wrong"] <= 0.01
    assert 0.4 < found["share"] < 0.55
    np.testing.assert_allclose(exit_.weights, 1.0, atol=0.05)


def test_fewer_leave_where_less_may_be_wrong() -> None:
    shares = [_fitted(wrong, noise=2.0)[1].get("share", 0.0) for wrong in (0.001, 0.05)]
    assert shares[0] < shares[1]


def test_where_the_layers_tell_nothing_all_pairs_stay() -> None:
    assert _fitted(0.001, noise=50.0)[0] is None
