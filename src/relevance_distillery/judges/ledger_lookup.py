"""What the ledger knows about pairs: their requests, and labels and failures as tables.

The tables are built page by page: a list of dictionaries for hundreds of thousands of pairs
would need many times the memory of the table itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.ledger.ledger import Ledger

PAGE = 4096  # requests that are looked up in the ledger at a time
USAGE = {
    "input_tokens": "int64",
    "output_tokens": "int64",
    "cost_usd": "float64",
    "seconds": "float64",
}
"""The columns of labels that say what an answer took, and their types."""
Rows = Iterator[tuple[int, tuple[Any, ...]]]


@dataclass(frozen=True)
class Requests:
    """What a judge would be asked about pairs; pairs that read the same share a request.

    Attributes:
        hashes: Keys in the ledger, shape (requests,), in the order of their first pair.
        of_pair: Each pair's place in `hashes`, shape (pairs,).
        first_pair: The first pair of each request, shape (requests,).
    """

    hashes: pd.Series
    of_pair: np.ndarray
    first_pair: np.ndarray

    @classmethod
    def of(cls, pairs: Pairs, judge: Judge) -> Self:
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
        return self._among(ledger.answered)

    def failed_for_good(self, ledger: Ledger, max_attempts: int) -> np.ndarray:
        """True for failures that are asked for again only with `retry_failures`, (requests,)."""

        def final(page: list[str]) -> set[str]:
            return {
                request
                for request, entry in ledger.failures(page).items()
                if not entry.verdict.retryable or entry.attempts >= max_attempts
            }

        return self._among(final)

    def _among(self, find: Callable[[list[str]], set[str]]) -> np.ndarray:
        found = np.zeros(len(self), dtype=bool)
        for start, page in self.pages():
            known = find(page)
            found[start : start + len(page)] = [request in known for request in page]
        return found


def labels_table(
    keys: pd.DataFrame, requests: Requests, ledger: Ledger, judge: Judge
) -> tuple[pd.DataFrame, np.ndarray]:
    """The labels of all pairs that have an answer.

    Returns:
        Schema `Labels`, in the order of the pairs; and true for requests with an answer,
        shape (requests,). Pairs that read the same share one answer: only the first of them
        carries its tokens, cost and seconds, so that sums over the table are what was spent.
    """

    def rows(start: int, page: list[str]) -> Rows:
        found = ledger.lookup(page)
        for place, request in enumerate(page, start):
            if request in found:
                verdict = found[request].verdict
                shares = None if verdict.probabilities is None else np.array(verdict.probabilities)
                usage = (getattr(verdict, name) for name in USAGE)
                yield place, (verdict.grade, shares, *usage, found[request].created_at)

    types = {"grade": "int64", "probabilities": "object", **USAGE, "created_at": "str"}
    answers = _by_place(requests, types, rows)
    answered = np.zeros(len(requests), dtype=bool)
    answered[answers.index] = True
    labelled = np.flatnonzero(answered[requests.of_pair])
    of_label = requests.of_pair[labelled]
    found = answers.loc[of_label].reset_index(drop=True)
    found["request_hash"] = requests.hashes.iloc[of_label].array
    pays = requests.first_pair[of_label] == labelled
    for name in USAGE:
        found[name] *= pays
    return label_columns(_ids(keys, labelled), found, judge), answered


def label_columns(ids: pd.DataFrame, found: pd.DataFrame, judge: Judge) -> pd.DataFrame:
    """Labels by a judge, schema `Labels`, from the pairs' ids and what was found for them."""
    return ids.assign(
        grade=found["grade"],
        probabilities=found["probabilities"],
        judge=judge.name,
        model=judge.model,
        request_hash=found["request_hash"],
        prompt_hash=judge.prompt_hash,
        scale_hash=judge.scale.digest,
        **{name: found[name] for name in (*USAGE, "created_at")},
    )


def failures_table(
    keys: pd.DataFrame,
    requests: Requests,
    ledger: Ledger,
    judge: Judge,
    answered: np.ndarray,
    unasked: np.ndarray,
) -> pd.DataFrame:
    """The pairs without an answer, and why: schema `Failures`, in the order of the pairs.

    `answered` is true for requests with an answer, `unasked` has status and reason of those that
    were never sent and else None, both of shape (requests,); `attempts` of the unasked counts
    those of other runs.
    """

    def rows(start: int, page: list[str]) -> Rows:
        found = ledger.failures(page)
        for place, request in enumerate(page, start):
            if not answered[place]:
                why, attempts = ("unanswered", "the judge gave no answer"), 0
                if request in found:
                    entry = found[request]
                    why, attempts = (entry.verdict.status, entry.verdict.reason), entry.attempts
                yield place, (*(unasked[place] or why), attempts)

    types = {"status": "str", "reason": "str", "attempts": "int64"}
    failures = _by_place(requests, types, rows)
    failed = np.flatnonzero(~answered[requests.of_pair])
    found = failures.loc[requests.of_pair[failed]].reset_index(drop=True)
    return _ids(keys, failed).assign(judge=judge.name).join(found)


def _ids(keys: pd.DataFrame, places: np.ndarray) -> pd.DataFrame:
    return keys.iloc[places][["query_id", "passage_id"]].astype("str").reset_index(drop=True)


def _by_place(
    requests: Requests, types: dict[str, str], rows: Callable[[int, list[str]], Rows]
) -> pd.DataFrame:
    """What `rows` finds page by page, as columns of these types, by the request's place."""

    def table(found: dict[int, tuple[Any, ...]]) -> pd.DataFrame:
        index = np.array(list(found), dtype=np.int64)
        return pd.DataFrame(list(found.values()), index, list(types)).astype(types)

    pages = (table(dict(rows(start, page))) for start, page in requests.pages())
    return pd.concat([table({}), *pages])
