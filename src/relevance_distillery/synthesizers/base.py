"""What a synthesizer is: passages go in, queries that people might type come out."""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from relevance_distillery.io.digests import digest_number, hex_digest

QUERY_COLUMNS = (
    "query_id",
    "text",
    "passage_id",
    "frequency",
    "style",
    "generator",
    "prompt_hash",
)


class Synthesizer(Protocol):
    """Writes queries.

    Attributes:
        name: Written into the `generator` column of queries.
        prompt_hash: Changes with anything in the instructions or settings.
    """

    name: str
    prompt_hash: str

    def write(
        self, passages: pd.DataFrame, seeds: pd.DataFrame, per_passage: int, seed: int
    ) -> pd.DataFrame:
        """Queries for some passages of a corpus.

        Args:
            passages: The whole corpus, a `passages` table.
            seeds: The rows of it to write queries for, most wanted first.
            per_passage: How many queries a seed passage gets at most.
            seed: Everything random follows from it; the same passage in the same corpus
                gets the same queries.

        Returns:
            A `queries` table in the order of `seeds`; a passage that offers nothing to
            ask for has no rows.
        """
        ...


def digest(*parts: object) -> str:
    """Twelve hexadecimal digits of some values."""
    return hex_digest(repr(parts))


def hashed(seed: int, *parts: str) -> int:
    """A 64-bit integer that depends on the seed and the parts alone, not on their order in a table.

    Choices made from it stay as they are when other documents come or go.
    """
    return digest_number("\x1f".join((str(seed), *parts)))


def choose_seeds(passages: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Passages to write queries for, spread over the documents.

    Every document gives one passage before any gives a second one; within a document and
    among documents the order is random.

    Args:
        passages: The `passages` table.
        count: How many to choose; all when there are fewer.
        seed: Seed of the order.

    Returns:
        The chosen rows, in the order of choice.
    """
    keys = [hashed(seed, "passage", name) for name in passages["passage_id"]]
    owners = {name: hashed(seed, "document", name) for name in passages["document_id"].unique()}
    table = passages.assign(_key=keys, _owner=passages["document_id"].map(owners))
    table = table.sort_values(["_key", "passage_id"], kind="stable")
    table["_round"] = table.groupby("document_id", sort=False).cumcount()
    table = table.sort_values(["_round", "_owner", "document_id"], kind="stable")
    return table.drop(columns=["_key", "_owner", "_round"]).head(count).reset_index(drop=True)
