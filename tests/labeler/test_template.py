from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from transformers import AutoTokenizer

import tiny_models
from relevance_distillery.encoders.base_model import load_tokenizer
from relevance_distillery.errors import UserError
from relevance_distillery.labeler.template import InputTemplate


@pytest.fixture(scope="module")
def tokenizer() -> object:
    return load_tokenizer("bundled")


@pytest.fixture(scope="module")
def template(tokenizer: object) -> InputTemplate:
    return InputTemplate.for_tokenizer(tokenizer, max_length=64, max_query_tokens=8)


def test_parts_come_in_one_order_and_absent_ones_are_left_out(template: InputTemplate) -> None:
    row = {
        "text": " Body ",
        "modified": "2026",
        "title": "Title",
        "path": None,
        "author": float("nan"),
        "heading": "Part",
    }
    assert template.passage_text(row) == "Title\nPart\n2026\nBody"
    assert template.passage_text({"title": "Same", "heading": "Same", "text": "x"}) == "Same\nx"


def test_column_order_and_extra_columns_change_nothing(template: InputTemplate) -> None:
    pairs = pd.DataFrame({"query": ["q"], "text": ["t"], "title": ["a"], "author": ["b"]})
    mixed = pairs.assign(other=1)[["author", "other", "text", "title", "query"]]
    assert template.render(pairs) == template.render(mixed)


def test_long_query_leaves_room_for_the_passage(template: InputTemplate, tokenizer: object) -> None:
    rows = template.encode_jointly(tokenizer, ["query " * 50], ["passage " * 100])
    assert len(rows[0]["input_ids"]) == 64
    assert rows[0]["token_type_ids"].count(0) == 8 + 2
    alone = template.encode_separately(tokenizer, ["query " * 50], is_query=True)
    assert len(alone[0]["input_ids"]) == 8 + 2


def test_truncation_never_cuts_the_title(template: InputTemplate, tokenizer: object) -> None:
    _, passages = template.render(
        pd.DataFrame({"query": ["q"], "text": ["body " * 200], "title": ["Headline"]})
    )
    ids = template.encode_jointly(tokenizer, ["q"], passages)[0]["input_ids"]
    assert "headline" in tokenizer.decode(ids)  # type: ignore[attr-defined]


def test_a_tokenizer_without_separator_gets_a_textual_one(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_models.decoder(tmp_path / "m", "qwen3"))
    template = InputTemplate.for_tokenizer(tokenizer, 32, 4)
    ids = template.encode_jointly(tokenizer, ["w1 w2 w3 w4 w5 w6"], ["w7 w8"])[0]["input_ids"]
    assert tokenizer.decode(ids) == "Query : w1 w2 w3 w4 Document : w7 w8"


def test_the_digest_follows_every_part(template: InputTemplate) -> None:
    assert template.digest != template.model_copy(update={"max_length": 65}).digest
    assert InputTemplate.model_validate_json(template.model_dump_json()).digest == template.digest


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"query": ["a"]}, "lack the column text"),
        ({"query": ["a", " "], "text": ["b", "c"]}, "row 2 has an empty query"),
        ({"query": ["a", "b"], "text": ["c", None]}, "row 2 has neither title nor text"),
    ],
)
def test_bad_pairs_name_column_or_row(
    template: InputTemplate, pairs: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        template.render(pd.DataFrame(pairs))


def test_a_title_alone_is_a_document(template: InputTemplate) -> None:
    pairs = pd.DataFrame({"query": ["a"], "text": [""], "title": ["Cable"]})
    assert template.render(pairs)[1] == ["Cable"]
