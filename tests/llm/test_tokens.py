"""Counting with tokenizers that are at hand, and how far the estimate is off."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from relevance_distillery.llm.tokens import (
    TOKENS_PER_MESSAGE,
    TOKENS_PER_REQUEST,
    TokenCounter,
    estimate_tokens,
)

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted((ROOT / "data/01_raw/sample/documents").rglob("*.md"))[::4]
MESSAGES = ({"role": "system", "content": "one two"}, {"role": "user", "content": "three"})


def words_model(folder: Path) -> Path:
    """A tokenizer whose tokens are words, in a folder like a model's."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # A model's own limit must not cut what is counted.
    tokenizer.enable_truncation(4)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_a_local_model_counts_with_its_own_tokenizer_past_its_limit(tmp_path):
    counter = TokenCounter.for_model(str(words_model(tmp_path / "model")))

    assert counter.exact
    assert counter.count("one two three four five six") == 6
    assert counter.count_messages(MESSAGES) == 3 + 2 * TOKENS_PER_MESSAGE + TOKENS_PER_REQUEST


def test_the_chat_template_of_a_local_model_is_counted(tmp_path):
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")
    fast.chat_template = (
        "{% for m in messages %}START {{ m.role }} : {{ m.content }} END {% endfor %}GO"
    )
    fast.save_pretrained(tmp_path)
    counter = TokenCounter.for_model(str(tmp_path))

    # START role : … END for each of two messages, then GO.
    assert counter.count_messages(MESSAGES) == 3 + 2 * 4 + 1


def test_models_of_openai_are_counted_with_their_vocabulary_without_a_download():
    new, old = TokenCounter.for_model("gpt-4o-mini"), TokenCounter.for_model("gpt-4")

    # Published examples of OpenAI's tokenizer.
    assert old.exact
    assert old.count("tiktoken is great!") == 6
    assert old.count("antidisestablishmentarianism") == 6
    assert new.count("hello world") == 2
    assert new.count("") == 0
    assert new.count("お誕生日おめでとう") == 8
    assert old.count("お誕生日おめでとう") == 9


def test_an_answer_schema_counts_where_the_provider_bills_it():
    schema = {"type": "object", "properties": {"grade": {"type": "integer"}}}
    openai = TokenCounter.for_model("gpt-4o")
    other = TokenCounter.for_model("nobody/knows-this")

    assert openai.count_messages(MESSAGES, schema) > openai.count_messages(MESSAGES)
    assert other.count_messages(MESSAGES, schema) == other.count_messages(MESSAGES)


def test_an_unknown_model_is_estimated_and_says_so():
    counter = TokenCounter.for_model("nobody/knows-this")

    assert not counter.exact
    assert "estimate" in counter.basis
    assert counter.count("") == 0


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_the_estimate_of_english_office_text_is_within_ten_percent(model):
    counter = TokenCounter.for_model(model)
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS]
    real = sum(counter.count(text) for text in texts)

    assert real > 20_000
    assert sum(map(estimate_tokens, texts)) == pytest.approx(real, rel=0.10)


def test_the_estimate_of_python_source_is_within_fifteen_percent():
    texts = [path.read_text() for path in sorted((ROOT / "src").rglob("*.py"))[::12]]
    counter = TokenCounter.for_model("gpt-4o")
    real = sum(counter.count(text) for text in texts)

    assert sum(map(estimate_tokens, texts)) == pytest.approx(real, rel=0.15)


@pytest.mark.parametrize(
    "text",
    [
        "Die Reisekostenrichtlinie gilt für alle Beschäftigten, auch für die Geschäftsführung.",
        "Правила командировок распространяются на всех сотрудников без исключения.",
        "差旅制度适用于全体员工。员工出差须至少提前两周提出申请。",
        "출장 규정은 모든 직원에게 적용됩니다.",
        "تنطبق سياسة السفر على جميع الموظفين.",
    ],
)
def test_other_scripts_lie_between_the_vocabularies_give_or_take_a_half(text):
    old, new = (TokenCounter.for_model(name).count(text) for name in ("gpt-4", "gpt-4o"))
    estimate = estimate_tokens(text)

    assert min(old, new) / 1.5 <= estimate <= max(old, new) * 1.5


def test_what_was_billed_corrects_the_count():
    counter = TokenCounter.for_model("nobody/knows-this")
    text = "words of a document " * 50
    corrected = counter.corrected(observed=3000, counted=2000)

    assert corrected.count(text) == pytest.approx(1.5 * counter.count(text), abs=1)
    assert "1.50" in corrected.basis
    assert counter.corrected(0, 2000) is counter
