"""Any Hugging Face causal language model as a judge, in this process.

It reads the LLM judge's prompt, and its answer is forced to begin with `{"grade": `. The
probabilities of the tokens that may come next are those of the grades, so one forward pass
grades a pair and no answer needs parsing.
"""

import hashlib
import inspect
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pandas as pd
import torch

from relevance_distillery.encoders.base_model import (
    is_decoder,
    public_name,
    quiet,
    readable,
    resolve_model,
)
from relevance_distillery.encoders.batching import PAD_TO, by_length
from relevance_distillery.encoders.devices import choose_device, within_memory
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.prompted.pair_prompt import PairPrompt, request_hash
from relevance_distillery.judges.registry import JudgeSources, RegisteredJudge, State
from relevance_distillery.judges.settings import TransformersSettings

OPENING = '{"grade": '
_DIGITS = 4  # probabilities are rounded: which pairs share a batch changes the digits beyond
_PART = 1 << 20
"""So much of each end of a file of weights goes into the fingerprint: gigabytes take minutes."""


class CausalLM:
    """A language model that is asked which of a few answers comes next.

    `name` is the folder's or the hub's, with what tells its weights apart; `precision` the
    arithmetic of the weights, `bf16` or `fp32`.
    """

    def __init__(
        self, model: str, settings: TransformersSettings, answers: Sequence[str], opening: str
    ) -> None:
        """Load model and tokenizer.

        The answer is forced to begin with `opening`; one of `answers` comes next, each of which
        must begin with a token of its own. The model's own limit on the input counts where lower.
        UserError where there is no such model, or it does not write text.
        """
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        source = _source(model)
        device = choose_device(settings.device)
        usual = "bf16" if device.startswith("cuda") else "fp32"
        self.precision = usual if settings.precision == "auto" else settings.precision
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        with readable(f"judge=transformers: {model}", source, "check its files and the memory"):
            config = AutoConfig.from_pretrained(source, trust_remote_code=False)
            if not is_decoder(config):
                raise UserError(
                    f"judge=transformers: {model} does not write text; name a causal language model"
                )
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            self._tokenizer = cast(Any, tokenizer)
            with quiet():
                loaded = AutoModelForCausalLM.from_pretrained(
                    source, trust_remote_code=False, dtype=dtype
                )
            self._model = loaded.eval().to(device)
        self.name = f"{public_name(model)} {_fingerprint(source, config)}"
        self.device = device
        own_limit = getattr(config, "max_position_embeddings", None) or settings.max_tokens
        self.max_tokens = min(settings.max_tokens, int(own_limit))
        self._opening = opening
        self._accepted = set(inspect.signature(self._model.forward).parameters)
        # Any token serves: padding is masked. Some tokenizers have none.
        own_pad = self._tokenizer.pad_token_id
        self._pad = own_pad if own_pad is not None else self._tokenizer.eos_token_id or 0
        self._first, self._cut = self._first_tokens(model, answers)

    def encode(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Tokens of a conversation up to the place where one of the answers comes next."""
        return self._ids(self._rendered(messages) + self._opening + self._sample)[: -self._cut]

    def probabilities(self, inputs: Sequence[list[int]], batch_size: int) -> np.ndarray:
        """Shares of the answers, shape (inputs, answers), each row sums to 1.

        `inputs` are from `encode`, none longer than `max_tokens`.
        """
        found = np.zeros((len(inputs), len(self._first)))
        for rows in by_length([len(tokens) for tokens in inputs], batch_size):
            found[rows] = self._forward([inputs[row] for row in rows])
        return found

    @torch.inference_mode()
    def _forward(self, inputs: list[list[int]]) -> np.ndarray:
        width = -(-max(map(len, inputs)) // PAD_TO) * PAD_TO
        width = max(min(width, self.max_tokens), max(map(len, inputs)))
        # On the left, so that the last position is the answer's in every row.
        ids = torch.tensor([[self._pad] * (width - len(row)) + row for row in inputs])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in inputs])
        given = {
            "input_ids": ids.to(self.device),
            "attention_mask": mask.to(self.device),
            "position_ids": (mask.cumsum(-1) - 1).clamp(min=0).to(self.device),
            "use_cache": False,
            "logits_to_keep": 1,
        }
        known = {key: value for key, value in given.items() if key in self._accepted}
        output = self._model(**known)
        logits = output.logits[:, -1, self._first].float()
        return np.asarray(torch.softmax(logits, dim=-1).cpu().numpy(), dtype=np.float64)

    def _rendered(self, messages: Sequence[Mapping[str, str]]) -> str:
        if not getattr(self._tokenizer, "chat_template", None):
            return "\n\n".join([*(message["content"] for message in messages), ""])
        try:
            return self._with_template(messages)
        except Exception as error:
            # Templates refuse a system message with any exception they like.
            joined = "\n\n".join(message["content"] for message in messages)
            try:
                return self._with_template([{"role": "user", "content": joined}])
            except Exception:
                raise UserError(
                    f"judge=transformers: the chat template of {self.name} cannot be used "
                    f"({type(error).__name__})"
                ) from None

    def _with_template(self, messages: Sequence[Mapping[str, str]]) -> str:
        # Models that think aloud are asked for the answer itself; others ignore the word.
        options = {"add_generation_prompt": True, "enable_thinking": False}
        given = [dict(message) for message in messages]
        return str(self._tokenizer.apply_chat_template(given, tokenize=False, **options))

    def _ids(self, text: str) -> list[int]:
        # A chat template writes the special tokens itself.
        special = not getattr(self._tokenizer, "chat_template", None)
        return list(self._tokenizer(text, add_special_tokens=special)["input_ids"])

    def _first_tokens(self, model: str, answers: Sequence[str]) -> tuple[list[int], int]:
        """The token that each answer begins with, and how many the first answer adds.

        Tokenizers join a space with what follows, or do not; so whole texts are compared.
        """
        self._sample = answers[0]
        start = self._rendered([{"role": "user", "content": "."}]) + self._opening
        tokens = [self._ids(start + answer) for answer in answers]
        columns = enumerate(zip(*tokens, strict=False))
        same = next((place for place, column in columns if len(set(column)) > 1), len(tokens[0]))
        first = [row[same] if len(row) > same else -1 for row in tokens]
        unknown = self._tokenizer.unk_token_id
        if len(set(first)) < len(first) or {-1, unknown} & set(first):
            raise UserError(
                f"judge=transformers: the tokenizer of {model} does not begin each of the grades "
                f"{', '.join(answers)} with a token of its own, so one forward pass cannot tell "
                "them apart; use a scale of single digits or judge=llm"
            )
        return first, len(tokens[0]) - same


def _source(model: str) -> str:
    try:
        return resolve_model(model)
    except UserError as error:
        raise UserError(
            str(error)
            .replace("base model", "judge=transformers:")
            .replace(", or use base_model=bundled", "")
        ) from error


def _fingerprint(source: str, config: Any) -> str:
    """Twelve digits: the hub's commit, or a hash over the ends of the folder's files."""
    commit = getattr(config, "_commit_hash", None)
    if commit:
        return str(commit)[:12]
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(Path(source).iterdir()):
        if path.suffix not in (".safetensors", ".json", ".jinja", ".model", ".txt", ".bin"):
            continue
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as stream:
            digest.update(stream.read(_PART))
            if size > 2 * _PART:
                stream.seek(-_PART, 2)
            digest.update(stream.read(_PART))
    return digest.hexdigest()


class TransformersJudge(RegisteredJudge):
    """Grades by the probabilities of the grades' tokens; see the module."""

    def __init__(
        self, prompt: PairPrompt, settings: TransformersSettings, scale: GradeScale
    ) -> None:
        """Load the model; UserError where none is named, or as `CausalLM`."""
        if not settings.model:
            raise UserError(
                "judge=transformers has no model: write judge=transformers:FOLDER or name one of "
                "the Hugging Face hub"
            )
        self.settings, self.scale, self._size = settings, scale, settings.batch_size
        self._prompt = prompt
        self.prompt_hash = prompt.hash
        grades = [str(value) for value in scale.values.tolist()]
        self._lm = CausalLM(settings.model, settings, grades, OPENING)
        self.model = self._lm.name
        self.name = f"transformers:{self._lm.name.partition(' ')[0]}"
        # Precision changes grades; the batch size does not, up to rounding.
        decoding = [OPENING, self._lm.precision, settings.max_tokens]
        self._own = json.dumps(["transformers", self.model, *decoding, scale.digest])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by name: a worker that reads it has the model's folder, or downloads it."""
        return type(self).restore, (self.to_state(), JudgeSources(self.scale))

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        """Hashes of the rendered messages, of model and scale."""
        return [request_hash(messages, self._own) for messages in self._prompt.all(pairs)]

    def grade(self, shards: Iterable[pd.DataFrame]) -> Iterator[list[Verdict]]:
        """Verdicts shard by shard; inside a shard batches are sorted by length."""
        return (self._grade(pairs) for pairs in shards if len(pairs))

    def _grade(self, pairs: pd.DataFrame) -> list[Verdict]:
        began = time.monotonic()
        messages = list(self._prompt.all(pairs))
        hashes = [request_hash(request, self._own) for request in messages]
        inputs = [self._lm.encode(request) for request in messages]
        fits = [row for row, tokens in enumerate(inputs) if len(tokens) <= self._lm.max_tokens]
        asked = [inputs[row] for row in fits]
        chances, self._size = within_memory(
            lambda size: self._lm.probabilities(asked, size).round(_DIGITS),
            self._size,
            self._lm.device,
        )
        seconds = (time.monotonic() - began) / len(pairs)
        reason = f"the request has more than {self._lm.max_tokens} tokens"
        verdicts = [
            Verdict(request, status="context_length", reason=reason, seconds=seconds)
            for request in hashes
        ]
        for row, shares in zip(fits, chances, strict=True):
            verdicts[row] = Verdict(
                hashes[row],
                grade=int(self.scale.values[shares.argmax()]),
                probabilities=tuple(shares.tolist()),
                input_tokens=len(inputs[row]),
                seconds=seconds,
            )
        return verdicts

    @classmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Load the model `model`, or the configured one."""
        settings = sources.settings.transformers
        named = {"model": model or settings.model}
        return cls(sources.pair_prompt(), settings.model_copy(update=named), sources.scale)

    def to_state(self) -> State:
        """Everything that `restore` needs, as plain JSON values."""
        return {
            "judge": "transformers",
            "asked": self.settings.model,
            "model": self.model,
            "scale_hash": self.scale.digest,
            "settings": self.settings.model_dump(mode="json"),
            "prompt": self._prompt.to_state(),
        }

    @classmethod
    def restore(cls, state: State, sources: JudgeSources) -> Self:
        """The judge that wrote `state`; UserError where its model is gone or another one now."""
        judge = cls(
            PairPrompt.from_state(state["prompt"], sources.scale),
            TransformersSettings.model_validate(state["settings"]),
            sources.scale,
        )
        if judge.model != state["model"]:
            raise UserError(
                f"judge=transformers was prepared with {state['model']} and now finds "
                f"{judge.model}: run `kedro run --pipeline=label` to prepare it again"
            )
        return judge
