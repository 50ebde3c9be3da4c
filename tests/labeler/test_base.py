from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoConfig

import tiny_models
from relevance_distillery.errors import UserError
from relevance_distillery.labeler import base
from relevance_distillery.labeler.template import load_token_counter


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


def test_decoders_are_told_from_encoders(tmp_path: Path, tiny_encoder: Path) -> None:
    assert not base.is_decoder(AutoConfig.from_pretrained(tiny_encoder))
    for kind in ("qwen3", "phi3"):
        folder = tiny_models.decoder(tmp_path / kind, kind)
        assert base.is_decoder(AutoConfig.from_pretrained(folder))


def test_tokens_are_counted_without_special_ones() -> None:
    count = load_token_counter("bundled")
    assert count("hello world") == 2
    assert count("word " * 600) == 600
