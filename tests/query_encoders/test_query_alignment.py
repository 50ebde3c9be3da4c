"""Alignment of transformers and tables: what each loss brings nearer, and what stops it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from strings_of_words import word_strings
from torch.nn.functional import normalize

import tiny_models
from relevance_distillery.encoders.base_model import load_encoder
from relevance_distillery.encoders.devices import choose_device, choose_precision
from relevance_distillery.errors import UserError
from relevance_distillery.query_encoders.alignment import LOSSES, align
from relevance_distillery.query_encoders.pruning import cut_layers
from relevance_distillery.query_encoders.settings import AlignmentSettings
from relevance_distillery.query_encoders.static import StaticStudent, split_words
from relevance_distillery.query_encoders.students import Student, TransformerStudent
from relevance_distillery.query_encoders.targets import Targets, reference_vectors
from relevance_distillery.retriever.encoder import Retriever

STRINGS = word_strings(440)


def settings(**changes: Any) -> AlignmentSettings:
    values = {"batch_size": 32, "learning_rate": 3e-3, "held_back": 40, "evaluations": 2}
    return AlignmentSettings(**{**values, **changes})


@pytest.fixture
def targets(reference: Retriever) -> Targets:
    return Targets.of(STRINGS, reference.encode_queries(STRINGS), settings())


def correlation(student: Student, targets: Targets) -> float:
    """Of similarities with the reference's vectors of the strings to learn from."""
    made = student.vectors(student.rows(targets.held_strings)).numpy()
    found = [one @ targets.vectors.numpy().T for one in (made, targets.held_vectors.numpy())]
    return float(np.mean([np.corrcoef(*both)[0, 1] for both in zip(*found, strict=True)]))


def one_layer(reference: Retriever, targets: Targets) -> TransformerStudent:
    student = TransformerStudent(*load_encoder(reference.source), 24)
    cut_layers(student, 1, targets)
    return student


@pytest.mark.parametrize("loss", list(LOSSES))
def test_every_loss_brings_similarities_nearer_to_the_references(
    loss: str, reference: Retriever, targets: Targets
) -> None:
    student = one_layer(reference, targets)
    before = correlation(student, targets)
    facts = align(student, targets, settings(loss=loss, epochs=4.0), seed=0)
    assert correlation(student, targets) > before + 0.05
    assert facts["steps"] == 4 * 400 // 32
    assert facts["after"] == pytest.approx(targets.agreement(student), abs=1e-5)
    assert facts["after"] > facts["before"]


def test_losses_are_zero_where_nothing_is_left_to_learn(targets: Targets) -> None:
    wanted = targets.vectors[:20]
    for name, loss in LOSSES.items():
        assert float(loss(wanted, wanted)) == pytest.approx(0, abs=1e-5), name
        assert float(loss(wanted.roll(1, 0), wanted)) > 0.01, name
    turned = wanted @ torch.linalg.qr(torch.randn(32, 32)).Q
    # A student that agrees with itself alone cannot search the reference's index.
    assert float(LOSSES["kl"](turned, wanted)) > 0.01
    assert float(LOSSES["kernel"](turned, wanted)) > 0.01


def test_vectors_cut_to_a_size_agree_better_where_it_was_asked_for(
    reference: Retriever, targets: Targets
) -> None:
    size, wanted = 4, normalize(targets.held_vectors[:, :4])
    found = {}
    for sizes in ((), (size,)):
        student = one_layer(reference, targets)
        align(student, targets, settings(loss="cosine", epochs=4.0), 0, sizes=sizes)
        made = normalize(student.vectors(student.rows(targets.held_strings))[:, :size])
        found[sizes] = float((made * wanted).sum(1).mean())
    assert found[size,] > found[()] + 0.01


def test_a_table_begins_with_what_tokens_add_and_learns(
    reference: Retriever, targets: Targets, tmp_path: Path
) -> None:
    texts = [f"w{i} w{i + 1}" for i in range(2, 58, 2)]
    student = StaticStudent.of(reference, texts, 0, reference.encode_queries)
    unknown = student.tokenizer.convert_tokens_to_ids("w1")
    # What no string holds begins as the reference's vector of it alone.
    own = reference.encode_queries(["w1"])[0]
    near = 5e-3 if choose_precision(choose_device()) == "bf16" else 1e-5
    np.testing.assert_allclose(student.table[unknown].detach(), own, atol=near)
    # What is in one string only, adds up to its vector.
    np.testing.assert_allclose(
        student.vectors(student.rows(texts)), reference.encode_queries(texts), atol=near
    )
    facts = align(student, targets, settings(learning_rate=0.02, epochs=10.0), seed=0)
    assert facts["after"] > facts["before"] + 0.01
    about = {"name": reference.name, "fingerprint": reference.fingerprint}
    student.write(tmp_path / "made", {"reference": about, "rung": "static", "training": {}})
    again = StaticStudent.load(tmp_path / "made", 24)
    assert targets.agreement(again) == pytest.approx(facts["after"], abs=1e-4)


def test_split_words_get_rows_of_their_own(tmp_path: Path) -> None:
    base = tiny_models.english_encoder(tmp_path / "english")
    reference = Retriever.untrained(str(base), 24)
    strings = ["Kubernetes cluster", "the kubernetes operator", "a clusterkubernetes", "mylopsia"]
    student = StaticStudent.of(reference, strings, 10, reference.encode_queries)
    plain = load_encoder(str(base))[1]
    assert split_words(plain, strings, 10) == ["kubernetes"]
    assert len(student.table) == len(plain) + 1
    np.testing.assert_allclose(
        student.table[-1].detach(), reference.encode_queries(["kubernetes"])[0], atol=1e-5
    )
    rows = [row["input_ids"] for row in student.rows(["Kubernetes!", "clusterkubernetes"])]
    assert rows[0][0] == len(plain)
    assert len(plain) not in rows[1], "a part of a word is no word"
    assert plain.tokenize("kubernetes") != ["kubernetes"], "the reference's tokenizer is unchanged"


def test_vectors_are_computed_once(reference: Retriever, tmp_path: Path) -> None:
    first = reference_vectors(reference, STRINGS, tmp_path)
    np.testing.assert_allclose(first, reference.encode_queries(STRINGS), atol=1e-6)

    class Broken(Retriever):
        def encode_queries(self, texts: Any) -> np.ndarray:
            assert not len(texts), "computed again"
            return np.zeros((0, 32), np.float32)

    other = Broken(reference.source, 24, reference.facts)
    np.testing.assert_array_equal(reference_vectors(other, STRINGS, tmp_path), first)
    with pytest.raises(AssertionError, match="computed again"):
        reference_vectors(other, [*STRINGS, "w1"], tmp_path)
    assert not list(tmp_path.glob(".*")), "nothing half written"


def test_bad_input_is_one_line(reference: Retriever, targets: Targets) -> None:
    few = STRINGS[:30]
    with pytest.raises(UserError, match=r"30 strings to align on.* make no batch of 32; give more"):
        Targets.of(few, reference.encode_queries(few), settings())
    student = one_layer(reference, targets)
    with pytest.raises(UserError, match=r"the loss l2 is not finite at step \d+; lower its learn"):
        align(student, targets, settings(loss="l2", learning_rate=1e30), seed=0)
