from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import tiny_models
from relevance_distillery.encoders import batching, devices
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.io.digests import folder_digest
from relevance_distillery.judges.labeler_judge import LabelerJudge
from relevance_distillery.judges.registry import JudgeSources
from relevance_distillery.labeler import inference
from relevance_distillery.labeler.artifact import ARTIFACT_NAME, read_model, write_artifact
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.flavor import ServedLabeler
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.network import fresh_network, resolve_settings
from relevance_distillery.scoring.graders import find_grader
from tiny_models import tiny_data, tiny_settings

COLUMNS = ["grade", "expected_grade", "confidence", "probabilities", "score"]


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    return tiny_data().early.pairs


def test_the_labeler_learned_something(labeler: Labeler, pairs: pd.DataFrame) -> None:
    truth = tiny_data().early.positions
    graded = labeler.grade(pairs)
    assert np.corrcoef(graded["score"], truth)[0, 1] > 0.6
    # The head starts fitted, so that tuning need not be better than what was before it.
    shares = np.bincount(truth) / len(truth)
    guessing = -(shares * np.log(shares)).sum()
    losses = [entry["loss"] for entry in labeler.facts.training["early_stopping"]]
    assert min(losses) < 0.7 * guessing


def test_columns_and_their_meaning(labeler: Labeler, pairs: pd.DataFrame) -> None:
    graded = labeler.grade(pairs.set_index(pairs.index + 100))
    assert list(graded.columns) == COLUMNS
    assert (graded.index == pairs.index + 100).all()
    matrix = np.array(graded["probabilities"].tolist())
    np.testing.assert_allclose(matrix.sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(graded["expected_grade"], matrix @ [0, 1, 2, 3], atol=1e-5)
    assert set(graded["grade"]) <= {0, 1, 2, 3}
    chosen = matrix[np.arange(len(matrix)), graded["grade"]]
    np.testing.assert_array_equal(graded["confidence"], chosen)
    # Decided by the stored cut points, on the numbers as they are given out.
    cuts = labeler.facts.cut_points
    np.testing.assert_array_equal(
        graded["grade"], np.searchsorted(cuts, graded["expected_grade"], "right")
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_company_in_a_batch_changes_no_grade(
    artifact: Path, pairs: pd.DataFrame, precision: str
) -> None:
    one = Labeler.load(artifact, precision=precision)
    whole = one.grade(pairs)
    alone = pd.concat([one.grade(pairs.iloc[[i]]) for i in range(0, len(pairs), 5)])
    shuffled = one.grade(pairs.sample(frac=1, random_state=3)).loc[pairs.index]
    small = Labeler.load(artifact, precision=precision, batch_size=3).grade(pairs)
    for other in (shuffled, small):
        assert (other["grade"] == whole["grade"]).all()
        np.testing.assert_allclose(other["expected_grade"], whole["expected_grade"], atol=2e-3)
    assert (alone["grade"] == whole["grade"].loc[alone.index]).all()


def test_bf16_halves_the_weights_and_keeps_the_scores(artifact: Path, pairs: pd.DataFrame) -> None:
    exact, fast = (Labeler.load(artifact, precision=name) for name in ("fp32", "bf16"))
    bytes_of = [
        sum(part.nbytes for part in one.model.backbone.parameters()) for one in (exact, fast)
    ]
    assert bytes_of[0] == 2 * bytes_of[1]
    assert np.corrcoef(exact.raw(pairs)[1], fast.raw(pairs)[1])[0, 1] > 0.999


def test_shards_change_no_grade(
    labeler: Labeler, pairs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = labeler.grade(pairs)
    monkeypatch.setattr(inference, "SHARD_ROWS", 7)
    assert (labeler.grade(pairs)["grade"] == whole["grade"]).all()


def test_no_pairs_give_no_rows(labeler: Labeler, pairs: pd.DataFrame) -> None:
    graded = labeler.grade(pairs.head(0))
    assert list(graded.columns) == COLUMNS
    assert len(graded) == 0


def test_each_text_is_encoded_once(
    labeler: Labeler, pairs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    encode = labeler.model.encode
    monkeypatch.setattr(
        labeler.model, "encode", lambda t: (read.append(len(t["input_ids"])), encode(t))[1]
    )
    labeler.grade(pairs)
    assert sum(read) == pairs["query"].nunique() + pairs["text"].nunique()


def test_training_and_grading_read_the_same_tokens(
    labeler: Labeler, pairs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from relevance_distillery.labeler.training import _batches

    data = tiny_data().early
    batches = _batches(labeler, data, tiny_settings("x", batch_size=1000))
    trained = {tuple(row[row != 0].tolist()) for row in batches[0]["joint"]["input_ids"]}
    read: set[tuple[int, ...]] = set()

    def classify(tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        read.update(tuple(row[row != 0].tolist()) for row in tokens["input_ids"])
        return torch.zeros(len(tokens["input_ids"]), 4)

    monkeypatch.setattr(labeler.model, "classify", classify)
    labeler.grade(data.pairs)
    assert read == trained


def test_the_folder_is_an_ordinary_classifier(artifact: Path, pairs: pd.DataFrame) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(artifact).eval()
    assert model.config.id2label == {
        0: "irrelevant",
        1: "related",
        2: "relevant",
        3: "perfectly relevant",
    }
    tokenizer = AutoTokenizer.from_pretrained(artifact)
    labeler = Labeler.load(artifact, precision="fp32")
    queries, passages = labeler.facts.template.render(pairs)
    tokens = tokenizer(queries, passages, padding=True, return_tensors="pt")
    with torch.inference_mode():
        plain = model(**tokens).logits
        rows = labeler.facts.template.encode_jointly(labeler.tokenizer, queries, passages)
        ours = labeler.model.classify(batching.pad(rows, 0))
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)


def test_cross_encoder_gives_the_classifiers_logits(artifact: Path, pairs: pd.DataFrame) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    labeler = Labeler.load(artifact, precision="fp32")
    queries, passages = labeler.facts.template.render(pairs)
    predicted = sentence_transformers.CrossEncoder(str(artifact), device="cpu").predict(
        list(zip(queries, passages, strict=True))
    )
    rows = labeler.facts.template.encode_jointly(labeler.tokenizer, queries, passages)
    with torch.inference_mode():
        ours = labeler.model.classify(batching.pad(rows, 0)).numpy()
    np.testing.assert_allclose(predicted, ours, atol=1e-4)


def test_the_folder_holds_no_pickle_and_no_path(artifact: Path) -> None:
    names = {path.name for path in artifact.iterdir()}
    assert {"model.safetensors", "head.safetensors", "labeler.json", "config.json"} <= names
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pkl"))}
    for path in artifact.glob("*.json"):
        assert str(artifact.parents[2]) not in path.read_text(encoding="utf-8")
    facts = json.loads((artifact / "labeler.json").read_text(encoding="utf-8"))
    assert facts["base_model"] == "tiny-bert"


@pytest.mark.parametrize("kind", ["qwen3", "phi3"])
def test_a_decoder_learns_through_lora_and_is_merged(kind: str, tmp_path: Path) -> None:
    base = tiny_models.decoder(tmp_path / kind, kind)
    settings = tiny_settings(base, epochs=1, learning_rate=5e-3)
    folder, training = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path / "work")
    labeler = Labeler.load(folder)
    assert training["tuning"] == "lora"
    assert labeler.facts.architecture == "cross_encoder"
    assert labeler.facts.template.textual
    assert not [name for name, _ in labeler.model.named_parameters() if "lora" in name]
    graded = labeler.grade(tiny_data().early.pairs)
    assert graded["score"].nunique() > 10
    read = labeler.tokenizer(["w1 w2"], return_tensors="pt")
    read.pop("token_type_ids", None)
    assert labeler.model.backbone(**read).past_key_values is None
    # The last token is read, not padding: company of another length changes nothing.
    some = tiny_data().early.pairs.iloc[[0]]
    np.testing.assert_allclose(labeler.grade(some)["score"], graded["score"].iloc[:1], atol=1e-4)


def test_an_encoder_learns_through_lora_too(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_encoder, tuning="lora", epochs=1)
    folder, _ = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)
    assert len(Labeler.load(folder).grade(tiny_data().early.pairs))


@pytest.mark.parametrize("kind", ["distilbert", "modernbert"])
def test_layers_above_the_encoder_are_trained_whole_and_saved(
    kind: str, tiny_encoder: Path, tmp_path: Path
) -> None:
    base = tiny_models.with_layers_above(tmp_path / kind, kind, tiny_encoder)
    settings = tiny_settings(base, tuning="lora", architecture="cross_encoder", epochs=1)
    settings = resolve_settings(settings)
    model, tokenizer, facts = fresh_network(settings, DEFAULT_SCALE)
    trained = {name for name, part in model.backbone.named_parameters() if part.requires_grad}
    above = "pre_classifier" if kind == "distilbert" else "head"
    assert any(f".{above}." in name for name in trained)
    assert not any(f".{above}." in name and "lora" in name for name in trained)
    with torch.no_grad():
        for part in model.parameters():
            if part.requires_grad:
                part.add_(torch.randn_like(part) * 0.1)
    joint = tokenizer(["w1 w2"], ["w3 w4"], return_tensors="pt")
    joint.pop("token_type_ids", None)
    before = model.eval().classify(joint)
    folder = write_artifact(tmp_path / "labeler", model, tokenizer, facts)
    after = read_model(folder, facts).classify(joint)
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["head.safetensors", "model.safetensors", "config.json"])
def test_one_flipped_bit_is_refused_by_name(artifact: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(artifact, tmp_path / "copy")
    content = bytearray((copy / name).read_bytes())
    content[-3] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is not as it was written"):
        Labeler.load(copy)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{}", b""])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_broken_file_of_an_older_labeler_is_named_wherever_it_is_loaded(
    artifact: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    """Folders of older versions hold no digests, so the libraries meet the damage."""
    copy = shutil.copytree(artifact, tmp_path / "copy")
    (copy / "digests.json").unlink()
    (copy / name).write_bytes(content)
    shelf = {"registered_name": "x", "judge_state": "none.json", "ledger": "none.sqlite"}
    served = SimpleNamespace(artifacts={ARTIFACT_NAME: str(copy)})
    for load in (
        lambda: Labeler.load(copy),
        lambda: find_grader(str(copy), **shelf),
        lambda: LabelerJudge.prepare(str(copy), JudgeSources(DEFAULT_SCALE)),
        lambda: ServedLabeler().load_context(served),
    ):
        with pytest.raises(UserError) as caught:
            load()
        said = str(caught.value)
        assert said == f"labeler {copy} cannot be read: {name} is damaged; distill again"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "[]"),
        ("config.json", "{}"),
        ("config.json", '{"model_type": "bert", "hidden_size": "wide"}'),
        ("config.json", '{"model_type": 3}'),
        ("tokenizer.json", "{}"),
        ("tokenizer_config.json", "[1]"),
        ("tokenizer_config.json", '{"tokenizer_class": 7}'),
        ("config.json", None),
    ],
)
def test_a_file_that_is_json_and_no_model_is_one_line(
    artifact: Path, tmp_path: Path, name: str, content: str | None
) -> None:
    copy = shutil.copytree(artifact, tmp_path / "copy")
    (copy / "digests.json").unlink()
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_text(content)
    with pytest.raises(UserError, match=r"labeler .* cannot be read: .*; distill again") as caught:
        Labeler.load(copy)
    assert "\n" not in str(caught.value)


def test_damage_is_one_line(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no labeler"):
        Labeler.load(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(artifact, copy)
    before = folder_digest(copy)
    (copy / "head.safetensors").write_bytes(b"torn")
    assert folder_digest(copy) != before
    with pytest.raises(UserError, match="cannot be read"):
        Labeler.load(copy)
    facts = json.loads((copy / "labeler.json").read_text(encoding="utf-8"))
    (copy / "labeler.json").write_text(json.dumps({**facts, "format": 99}), encoding="utf-8")
    with pytest.raises(UserError, match="format 99"):
        Labeler.load(copy)


def test_a_batch_that_the_memory_does_not_hold_is_halved_and_the_grades_are_the_same(
    artifact: Path,
    pairs: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole, small = Labeler.load(artifact), Labeler.load(artifact)
    forward = small.model.backbone.base_model.forward

    def cramped(input_ids: torch.Tensor, **inputs: Any) -> Any:
        if len(input_ids) > rows:
            raise torch.OutOfMemoryError("tried to allocate 17 GiB")
        return forward(input_ids, **inputs)

    monkeypatch.setattr(small.model.backbone.base_model, "forward", cramped)
    rows = 5
    graded = small.grade(pairs)
    assert small.batch_size == 4
    assert (graded["grade"] == whole.grade(pairs)["grade"]).all()
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["cpu lacks memory for batch_size=32: now 4"]
    rows = 0
    for read in (small.grade, small.features):
        with pytest.raises(UserError, match="cpu lacks memory even for batch_size=1"):
            read(pairs)


def test_weights_that_the_memory_does_not_hold_are_one_line(
    labeler: Labeler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(UserError, match="choose a smaller model"):
        Labeler(labeler.model, labeler.tokenizer, labeler.facts)


@pytest.mark.parametrize("size", [0, -8, 2.5, "32", None, float("nan")])
def test_a_batch_size_that_is_none_is_refused_wherever_it_is_set(
    artifact: Path, labeler: Labeler, size: Any
) -> None:
    for give in (
        lambda: Labeler.load(artifact, batch_size=size),
        lambda: Labeler(labeler.model, labeler.tokenizer, labeler.facts, batch_size=size),
        lambda: setattr(labeler, "batch_size", size),
    ):
        with pytest.raises(UserError, match=f"^batch_size={size}: give a whole number"):
            give()
    assert labeler.batch_size == 32


def test_a_labeler_trained_in_bf16_grades_in_fp32_where_bf16_would_be_emulated(
    artifact: Path,
    pairs: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    copy = shutil.copytree(artifact, tmp_path / "copy")
    facts = json.loads((copy / "labeler.json").read_text(encoding="utf-8"))
    (copy / "labeler.json").write_text(json.dumps({**facts, "precision": "bf16"}))
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    devices._warn_once.cache_clear()
    old = Labeler.load(copy)
    assert Labeler.load(copy).precision == old.precision == "fp32"
    assert Labeler.load(copy, precision="bf16").precision == "bf16"
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert ["grades in fp32" in said[0], "emulates it" in said[1], len(said)] == [True, True, 2]
    exact = Labeler.load(artifact, precision="fp32").grade(pairs)
    pd.testing.assert_frame_equal(old.grade(pairs), exact)


def test_passages_that_are_all_the_same_are_read_once_and_graded_alike(
    labeler: Labeler, pairs: pd.DataFrame
) -> None:
    same = pd.DataFrame({"query": ["w1 w2 w3"] * 70, "text": ["w1 w5 w6"] * 70})
    graded = labeler.grade(same)
    assert graded["grade"].nunique() == 1
    assert np.ptp(graded["score"]) < 1e-4
    alone = labeler.grade(same.head(1))
    np.testing.assert_allclose(graded["score"].iloc[0], alone["score"].iloc[0], atol=1e-4)
    # Queries that differ are told apart.
    several = labeler.grade(pairs.assign(text="w1 w5 w6"))
    assert several["score"].round(4).nunique() > 5
