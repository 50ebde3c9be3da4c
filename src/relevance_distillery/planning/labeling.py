"""What it would take to have an LLM grade pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.judges.labeling import MAX_ATTEMPTS, is_final
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.ledger_lookup import Requests
from relevance_distillery.judges.prompted.llm import LLMJudge
from relevance_distillery.llm.requests import ChatRequest
from relevance_distillery.llm.settings import Endpoint
from relevance_distillery.llm.tokens import TokenCounter
from relevance_distillery.planning.stage import Sent, StagePlan, count_requests

ENOUGH_ANSWERS = 200
"""Answers of the ledger that the counted tokens are compared with; more changes little."""


def plan_judge(
    judge: LLMJudge,
    pairs: Pairs,
    weight: float,
    ledger: Ledger,
    *,
    known: Pairs | None = None,
    count_at_most: int = 20_000,
    latency_seconds: float = 1.5,
    retry_failures: bool = False,
    max_attempts: int = MAX_ATTEMPTS,
    share: float | None = None,
    corpus: tuple[int, int] | None = None,
) -> StagePlan:
    """Plan the grading of pairs; sends nothing and needs no key.

    Args:
        judge: Who would grade.
        pairs: Pairs to grade, or others like them.
        weight: For how many pairs of the run each of `pairs` stands; 1 for the run's own.
        ledger: Whose answers need no call.
        known: Pairs that may have been answered before, to learn from what was billed.
        count_at_most: Tokens of more requests are counted on an even sample of so many.
        latency_seconds: Assumed time of one answer.
        retry_failures: As in `run_labeling`.
        max_attempts: As in `run_labeling`.
        share: Share of the pairs that is expected to reach this judge.
        corpus: Documents and passages that there are, where `pairs` are of a part of them.
    """
    complete = weight == 1.0
    requests = Requests.of(pairs, judge)
    answered = np.zeros(len(requests), dtype=bool)
    settled = answered.copy()
    # A look into a ledger that is not there would make one.
    exists = ledger.path.exists()
    if exists:
        answered = requests.answered(ledger)
        if not retry_failures:
            settled = requests.failed(ledger, lambda entry: is_final(entry, max_attempts))
    open_places, kept_here, documents, passages = _to_send(
        judge, pairs, requests, np.flatnonzero(~answered & ~settled)
    )
    counter = TokenCounter.for_model(judge.model)
    factor = 1.0
    if exists:
        observed, counted = _billed(judge, known if known is not None else pairs, ledger)
        corrected = counter.corrected(observed, counted)
        factor, counter = corrected.factor, corrected
    chosen = open_places[_evenly(len(open_places), count_at_most)]
    first_pairs = requests.first_pair[chosen]
    calls, tokens = count_requests(_requests(judge, pairs, first_pairs))
    scale = weight * len(open_places) / max(1, len(chosen))
    if corpus is not None and not complete:
        documents = min(corpus[0], round(documents * weight))
        passages = min(corpus[1], round(passages * weight))
    hashes = requests.hashes[answered].tolist()
    usual = ledger.observed_tokens(judge.model) if exists else None
    return StagePlan(
        stage="labeling",
        who=judge.name,
        model=judge.model,
        prompt_hash=judge.prompt_hash,
        host=Endpoint.from_environment().host,
        units=round(len(pairs) * weight),
        answered=int(answered.sum()),
        answered_input_tokens=_tokens_read(ledger, hashes),
        withheld=round(kept_here * weight),
        sent=Sent(
            requests=round(calls * scale),
            counted=calls,
            input_tokens=tokens * scale * factor,
            documents=documents,
            passages=passages,
            complete=complete,
        ),
        settings=judge.settings,
        price=judge.price,
        counter=counter,
        shortest_answer=counter.count(json.dumps({"grade": judge.scale.values.tolist()[0]})),
        usual_answer=None if usual is None else usual.output_mean,
        latency_seconds=latency_seconds,
        share=share,
    )


def _requests(judge: LLMJudge, pairs: Pairs, places: np.ndarray) -> Iterator[ChatRequest]:
    """What would be sent for some pairs; those that are withheld are left out."""
    wanted = np.zeros(len(pairs), dtype=bool)
    wanted[places] = True
    for request in judge.requests(pairs.shards(wanted)):
        if isinstance(request, ChatRequest):
            yield request


def _billed(judge: LLMJudge, pairs: Pairs, ledger: Ledger) -> tuple[float, float]:
    """Input tokens of answers in the ledger: as billed, and as counted here."""
    requests = Requests.of(pairs, judge)
    places = np.flatnonzero(requests.answered(ledger))
    places = places[_evenly(len(places), ENOUGH_ANSWERS)]
    entries = ledger.lookup(requests.hashes.iloc[places].tolist())
    billed = counted = 0.0
    for request in _requests(judge, pairs, requests.first_pair[places]):
        entry = entries.get(request.key)
        if entry is not None and entry.verdict.input_tokens > 0:
            billed += entry.verdict.input_tokens
            counted += request.n_input_tokens
    return billed, counted


def _tokens_read(ledger: Ledger, hashes: list[str]) -> int:
    entries = ledger.lookup(hashes).values() if hashes else ()
    return sum(entry.verdict.input_tokens for entry in entries)


def _to_send(
    judge: LLMJudge, pairs: Pairs, requests: Requests, places: np.ndarray
) -> tuple[np.ndarray, int, int, int]:
    """Which of some requests may leave, how many may not, and whose texts the first carry.

    Returns:
        Places of the requests to send, how many are withheld, documents and passages sent.
    """
    wanted = np.zeros(len(pairs), dtype=bool)
    wanted[requests.first_pair[places]] = True
    documents: set[str] = set()
    passages: set[str] = set()
    sent: list[np.ndarray] = [np.zeros(0, dtype=np.int64)]
    for shard in pairs.shards(wanted):
        leaves = shard[~judge.withheld(shard)]
        sent.append(requests.of_pair[leaves.index.to_numpy()])
        documents.update(leaves["document_id"])
        passages.update(leaves["passage_id"])
    to_send = np.concatenate(sent)
    return to_send, len(places) - len(to_send), len(documents), len(passages)


def _evenly(count: int, most: int) -> np.ndarray:
    """At most `most` places of `count`, spread evenly."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))
