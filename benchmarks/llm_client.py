"""How much of a bare asyncio client's rate the LLM transport reaches, and its memory.

A server in its own process answers every chat completion after a fixed latency. Three clients
ask it in turn, each with the same requests and the same number in flight: a bare aiohttp
loop, a bare loop over `AsyncOpenAI`, and `ChatRunner`, without and with a ledger that commits
every answer to disk. Ratios are medians over rounds; memory is the peak of a process of its
own that does nothing else.

    python benchmarks/llm_client.py                       # rates
    python benchmarks/llm_client.py --memory 10000 200000 # peak memory at so many requests
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import openai
from aiohttp import web

from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.llm.prices import Budget
from relevance_distillery.llm.requests import ChatRequest, ServerCapabilities
from relevance_distillery.llm.scheduler import ChatRunner
from relevance_distillery.llm.settings import Endpoint, LLMSettings

PASSAGE = "The pump is vented before the first start, see the table of pressures. " * 40
SCHEMA = {"type": "object", "properties": {"grade": {"type": "integer"}}, "required": ["grade"]}


def completion() -> bytes:
    """An answer of six tokens with eight alternatives each, as judges get them."""
    top = [{"token": str(i), "logprob": -i - 0.1, "bytes": [48 + i]} for i in range(8)]
    tokens = [
        {"token": token, "logprob": -0.1, "bytes": [50], "top_logprobs": top}
        for token in ('{"', "grade", '":', " ", "2", "}")
    ]
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": '{"grade": 2}', "refusal": None},
        "logprobs": {"content": tokens, "refusal": None},
    }
    usage = {"prompt_tokens": 640, "completion_tokens": 6, "total_tokens": 646}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "teacher"}
    return json.dumps({**answer, "choices": [choice], "usage": usage}).encode()


async def serve(latency: float) -> None:
    """Answer until killed; the port is the first line of the output."""
    body = completion()

    async def chat(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(latency)
        return web.Response(body=body, content_type="application/json")

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)  # type: ignore[union-attr]
    await asyncio.Event().wait()


def settings(concurrency: int) -> LLMSettings:
    """The defaults, with so many slots."""
    return LLMSettings(model="teacher", concurrency=concurrency)


def requests(count: int) -> Iterator[ChatRequest]:
    """Grading requests of about 3 kB."""
    for number in range(count):
        user = f"{PASSAGE}\nQuery: how is pump {number} vented"
        messages = ({"role": "system", "content": "Grade."}, {"role": "user", "content": user})
        yield ChatRequest(
            f"{number:032x}", messages, SCHEMA, want_logprobs=True, n_input_tokens=640
        )


async def drain(
    count: int, concurrency: int, ask: Callable[[dict[str, Any]], Awaitable[object]]
) -> None:
    """As many loops as slots over one iterator: what anybody writes first."""
    chosen, left = settings(concurrency), requests(count)

    async def slot() -> None:
        for request in left:
            await ask(ServerCapabilities().body(request, chosen))

    await asyncio.gather(*[slot() for _ in range(concurrency)])


async def bare_aiohttp(url: str, count: int, concurrency: int) -> None:
    """The least that a Python client can cost."""
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(body: dict[str, Any]) -> object:
            async with session.post(f"{url}/chat/completions", json=body) as response:
                return await response.json()

        await drain(count, concurrency, ask)


async def bare_openai(url: str, count: int, concurrency: int) -> None:
    """The SDK as its README shows it."""
    async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:

        async def ask(body: dict[str, Any]) -> object:
            return await client.chat.completions.create(**body)

        await drain(count, concurrency, ask)


def ours(url: str, count: int, concurrency: int) -> None:
    """The transport; results are counted and forgotten."""
    runner = ChatRunner(Endpoint.at(url, "k"), settings(concurrency), None, Budget())
    answered = sum(
        result.status == "ok" for results in runner.run(requests(count)) for result in results
    )
    assert answered == count


def ours_with_ledger(url: str, count: int, concurrency: int) -> None:
    """The transport; every list is committed to disk before its slots go on."""
    scale = SimpleNamespace(digest="scale")
    judge: Any = SimpleNamespace(name="llm:teacher", model="teacher", prompt_hash="p", scale=scale)
    runner = ChatRunner(Endpoint.at(url, "k"), settings(concurrency), None, Budget())
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite")
        for results in runner.run(requests(count)):
            ledger.record(judge, [Verdict(result.key, grade=2) for result in results])
        ledger.close()


CLIENTS: dict[str, Callable[[str, int, int], None]] = {
    "bare aiohttp": lambda *given: asyncio.run(bare_aiohttp(*given)),
    "bare AsyncOpenAI": lambda *given: asyncio.run(bare_openai(*given)),
    "ChatRunner": ours,
    "ChatRunner + ledger": ours_with_ledger,
}


def rates(url: str, count: int, concurrency: int, rounds: int) -> None:
    """Requests a second and CPU time of every client, in alternation."""
    speeds: dict[str, list[float]] = {name: [] for name in CLIENTS}
    for _ in range(rounds):
        for name, client in CLIENTS.items():
            start, cpu = time.perf_counter(), time.process_time()
            client(url, count, concurrency)
            seconds, used = time.perf_counter() - start, time.process_time() - cpu
            speeds[name].append(count / seconds)
            print(f"{name:20} {count / seconds:7.1f}/s {1000 * used / count:6.2f} ms CPU each")
    for peer in list(CLIENTS)[:2]:
        for name in list(CLIENTS)[2:]:
            pairs = zip(speeds[name], speeds[peer], strict=True)
            print(f"{name} / {peer}: {statistics.median(a / b for a, b in pairs):.3f}")


def memory(url: str, counts: list[int], concurrency: int) -> None:
    """Peak resident memory of a process that runs so many requests."""
    for count in counts:
        command = [sys.executable, __file__, "--peak", url, str(count), str(concurrency)]
        print(f"{count} requests: {subprocess.check_output(command, text=True).strip()}")


def peak(url: str, count: str, concurrency: str) -> None:
    """Run in this process and print its peak memory."""
    start = time.perf_counter()
    ours_with_ledger(url, int(count), int(concurrency))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak {used:.1f} MB, {int(count) / (time.perf_counter() - start):.0f}/s")


def main() -> None:
    """Start the server and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=6000, help="of each client and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds of the server")
    parser.add_argument("--memory", type=int, nargs="+", metavar="REQUESTS")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.latency))
    if given.peak:
        peak(*given.peak)
        return
    command = [sys.executable, __file__, "--serve", "--latency", str(given.latency)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        if given.memory:
            memory(url, given.memory, given.concurrency)
        else:
            rates(url, given.requests, given.concurrency, given.rounds)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
