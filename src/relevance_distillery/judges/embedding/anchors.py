"""Pairs that anchor the embedded judge: seed pairs, and random ones."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import build_pairs
from relevance_distillery.errors import UserError

MIN_SEED_PAIRS = 20
"""With fewer seeded queries than this, passages lend pseudo-queries."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def seed_pairs(
    queries: pd.DataFrame, passages: pd.DataFrame, limit: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, bool]:
    """Queries with the passage that they were written from.

    Where too few queries have a seed, as with a real query log, passages stand in: a
    passage's title, or else its first sentence, becomes a query for the rest (the inverse
    cloze task of Lee, Chang and Toutanova, 2019). Where nothing would be left, half of the
    words ask for the whole.

    Args:
        queries: Columns query_id, text, passage_id.
        passages: Schema `Passages`.
        limit: At most this many pairs, drawn at random.
        rng: Draws.

    Returns:
        Pairs with `PAIR_COLUMNS`, and true where they are pseudo-queries.

    Raises:
        UserError: No passage has a word.
    """
    known = queries["passage_id"].isin(passages["passage_id"])
    seeded = queries[known & (queries["passage_id"] != "")]
    if len(seeded) >= MIN_SEED_PAIRS:
        chosen = _draw(seeded, limit, rng)
        return build_pairs(chosen[["query_id", "passage_id"]], queries, passages), False
    pseudo = _draw(passages, limit, rng).reset_index(drop=True)
    asked = [
        _cloze(title, text) for title, text in zip(pseudo["title"], pseudo["text"], strict=True)
    ]
    pseudo["query_id"] = [f"pseudo-{row}" for row in range(len(pseudo))]
    pseudo["query"] = [query for query, _, _ in asked]
    pseudo["title"] = [title for _, title, _ in asked]
    pseudo["text"] = [text for _, _, text in asked]
    pseudo["is_seed"] = pseudo["in_seed_document"] = True
    pseudo = pseudo[pseudo["query"].str.strip() != ""].reset_index(drop=True)
    if pseudo.empty:
        raise UserError("The passages table has no text: run `kedro run --pipeline=synthesize`.")
    return pseudo, True


def random_pairs(
    seeds: pd.DataFrame, passages: pd.DataFrame, count: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Queries of the seed pairs with passages of other documents, drawn at random.

    Args:
        seeds: From `seed_pairs`.
        passages: Schema `Passages`.
        count: How many pairs to draw; pairs of a query with its own document are left out
            afterwards.
        rng: Draws.

    Returns:
        Pairs with `PAIR_COLUMNS`, neither seed nor in the seed's document.

    Raises:
        UserError: The corpus has one document only.
    """
    if passages["document_id"].nunique() < 2:
        raise UserError(
            "judge=embedded needs at least two documents to tell related from unrelated; "
            "the corpus has one: add documents, or choose another judge."
        )
    asking = seeds.iloc[rng.integers(len(seeds), size=count)].reset_index(drop=True)
    drawn = passages.iloc[rng.integers(len(passages), size=count)].reset_index(drop=True)
    pairs = drawn.copy()
    pairs["query_id"], pairs["query"] = asking["query_id"], asking["query"]
    pairs["is_seed"] = pairs["in_seed_document"] = False
    other = asking["document_id"].to_numpy() != drawn["document_id"].to_numpy()
    if not other.any():
        return random_pairs(seeds, passages, count * 10, rng)
    return pairs[other].reset_index(drop=True)


def _draw(table: pd.DataFrame, limit: int, rng: np.random.Generator) -> pd.DataFrame:
    """At most `limit` rows, in the order of the table."""
    if len(table) <= limit:
        return table
    return table.iloc[np.sort(rng.choice(len(table), size=limit, replace=False))]


def _cloze(title: str, text: str) -> tuple[str, str, str]:
    """(query, remaining title, remaining text) of a passage."""
    if title.strip() and text.strip():
        return title.strip(), "", text
    whole = title.strip() or text.strip()
    first, *rest = _SENTENCE_END.split(whole, maxsplit=1)
    if rest and rest[0].strip():
        return first, "", rest[0]
    words = whole.split()
    return " ".join(words[: (len(words) + 1) // 2]), "", whole
