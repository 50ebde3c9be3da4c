"""Derive the misses, judge them, look up: how pairs become labels and failures.

The shape is that of a cache in front of calls that cost money: requests without an answer
in the ledger are judged and committed as they come, then every pair is looked up. A run
that was killed starts again at the first request that had not been committed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.judges.base import Judge, Verdict
from relevance_distillery.judges.ledger import Entry, Ledger
from relevance_distillery.judges.progress import Progress
from relevance_distillery.schemas import Failures, Labels, empty

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5


@dataclass(frozen=True)
class Labeling:
    """What became of a table of pairs.

    Attributes:
        labels: Schema `Labels`, in the order of the pairs.
        failures: Schema `Failures`, in the order of the pairs; together with `labels`
            exactly the pairs.
        pairs: How many pairs were given.
        from_ledger: Pairs whose answer was there before.
        requests: Requests sent to the judge by this run; fewer than its new pairs when
            several pairs read the same.
        seconds: Time from the first question to the last look-up.
        cost_usd: What this run spent, failed requests included.
    """

    labels: pd.DataFrame
    failures: pd.DataFrame
    pairs: int
    from_ledger: int
    requests: int
    seconds: float
    cost_usd: float


def label(
    pairs: pd.DataFrame,
    judge: Judge,
    ledger: Ledger,
    *,
    retry_failed: bool = False,
    max_attempts: int = MAX_ATTEMPTS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labels and failures of pairs; see `run_labeling`."""
    result = run_labeling(
        pairs, judge, ledger, retry_failed=retry_failed, max_attempts=max_attempts
    )
    return result.labels, result.failures


def run_labeling(
    pairs: pd.DataFrame,
    judge: Judge,
    ledger: Ledger,
    *,
    retry_failed: bool = False,
    max_attempts: int = MAX_ATTEMPTS,
) -> Labeling:
    """Label pairs through the ledger.

    Args:
        pairs: Columns `judges.base.PAIR_COLUMNS`; (query_id, passage_id) is unique.
        judge: Who grades.
        ledger: Where answers are kept.
        retry_failed: Ask again for every failure, also for those that are final or were
            tried `max_attempts` times.
        max_attempts: How often a failure that may pass is tried, over all runs.

    Returns:
        Labels and failures, together exactly the pairs.

    Raises:
        UserError: The ledger cannot be read or written.
        ValueError: A pair occurs twice.
    """
    if pairs.duplicated(["query_id", "passage_id"]).any():
        raise ValueError("pairs must be unique in (query_id, passage_id)")
    start = time.monotonic()
    hashes = judge.request_hashes(pairs)
    known = ledger.lookup(hashes)
    failed = ledger.failures(hashes)
    first = ~pd.Series(hashes, index=pairs.index, dtype="str").duplicated()
    wanted = [
        bool(is_first)
        and request not in known
        and (request not in failed or _try_again(failed[request], retry_failed, max_attempts))
        for request, is_first in zip(hashes, first, strict=True)
    ]
    misses = pairs[np.array(wanted, dtype=bool)]
    cost = _judge_misses(
        misses, [h for h, w in zip(hashes, wanted, strict=True) if w], judge, ledger
    )
    answers, failed = ledger.lookup(hashes), ledger.failures(hashes)
    result = Labeling(
        labels=_labels(pairs, hashes, answers, judge),
        failures=_failures(pairs, hashes, answers, failed, judge),
        pairs=len(pairs),
        from_ledger=sum(request in known for request in hashes),
        requests=len(misses),
        seconds=time.monotonic() - start,
        cost_usd=cost,
    )
    logger.info(
        "judge %s: %d pairs, %d labelled (%d of them from the ledger), %d failed",
        judge.name,
        result.pairs,
        len(result.labels),
        result.from_ledger,
        len(result.failures),
    )
    return result


def _try_again(entry: Entry, retry_failed: bool, max_attempts: int) -> bool:
    return retry_failed or (entry.verdict.retryable and entry.attempts < max_attempts)


def _judge_misses(
    misses: pd.DataFrame, hashes: Sequence[str], judge: Judge, ledger: Ledger
) -> float:
    """Ask the judge and commit what it says, batch by batch; returns what it cost."""
    open_requests = dict.fromkeys(hashes)
    cost = 0.0
    if not open_requests:
        return cost
    with Progress(len(open_requests), judge.name) as progress:
        for verdicts in judge.grade(misses):
            asked = [_checked(v, judge) for v in verdicts if v.request_hash in open_requests]
            if len(asked) < len(verdicts):
                raise ValueError(f"judge {judge.name} answered a request twice or unasked")
            ledger.record(judge, asked)
            cost += sum(verdict.cost_usd for verdict in asked)
            for verdict in asked:
                del open_requests[verdict.request_hash]
            progress.advance(len(asked))
    silent = [
        Verdict(request, status="unanswered", reason="the judge gave no answer", retryable=True)
        for request in open_requests
    ]
    ledger.record(judge, silent)
    return cost


def _checked(verdict: Verdict, judge: Judge) -> Verdict:
    """The verdict, or a failure when its grade or probabilities do not fit the scale."""
    if verdict.grade is None:
        return verdict
    problem = ""
    if verdict.grade not in judge.scale.values:
        problem = f"grade {verdict.grade} is not on the scale {judge.scale.values.tolist()}"
    elif verdict.probabilities is not None:
        chances = np.asarray(verdict.probabilities, dtype=float)
        fits = chances.shape == (judge.scale.size,) and np.isfinite(chances).all()
        if not (fits and (chances >= 0).all() and abs(chances.sum() - 1) < 1e-3):
            problem = f"the probabilities are not {judge.scale.size} shares of 1"
    if not problem:
        return verdict
    return Verdict(
        verdict.request_hash,
        status="invalid",
        reason=problem,
        input_tokens=verdict.input_tokens,
        output_tokens=verdict.output_tokens,
        cost_usd=verdict.cost_usd,
        seconds=verdict.seconds,
    )


def _labels(
    pairs: pd.DataFrame, hashes: Sequence[str], answers: dict[str, Entry], judge: Judge
) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    paid: set[str] = set()
    keys = zip(pairs["query_id"], pairs["passage_id"], hashes, strict=True)
    for query_id, passage_id, request in keys:
        if request not in answers:
            continue
        entry, verdict = answers[request], answers[request].verdict
        # Pairs that read the same share one answer: only the first of them carries its
        # cost, so that sums over the table are what was spent.
        share = 0 if request in paid else 1
        paid.add(request)
        rows.append(
            {
                "query_id": query_id,
                "passage_id": passage_id,
                "grade": verdict.grade,
                "probabilities": None
                if verdict.probabilities is None
                else np.array(verdict.probabilities, dtype=np.float64),
                "judge": judge.name,
                "model": judge.model,
                "request_hash": request,
                "prompt_hash": judge.prompt_hash,
                "scale_hash": judge.scale.digest,
                "input_tokens": verdict.input_tokens * share,
                "output_tokens": verdict.output_tokens * share,
                "cost_usd": verdict.cost_usd * share,
                "seconds": verdict.seconds * share,
                "created_at": entry.created_at,
            }
        )
    return Labels.validate(pd.DataFrame(rows)) if rows else empty(Labels)


def _failures(
    pairs: pd.DataFrame,
    hashes: Sequence[str],
    answers: dict[str, Entry],
    failed: dict[str, Entry],
    judge: Judge,
) -> pd.DataFrame:
    rows = [
        {
            "query_id": query_id,
            "passage_id": passage_id,
            "judge": judge.name,
            "status": failed[request].verdict.status,
            "reason": failed[request].verdict.reason,
            "attempts": failed[request].attempts,
        }
        for query_id, passage_id, request in zip(
            pairs["query_id"], pairs["passage_id"], hashes, strict=True
        )
        if request not in answers
    ]
    return Failures.validate(pd.DataFrame(rows)) if rows else empty(Failures)
