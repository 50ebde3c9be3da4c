"""A long text is cut before it is tokenised, and has the tokens of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from relevance_distillery.encoders.base_model import resolve_model
from relevance_distillery.encoders.sentence_encoder import SentenceEncoder
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.labeler.template import InputTemplate

WORDS = [
    "the",
    "office",
    "opens",
    "at",
    "eight",
    "and",
    "closes",
    "when",
    "everybody's",
    "left,",
    "naïve",
    "東京",
    "ünïversity",
]


def _english(count: int, seed: int = 0) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, size=count).tolist())


TEXTS = {
    "words": _english(20_000),
    "short": "a desk",
    "lines": _english(9_000, 1).replace(" ", "\n\n"),
    "spaces": (" " * 9_000).join(WORDS),
    "one word": "x" * 50_000,
    "long words": " ".join(["y" * 3_000] * 40),
    "no spaces": "東京都庁" * 8_000,
    "unknown": "\u2603 " * 20_000,
    "cut in a word": " ".join(["\u2603" * 18] * 13 + ["university"] * 500),
    "blank": " \t\n " * 10_000,
}


class Counting:
    """A tokenizer that remembers how many characters it was given."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.characters = tokenizer, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def __call__(self, texts: Sequence[str], pairs: Sequence[str] = (), **options: Any) -> Any:
        self.characters += sum(map(len, [*texts, *pairs]))
        return self.tokenizer(texts, *([pairs] if pairs else []), **options)


def _trained(kind: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE as of Qwen and ModernBERT, or Metaspace and Unigram as of XLM-R."""
    special = ["<pad>", "<unk>"]
    trainer: Any
    if kind == "bpe":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    else:
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=80, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    made.train_from_iterator([_english(2_000, 2)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", unk_token="<unk>")


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
@pytest.mark.parametrize("limit", [16, 192])
def test_tokens_are_those_of_the_whole_text(kind: str, limit: int) -> None:
    known = kind == "wordpiece"
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("bundled")) if known else _trained(kind)
    texts = [*TEXTS.values()]
    rows = tokenise(tokenizer, texts, limit, return_offsets_mapping=True)
    whole = tokenizer(texts, truncation=True, max_length=limit, return_offsets_mapping=True)
    assert [row["input_ids"] for row in rows] == whole["input_ids"]
    assert [row["offset_mapping"] for row in rows] == whole["offset_mapping"]
    queries = [f"query {i}" for i in range(len(texts))]
    rows = tokenise(tokenizer, texts, limit, queries)
    whole = tokenizer(queries, texts, truncation="only_second", max_length=limit)
    assert [row["input_ids"] for row in rows] == whole["input_ids"]


def test_the_end_is_kept_where_the_tokenizer_cuts_the_beginning() -> None:
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("bundled"), truncation_side="left")
    row = tokenise(tokenizer, [TEXTS["words"]], 16)[0]
    assert row["input_ids"] == tokenizer(TEXTS["words"], truncation=True, max_length=16).input_ids


@pytest.mark.parametrize("textual", [False, True])
def test_of_a_hundred_thousand_words_only_the_beginning_is_read(
    textual: bool, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Counting(AutoTokenizer.from_pretrained(resolve_model("bundled")))
    labels = {"query_label": "Query: ", "passage_label": " Document: "} if textual else {}
    template = InputTemplate(max_length=64, max_query_tokens=8, **labels)
    long = _english(100_000)
    queries, passages = template.render(pd.DataFrame({"query": [long], "text": [long]}))
    tokens = template.tokenise(tokenizer, queries, passages, jointly=True, separately=True)
    assert [len(tokens.joint[0]["input_ids"]), len(tokens.passages[0]["input_ids"])] == [64, 64]
    encoder = SentenceEncoder(str(tiny_encoder), max_length=64, device="cpu")
    counting = Counting(encoder._tokenizer)
    monkeypatch.setattr(encoder, "_tokenizer", counting)
    encoder.encode([long])
    assert tokenizer.characters + counting.characters < 10_000 < len(long)
