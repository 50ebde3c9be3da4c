"""From a pair to a labeler's input, in training and everywhere after: text, then tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from pydantic import Field

from relevance_distillery.encoders.batching import Row, pad
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import json_digest
from relevance_distillery.strict import StrictModel
from relevance_distillery.text.terms import PASSAGE_FIELDS


class InputTemplate(StrictModel):
    """How a pair becomes text and the text becomes tokens; saved beside the weights."""

    fields: tuple[str, ...] = PASSAGE_FIELDS
    """Parts of the passage in reading order; the text last, so that truncation cuts it and never
    the title or the metadata."""
    joiner: str = "\n"
    """Stands between the parts."""
    max_length: int = Field(default=192, ge=16)
    """Longest input in tokens, special tokens included."""
    max_query_tokens: int = Field(default=48, ge=4)
    """A longer query is cut, so that it leaves room for the passage."""
    query_label: str = ""
    passage_label: str = ""
    """As `query_label`, written before its text where the tokenizer has no separator of its own;
    both empty where it has one."""

    @classmethod
    def for_tokenizer(cls, tokenizer: Any, max_length: int, max_query_tokens: int) -> InputTemplate:
        """A template that fits a tokenizer: its own separator, or a textual one."""
        separates = tokenizer.sep_token_id is not None and (
            tokenizer.num_special_tokens_to_add(pair=True)
            > tokenizer.num_special_tokens_to_add(pair=False)
        )
        labels = ("", "") if separates else ("Query: ", "\nDocument: ")
        return cls(
            max_length=max_length,
            max_query_tokens=min(max_query_tokens, max_length // 2),
            query_label=labels[0],
            passage_label=labels[1],
        )

    @property
    def textual(self) -> bool:
        """True where query and passage become one text instead of a pair of segments."""
        return bool(self.passage_label)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with any part of the template."""
        return json_digest(self.model_dump())

    def passage_text(self, row: Mapping[str, Any]) -> str:
        """Title, heading, path, author, date and text, joined; absent parts are left out.

        A heading that repeats the title is left out too.
        """
        parts: list[str] = []
        for name in self.fields:
            part = _clean(row.get(name))
            if part and part not in parts:
                parts.append(part)
        return self.joiner.join(parts)

    def render(self, pairs: pd.DataFrame) -> tuple[list[str], list[str]]:
        """Query texts and passage texts of pairs, one a row.

        Args:
            pairs: Columns query, text and, where there are any, title, heading, path,
                author, modified; other columns are ignored.

        Raises:
            UserError: A column is missing, or a row has an empty query, or neither title
                nor text; the message names the column or the row, counted from 1.
        """
        missing = [name for name in ("query", "text") if name not in pairs.columns]
        if missing:
            raise UserError(
                f"pairs lack the column {', '.join(missing)}; columns given: "
                f"{', '.join(map(str, pairs.columns))}"
            )
        columns = ["query", *(name for name in self.fields if name in pairs.columns)]
        queries, passages = [], []
        for number, values in enumerate(zip(*(pairs[c] for c in columns), strict=True), start=1):
            row = dict(zip(columns, values, strict=True))
            query = _clean(row["query"])
            if not query:
                raise UserError(f"pair in row {number} has an empty query; give one or drop it")
            if not _clean(row.get("text")) and not _clean(row.get("title")):
                raise UserError(
                    f"pair in row {number} has neither title nor text; give one or drop it"
                )
            queries.append(query)
            passages.append(self.passage_text(row))
        return queries, passages

    def tokenise(
        self,
        tokenizer: Any,
        queries: Sequence[str],
        passages: Sequence[str],
        *,
        jointly: bool,
        separately: bool,
    ) -> TokenisedPairs:
        """Tokens of rendered pairs, as far as an architecture needs them.

        Encoded `jointly` query and passage are one input, `separately` each different text is.
        """
        query_rows = {text: row for row, text in enumerate(dict.fromkeys(queries))}
        passage_rows = {text: row for row, text in enumerate(dict.fromkeys(passages))}
        different = (list(query_rows), list(passage_rows)) if separately else ([], [])
        return TokenisedPairs(
            joint=self.encode_jointly(tokenizer, queries, passages) if jointly else [],
            queries=self.encode_separately(tokenizer, different[0], is_query=True),
            passages=self.encode_separately(tokenizer, different[1], is_query=False),
            query_of=[query_rows[text] for text in queries],
            passage_of=[passage_rows[text] for text in passages],
        )

    def encode_jointly(
        self, tokenizer: Any, queries: Sequence[str], passages: Sequence[str]
    ) -> list[Row]:
        """Unpadded tokens of query and passage as one input, a row a pair.

        Queries are cut after `max_query_tokens` tokens, at a token's end.
        """
        limit = self.max_query_tokens
        rows = tokenise(
            tokenizer, queries, limit, add_special_tokens=False, return_offsets_mapping=True
        )
        ends: list[Any] = [row["offset_mapping"][-1:] for row in rows]
        capped = [
            query[: ends[i][0][1]] if len(rows[i]["input_ids"]) == limit else query
            for i, query in enumerate(queries)
        ]
        if not self.textual:
            return tokenise(tokenizer, passages, self.max_length, capped)
        texts = [
            f"{self.query_label}{query}{self.passage_label}{passage}"
            for query, passage in zip(capped, passages, strict=True)
        ]
        return tokenise(tokenizer, texts, self.max_length)

    def encode_separately(self, tokenizer: Any, texts: Sequence[str], is_query: bool) -> list[Row]:
        """Unpadded tokens of queries, or of passages, with their special_tokens_mask."""
        limit = self.max_length
        if is_query:
            limit = self.max_query_tokens + tokenizer.num_special_tokens_to_add(pair=False)
        return tokenise(tokenizer, texts, limit, return_special_tokens_mask=True)


@dataclass(frozen=True)
class TokenisedPairs:
    """Pairs as unpadded tokens.

    Attributes:
        joint: Tokens of query and passage in one input, one a pair; empty where the
            architecture does not encode them jointly.
        queries, passages: Tokens of the different texts; empty where they are not encoded
            separately.
        query_of, passage_of: The row of `queries` and `passages` of each pair.
    """

    joint: list[Row]
    queries: list[Row]
    passages: list[Row]
    query_of: list[int]
    passage_of: list[int]

    def __len__(self) -> int:
        return len(self.query_of)

    def lengths(self) -> list[int]:
        """How many tokens the longest input of each pair has."""
        if self.joint:
            return [len(tokens["input_ids"]) for tokens in self.joint]
        return [len(self.passages[i]["input_ids"]) for i in self.passage_of]

    def collate(self, chosen: Sequence[int], pad_token_id: int) -> dict[str, Any]:
        """The arguments of `PairModel.predict` for some of the pairs."""
        batch: dict[str, Any] = {}
        if self.joint:
            batch["joint"] = pad([self.joint[i] for i in chosen], pad_token_id)
        if self.queries:
            for name, texts, rows, of in (
                ("query", "queries", self.queries, self.query_of),
                ("passage", "passages", self.passages, self.passage_of),
            ):
                used = list(dict.fromkeys(of[i] for i in chosen))
                place = {row: position for position, row in enumerate(used)}
                batch[texts] = pad([rows[row] for row in used], pad_token_id)
                batch[f"{name}_index"] = torch.tensor([place[of[i]] for i in chosen])
        return batch


def _clean(value: Any) -> str:
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return ""
    return " ".join(str(value).split()) if not isinstance(value, str) else value.strip()
