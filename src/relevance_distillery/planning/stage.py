"""What one paid stage of a run would take: calls, tokens, dollars, hours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from relevance_distillery.llm.prices import Price
from relevance_distillery.llm.requests import ChatRequest
from relevance_distillery.llm.settings import LLMSettings
from relevance_distillery.llm.tokens import TokenCounter

BATCH_HOURS = 24.0
"""OpenAI's Batch API promises an answer within so many hours."""


@dataclass(frozen=True)
class Sent:
    """The requests of a stage, or a sample of them.

    Attributes:
        requests: Requests that would be sent, over all.
        counted: How many of them the tokens were counted on.
        input_tokens: Tokens that all of them read.
        documents, passages: How many different ones would be sent.
        complete: Whether these are the requests that a run would send; false where queries that
            do not exist yet are stood in for by others.
    """

    requests: int
    counted: int
    input_tokens: float
    documents: int
    passages: int
    complete: bool


@dataclass(frozen=True)
class StagePlan:
    """A plan for one model in one stage.

    Attributes:
        stage: `synthesis` or `labeling`.
        who: The synthesizer's or judge's name.
        model: The server's name of the model.
        prompt_hash: Of its instructions; a label or query that was made from this plan has it.
        host: The server that documents would go to.
        units: Pairs or passages that the stage is about.
        answered: How many of them the ledger answers, with the tokens that those read.
        answered_input_tokens: Tokens that the answers in the ledger read.
        withheld: How many patterns keep here.
        sent: What would be sent.
        settings: Pace and decoding.
        price: None when not known.
        counter: How tokens were counted.
        shortest_answer: Tokens of the shortest useful answer.
        usual_answer: Tokens of an answer of this model by the ledger; None when not known.
        latency_seconds: Assumed time of one answer.
        share: Share of the units that is expected to reach this judge of a cascade; 1 elsewhere.
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
    sent: Sent
    settings: LLMSettings
    price: Price | None
    counter: TokenCounter
    shortest_answer: int
    usual_answer: float | None
    latency_seconds: float
    share: float | None = None

    @property
    def output_tokens(self) -> tuple[int, int]:
        """Fewest and most tokens that the answers can have."""
        longest = self.settings.max_output_tokens
        low = min(self.shortest_answer, longest)
        return low * self.sent.requests, longest * self.sent.requests

    def usd(self, output_tokens: float) -> float | None:
        """Dollars for all requests with so many tokens of answers; None without a price."""
        if self.price is None:
            return None
        return self.price.usd(self.sent.input_tokens, output_tokens, batch=self.settings.batch)

    @property
    def hours(self) -> float:
        """Time for all requests at the configured pace, retries aside."""
        if not self.sent.requests:
            return 0.0
        if self.settings.batch:
            return BATCH_HOURS
        a_second = self.settings.concurrency / self.latency_seconds
        if self.settings.requests_per_minute is not None:
            a_second = min(a_second, self.settings.requests_per_minute / 60.0)
        if self.settings.tokens_per_minute is not None:
            # Servers count the longest answer that a request allows, whatever it turns out to be.
            tokens = self.sent.input_tokens / self.sent.requests + self.settings.max_output_tokens
            a_second = min(a_second, self.settings.tokens_per_minute / 60.0 / tokens)
        return self.sent.requests / a_second / 3600.0

    def as_json(self) -> dict[str, Any]:
        """For plan.json."""
        low, high = self.output_tokens
        usual = None if self.usual_answer is None else self.usual_answer * self.sent.requests
        return {
            "stage": self.stage,
            "who": self.who,
            "model": self.model,
            "prompt_hash": self.prompt_hash,
            "host": self.host,
            "batch": self.settings.batch,
            "units": self.units,
            "answered_by_ledger": self.answered,
            "withheld": self.withheld,
            "calls": self.sent.requests,
            "expected_share": self.share,
            "documents_sent": self.sent.documents,
            "passages_sent": self.sent.passages,
            "input_tokens": round(self.sent.input_tokens),
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
                "requests": "those of the run" if self.sent.complete else "stand-in queries",
                "counted_on": self.sent.counted,
                "tokens": self.counter.basis,
                "tokenizer": self.counter.exact,
                "latency_seconds": self.latency_seconds,
            },
        }


def count_requests(
    requests: Iterable[ChatRequest], seen: Callable[[ChatRequest], None] | None = None
) -> tuple[int, int]:
    """How many requests there are and how many tokens they read.

    Args:
        requests: Read one at a time; none is kept.
        seen: Is shown every request.
    """
    count = tokens = 0
    for request in requests:
        count += 1
        tokens += request.n_input_tokens
        if seen is not None:
            seen(request)
    return count, tokens
