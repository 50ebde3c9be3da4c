"""Short ways to ask a server, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from llm.fault_server import FaultServer
from relevance_distillery.llm.prices import Budget, Price
from relevance_distillery.llm.requests import ChatRequest, ChatResult
from relevance_distillery.llm.retries import RetryPolicy
from relevance_distillery.llm.scheduler import ChatRunner
from relevance_distillery.llm.settings import Endpoint, LLMSettings

IMPATIENT = RetryPolicy(first=0.05, longest=0.2, grace=1.0)
SCHEMA = {
    "type": "object",
    "properties": {"grade": {"type": "integer", "enum": [0, 1, 2, 3]}},
    "required": ["grade"],
    "additionalProperties": False,
}


def request(number: int | str, text: str = "", tokens: int = 10) -> ChatRequest:
    """A grading request; `text` may carry a mark that the fault server obeys."""
    return ChatRequest(
        key=f"key-{number}",
        messages=(
            {"role": "system", "content": "Grade."},
            {"role": "user", "content": f"{text} pair {number}"},
        ),
        schema=SCHEMA,
        want_logprobs=True,
        n_input_tokens=tokens,
    )


def requests(count: int, text: str = "") -> Iterator[ChatRequest]:
    """Requests 0, 1, 2, ..., all with the same text."""
    return (request(number, text) for number in range(count))


def prompt(asked: ChatRequest) -> str:
    """The prompt as the fault server sees it."""
    return "\n".join(message["content"] for message in asked.messages)


def settings(**given: object) -> LLMSettings:
    """Eight slots, and a timeout that only a fault meets, however busy the machine is."""
    return LLMSettings.model_validate(
        {"model": "teacher", "concurrency": 8, "timeout_seconds": 30, "max_tries": 4, **given}
    )


def runner(
    server: FaultServer,
    *,
    price: Price | None = None,
    budget: Budget | None = None,
    key: str = "a-key",
    policy: RetryPolicy = IMPATIENT,
    **given: object,
) -> ChatRunner:
    """A runner that asks a fault server."""
    return ChatRunner(
        Endpoint.at(server.url, key),
        settings(**given),
        price,
        budget or Budget(),
        policy=policy,
    )


def all_results(asked: ChatRunner, given: Iterable[ChatRequest]) -> dict[str, ChatResult]:
    """Every result by its key; a key that comes twice is an error."""
    found: dict[str, ChatResult] = {}
    for results in asked.run(given):
        assert results, "an empty list was yielded"
        for result in results:
            assert result.key not in found
            found[result.key] = result
    return found


def collect(asked: ChatRunner, given: Iterable[ChatRequest], into: list[ChatResult]) -> None:
    """Results into a list that stays when the run ends with an error."""
    for results in asked.run(given):
        into += results


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for what must come, however busy the machine is."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
