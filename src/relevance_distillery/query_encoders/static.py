"""The lowest rung: a table of token vectors and weights, no transformer (model2vec's idea).

Each row begins as the reference's vector of that token alone, weighted down where it is frequent
(Arora et al., 2017). Frequent words that the tokenizer would split get rows of their own, which
begin as the reference's vectors of the words: pieces of words mean little by themselves.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from relevance_distillery.encoders.base_model import load_encoder
from relevance_distillery.encoders.batching import Row
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.errors import UserError
from relevance_distillery.query_encoders.encoder import write_static_encoder
from relevance_distillery.query_encoders.students import Student, TransformerStudent
from relevance_distillery.retriever.encoder import Retriever

_WORD = re.compile(r"[^\W_]+")
_SMOOTH = 1e-3
_FEWEST = 2


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
        rows = tokenise(self.tokenizer, texts, self.max_length, add_special_tokens=False)
        return [{"input_ids": row["input_ids"]} for row in rows]

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
        from safetensors.torch import load_file
        from transformers import PreTrainedTokenizerFast

        table = load_file(folder / "model.safetensors")["embedding.weight"]
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        return cls(table, torch.zeros(len(table)), tokenizer, max_length)

    @classmethod
    def of(
        cls,
        reference: Retriever,
        strings: Sequence[str],
        words: int,
        vectors: Callable[[Sequence[str]], np.ndarray],
    ) -> StaticStudent:
        """Each token's own output, and idf-like weights by how many strings hold it.

        Args:
            reference: Whose tokenizer and token outputs are taken.
            strings: To count tokens and words in.
            words: Rows for words that the tokenizer splits, at most.
            vectors: The reference's of those words.

        Raises:
            UserError: The reference has no fast tokenizer.
        """
        network, tokenizer = load_encoder(reference.source)
        if not getattr(tokenizer, "is_fast", False):
            raise UserError(
                f"compress_retriever: the rung static needs a fast tokenizer, and {reference.name} "
                "has none; leave it out of compressing.ladder.rungs"
            )
        plain, length = len(tokenizer), int(reference.facts["max_length"])
        table = _own_outputs(TransformerStudent(network, tokenizer, length), plain)
        more = split_words(tokenizer, strings, words)
        if more:
            tokenizer = copy.deepcopy(tokenizer)
            tokenizer.add_tokens(_added(more))
            table = torch.cat([table, torch.from_numpy(vectors(more))])
        student = cls(table, torch.zeros(len(table)), tokenizer, length)
        seen = Counter(token for row in student.rows(strings) for token in set(row["input_ids"]))
        share = torch.tensor([seen[token] / len(strings) for token in range(len(table))])
        student.weights.data = (_SMOOTH / (_SMOOTH + share)).log()
        return student


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


def _added(words: Sequence[str]) -> list[Any]:
    from tokenizers import AddedToken

    return [AddedToken(word, single_word=True, normalized=True) for word in words]


def _own_outputs(student: TransformerStudent, tokens: int) -> Tensor:
    """The output of each token alone between the special ones, of length 1; 0 for special ones."""
    tokenizer = student.tokenizer
    inner = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next(at for at in range(len(whole)) if whole[at : at + len(inner)] == inner)
    before, after = whole[:start], whole[start + len(inner) :]
    texts = [[*before, token, *after] for token in range(tokens)]
    rows = [{"input_ids": text, "attention_mask": [1] * len(text)} for text in texts]
    table = nn.functional.normalize(student.vectors(rows))
    table[tokenizer.all_special_ids] = 0.0
    return table
