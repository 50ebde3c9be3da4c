"""Counts tokens with a model's own tokenizer where it is at hand, else estimates them.

Nothing is downloaded. A tokenizer is at hand in three places: a local folder, the local cache
of Hugging Face, and, for the models of OpenAI, the vocabularies that are compiled into
`semantic-text-splitter`, which splits the documents anyway.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from semantic_text_splitter import TextSplitter
from tokenizers import Tokenizer

from relevance_distillery.llm.token_estimate import estimate_tokens

TOKENS_PER_MESSAGE = 4
"""Start, role and end of a message in OpenAI's chat format; other formats take 3 to 8."""
TOKENS_PER_REQUEST = 3
"""What opens the answer."""


@dataclass(frozen=True)
class TokenCounter:
    """Counts what a request of a model has to read.

    Attributes:
        model: The model's name.
        exact: Whether texts are counted with its tokenizer; what a server adds to them (chat
            format, answer schema) is an assumption where it is not in the tokenizer's files.
        basis: For people: how texts are counted.
        factor: What every count is multiplied by; learned from answers, see `corrected`.
    """

    model: str
    exact: bool
    basis: str
    factor: float = 1.0
    _text: Callable[[str], int] = field(default=estimate_tokens, repr=False)
    _frame: Callable[[tuple[str, ...]], int] | None = field(default=None, repr=False)
    _reads_schema: bool = field(default=False, repr=False)

    @classmethod
    def for_model(cls, model: str) -> TokenCounter:
        """The best counter for a model that needs no network.

        Args:
            model: A local folder, a name on the Hugging Face hub, or a name of OpenAI's.
        """
        file = _tokenizer_file(model)
        if file is not None:
            counter = _from_file(file)
            if counter is not None:
                frame = _chat_frame(file.parent, counter)
                return cls(
                    model, True, "the model's tokenizer", _text=_remember(counter), _frame=frame
                )
        if _openai_knows(model):
            return cls(
                model,
                True,
                "OpenAI's vocabulary of this model",
                _text=_remember(lambda text: _openai_count(model, text)),
                _reads_schema=True,
            )
        basis = "estimate by words and script, no tokenizer at hand"
        return cls(model, False, basis, _text=_remember(estimate_tokens))

    def count(self, text: str) -> int:
        """Tokens of one text."""
        return round(self._text(text) * self.factor)

    def count_messages(
        self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any] | None = None
    ) -> int:
        """Input tokens of a chat request, as a server bills them.

        Args:
            messages: `{"role", "content"}` each.
            schema: JSON schema of the answer. OpenAI puts it into the prompt and bills it;
                servers that constrain decoding by a grammar do not.
        """
        total = sum(self._text(str(message["content"])) for message in messages)
        if self._frame is not None:
            total += self._frame(tuple(str(message["role"]) for message in messages))
        else:
            total += TOKENS_PER_MESSAGE * len(messages) + TOKENS_PER_REQUEST
        if schema is not None and self._reads_schema:
            total += self._text(json.dumps(schema))
        return round(total * self.factor)

    def corrected(self, observed: float, counted: float) -> TokenCounter:
        """A counter that agrees with what a server billed.

        Args:
            observed: Input tokens that were billed for some requests.
            counted: What this counter said about the same requests.

        Returns:
            A counter whose factor is the ratio of the two; this one where either is 0.
        """
        if observed <= 0 or counted <= 0:
            return self
        factor = self.factor * observed / counted
        basis = f"{self.basis}, times {factor:.2f} as billed before"
        return TokenCounter(
            self.model, self.exact, basis, factor, self._text, self._frame, self._reads_schema
        )


def _remember(count: Callable[[str], int]) -> Callable[[str], int]:
    """The system message is the same in every request of a run: count it once."""
    return lru_cache(maxsize=8)(count)


def _tokenizer_file(model: str) -> Path | None:
    """`tokenizer.json` of a local folder or of the hub's local cache."""
    local = Path(model).expanduser() / "tokenizer.json"
    if local.is_file():
        return local
    if model.count("/") != 1 or model.startswith(("/", ".", "~")):
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(model, "tokenizer.json")
    except HFValidationError:
        return None
    return Path(cached) if isinstance(cached, str) else None


def _from_file(file: Path) -> Callable[[str], int] | None:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:
        # The library raises bare exceptions for files that it cannot read; without the
        # tokenizer there is still the estimate.
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _chat_frame(
    folder: Path, count: Callable[[str], int]
) -> Callable[[tuple[str, ...]], int] | None:
    """Tokens that the model's chat template adds to messages with given roles."""
    if not _has_template(folder):
        return None

    @lru_cache(maxsize=16)
    def frame(roles: tuple[str, ...]) -> int:
        from transformers import AutoTokenizer

        word = "word"
        messages = [{"role": role, "content": word} for role in roles]
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            rendered = str(
                tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            )
        except Exception:
            # Templates may refuse a role, with any exception they like.
            return TOKENS_PER_MESSAGE * len(roles) + TOKENS_PER_REQUEST
        return max(0, count(rendered) - len(roles) * count(word))

    return frame


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and bool(config.get("chat_template"))


def _openai_knows(model: str) -> bool:
    try:
        _splitter(model, 1)
    except Exception:
        # The binding raises a bare Exception for names that it does not know.
        return False
    return True


@lru_cache(maxsize=8192)
def _splitter(model: str, capacity: int) -> TextSplitter:
    return TextSplitter.from_tiktoken_model(model, capacity, trim=False)


def _openai_count(model: str, text: str) -> int:
    """Tokens of a text: the smallest capacity at which the splitter leaves it whole.

    The splitter has the vocabulary and does not tell counts, so the capacity is searched for,
    starting from the estimate.
    """
    if not text:
        return 0

    def fits(capacity: int) -> bool:
        return len(_splitter(model, capacity).chunks(text)) <= 1

    low, high = 0, max(1, round(estimate_tokens(text) * 1.1))
    while not fits(high):
        low, high = high, high + max(1, high // 5)
    if low == 0 and high > 8:
        guess = high - max(1, high // 5)
        while guess > 0 and fits(guess):
            high, guess = guess, guess - max(1, guess // 5)
        low = max(0, guess)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
