"""Texts into rows of tokens, without reading more of a long text than is kept."""

import re
import threading
from collections.abc import Sequence
from typing import Any

from relevance_distillery.encoders.batching import Row

_CHARACTERS = 16  # a token: more than any language's words need
_SPACE = re.compile(r"\s")
_TURN = threading.Lock()  # a tokenizer keeps its last limit: another thread's would cut these texts


def tokenise(
    tokenizer: Any,
    texts: Sequence[str],
    limit: int,
    before: Sequence[str] | None = None,
    characters: int = _CHARACTERS,
    **options: Any,
) -> list[Row]:
    """Unpadded tokens, a row a text, cut after `limit` tokens, special ones included.

    A tokenizer reads all of a text before it cuts: a second and 25 MB for 100,000 words. So it is
    given the beginning, `characters` times `limit` up to the next space, and more where that does
    not fill the limit; the tokens are those of the whole text. With `before` each text is the
    second segment of a row, after an uncut first; `options` go to the tokenizer's call.
    """
    if not texts:
        return []
    given = list(texts)
    if tokenizer.truncation_side == "right":
        given = [_beginning(text, characters * limit) for text in texts]
    both = (given,) if before is None else (list(before), given)
    cut = True if before is None else "only_second"
    with _TURN:
        batch = tokenizer(*both, truncation=cut, max_length=limit, **options)
    rows = [{key: values[i] for key, values in batch.items()} for i in range(len(given))]
    for i, row in enumerate(rows):
        if len(row["input_ids"]) < limit and len(given[i]) < len(texts[i]):
            first = None if before is None else [before[i]]
            rows[i] = tokenise(tokenizer, [texts[i]], limit, first, 8 * characters, **options)[0]
    return rows


def _beginning(text: str, length: int) -> str:
    space = _SPACE.search(text, length)
    return text[: space.start()] if space else text
