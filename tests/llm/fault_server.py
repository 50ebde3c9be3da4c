"""A real HTTP server that speaks OpenAI's API and breaks it on purpose, in its own process.

`with FaultServer(FaultPlan(...)) as server:` starts it on a free port of 127.0.0.1;
`server.url` is its `OPENAI_BASE_URL`. What happens to a prompt is decided by its text: a mark
such as `[[html]]` or `[[429*2]]` (twice, then an answer; `*0` for ever), or else by its hash
and the shares of the plan, so that the same prompts meet the same faults whatever their order.
Every request is appended to a file, which outlives clients that are killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

PASSING = (
    "429",
    "429_wait",
    "429_date",
    "500",
    "503_wait",
    "drop",
    "half",
    "half_open",
    "stall",
    "html",
    "json",
)
"""Faults that pass: a prompt meets one `plan.repeats` times and is answered then."""

FINAL = ("off_scale", "gibberish", "empty", "null", "filter", "refusal", "truncated", "context")
"""Faults that stay: a prompt meets one whenever it is asked."""

_MARK = re.compile(r"\[\[(\w+)(?:\*(\d+))?\]\]")


@dataclass
class FaultPlan:
    """What goes wrong, how often.

    Attributes:
        shares: Share of the prompts that meets a fault, by name in `PASSING` and `FINAL`.
        repeats: How often a prompt meets its passing fault; 0 for ever.
        seed: Another one deals the faults to other prompts.
        latency: Seconds before every answer.
        slow_share, slow: Share of the requests that take `slow` seconds instead.
        stall: Seconds of the fault `stall`.
        wait: Seconds that `Retry-After` asks for.
        grades: The answers to grading prompts, drawn by the prompt's hash.
        key: The only key that is accepted; None for any.
        models: The only models that are known; None for any.
        quota: How many requests the account pays for; None without end.
        refuses: Fields of the request that get HTTP 400: `json_schema`, `json_object`,
            `logprobs`, `max_tokens`, `temperature`.
        ignores: Fields that are ignored in silence: `response_format`, `logprobs`, `usage`.
        path: Where the API lives; other paths get an HTML page with 404.
        always: One fault for every request, such as `500`.
    """

    shares: dict[str, float] = field(default_factory=dict)
    repeats: int = 1
    seed: int = 0
    latency: float = 0.0
    slow_share: float = 0.0
    slow: float = 1.0
    stall: float = 2.0
    wait: float = 0.2
    grades: tuple[int, ...] = (0, 1, 2, 3)
    key: str | None = None
    models: tuple[str, ...] | None = None
    quota: int | None = None
    refuses: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()
    path: str = "/v1"
    always: str | None = None

    def fault(self, prompt: str) -> tuple[str | None, int]:
        """A prompt's fault and how often it meets it; 0 for ever."""
        if self.always:
            return self.always, 0
        mark = _MARK.search(prompt)
        if mark:
            lasting = 1 if mark[1] in PASSING else 0
            return mark[1], int(mark[2]) if mark[2] else lasting
        place, total = self.draw("fault", prompt), 0.0
        for name, share in self.shares.items():
            total += share
            if place < total:
                return name, self.repeats if name in PASSING else 0
        return None, 0

    def draw(self, what: str, prompt: str) -> float:
        """A number in [0, 1) that depends on seed and prompt alone."""
        digest = hashlib.sha256(f"{self.seed}\0{what}\0{prompt}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def grade(self, prompt: str) -> int:
        """The grade that this server gives to a prompt."""
        return self.grades[int(self.draw("grade", prompt) * len(self.grades))]


def prompt_of(messages: list[dict[str, Any]]) -> str:
    """The text by which faults, grades and records know a request."""
    return "\n".join(str(message.get("content")) for message in messages)


def digest_of(prompt: str) -> str:
    """How a prompt is named in the records."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:20]


class FaultServer:
    """The server in a process of its own; a context manager.

    Attributes:
        plan: What goes wrong.
        url: Its address up to `/v1`.
        file: Where requests are recorded, a JSON object a line: `prompt` (digest), `fault`
            (null for a valid answer), `valid`, `in_flight`, `stream`.
    """

    def __init__(self, plan: FaultPlan | None = None, file: Path | None = None) -> None:
        self.plan = plan or FaultPlan()
        self._folder = None if file else tempfile.TemporaryDirectory(prefix="fault-server-")
        self.file = file or Path(self._folder.name) / "requests.jsonl"  # type: ignore[union-attr]
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> FaultServer:
        self.file.touch()
        app = Path(__file__).with_name("fault_app.py")
        self._process = subprocess.Popen(
            [sys.executable, str(app), json.dumps(asdict(self.plan)), str(self.file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(app.parent)},
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port, "the fault server did not start"
        self.url = f"http://127.0.0.1:{port}{self.plan.path}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        # The server ends when its input does, also when this process is killed.
        self._process.terminate()
        self._process.communicate()
        if self._folder is not None:
            self._folder.cleanup()

    def records(self) -> list[dict[str, Any]]:
        """All requests so far, in the order in which their answers were decided."""
        lines = self.file.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def asked(self) -> Counter[str]:
        """How often each prompt was asked, by its digest."""
        return Counter(record["prompt"] for record in self.records())

    def asked_after_answer(self) -> Counter[str]:
        """How often each prompt was asked again although it had been validly answered."""
        answered: set[str] = set()
        again: Counter[str] = Counter()
        for record in self.records():
            if record["prompt"] in answered:
                again[record["prompt"]] += 1
            if record["valid"]:
                answered.add(record["prompt"])
        return again

    def most_in_flight(self) -> int:
        """The most requests that were open at the same time."""
        return max((record["in_flight"] for record in self.records()), default=0)

    def control(self, **change: Any) -> Any:
        """Steer the Batch API: `finish="completed"`, `share`, `errors`, or `reset=True`."""
        address = self.url.removesuffix(self.plan.path) + "/control"
        request = Request(address, json.dumps(change).encode(), method="POST")
        with urlopen(request) as response:
            return json.loads(response.read())
