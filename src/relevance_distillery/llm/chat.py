"""The runner that sends chat requests, many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from relevance_distillery.errors import UserError
from relevance_distillery.llm.budget import Budget
from relevance_distillery.llm.endpoint import Endpoint
from relevance_distillery.llm.requests import ChatRequest, ChatResult
from relevance_distillery.llm.settings import LLMSettings

if TYPE_CHECKING:
    from relevance_distillery.llm.dialect import DialectInUse
    from relevance_distillery.llm.prices import Price
    from relevance_distillery.llm.retries import Patience


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
