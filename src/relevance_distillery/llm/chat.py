"""Chat requests, their results, and the runner that sends many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from relevance_distillery.errors import UserError
from relevance_distillery.llm.budget import Budget
from relevance_distillery.llm.endpoint import Endpoint
from relevance_distillery.llm.settings import LLMSettings

if TYPE_CHECKING:
    from relevance_distillery.llm.dialect import DialectInUse
    from relevance_distillery.llm.prices import Price
    from relevance_distillery.llm.retries import Patience


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to a model.

    Attributes:
        key: What the result is told apart by: the request hash.
        messages: `{"role": ..., "content": ...}` each, in order.
        schema: JSON schema of the answer; None for free text.
        max_output_tokens: Longest answer.
        want_logprobs: Ask for the probabilities of the answer's tokens.
        n_input_tokens: Estimate, for rate limits and the budget.
    """

    key: str
    messages: tuple[Mapping[str, str], ...]
    schema: Mapping[str, Any] | None = None
    max_output_tokens: int = 64
    want_logprobs: bool = False
    n_input_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token of an answer with the probabilities that the model gave in its place.

    Attributes:
        token: The token that was written.
        logprob: Its natural logarithm of probability.
        top: Likeliest tokens in its place with their logarithms, the written one among them
            on most servers; empty where the server gives none.
    """

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ChatResult:
    """What became of one request.

    Attributes:
        key: The request's.
        text: The answer; None for a failure. A truncated or filtered answer has no text.
        logprobs: The answer's tokens; None where the server gave none.
        status: `ok`, or the kind of failure in one word.
        reason: A failure's reason in one sentence of our own, never the server's words.
        retryable: A later run may try again.
        asked: False when it was never sent, or not answered yet (batch).
        input_tokens, output_tokens: As billed, over all tries; 0 when not known.
        cost_usd: Price of this request in US dollars, over all tries.
        seconds: Time from the first try to the result, waits between tries included.
    """

    key: str
    text: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    status: str = "ok"
    reason: str = ""
    retryable: bool = False
    asked: bool = True
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0


class ChatRunner:
    """Sends requests to an OpenAI-compatible server with a bounded number in flight."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: LLMSettings,
        price: Price | None,
        budget: Budget,
        *,
        patience: Patience | None = None,
    ) -> None:
        """Nothing is sent, and no key needed, before `run` has a first request.

        Args:
            endpoint: The server.
            settings: Model, decoding and pace.
            price: What tokens cost; None when not known, costs are 0 then.
            budget: What may be spent.
            patience: How long to wait between tries; the default unless for tests.
        """
        self._endpoint, self._settings = endpoint, settings
        self._price, self._budget, self._patience = price, budget, patience
        self._dialect: DialectInUse | None = None

    def run(self, requests: Iterable[ChatRequest]) -> Iterator[list[ChatResult]]:
        """Results as they come, each request once, in the order of completion.

        Requests are made in the caller's thread, at most `settings.concurrency` ahead of
        those in flight. A list counts as committed when the next one is asked for, and only
        then do its slots take new requests. Closing the iterator cancels what is in flight.

        Args:
            requests: Read lazily; keys are unique.

        Raises:
            UserError: No key or no model; key, address, model or quota are refused; the first
                requests are all too long. Whatever was answered before is yielded first.
        """
        # Imported here: SDK and HTTP client take half a second that look-ups need not pay.
        from relevance_distillery.llm.conductor import Conductor
        from relevance_distillery.llm.dialect import DialectInUse
        from relevance_distillery.llm.engine import Engine
        from relevance_distillery.llm.retries import Patience

        waiting = iter(requests)
        first = next(waiting, None)
        if first is None:
            return
        model, host = self._settings.model, self._endpoint.host
        if not model:
            raise UserError('No model is named: add --params="model=NAME".')
        self._dialect = self._dialect or DialectInUse(self._settings, host)
        patience = self._patience or Patience()
        with Engine(self._endpoint, self._settings, self._dialect, patience) as engine:
            conductor = Conductor(
                engine,
                host=host,
                model=model,
                concurrency=self._settings.concurrency,
                price=self._price,
                budget=self._budget,
                patience=patience,
            )
            yield from conductor.run(chain([first], waiting))
