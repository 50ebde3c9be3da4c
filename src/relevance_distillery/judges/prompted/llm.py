"""A large language model behind an OpenAI-compatible API as a judge, one pair a request."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.prompted.grade_answers import (
    answer_schema,
    grade_probabilities,
    parse_answer,
)
from relevance_distillery.judges.prompted.pair_prompt import PairPrompt, request_hash, rows
from relevance_distillery.judges.registry import JudgeSources, RegisteredJudge, State
from relevance_distillery.judges.settings import LLMJudgeSettings
from relevance_distillery.llm.prices import Budget, Price, price_or_warning
from relevance_distillery.llm.redaction import withheld
from relevance_distillery.llm.requests import ChatRequest, ChatResult
from relevance_distillery.llm.scheduler import HOPELESS_START, ChatRunner, Runner
from relevance_distillery.llm.settings import Endpoint, LLMSettings
from relevance_distillery.llm.tokens import TokenCounter

_DECODING = {"temperature", "seed", "max_output_tokens", "structured", "logprobs", "extra_body"}
_OF_RESULT = (
    "status", "reason", "retryable", "asked", "input_tokens", "output_tokens", "cost_usd",
    "seconds",
)  # fmt: skip


class LLMJudge(RegisteredJudge):
    """Asks a model for the grade of each pair; see `docs/how-to/llm-teacher.md`.

    A request's hash is over the rendered messages, the model, the decoding options, the
    answer's schema and the scale. The server's address is not part of it.
    """

    def __init__(
        self,
        prompt: PairPrompt,
        settings: LLMJudgeSettings,
        scale: GradeScale,
        *,
        price: Price | None = None,
        budget: Budget | None = None,
        endpoint: Endpoint | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """Nothing is sent and no key is needed; UserError without a model.

        Without a price costs are 0. Other judges of the stage may share the budget; by default it
        is one of its own, with `settings.max_cost_usd` as its limit. The endpoint is by default
        the one that the environment names when it is first asked, and the ledger is needed for
        the Batch API alone.
        """
        if not settings.model:
            raise UserError(
                'judge=llm has no model: name the server\'s with --params="model=NAME" or '
                "judge=llm:NAME"
            )
        self.model = settings.model
        self.name = f"llm:{public_model(self.model)}"
        self.scale = scale
        self.budget: Budget = budget or Budget(settings.max_cost_usd)  # pyrefly: ignore[bad-override]
        self.settings, self.prompt, self.price = settings, prompt, price
        self._endpoint, self._ledger = endpoint, ledger
        self._schema = answer_schema(scale)
        decoding = settings.model_dump(mode="json", include=_DECODING)
        self._own = json.dumps(["llm", self.model, decoding, self._schema, scale.digest])
        self.prompt_hash = hex_digest(json.dumps([prompt.hash, decoding]))

    def asking(self, prompt: PairPrompt) -> Self:
        """The same model with another prompt, and the same budget."""
        return type(self)(
            prompt,
            self.settings,
            self.scale,
            price=self.price,
            budget=self.budget,
            endpoint=self._endpoint,
            ledger=self._ledger,
        )

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        """Hashes of everything that is sent, of model, options, schema and scale."""
        return [request_hash(messages, self._own) for messages in self.prompt.all(pairs)]

    def requests(self, shards: Iterable[pd.DataFrame]) -> Iterator[ChatRequest | Verdict]:
        """What would be sent, pair by pair; a verdict for a pair that is withheld."""
        counter, frame = TokenCounter.for_model(self.model), None
        for pairs in shards:
            for row, stays in zip(rows(pairs), self.withheld(pairs), strict=True):
                messages = self.prompt.render(row)
                key = request_hash(messages, self._own)
                if stays:
                    # Not an attempt: with another pattern the same request may be sent.
                    yield Verdict(
                        key,
                        status="withheld",
                        reason="a pattern of labeling.llm.never_send matches its path or id",
                        asked=False,
                    )
                    continue
                tokens = counter.count(messages[-1]["content"])
                if frame is None:
                    # What surrounds the pair reads the same in every request.
                    frame = counter.count_messages(messages, self._schema) - tokens
                yield ChatRequest(
                    key=key,
                    messages=messages,
                    schema=self._schema,
                    max_output_tokens=self.settings.max_output_tokens,
                    want_logprobs=self.settings.logprobs == "auto",
                    n_input_tokens=frame + tokens,
                )

    def withheld(self, pairs: pd.DataFrame) -> np.ndarray:
        """True for pairs whose document `never_send` keeps here, shape (pairs,)."""
        return withheld(pairs, self.settings.never_send)

    def grade(self, shards: Iterable[pd.DataFrame]) -> Iterator[list[Verdict]]:
        """Verdicts as answers come in; an answer that is no grade is a failure."""
        kept_here: list[Verdict] = []
        first: list[Verdict] = []

        def to_send() -> Iterator[ChatRequest]:
            for request in self.requests(shards):
                if isinstance(request, Verdict):
                    kept_here.append(request)
                else:
                    yield request

        asker = (self.name, self.prompt_hash, self._ledger)
        runner = chat_runner(asker, self.settings, self.price, self.budget, self._endpoint)
        for results in runner.run(to_send()):
            verdicts = [self._verdict(result) for result in results] + kept_here
            kept_here.clear()
            yield verdicts
            # Committed by now, so what was paid for is kept.
            if len(first) < HOPELESS_START and not self.settings.batch:
                first += [verdict for verdict in verdicts if verdict.asked]
                self._refuse_unreadable(first[:HOPELESS_START])
        if kept_here:
            yield kept_here

    def _refuse_unreadable(self, first: list[Verdict]) -> None:
        """Stop where none of the first answers is a grade: each of the rest would be billed too.

        Where no answer holds a text to read, the runner stops by itself and says why.
        """
        lost = [verdict for verdict in first if verdict.grade is None and not verdict.retryable]
        read = any(verdict.status in ("unparseable", "invalid") for verdict in lost)
        if len(lost) < HOPELESS_START or not read:
            return
        counts = Counter(verdict.reason for verdict in lost).most_common()
        raise UserError(
            f"none of the first {len(lost)} answers of {self.model} is a grade "
            f"({', '.join(f'{count}: {reason}' for reason, count in counts)}), and each is billed: "
            "look at one answer, then change the prompt, raise max_output_tokens, switch off that "
            "the model thinks aloud (labeling.llm.extra_body), or use another model"
        )

    def _verdict(self, result: ChatResult) -> Verdict:
        verdict = Verdict(result.key, **{name: getattr(result, name) for name in _OF_RESULT})
        if result.status != "ok" or result.text is None:
            return verdict
        answer = parse_answer(result.text, self.scale)
        if answer.grade is None:
            kept = {"status": answer.status, "reason": answer.reason, "text": result.text}
            return replace(verdict, **kept)
        shares = grade_probabilities(result.text, answer.span, result.logprobs, self.scale)
        return replace(verdict, grade=answer.grade, probabilities=shares)

    def reread(self, failure: Verdict, text: str) -> Verdict:
        """What a kept answer says by today's rules; its probabilities are not kept."""
        answer = parse_answer(text, self.scale)
        return replace(failure, grade=answer.grade, status=answer.status, reason=answer.reason)

    @classmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Take the model `model`, or the configured one, with its price."""
        settings = sources.settings.llm.model_copy(update={"model": model} if model else {})
        prompt = sources.pair_prompt(redact=settings.redact)
        judge = cls(prompt, settings, sources.scale, budget=sources.budget, ledger=sources.ledger)
        judge.price = price_or_warning(judge.model, sources.settings.prices, settings.max_cost_usd)
        return judge

    def to_state(self) -> State:
        """Everything that `restore` needs, as plain JSON values: no key, no address."""
        return {
            "judge": "llm",
            "asked": self.model,
            "model": self.model,
            "scale_hash": self.scale.digest,
            "settings": self.settings.model_dump(mode="json"),
            "prompt": self.prompt.to_state(),
            "price": None if self.price is None else self.price.model_dump(mode="json"),
        }

    @classmethod
    def restore(cls, state: State, sources: JudgeSources) -> Self:
        """The judge that wrote `state`."""
        return cls(
            PairPrompt.from_state(state["prompt"], sources.scale),
            LLMJudgeSettings.model_validate(state["settings"]),
            sources.scale,
            price=None if state["price"] is None else Price.model_validate(state["price"]),
            budget=sources.budget,
            ledger=sources.ledger,
        )


def chat_runner(
    asker: tuple[str, str, Ledger | None],
    settings: LLMSettings,
    price: Price | None,
    budget: Budget,
    endpoint: Endpoint | None,
) -> Runner:
    """Sends requests one by one, or in batches where the settings say so.

    `asker` is name, prompt hash and ledger of a judge or synthesizer; without an endpoint the
    environment names it.
    """
    endpoint = endpoint or Endpoint.from_environment()
    if not settings.batch:
        return ChatRunner(endpoint, settings, price, budget)
    # Imported here, as few need it.
    from relevance_distillery.judges.ledger.batch_runner import BatchRunner, LedgerBatchStore

    name, prompt_hash, ledger = asker
    assert ledger is not None, "asking in batches needs the ledger"
    store = LedgerBatchStore(ledger, name=name, model=str(settings.model), prompt_hash=prompt_hash)
    return BatchRunner(endpoint, settings, price, budget, store)


def public_model(model: str) -> str:
    """A model's name for tables and reports: a folder's without what leads to it."""
    return Path(model).name if model.startswith(("/", "~", ".")) else model
