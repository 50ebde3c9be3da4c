"""The lowest rung: a table of token vectors and weights, no transformer (model2vec's idea).

Each row begins as what its token adds on average to the reference's vectors of strings. Frequent
words that the tokenizer would split get rows of their own, which begin as the reference's vectors
of the words: pieces of words mean little by themselves.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken
from torch import Tensor, nn

from relevance_distillery.encoders.base_model import load_encoder
from relevance_distillery.encoders.batching import Row, by_length, pad
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.errors import UserError
from relevance_distillery.query_encoders.students import Student, TransformerStudent
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.query_encoder import (
    TOKENIZER_FILE,
    read_table,
    write_static_encoder,
)

_WORD = re.compile(r"[^\W_]+")
_FEWEST, _CONTEXTS, _BATCH = 2, 20_000, 128


class StaticStudent(Student):
    """Weighted sums of token vectors.

    Attributes:
        table: Shape (tokens of the vocabulary, width); special tokens' rows are 0.
        weights: Logarithms of the tokens' weights, shape (tokens,).
    """

    def __init__(self, table: Tensor, weights: Tensor, tokenizer: Any, max_length: int) -> None:
        """Take a table and weights to start from."""
        super().__init__(tokenizer, max_length)
        self.table = nn.Parameter(table.clone())
        self.weights = nn.Parameter(weights.clone())

    def rows(self, texts: Sequence[str]) -> list[Row]:
        """The tokens of texts, without special ones."""
        return tokenise(self.tokenizer, texts, self.max_length, add_special_tokens=False)

    def forward(self, rows: Sequence[Row]) -> Tensor:
        """See `Student`; about of length 1 however many tokens there are, 0 for none."""
        sizes = torch.tensor([len(row["input_ids"]) for row in rows])
        ids = torch.tensor([token for row in rows for token in row["input_ids"]], dtype=torch.long)
        weights = self.weights[ids].exp()
        text = torch.repeat_interleave(torch.arange(len(rows)), sizes)
        squares = torch.zeros(len(rows)).index_add(0, text, weights.square())
        weights = weights / squares.clamp(min=1e-12).sqrt()[text]
        starts = sizes.cumsum(0) - sizes
        return self.scale * nn.functional.embedding_bag(
            ids, self.table, starts, mode="sum", per_sample_weights=weights
        )

    def write(self, folder: Path, facts: dict[str, Any]) -> None:
        """See `Student`; weights are multiplied into the rows."""
        table = (self.table * self.weights.exp().unsqueeze(1)).detach().numpy()
        facts = {**facts, "max_length": self.max_length}
        write_static_encoder(folder, self.tokenizer, table, facts)

    @classmethod
    def load(cls, folder: Path, max_length: int) -> StaticStudent:
        """Read what `write` wrote: rows hold their weights, which start at 1 again."""
        from transformers import PreTrainedTokenizerFast

        table = torch.from_numpy(read_table(folder))
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / TOKENIZER_FILE))
        return cls(table, torch.zeros(len(table)), tokenizer, max_length)

    @classmethod
    def of(
        cls,
        reference: Retriever,
        strings: Sequence[str],
        words: int,
        vectors: Callable[[Sequence[str]], np.ndarray],
    ) -> StaticStudent:
        """Begin as near the reference as a table can be without learning.

        At most so many `words` of the strings, which the tokenizer splits, get rows of their own,
        by the reference's `vectors` of them. UserError where the tokenizer is no fast one.
        """
        network, tokenizer = load_encoder(reference.source)
        if not getattr(tokenizer, "is_fast", False):
            raise UserError(
                f"compress_retriever: the rung static needs a fast tokenizer, and {reference.name} "
                "has none; leave it out of compressing.ladder.rungs"
            )
        length = int(reference.facts["max_length"])
        student = TransformerStudent(network, tokenizer, length)
        with torch.no_grad():
            table = _contributions(student, strings, len(tokenizer))
        more = split_words(tokenizer, strings, words)
        if more:
            options = {"single_word": True, "normalized": True}
            tokenizer.add_tokens([AddedToken(word, **options) for word in more])
            table = torch.cat([table, torch.from_numpy(vectors(more))])
        return cls(table, torch.zeros(len(table)), tokenizer, length)


def split_words(tokenizer: Any, strings: Sequence[str], most: int) -> list[str]:
    """The most frequent words of at least two strings that a tokenizer takes apart."""
    counts = Counter(word for text in strings for word in set(_WORD.findall(text.lower())))
    often = sorted(
        (word for word, count in counts.items() if count >= _FEWEST),
        key=lambda word: (-counts[word], word),
    )
    if not often or not most:
        return []
    rows = tokenizer(often, add_special_tokens=False)["input_ids"]
    return [word for word, row in zip(often, rows, strict=True) if len(row) > 1][:most]


def _contributions(student: TransformerStudent, strings: Sequence[str], tokens: int) -> Tensor:
    """What each token adds to the reference's vectors of strings, on average: (tokens, width).

    A string's vector is the mean of its token states; those of special tokens are shared among the
    others. A token that no string holds is a string of its own.
    """
    special = torch.tensor(student.tokenizer.all_special_ids)
    texts = [row["input_ids"] for row in student.rows(strings[:_CONTEXTS])]
    seen = {token for text in texts for token in text}
    ends = [[one] if one in special else [] for one in (texts[0][0], texts[0][-1])]
    texts += [[*ends[0], token, *ends[1]] for token in range(tokens) if token not in seen]
    sums, counts = torch.zeros(tokens, student.network.config.hidden_size), torch.zeros(tokens)
    for chosen in by_length([len(text) for text in texts], _BATCH):
        rows = [{"input_ids": texts[i], "attention_mask": [1] * len(texts[i])} for i in chosen]
        ids = pad(rows, 0, multiple=1)["input_ids"]
        attended, states = (one.cpu() for one in student.states(rows))
        common = torch.isin(ids, special) & (attended > 0)
        own = (attended > 0) & ~common
        number = own.sum(1, keepdim=True).clamp(min=1)
        parts = states + ((states * common.unsqueeze(-1)).sum(1) / number).unsqueeze(1)
        whole = (parts * own.unsqueeze(-1)).sum(1).norm(dim=1, keepdim=True).clamp(min=1e-6)
        # About of length 1, as a `StaticStudent` adds them up.
        parts = parts * (number.sqrt() / whole).unsqueeze(-1)
        sums.index_add_(0, ids[own], parts[own])
        counts.index_add_(0, ids[own], torch.ones(int(own.sum())))
    return sums / counts.clamp(min=1.0).unsqueeze(1)
