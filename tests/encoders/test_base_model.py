from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from transformers import AutoConfig, AutoTokenizer, RobertaConfig

import tiny_models
from relevance_distillery.encoders import base_model as base
from relevance_distillery.encoders.base_model import load_token_counter
from relevance_distillery.encoders.sentence_encoder import SentenceEncoder
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.graders import UntrainedEncoder
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.network import load_backbone


def _backbone(folder: str) -> Any:
    return load_backbone(folder, DEFAULT_SCALE, 0)


def test_bundled_model_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Path(base.resolve_model("bundled")) / "model.safetensors").is_file()
    base._bundled_folder.cache_clear()
    monkeypatch.setattr(base, "BUNDLED_SHA256", "0" * 64)
    with pytest.raises(UserError, match="hashes to"):
        base.resolve_model("bundled")
    base._bundled_folder.cache_clear()


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "nobody/no-such-model"])
def test_a_model_that_does_not_exist_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match=name) as raised:
        base.resolve_model(name)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json"):
        base.resolve_model(str(tmp_path))


@pytest.mark.parametrize("content", ["", "{", '{"version": "1.0"}', "[]"])
def test_a_broken_tokenizer_of_a_folder_is_one_line(
    tmp_path: Path, tiny_encoder: Path, content: str
) -> None:
    folder = Path(shutil.copytree(tiny_encoder, tmp_path / "broken"))
    (folder / "tokenizer.json").write_text(content)
    for load in (base.load_tokenizer, load_token_counter):
        with pytest.raises(UserError, match=r"broken cannot be read: .*; copy") as raised:
            load(str(folder))
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("load", [base.load_encoder, _backbone])
def test_weights_that_are_cut_off_are_one_line(
    tmp_path: Path, tiny_encoder: Path, load: Callable[[str], Any]
) -> None:
    folder = Path(shutil.copytree(tiny_encoder, tmp_path / "broken"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(UserError, match=r"broken cannot be read: .*; copy"):
        load(str(folder))


def test_decoders_are_told_from_encoders(tmp_path: Path, tiny_encoder: Path) -> None:
    assert not base.is_decoder(AutoConfig.from_pretrained(tiny_encoder))
    for kind in ("qwen3", "phi3"):
        folder = tiny_models.decoder(tmp_path / kind, kind)
        assert base.is_decoder(AutoConfig.from_pretrained(folder))


def test_tokens_are_counted_without_special_ones() -> None:
    count = load_token_counter("bundled")
    assert count("hello world") == 2
    assert count("word " * 600) == 600


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_damaged_file_of_a_base_model_is_named_wherever_it_is_read(
    tiny_encoder: Path, tmp_path: Path, name: str
) -> None:
    copy = str(shutil.copytree(tiny_encoder, tmp_path / "copy"))
    (tmp_path / "copy" / name).write_text("{")
    tokens = (base.load_tokenizer, base.load_encoder, load_token_counter)
    for read in tokens if name == "tokenizer.json" else (base.load_encoder, _backbone):
        with pytest.raises(UserError) as raised:
            read(copy)
        said = str(raised.value)
        assert said == (
            f"base model {copy} cannot be read: {name} is damaged; copy or download it again"
        )


def test_inputs_are_cut_to_what_a_model_reads(tiny_encoder: Path, tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(tiny_encoder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    assert base.fitting_length(192, config, tokenizer) == 128
    assert base.fitting_length(64, config, tokenizer) == 64
    roberta = RobertaConfig(max_position_embeddings=130, pad_token_id=1)
    assert base.fitting_length(192, roberta, tokenizer) == 128


def test_a_base_model_with_short_inputs_is_compared_and_encoded(tiny_encoder: Path) -> None:
    long = pd.DataFrame({"query": ["w1 w2"], "text": [" ".join(["w3"] * 400)]})
    scores = UntrainedEncoder(str(tiny_encoder)).scores(long)
    assert scores.notna().all().all()
    assert SentenceEncoder(str(tiny_encoder), 256).encode(long["text"].tolist()).shape == (1, 32)
