"""What the ledger knows about pairs: their requests, and labels and failures as tables.

The tables are built column by column: a list of dictionaries for hundreds of thousands of
pairs would need many times the memory of the table itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.ledger.ledger import Ledger

PAGE = 4096  # requests that are looked up in the ledger at a time


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


def no_usage(rows: int) -> dict[str, np.ndarray]:
    """Tokens, cost and seconds of so many labels, all 0, by column."""
    tokens, rest = ("input_tokens", "output_tokens"), ("cost_usd", "seconds")
    return {name: np.zeros(rows, np.int64) for name in tokens} | {
        name: np.zeros(rows) for name in rest
    }


def labels_table(
    keys: pd.DataFrame, requests: Requests, ledger: Ledger, judge: Judge
) -> tuple[pd.DataFrame, np.ndarray]:
    """The labels of all pairs that have an answer.

    Returns:
        Schema `Labels`, in the order of the pairs; and true for requests with an answer,
        shape (requests,). Pairs that read the same share one answer: only the first of them
        carries its tokens, cost and seconds, so that sums over the table are what was spent.
    """
    total = len(requests)
    answered = np.zeros(total, dtype=bool)
    grades = np.zeros(total, dtype=np.int64)
    usage = no_usage(total)
    chances = np.full((total, judge.scale.size), np.nan)
    created: list[pd.Series] = []
    for start, page in requests.pages():
        found = ledger.lookup(page)
        times = [""] * len(page)
        for offset, request in enumerate(page):
            entry = found.get(request)
            if entry is None or entry.verdict.grade is None:
                continue
            place, verdict = start + offset, entry.verdict
            answered[place], grades[place] = True, entry.verdict.grade
            for name, column in usage.items():
                column[place] = getattr(verdict, name)
            times[offset] = entry.created_at
            if verdict.probabilities is not None:
                chances[place] = verdict.probabilities
        created.append(pd.Series(times, dtype="str"))
    labelled = np.flatnonzero(answered[requests.of_pair])
    of_label = requests.of_pair[labelled]
    pays = requests.first_pair[of_label] == labelled
    columns: dict[str, Any] = _ids(keys, labelled)
    columns["grade"] = grades[of_label]
    columns["probabilities"] = _cells(chances[of_label])
    columns["judge"] = _same(judge.name, len(labelled))
    columns["model"] = _same(judge.model, len(labelled))
    columns["request_hash"] = requests.hashes.iloc[of_label].array
    columns["prompt_hash"] = _same(judge.prompt_hash, len(labelled))
    columns["scale_hash"] = _same(judge.scale.digest, len(labelled))
    columns |= {name: column[of_label] * pays for name, column in usage.items()}
    columns["created_at"] = _joined(created).iloc[of_label].array
    return pd.DataFrame(columns), answered


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
    statuses: list[pd.Series] = []
    reasons: list[pd.Series] = []
    attempts = np.zeros(len(requests), dtype=np.int64)
    for start, page in requests.pages():
        found = ledger.failures(page)
        rows = []
        for offset, request in enumerate(page):
            place = start + offset
            if answered[place]:
                rows.append(("", ""))
                continue
            entry = found.get(request)
            attempts[place] = entry.attempts if entry else 0
            why = unasked[place]
            if why is None and entry is not None:
                why = (entry.verdict.status, entry.verdict.reason)
            rows.append(why or ("unanswered", "the judge gave no answer"))
        statuses.append(pd.Series([status for status, _ in rows], dtype="str"))
        reasons.append(pd.Series([reason for _, reason in rows], dtype="str"))
    failed = np.flatnonzero(~answered[requests.of_pair])
    of_failure = requests.of_pair[failed]
    columns: dict[str, Any] = _ids(keys, failed)
    columns["judge"] = _same(judge.name, len(failed))
    columns["status"] = _joined(statuses).iloc[of_failure].array
    columns["reason"] = _joined(reasons).iloc[of_failure].array
    columns["attempts"] = attempts[of_failure]
    return pd.DataFrame(columns)


def _ids(keys: pd.DataFrame, places: np.ndarray) -> dict[str, Any]:
    chosen = keys.iloc[places]
    return {name: chosen[name].astype("str").array for name in ("query_id", "passage_id")}


def _same(text: str, rows: int) -> Any:
    return pd.Series([text], dtype="str").repeat(rows).array


def _joined(parts: Sequence[pd.Series]) -> pd.Series:
    return pd.concat(parts, ignore_index=True) if parts else pd.Series([], dtype="str")


def _cells(chances: np.ndarray) -> np.ndarray:
    """A cell a row: a view of the row, or None where it holds no numbers."""
    cells = np.empty(len(chances), dtype=object)
    for place, row in enumerate(chances):
        cells[place] = None if np.isnan(row[0]) else row
    return cells
