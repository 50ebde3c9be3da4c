"""Rows of tokens into padded batches, similar lengths together."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from relevance_distillery.encoders.cores import side_by_side
from relevance_distillery.io.progress import Progress

Row = dict[str, list[int]]
"""A text's tokens as a tokenizer gives them, unpadded: input_ids and masks."""

Tokens = dict[str, Tensor]
"""The same for a batch, each of shape (rows, tokens)."""

PAD_TO = 8
"""Lengths are padded to a multiple, since ever-changing shapes make memory grow."""


def pad(rows: Sequence[Row], pad_token_id: int, multiple: int = PAD_TO) -> Tokens:
    """Rows of tokens as tensors, shape (rows, tokens), padded on the right.

    There is at least one row, and all have the same keys. `pad_token_id` fills input_ids, 0 the
    masks; the padded length is a multiple of `multiple`.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    width = -(-longest // multiple) * multiple
    # Padding counts as special, so that it is never taken for a word of the text.
    fill = {"input_ids": pad_token_id, "special_tokens_mask": 1}
    return {
        name: torch.tensor(
            [row[name] + [fill.get(name, 0)] * (width - len(row[name])) for row in rows],
            dtype=torch.long,
        )
        for name in rows[0]
    }


def by_length(
    lengths: Sequence[int], size: int, longest_first: bool = True, told: bool = True
) -> Iterator[list[int]]:
    """Positions in batches of at most `size`, neighbours alike in length.

    `told` is how far it is, unless the reading is a step of something that tells.
    """
    sign = -1 if longest_first else 1
    order = sorted(range(len(lengths)), key=lambda i: (sign * lengths[i], i))
    with Progress(len(order) if told else 0, "reading texts", "text") as progress:
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield chosen
            progress.advance(len(chosen))


def read_by_length(
    rows: Sequence[Row],
    size: int,
    read: Callable[[list[Row]], Tensor],
    longest_first: bool = True,
    told: bool = True,
) -> Tensor:
    """What `read` makes of rows, one or more, in batches as of `by_length`; in the rows' order."""
    order: list[int] = []

    def batches() -> Iterator[list[Row]]:
        lengths = [len(row["input_ids"]) for row in rows]
        for chosen in by_length(lengths, size, longest_first, told):
            order.extend(chosen)
            yield [rows[i] for i in chosen]

    found = torch.cat(list(side_by_side(read, batches())))
    return found[torch.tensor(order).argsort().to(found.device)]
