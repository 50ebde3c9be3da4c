"""A language model in this process grades by its tokens' probabilities."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import tiny_models
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.prompted.pair_prompt import (
    PROMPT_ALLOWS,
    PROMPT_REQUIRES,
    PairPrompt,
)
from relevance_distillery.judges.prompted.transformers_judge import TransformersJudge
from relevance_distillery.judges.registry import JudgeSources, prepare_judge, restore_judge
from relevance_distillery.judges.settings import TransformersSettings
from relevance_distillery.llm.prompts import Prompt

PROMPT = Prompt(
    "{% block system %}{{ scale.grades[0].value }}{% endblock %}"
    "{% block user %}query {{ query }} {{ document.text }}{% endblock %}",
    "short.jinja2",
    PROMPT_REQUIRES,
    PROMPT_ALLOWS,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("causal")
    plain = {"template": None}
    return {
        "phi3": tiny_models.chat_model(folder / "phi3", "phi3"),
        "qwen3": tiny_models.chat_model(folder / "qwen3", "qwen3"),
        "llama": tiny_models.chat_model(folder / "llama", "llama", **plain),
        "no_digits": tiny_models.chat_model(folder / "no_digits", "llama", words="0 1"),
    }


def pairs(count: int = 9) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(tiny_models.WORDS, size=3 + 7 * row)) for row in range(count)]
    table = pd.DataFrame({"text": texts, "query": [f"w{row}" for row in range(count)]})
    for name in PAIR_COLUMNS:
        if name not in table:
            table[name] = ""
    return table


def judge(model: Path, **settings: Any) -> TransformersJudge:
    given = TransformersSettings(**{"model": str(model), "device": "cpu", **settings})
    return TransformersJudge(PairPrompt(PROMPT, DEFAULT_SCALE), given, DEFAULT_SCALE)


def chances(of: TransformersJudge, table: pd.DataFrame) -> np.ndarray:
    verdicts = [verdict for some in of.grade([table]) for verdict in some]
    assert [v.request_hash for v in verdicts] == of.request_hashes(table)
    assert all(v.grade == int(np.argmax(v.probabilities)) for v in verdicts)
    return np.array([v.probabilities for v in verdicts])


@pytest.mark.parametrize("kind", ["phi3", "qwen3", "llama"])
def test_probabilities_are_those_of_the_next_token_whatever_the_batch(
    models: dict[str, Path], kind: str
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    table, of = pairs(), judge(models[kind], batch_size=4)
    found = chances(of, table)
    assert found.sum(axis=1) == pytest.approx(1.0, abs=1e-3)
    assert found.std(axis=0).max() > 0.01
    assert found == pytest.approx(chances(judge(models[kind], batch_size=1), table), abs=2e-4)

    tokenizer = AutoTokenizer.from_pretrained(models[kind])
    model = AutoModelForCausalLM.from_pretrained(models[kind], dtype=torch.float32).eval()
    row = table.iloc[5]
    asked = [("system", "0"), ("user", f"query {row['query']} {row['text']}")]
    if kind == "llama":
        text = "\n\n".join(content for _, content in asked) + '\n\n{"grade": '
    else:
        text = "".join(f"{role} {content} <end> " for role, content in asked)
        text += 'assistant {"grade": '
    with torch.inference_mode():
        logits = model(**tokenizer(text, return_tensors="pt")).logits[0, -1]
    expected = torch.softmax(logits[tokenizer.convert_tokens_to_ids(list("0123"))], 0).numpy()
    assert found[5] == pytest.approx(expected, abs=2e-4)


def test_the_grade_needs_no_server_no_key_and_one_pass(models: dict[str, Path]) -> None:
    of = judge(models["phi3"])
    passes: list[int] = []
    of._lm._model.register_forward_hook(lambda *given: passes.append(1))
    chances(of, pairs(9))
    assert len(passes) == 2  # nine pairs in batches of eight


def test_an_input_that_is_too_long_is_a_failure_and_never_cut(models: dict[str, Path]) -> None:
    of = judge(models["phi3"], max_tokens=64)
    verdicts = [verdict for some in of.grade([pairs(12)]) for verdict in some]
    # Eleven tokens stand around the text, whose length grows by seven from three.
    assert [v.status for v in verdicts] == ["ok"] * 8 + ["context_length"] * 4
    assert [v.input_tokens for v in verdicts[:8]] == [3 + 7 * row + 11 for row in range(8)]
    assert "more than 64 tokens" in verdicts[-1].reason


def test_grades_that_begin_alike_are_refused(models: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"does not begin each of the grades 0, 1, 2, 3"):
        judge(models["no_digits"])


def test_a_tokenizer_that_joins_space_and_digit_is_understood(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers.models import BPE
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(['{"grade": 0} 1 2 3'] * 50, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    assert "Ġ2" in made.get_vocab()
    made.save_pretrained(tmp_path / "bpe")
    config = LlamaConfig(
        vocab_size=len(made),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=2048,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "bpe")
    of = judge(tmp_path / "bpe")
    assert made.convert_ids_to_tokens(of._lm._first) == ["Ġ0", "Ġ1", "Ġ2", "Ġ3"]
    assert made.decode(of._lm.encode([{"role": "user", "content": "x"}])).endswith('{"grade":')


def test_a_worker_reads_the_model_by_name(models: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(models["phi3"], tmp_path / "model")
    here = judge(folder)
    sent = pickle.dumps(here)
    there = pickle.loads(sent)
    grades = [[one.grade for some in by.grade([pairs()]) for one in some] for by in (here, there)]
    assert grades[0] == grades[1]
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="no such folder"):
        pickle.loads(sent)


def test_the_judge_comes_back_from_its_state_unless_the_model_changed(
    models: dict[str, Path], tmp_path: Path
) -> None:
    folder = tiny_models.chat_model(tmp_path / "model", "phi3")
    sources = JudgeSources(scale=DEFAULT_SCALE, prompt=PROMPT)
    state = json.loads(json.dumps(prepare_judge(f"transformers:{folder}", sources).to_state()))
    again = restore_judge(None, state, DEFAULT_SCALE)
    assert again.name == "transformers:model"
    assert str(tmp_path) not in again.model
    table = pairs(3)
    assert again.request_hashes(table) == judge(folder).request_hashes(table)
    weights = (models["qwen3"] / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text((models["qwen3"] / "config.json").read_text())
    with pytest.raises(UserError, match=r"was prepared with model .* and now finds"):
        restore_judge(None, state, DEFAULT_SCALE)


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    sources = JudgeSources(scale=DEFAULT_SCALE, prompt=PROMPT)
    with pytest.raises(UserError, match="no such folder"):
        prepare_judge(f"transformers:{tmp_path}/gone", sources)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE=0"):
        prepare_judge("transformers:nobody/nothing", sources)
    with pytest.raises(UserError, match="has no model"):
        prepare_judge("transformers", sources)
    encoder = tiny_models.encoder(tmp_path / "bert")
    with pytest.raises(UserError, match="does not write text"):
        prepare_judge(f"transformers:{encoder}", sources)


def test_requests_that_memory_does_not_hold_are_read_in_smaller_batches(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cramped, free = judge(models["phi3"]), judge(models["phi3"])
    forward = cramped._lm._forward

    def limited(inputs: list[list[int]]) -> np.ndarray:
        if len(inputs) > 3:
            raise torch.OutOfMemoryError
        return forward(inputs)

    monkeypatch.setattr(cramped._lm, "_forward", limited)
    found, expected = ([*one.grade([pairs(), pairs()])] for one in (cramped, free))
    for ours, theirs in zip(found, expected, strict=True):
        assert [row.grade for row in ours] == [row.grade for row in theirs]
    assert [record.getMessage() for record in caplog.records] == [
        "cpu lacks memory for batch_size=8: now 2"
    ]
