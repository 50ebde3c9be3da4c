"""How pairs become labels and failures: find those without an answer, judge them, look up.

The ledger is a cache in front of calls that cost money: requests without an answer in it
are judged and committed as they come, then every pair is looked up. A run that was killed
starts again at the first request that had not been committed.

Texts are joined a shard at a time and go to the judge in one stream; what stays in memory
for each pair is its row in the tables.
"""

import logging
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.errors import UserError
from relevance_distillery.executors.execution import Executor
from relevance_distillery.judges.base import KINDS, Grading, Judge, Verdict
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.ledger.schema import Source
from relevance_distillery.judges.ledger_lookup import Requests, failures_table, labels_table
from relevance_distillery.judges.progress import PaidProgress
from relevance_distillery.schemas import Difficulty, JudgeLabels, empty

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5


@dataclass(frozen=True)
class Labeling:
    """What became of a table of pairs.

    Attributes:
        labels: Schema `Labels`, in the order of the pairs.
        failures: Schema `Failures`, in the order of the pairs; together with `labels`
            exactly the pairs.
        from_ledger: Pairs whose answer was there before.
        requests: Requests sent to the judge by this run; fewer than its new pairs when
            several pairs read the same, or when the budget was spent.
        seconds: Time from the first question to the last look-up.
        cost_usd: What this run spent, failed requests included.
        judge_labels: Labels by each judge of a cascade or consensus, schema `JudgeLabels`.
        difficulty: How far they disagree, schema `Difficulty`.
        facts: For the labeling report, plain JSON values.
    """

    labels: pd.DataFrame
    failures: pd.DataFrame
    pairs: int
    from_ledger: int
    requests: int
    seconds: float
    cost_usd: float
    judge_labels: pd.DataFrame = field(default_factory=lambda: empty(JudgeLabels))
    difficulty: pd.DataFrame = field(default_factory=lambda: empty(Difficulty))
    facts: dict[str, Any] = field(default_factory=dict)


def run_labeling(
    pairs: Pairs | pd.DataFrame,
    judge: Judge,
    ledger: Ledger,
    *,
    retry_failures: bool = False,
    max_attempts: int = MAX_ATTEMPTS,
    quiet: bool = False,
    executor: Executor = map,
) -> Labeling:
    """Label pairs through the ledger, which is locked against other runs meanwhile.

    Args:
        pairs: A table with `PAIR_COLUMNS`, or `Pairs`, which are joined as they
            are read; (query_id, passage_id) is unique.
        judge: Who grades. One that is made of other judges has a method `label`, which calls
            this function for each of them.
        ledger: Where answers are kept.
        retry_failures: Ask again for every failure, also for those that are final or were
            tried `max_attempts` times.
        max_attempts: How often a failure that may pass is tried, over all runs.
        quiet: Neither progress nor a closing line, for callers that come often with few.
        executor: Runs judges that compute their grades.

    Raises:
        UserError: The ledger cannot be read or written, or another run uses it.
        ValueError: A pair occurs twice.
    """
    given = Pairs.of(pairs) if isinstance(pairs, pd.DataFrame) else pairs
    if given.keys.duplicated(["query_id", "passage_id"]).any():
        raise ValueError("pairs must be unique in (query_id, passage_id)")
    with ledger.lock():
        label = getattr(judge, "label", None)
        if label is not None:
            return label(
                given,
                ledger,
                retry_failures=retry_failures,
                max_attempts=max_attempts,
                quiet=quiet,
                executor=executor,
            )
        start = time.monotonic()
        requests = Requests.of(given, judge)
        _reread(requests, judge, ledger)
        known = requests.answered(ledger)
        wanted = ~known
        if not retry_failures:
            wanted &= ~requests.failed_for_good(ledger, max_attempts)
        run = _Run(given, requests, wanted, cast(Grading, judge), ledger)
        run.judge_misses(executor, quiet)
        labels, answered = labels_table(given.keys, requests, ledger, judge)
        failures = failures_table(given.keys, requests, ledger, judge, answered, run.unasked)
    result = Labeling(
        labels=labels,
        failures=failures,
        pairs=len(given),
        from_ledger=int(known[requests.of_pair].sum()),
        requests=int(wanted.sum()) - sum(why is not None for why in run.unasked),
        seconds=time.monotonic() - start,
        cost_usd=run.cost_usd,
    )
    if not quiet:
        counts = (result.pairs, len(labels), result.from_ledger, len(failures))
        message = "judge %s: %d pairs, %d labelled (%d of them from the ledger), %d failed%s"
        statuses = failures["status"].value_counts().to_dict()
        listed = ", ".join(f"{count} {status}" for status, count in statuses.items())
        logger.info(message, judge.name, *counts, f" ({listed})" if listed else "")
    return result


def _reread(requests: Requests, judge: Judge, ledger: Ledger) -> None:
    """Make labels of kept answers that can be read by now."""
    reread: Any = getattr(judge, "reread", None)
    for _, page in requests.pages() if reread else ():
        kept = ledger.unread(page)
        verdicts = [
            reread(failure.verdict, kept[request][0])
            for request, failure in ledger.failures(list(kept)).items()
        ]
        # The ledger adds what a failure had cost.
        found = [replace(one, cost_usd=0.0) for one in verdicts if one.grade is not None]
        if found:
            ledger.record(judge, found, {request: source for request, (_, source) in kept.items()})
            logger.info("judge %s: %d kept answers can be read by now", judge.name, len(found))


def summarise_labeling(result: Labeling, judge: Judge) -> dict[str, Any]:
    """Counts, costs and the distribution of grades, as plain JSON values.

    `newly_judged` are requests sent by this run; tokens and `cost_usd` are those of the labels.
    """
    labels, failures = result.labels, result.failures
    counts = labels["grade"].value_counts()
    return {
        "judge": judge.name,
        "model": judge.model,
        "pairs": result.pairs,
        "labelled": len(labels),
        "from_ledger": result.from_ledger,
        "newly_judged": result.requests,
        "failed": len(failures),
        "failures": dict(sorted(Counter(failures["status"].tolist()).items())),
        "grades": {str(value): int(counts.get(value, 0)) for value in judge.scale.values.tolist()},
        "input_tokens": int(labels["input_tokens"].sum()),
        "output_tokens": int(labels["output_tokens"].sum()),
        "cost_usd": float(labels["cost_usd"].sum()),
        "cost_usd_this_run": result.cost_usd,
        "seconds": result.seconds,
    }


def refuse_total_failure(judge: str, labels: pd.DataFrame, failures: pd.DataFrame) -> None:
    """Stop a run of `judge` that has no label at all with a UserError that says why."""
    if len(labels):
        return
    if failures.empty:
        raise UserError("There is no candidate to label: run `kedro run --pipeline=mine` first.")
    reasons = Counter(zip(failures["status"], failures["reason"], strict=True))
    listed = "; ".join(
        f"{count} {status}: {reason}" for (status, reason), count in reasons.most_common(3)
    )
    raise UserError(f"judge {judge} labelled none of {len(failures)} pairs ({listed}).")


class _Run:
    """One stream of misses through a judge into the ledger.

    `unasked` has the status and reason of requests that the judge never sent, None for the
    others, shape (requests,).
    """

    def __init__(
        self, pairs: Pairs, requests: Requests, wanted: np.ndarray, judge: Grading, ledger: Ledger
    ) -> None:
        self._pairs, self._requests, self._wanted = pairs, requests, wanted
        self._judge, self._ledger = judge, ledger
        # Place in `requests` and origin of every request that the judge holds.
        self._open: dict[str, tuple[int, Source]] = {}
        self._handed_out = np.zeros(len(requests), dtype=bool)
        self.unasked = np.full(len(requests), None, dtype=object)
        # The same few reasons again and again: each is kept once.
        self._reasons: dict[tuple[str, str], tuple[str, str]] = {}
        self.cost_usd = 0.0

    def judge_misses(self, executor: Executor, quiet: bool) -> None:
        """Ask for every miss and commit what comes, list by list."""
        total = int(self._wanted.sum())
        budget = self._judge.budget
        if budget is not None:
            # Also where all is answered: other judges and later shards share the cap.
            hashes = (request for _, page in self._requests.pages() for request in page)
            budget.charge(self._ledger.spent_before(hashes))
        if not total:
            return
        # Closing the judge's stream, however it ends, lets go of connections at once.
        with (
            PaidProgress(0 if quiet else total, f"judge {self._judge.name}", budget) as progress,
            _closed(self._answers(executor)) as answers,
        ):
            for verdicts in answers:
                self._commit(verdicts)
                progress.pay(verdicts)
        self._close()

    def _answers(self, executor: Executor) -> Iterator[list[Verdict]]:
        if executor is map or not runs_on_workers(self._judge):
            return self._judge.grade(self._feed())
        return iter(executor(partial(_verdicts, self._judge), self._feed()))

    def _feed(self) -> Iterator[pd.DataFrame]:
        """Shards of misses, noting what the judge now holds."""
        mask = np.zeros(len(self._pairs), dtype=bool)
        mask[self._requests.first_pair[self._wanted]] = True
        for shard in self._pairs.shards(mask):
            places = self._requests.of_pair[shard.index.to_numpy()]
            self._handed_out[places] = True
            sources = zip(shard["query_id"], shard["document_id"], strict=True)
            hashes = self._requests.hashes.iloc[places]
            for request, place, (query_id, document_id) in zip(
                hashes, places.tolist(), sources, strict=True
            ):
                self._open[request] = (place, Source(str(query_id), str(document_id)))
            yield shard

    def _commit(self, verdicts: list[Verdict]) -> None:
        asked, sources = [], {}
        for verdict in verdicts:
            place, source = self._open.pop(verdict.request_hash, (-1, Source()))
            if place < 0:
                raise ValueError(f"judge {self._judge.name} answered a request twice or unasked")
            if verdict.asked:
                asked.append(_checked(verdict, self._judge))
                sources[verdict.request_hash] = source
            else:
                why = (verdict.status, verdict.reason)
                self.unasked[place] = self._reasons.setdefault(why, why)
        self._ledger.record(self._judge, asked, sources)
        self.cost_usd += sum(verdict.cost_usd for verdict in asked)

    def _close(self) -> None:
        """Whatever the judge held without a word is unanswered; the rest it never saw."""
        silent = [
            Verdict(request, status="unanswered", reason="the judge gave no answer", retryable=True)
            for request in self._open
        ]
        sources = {request: source for request, (_, source) in self._open.items()}
        self._ledger.record(self._judge, silent, sources)
        never = ("unanswered", "the judge stopped before it came to this pair")
        for place in np.flatnonzero(self._wanted & ~self._handed_out):
            self.unasked[place] = never


def runs_on_workers(judge: Judge) -> bool:
    """Whether several processes grade faster than one, see `JudgeKind.on_workers`."""
    kind = KINDS.get(judge.name.partition(":")[0])
    return kind is not None and kind.on_workers


def _verdicts(judge: Grading, pairs: pd.DataFrame) -> list[Verdict]:
    return [verdict for some in judge.grade([pairs]) for verdict in some]


@contextmanager
def _closed(answers: Iterator[list[Verdict]]) -> Generator[Iterator[list[Verdict]]]:
    try:
        yield answers
    finally:
        if isinstance(answers, Generator):
            answers.close()


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
    return replace(
        verdict, grade=None, probabilities=None, status="invalid", reason=problem, retryable=False
    )
