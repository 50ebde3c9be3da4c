"""The requests behind pairs: pairs that read the same share one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.ledger.ledger import Entry, Ledger

PAGE = 4096
"""Requests that are looked up in the ledger at a time."""


@dataclass(frozen=True)
class Requests:
    """What a judge would be asked about pairs, each question once.

    Attributes:
        hashes: Keys in the ledger, shape (requests,), in the order of their first pair.
        of_pair: Each pair's place in `hashes`, shape (pairs,).
        first_pair: The first pair of each request, shape (requests,).
    """

    hashes: pd.Series
    of_pair: np.ndarray
    first_pair: np.ndarray

    @classmethod
    def of(cls, pairs: Pairs, judge: Judge) -> Requests:
        """Hash all pairs, shard by shard."""
        parts = [pd.Series(judge.request_hashes(shard), dtype="str") for shard in pairs.shards()]
        every = pd.concat(parts, ignore_index=True) if parts else pd.Series([], dtype="str")
        of_pair, unique = pd.factorize(every)
        _, first_pair = np.unique(of_pair, return_index=True)
        return cls(pd.Series(unique, dtype="str"), of_pair, first_pair)

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self.hashes)

    def pages(self) -> Iterator[tuple[int, list[str]]]:
        """Place of the first of at most `PAGE` hashes, and the hashes."""
        for start in range(0, len(self), PAGE):
            yield start, self.hashes.iloc[start : start + PAGE].tolist()

    def answered(self, ledger: Ledger) -> np.ndarray:
        """True for requests that the ledger has an answer to, shape (requests,)."""
        found = np.zeros(len(self), dtype=bool)
        for start, page in self.pages():
            known = ledger.answered(page)
            found[start : start + len(page)] = [request in known for request in page]
        return found

    def failed(self, ledger: Ledger, final: Callable[[Entry], bool]) -> np.ndarray:
        """True for requests whose failure in the ledger is `final`, shape (requests,)."""
        found = np.zeros(len(self), dtype=bool)
        for start, page in self.pages():
            entries = ledger.failures(page)
            found[start : start + len(page)] = [
                request in entries and final(entries[request]) for request in page
            ]
        return found
