"""Any Hugging Face causal language model as a judge, in this process.

It reads the LLM judge's prompt, and its answer is forced to begin with `{"grade": `. The
probabilities of the tokens that may come next are those of the grades, so one forward pass
grades a pair and no answer needs parsing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.prompted.pair_prompt import PairPrompt, request_hash
from relevance_distillery.judges.registry import JudgeSources, RegisteredJudge, State
from relevance_distillery.judges.settings import TransformersSettings
from relevance_distillery.llm.prices import Budget

OPENING = '{"grade": '
_DIGITS = 4
"""Probabilities are rounded: which pairs share a batch changes the digits beyond."""


class TransformersJudge(RegisteredJudge):
    """Grades by the probabilities of the grades' tokens; see the module.

    Attributes:
        name: `transformers:MODEL`.
        model: The model, with the commit or a hash of its files.
        prompt_hash: Changes with prompt and examples.
        scale: The grades that it gives.
        budget: None, it costs nothing.
    """

    def __init__(
        self,
        prompt: PairPrompt,
        settings: TransformersSettings,
        scale: GradeScale,
    ) -> None:
        """Load the model.

        Raises:
            UserError: No model, or as `CausalLM`.
        """
        if not settings.model:
            raise UserError(
                "judge=transformers has no model: write judge=transformers:FOLDER or name one of "
                "the Hugging Face hub"
            )
        # Imported here, since it loads torch and every command reads the names of judges.
        from relevance_distillery.judges.prompted.causal_lm import CausalLM

        self.settings, self.scale = settings, scale
        self._prompt = prompt
        self.prompt_hash = prompt.hash
        self._lm = CausalLM(
            settings.model,
            [str(value) for value in scale.values.tolist()],
            OPENING,
            device=settings.device,
            precision=settings.precision,
            max_tokens=settings.max_tokens,
        )
        self.model = self._lm.name
        self.name = f"transformers:{self._lm.name.partition(' ')[0]}"
        # Precision changes grades; the batch size does not, up to rounding.
        self._own = json.dumps(
            [
                "transformers",
                self.model,
                OPENING,
                self._lm.precision,
                settings.max_tokens,
                scale.digest,
            ]
        )

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        """Hashes of the rendered messages, of model and scale."""
        return [request_hash(messages, self._own) for messages in self._prompt.all(pairs)]

    def grade(self, shards: Iterable[pd.DataFrame]) -> Iterator[list[Verdict]]:
        """Verdicts shard by shard; inside a shard batches are sorted by length."""
        for pairs in shards:
            if len(pairs):
                yield self._grade(pairs)

    def _grade(self, pairs: pd.DataFrame) -> list[Verdict]:
        began = time.monotonic()
        messages = list(self._prompt.all(pairs))
        hashes = [request_hash(request, self._own) for request in messages]
        inputs = [self._lm.encode(request) for request in messages]
        fits = [row for row, tokens in enumerate(inputs) if len(tokens) <= self._lm.max_tokens]
        chances = np.round(
            self._lm.probabilities([inputs[row] for row in fits], self.settings.batch_size), _DIGITS
        )
        seconds = (time.monotonic() - began) / len(pairs)
        of_row = dict(zip(fits, chances, strict=True))
        return [
            Verdict(
                request,
                status="context_length",
                reason=f"the request has more than {self._lm.max_tokens} tokens",
                seconds=seconds,
            )
            if row not in of_row
            else Verdict(
                request,
                grade=int(self.scale.values[int(of_row[row].argmax())]),
                probabilities=tuple(float(share) for share in of_row[row]),
                input_tokens=len(inputs[row]),
                seconds=seconds,
            )
            for row, request in enumerate(hashes)
        ]

    @classmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Load the model `model`, or the configured one."""
        settings = sources.settings.transformers.model_copy(
            update={"model": model} if model else {}
        )
        return cls(sources.pair_prompt(), settings, sources.scale)

    def to_state(self) -> State:
        """Everything that `from_state` needs, as plain JSON values."""
        return {
            "judge": "transformers",
            "asked": self.settings.model,
            "model": self.model,
            "scale_hash": self.scale.digest,
            "settings": self.settings.model_dump(mode="json"),
            "prompt": self._prompt.to_state(),
        }

    @classmethod
    def restore(
        cls, state: State, scale: GradeScale, budget: Budget | None, ledger: Ledger | None
    ) -> Self:
        """The judge that wrote `state`.

        Raises:
            UserError: The model is gone, or not the one that the state was prepared with.
        """
        judge = cls(
            PairPrompt.from_state(state["prompt"], scale),
            TransformersSettings.model_validate(state["settings"]),
            scale,
        )
        if judge.model != state["model"]:
            raise UserError(
                f"judge=transformers was prepared with {state['model']} and now finds "
                f"{judge.model}: run `kedro run --pipeline=label` to prepare it again"
            )
        return judge
