"""What having an LLM write queries or grade pairs would take: calls, tokens, dollars, hours.

Nothing is sent and no key is needed. What was billed for requests that the ledger has answers to
corrects the count of the others.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.judges.labeling import MAX_ATTEMPTS
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.ledger_lookup import Requests
from relevance_distillery.judges.prompted.llm import LLMJudge
from relevance_distillery.llm.prices import Price
from relevance_distillery.llm.requests import ChatRequest
from relevance_distillery.llm.settings import Endpoint, LLMSettings
from relevance_distillery.llm.tokens import TokenCounter
from relevance_distillery.synthesizers.llm import COMPLETION_KIND, LLMSynthesizer
from relevance_distillery.synthesizers.llm_requests import shortest_answer
from relevance_distillery.synthesizers.settings import STYLES

BATCH_HOURS = 24.0
"""OpenAI's Batch API promises an answer within so many hours."""

ENOUGH_ANSWERS = 200
"""Answers of the ledger that the counted tokens are compared with; more changes little."""


@dataclass(frozen=True)
class StagePlan:
    """A plan for one model in one stage.

    Attributes:
        stage: `synthesis` or `labeling`.
        who: The synthesizer's or judge's name.
        prompt_hash: Of its instructions; a label or query that was made from this plan has it.
        host: The server that documents would go to.
        units: Pairs or passages that the stage is about.
        answered: How many of them the ledger answers.
        answered_input_tokens: Tokens that the answers in the ledger read.
        withheld: How many patterns keep here.
        requests: How many would be sent.
        counted: How many of them the tokens were counted on.
        input_tokens: Tokens that all of them read.
        documents, passages: How many different ones would be sent.
        complete: Whether these are the requests that a run would send; false where its queries
            do not exist yet and others take their place.
        settings: Pace and decoding.
        shortest_answer: Tokens of the shortest useful answer.
        usual_answer: Tokens of an answer of this model by the ledger; None when not known.
        latency_seconds: Assumed time of one answer.
        share: Share of the units that is expected to reach this judge of a cascade; 1 elsewhere.
        further_prompt: Whether it asks again, in other words, what another stage asks.
    """

    stage: str
    who: str
    model: str
    prompt_hash: str
    host: str
    units: int
    answered: int
    answered_input_tokens: int
    withheld: int
    requests: int
    counted: int
    input_tokens: float
    documents: int
    passages: int
    complete: bool
    settings: LLMSettings
    price: Price | None
    counter: TokenCounter
    shortest_answer: int
    usual_answer: float | None
    latency_seconds: float
    share: float | None = None
    further_prompt: bool = False

    @property
    def output_tokens(self) -> tuple[int, int]:
        """Fewest and most tokens that the answers can have."""
        longest = self.settings.max_output_tokens
        low = min(self.shortest_answer, longest)
        return low * self.requests, longest * self.requests

    def usd(self, output_tokens: float) -> float | None:
        """Dollars for all requests with so many tokens of answers; None without a price."""
        if self.price is None:
            return None
        return self.price.usd(self.input_tokens, output_tokens, batch=self.settings.batch)

    @property
    def hours(self) -> float:
        """Time for all requests at the configured pace, retries aside."""
        if not self.requests:
            return 0.0
        if self.settings.batch:
            return BATCH_HOURS
        a_second = self.settings.concurrency / self.latency_seconds
        if self.settings.requests_per_minute is not None:
            a_second = min(a_second, self.settings.requests_per_minute / 60.0)
        if self.settings.tokens_per_minute is not None:
            # Servers count the longest answer that a request allows, whatever it turns out to be.
            tokens = self.input_tokens / self.requests + self.settings.max_output_tokens
            a_second = min(a_second, self.settings.tokens_per_minute / 60.0 / tokens)
        return self.requests / a_second / 3600.0

    def as_json(self) -> dict[str, Any]:
        """For plan.json."""
        low, high = self.output_tokens
        usual = None if self.usual_answer is None else self.usual_answer * self.requests
        names = ("stage", "who", "model", "prompt_hash", "host")
        return {
            **{name: getattr(self, name) for name in names},
            "batch": self.settings.batch,
            "units": self.units,
            "answered_by_ledger": self.answered,
            "withheld": self.withheld,
            "calls": self.requests,
            "expected_share": self.share,
            "documents_sent": self.documents,
            "passages_sent": self.passages,
            "input_tokens": round(self.input_tokens),
            "input_tokens_in_ledger": self.answered_input_tokens,
            "output_tokens": {"low": low, "high": high, "usual": usual and round(usual)},
            "usd": {
                "low": self.usd(low),
                "high": self.usd(high),
                "usual": None if usual is None else self.usd(usual),
            },
            "price_known": self.price is not None,
            "price": None if self.price is None else self.price.model_dump(mode="json"),
            "hours": self.hours,
            "basis": {
                "requests": "those of the run" if self.complete else "stand-in queries",
                "counted_on": self.counted,
                "tokens": self.counter.basis,
                "tokenizer": self.counter.exact,
                "latency_seconds": self.latency_seconds,
            },
        }


def plan_synthesizer(
    writer: LLMSynthesizer,
    seeds: pd.DataFrame,
    per_passage: int,
    seed: int,
    ledger: Ledger,
    *,
    withheld: int = 0,
    latency_seconds: float = 1.5,
) -> StagePlan:
    """Plan the writing of queries for seed passages, of which patterns withheld some.

    Every request is rendered: there are few, one a passage.
    """
    tasks = list(writer.requests.tasks(seeds, per_passage, seed))
    keys = pd.Series([writer.requests.key(task) for task in tasks], dtype="str")
    # A look into a ledger that is not there would make one.
    exists = ledger.path.exists()
    found = ledger.completions(keys.tolist()) if exists else {}
    read = {key: entry.input_tokens for key, entry in found.items()}
    first, known = ~keys.duplicated().to_numpy(), keys.isin(list(read)).to_numpy()
    old, new = seeds[known & first], seeds[~known & first]
    billed, counted = _billed(writer.requests.requests(old, per_passage, seed), read)
    calls, tokens = _count(writer.requests.requests(new, per_passage, seed))
    counter = TokenCounter.for_model(writer.model).corrected(billed, counted)
    usual = ledger.mean_output_tokens(writer.model, COMPLETION_KIND) if exists else None
    return StagePlan(
        stage="synthesis",
        who=writer.name,
        model=writer.model,
        prompt_hash=writer.prompt_hash,
        host=Endpoint.from_environment().host,
        units=len(seeds),
        answered=len(old),
        answered_input_tokens=sum(read.values()),
        withheld=withheld,
        requests=calls,
        counted=calls,
        input_tokens=tokens * counter.factor,
        documents=int(new["document_id"].nunique()),
        passages=len(new),
        complete=True,
        settings=writer.settings,
        price=writer.price,
        counter=counter,
        shortest_answer=counter.count(shortest_answer(list(STYLES))),
        usual_answer=usual,
        latency_seconds=latency_seconds,
    )


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
    """Plan the grading of pairs, or of others like them.

    Each of `pairs` represents `weight` pairs of the run, exactly 1 for the run's own; `corpus` has
    the numbers of documents and passages that there are, where they are of a part of them. What
    was billed is learned from `known` pairs that may have been answered before. Tokens of more
    than `count_at_most` requests are counted on an even sample of so many. `retry_failures` and
    `max_attempts` are as in `run_labeling`, `share` is that of the pairs that is expected to
    reach this judge.
    """
    complete = weight == 1.0
    requests = Requests.of(pairs, judge)
    answered = np.zeros(len(requests), dtype=bool)
    settled = answered.copy()
    counter = TokenCounter.for_model(judge.model)
    answered_tokens, usual = 0, None
    # A look into a ledger that is not there would make one.
    if ledger.path.exists():
        answered = requests.answered(ledger)
        if not retry_failures:
            settled = requests.failed_for_good(ledger, max_attempts)
        learned = pairs if known is None else known
        asked = requests if known is None else Requests.of(known, judge)
        places = np.flatnonzero(asked.answered(ledger))
        places = places[_evenly(len(places), ENOUGH_ANSWERS)]
        read = _tokens_read(ledger, asked.hashes.iloc[places].tolist())
        sent = _requests(judge, learned, asked.first_pair[places])
        counter = counter.corrected(*_billed(sent, read))
        answered_tokens = sum(_tokens_read(ledger, requests.hashes[answered].tolist()).values())
        usual = ledger.mean_output_tokens(judge.model)
    to_send, withheld, documents, passages = _to_send(
        judge, pairs, requests, np.flatnonzero(~answered & ~settled)
    )
    chosen = to_send[_evenly(len(to_send), count_at_most)]
    calls, tokens = _count(_requests(judge, pairs, requests.first_pair[chosen]))
    scale = weight * len(to_send) / max(1, len(chosen))
    if corpus is not None and not complete:
        documents = min(corpus[0], round(documents * weight))
        passages = min(corpus[1], round(passages * weight))
    return StagePlan(
        stage="labeling",
        who=judge.name,
        model=judge.model,
        prompt_hash=judge.prompt_hash,
        host=Endpoint.from_environment().host,
        units=round(len(pairs) * weight),
        answered=int(answered.sum()),
        answered_input_tokens=answered_tokens,
        withheld=round(withheld * weight),
        requests=round(calls * scale),
        counted=calls,
        input_tokens=tokens * scale * counter.factor,
        documents=documents,
        passages=passages,
        complete=complete,
        settings=judge.settings,
        price=judge.price,
        counter=counter,
        shortest_answer=counter.count(json.dumps({"grade": judge.scale.values.tolist()[0]})),
        usual_answer=usual,
        latency_seconds=latency_seconds,
        share=share,
    )


def _count(requests: Iterable[ChatRequest]) -> tuple[int, int]:
    """How many requests there are and how many tokens they read; none is kept."""
    count = tokens = 0
    for request in requests:
        count += 1
        tokens += request.n_input_tokens
    return count, tokens


def _billed(requests: Iterable[ChatRequest], read: Mapping[str, int]) -> tuple[int, int]:
    """Input tokens of answered requests: as billed, by key in `read`, and as counted here."""
    billed = counted = 0
    for request in requests:
        tokens = read.get(request.key, 0)
        if tokens > 0:
            billed += tokens
            counted += request.n_input_tokens
    return billed, counted


def _tokens_read(ledger: Ledger, hashes: list[str]) -> dict[str, int]:
    """Input tokens of answers in the ledger, by request."""
    return {key: entry.verdict.input_tokens for key, entry in ledger.lookup(hashes).items()}


def _requests(judge: LLMJudge, pairs: Pairs, places: np.ndarray) -> Iterator[ChatRequest]:
    """What would be sent for some pairs; those that are withheld are left out."""
    wanted = np.zeros(len(pairs), dtype=bool)
    wanted[places] = True
    for request in judge.requests(pairs.shards(wanted)):
        if isinstance(request, ChatRequest):
            yield request


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
