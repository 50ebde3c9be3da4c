"""Pairs into padded batches: similar lengths together, each text of a batch encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relevance_distillery.labeler.model import PairModel, Tokens
from relevance_distillery.labeler.template import InputTemplate

PAD_TO = 16
"""Lengths are padded to a multiple, since ever-changing shapes make memory grow."""


@dataclass(frozen=True)
class TokenisedPairs:
    """Pairs as unpadded tokens.

    Attributes:
        together: Tokens of query and passage in one input, one a pair; empty where the
            architecture does not read them together.
        queries, passages: Tokens of the different texts; empty where they are not read alone.
        query_of, passage_of: The row of `queries` and `passages` of each pair.
    """

    together: list[dict[str, list[int]]]
    queries: list[dict[str, list[int]]]
    passages: list[dict[str, list[int]]]
    query_of: list[int]
    passage_of: list[int]

    def __len__(self) -> int:
        return len(self.query_of)

    def lengths(self) -> list[int]:
        """How many tokens the longest input of each pair has."""
        if self.together:
            return [len(tokens["input_ids"]) for tokens in self.together]
        return [len(self.passages[i]["input_ids"]) for i in self.passage_of]


def tokenise(
    model: PairModel,
    template: InputTemplate,
    tokenizer: Any,
    queries: Sequence[str],
    passages: Sequence[str],
) -> TokenisedPairs:
    """Tokens of rendered pairs, as far as the model's architecture reads them."""
    unique_queries = {text: row for row, text in enumerate(dict.fromkeys(queries))}
    unique_passages = {text: row for row, text in enumerate(dict.fromkeys(passages))}
    alone = model.reads_alone
    return TokenisedPairs(
        together=template.encode(tokenizer, queries, passages) if model.reads_together else [],
        queries=template.encode_alone(tokenizer, list(unique_queries), True) if alone else [],
        passages=template.encode_alone(tokenizer, list(unique_passages), False) if alone else [],
        query_of=[unique_queries[text] for text in queries],
        passage_of=[unique_passages[text] for text in passages],
    )


def pad(rows: Sequence[dict[str, list[int]]], pad_token_id: int) -> Tokens:
    """Rows of tokens as tensors, shape (rows, tokens), padded on the right."""
    longest = max(len(row["input_ids"]) for row in rows)
    width = -(-longest // PAD_TO) * PAD_TO
    # Padding counts as special, so that it is never taken for a word of the text.
    fill = {"input_ids": pad_token_id, "special_tokens_mask": 1}
    return {
        name: torch.tensor(
            [row[name] + [fill.get(name, 0)] * (width - len(row[name])) for row in rows],
            dtype=torch.long,
        )
        for name in rows[0]
    }


def collate(pairs: TokenisedPairs, chosen: Sequence[int], pad_token_id: int) -> dict[str, Any]:
    """The arguments of `PairModel.predict` for some of the pairs."""
    batch: dict[str, Any] = {}
    if pairs.together:
        batch["together"] = pad([pairs.together[i] for i in chosen], pad_token_id)
    if pairs.queries:
        for name, rows, of in (
            ("query", pairs.queries, pairs.query_of),
            ("passage", pairs.passages, pairs.passage_of),
        ):
            used = list(dict.fromkeys(of[i] for i in chosen))
            place = {row: position for position, row in enumerate(used)}
            texts = "queries" if name == "query" else "passages"
            batch[texts] = pad([rows[row] for row in used], pad_token_id)
            batch[f"{name}_index"] = torch.tensor([place[of[i]] for i in chosen])
    return batch


def by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Positions in batches of at most `size`, longest first, neighbours alike in length."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    return [order[start : start + size] for start in range(0, len(order), size)]


def to_device(batch: dict[str, Any], device: Any) -> dict[str, Any]:
    """The batch with every tensor on `device`."""
    return {
        name: to_device(value, device) if isinstance(value, dict) else value.to(device)
        for name, value in batch.items()
        if isinstance(value, (dict, Tensor))
    }
