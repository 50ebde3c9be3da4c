from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch

from relevance_distillery.encoders.base_model import load_tokenizer
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.artifact import LabelerFacts
from relevance_distillery.labeler.features import (
    FEATURES,
    Encoded,
    feature_count,
    pair_features,
    summarise,
)
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.initialisation import inverse_document_frequency
from relevance_distillery.labeler.model import (
    GradeHead,
    PairModel,
    couples_of,
    ordinal_loss,
    ranking_loss,
)
from relevance_distillery.labeler.network import load_backbone, resolve_architecture
from relevance_distillery.labeler.template import InputTemplate


def _encoded(vectors: list[list[float]], ids: list[int], words: list[int]) -> Encoded:
    return _from_states([torch.tensor([vectors])], _texts([ids], [words]))


def _from_states(states: Sequence[torch.Tensor], texts: dict[str, torch.Tensor]) -> Encoded:
    return Encoded.of(states, *summarise(states, texts["attention_mask"]), texts)


def _texts(ids: list[list[int]], words: list[list[int]]) -> dict[str, torch.Tensor]:
    return {
        "input_ids": torch.tensor(ids),
        "attention_mask": torch.tensor([[int(one > 0) for one in row] for row in ids]),
        "special_tokens_mask": 1 - torch.tensor(words),
    }


def test_features_by_hand() -> None:
    query = _encoded([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [2, 5, 6], [0, 1, 1])
    passage = _encoded([[1.0, 0.0], [3.0, 0.0], [9.0, 9.0]], [2, 6, 0], [0, 1, 0])
    weights = torch.arange(8.0)
    values = dict(zip(FEATURES, pair_features(query, passage, weights)[0].tolist(), strict=True))
    # Query words (0,1) and (1,0) against the passage's only word (3,0).
    assert values["maxsim"] == pytest.approx(0.5)
    assert values["maxsim_lowest"] == pytest.approx(0.0)
    assert values["weighted_maxsim"] == pytest.approx(6 / 11)
    assert values["weighted_coverage"] == pytest.approx(6 / 11)
    # Mean of (1,0),(0,1),(1,0) against that of (1,0),(3,0); padding does not count.
    assert values["cosine"] == pytest.approx(2 / np.sqrt(5))


def test_rare_tokens_weigh_more() -> None:
    weights = inverse_document_frequency([[1, 1, 2], [1], [1, 3]], vocabulary=5)
    assert weights[1] < weights[2] == weights[3] < weights[4] == pytest.approx(1.0)


def test_cuts_are_ordered_and_probabilities_sum_to_one() -> None:
    head = GradeHead(4, uses_classifier=True, uses_features=False)
    with torch.no_grad():
        head.gaps.copy_(torch.tensor([-9.0, 5.0]))
    assert (head.cuts.diff() > 0).all()
    probabilities = head.probabilities(torch.linspace(-9, 9, 50))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(50))
    assert (probabilities >= 0).all()


def test_placed_cuts_split_scores_as_the_labels_are_split() -> None:
    head = GradeHead(4, uses_classifier=True, uses_features=False)
    scores = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    head.place_cuts(scores, [0.5, 0.2, 0.2, 0.1])
    graded = torch.searchsorted(head.cuts.detach(), scores)
    shares = torch.bincount(graded, minlength=4) / 5000
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.2, 0.2, 0.1]), atol=0.02, rtol=0)


def test_ordinal_loss_punishes_distance() -> None:
    head = GradeHead(4, uses_classifier=True, uses_features=False)
    head.place_cuts(torch.linspace(-3, 3, 100), [0.25] * 4)
    logits = head.cumulative_logits(torch.tensor([-3.0]))
    losses = [
        ordinal_loss(logits, torch.eye(4)[grade : grade + 1], torch.ones(1)).item()
        for grade in range(4)
    ]
    assert losses == sorted(losses)


def test_training_starts_at_the_encoders_own_similarity() -> None:
    tokenizer = load_tokenizer("bundled")
    backbone = load_backbone("bundled", DEFAULT_SCALE, tokenizer.pad_token_id)
    facts = LabelerFacts(
        base_model="bundled",
        architecture="combined",
        scale=DEFAULT_SCALE,
        template=InputTemplate.for_tokenizer(tokenizer, 64, 16),
        cut_points=(0.5, 1.5, 2.5),
    )
    labeler = Labeler(PairModel(backbone, "combined", 4), tokenizer, facts)
    pairs = pd.DataFrame(
        {
            "query": ["book a desk"] * 3,
            "text": ["How to reserve a desk in the office.", "The canteen menu.", "Desk lamps."],
        }
    )
    features = labeler.features(pairs)
    labeler.model.head.standardise(features)
    _, scores = labeler.raw(pairs)
    plain = (features - features.mean(0)) / features.std(0, unbiased=False)
    similarity = plain[:, FEATURES.index("cosine")] + plain[:, FEATURES.index("maxsim")]
    np.testing.assert_allclose(scores, similarity.numpy(), atol=0.05)


def test_a_decoder_cannot_compare_texts(tmp_path: object) -> None:
    from transformers import Qwen3Config

    config = Qwen3Config()
    assert resolve_architecture("auto", config) == "cross_encoder"
    with pytest.raises(UserError, match="left to right"):
        resolve_architecture("late_interaction", config)


def test_ranking_loss_by_hand() -> None:
    scores = torch.tensor([2.0, 1.0, 5.0])
    targets = torch.eye(4)[[3, 1, 0]]
    # The third pair is of another query and ranks with nobody.
    loss = ranking_loss(scores, couples_of(targets, torch.tensor([7, 7, 8])))
    assert loss.item() == pytest.approx(np.log1p(np.exp(-1.0)))
    # Further apart counts more: couples (3,1) and (3,0) and (1,0) weigh 2, 3 and 1.
    loss = ranking_loss(scores, couples_of(targets, torch.tensor([7, 7, 7])))
    parts = np.log1p(np.exp([-1.0, 3.0, 4.0]))
    assert loss.item() == pytest.approx((parts * [2, 3, 1]).sum() / 6)
    assert ranking_loss(scores, couples_of(targets, torch.tensor([1, 2, 3]))).item() == 0.0
    # Every query counts alike, however many couples it has.
    both = couples_of(torch.cat([targets, targets[1:]]), torch.tensor([7, 7, 7, 4, 4]))
    mean = ((parts * [2, 3, 1]).sum() / 6 + np.log1p(np.exp(4.0))) / 2
    assert ranking_loss(torch.cat([scores, scores[1:]]), both).item() == pytest.approx(mean)


def test_a_fitted_head_finds_the_telling_feature() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(800, len(FEATURES), generator=generator)
    noisy = features[:, 1] + 0.5 * torch.randn(800, generator=generator)
    positions = torch.bucketize(noisy, torch.tensor([-0.5, 0.5]))
    head = GradeHead(4, uses_classifier=False, uses_features=True, vocabulary=5)
    head.standardise(features)
    # Nobody gave grade 3: its cut point stays finite.
    groups = torch.arange(800) // 20
    head.fit_features(features, torch.eye(4)[positions], torch.ones(800), groups, 1e-3, 1.0)
    weights = head.linear.weight[0].detach()
    assert weights.argmax() == 1
    assert weights[1] > 5 * weights[[0, 2, 3, 4, 5]].abs().max()
    assert torch.isfinite(head.cuts).all()
    assert (head.cuts.diff() > 0).all()
    graded = head.probabilities(head(None, features)).argmax(-1)
    assert (graded == positions).float().mean() > 0.6


def test_an_encoder_compares_texts_by_default() -> None:
    from transformers import BertConfig

    assert resolve_architecture("auto", BertConfig()) == "late_interaction"


def test_each_level_adds_its_similarities() -> None:
    texts = _texts([[2, 5, 6]], [[0, 1, 1]])
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2, 1, 3, 3, 4, generator=generator)
    weights = torch.arange(8.0)
    query, passage = (_from_states(states[side].unbind(1), texts) for side in (0, 1))
    found = pair_features(query, passage, weights)[0]
    assert len(found) == feature_count(3)
    alone = [
        pair_features(
            _from_states([states[0][:, level]], texts),
            _from_states([states[1][:, level]], texts),
            weights,
        )[0]
        for level in range(3)
    ]
    torch.testing.assert_close(found, torch.cat([alone[0], alone[1][:5], alone[2][:5]]))


def test_levels_go_from_the_last_layer_to_the_embeddings() -> None:
    tokenizer = load_tokenizer("bundled")
    backbone = load_backbone("bundled", DEFAULT_SCALE, tokenizer.pad_token_id)
    tokens = dict(
        tokenizer(["book a desk"], return_special_tokens_mask=True, return_tensors="pt").items()
    )
    model = PairModel(backbone, "late_interaction", 4, levels=4).eval()
    with torch.inference_mode():
        encoded = model.encode(tokens)
        del tokens["special_tokens_mask"]
        output = backbone.base_model(**tokens, output_hidden_states=True)
    # Six layers: the last, the one below it, and two more down to the embeddings.
    for level, layer in enumerate((6, 5, 2, 0)):
        expected = output.hidden_states[layer][0]
        torch.testing.assert_close(encoded.states[level][0], expected)
        torch.testing.assert_close(encoded.lengths[0, level], expected.norm(dim=-1))
