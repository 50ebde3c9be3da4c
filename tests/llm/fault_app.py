"""The process behind `fault_server.FaultServer`: `python fault_app.py PLAN FILE`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from email.utils import formatdate
from time import time
from typing import Any

from aiohttp import web
from fault_answers import completion, error_body, refusal
from fault_batches import Batches
from fault_server import FaultPlan, digest_of, prompt_of

HTML = "<!doctype html><html><body><h1>Welcome to the hotel network</h1></body></html>"


class FaultApp:
    """Answers, faults and records."""

    def __init__(self, plan: FaultPlan, file: str) -> None:
        self.plan = plan
        self.met: Counter[str] = Counter()
        self.requests = 0
        self.in_flight = 0
        self.record_file = open(file, "a", buffering=1, encoding="utf-8")  # noqa: SIM115
        self.batches = Batches(plan)

    def routes(self) -> web.Application:
        app = web.Application(client_max_size=2**28, middlewares=[self.key_checked])
        app.router.add_post(f"{self.plan.path}/chat/completions", self.chat)
        app.router.add_post("/control", self.batches.control)
        self.batches.add_routes(app, self.plan.path)
        return app

    @web.middleware
    async def key_checked(self, request: web.Request, handler: Any) -> web.StreamResponse:
        wanted, given = self.plan.key, request.headers.get("Authorization", "")
        if wanted and request.path != "/control" and given != f"Bearer {wanted}":
            self.record("", "401", False)
            return fail(401, f"Incorrect API key provided: {given[7:]}", "invalid_api_key")
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return web.Response(status=404, text=HTML, content_type="text/html")

    def record(self, prompt: str, fault: str | None, valid: bool) -> None:
        line = {
            "prompt": digest_of(prompt) if prompt else "",
            "fault": fault,
            "valid": valid,
            "in_flight": self.in_flight,
        }
        self.record_file.write(json.dumps(line) + "\n")

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.in_flight += 1
        try:
            return await self.answer(request, body)
        finally:
            self.in_flight -= 1

    async def answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        plan, prompt = self.plan, prompt_of(body["messages"])
        refused = refusal(plan, body)
        if refused is not None:
            self.record(prompt, "refused", False)
            return web.json_response(refused[1], status=refused[0])
        self.requests += 1
        if plan.quota is not None and self.requests > plan.quota:
            self.record(prompt, "quota", False)
            return fail(429, "You exceeded your current quota", "insufficient_quota")
        slow = plan.draw("slow", f"{prompt}{self.met[prompt]}") < plan.slow_share
        await asyncio.sleep(plan.slow if slow else plan.latency)
        fault, repeats = plan.fault(prompt)
        self.met[prompt] += 1
        if fault is not None and repeats and self.met[prompt] > repeats:
            fault = None
        self.record(prompt, fault, fault is None)
        if fault is not None:
            broken = await self.break_it(request, fault, prompt)
            if broken is not None:
                return broken
        return web.json_response(completion(plan, body, fault))

    async def break_it(
        self, request: web.Request, fault: str, prompt: str
    ) -> web.StreamResponse | None:
        """The faults of the transport; None for those that an answer carries."""
        if fault == "429":
            return fail(429, "Rate limit reached", "rate_limit_exceeded")
        if fault in ("429_wait", "429_date", "503_wait"):
            wait = str(self.plan.wait)
            if fault == "429_date":
                wait = formatdate(time() + self.plan.wait + 1, usegmt=True)
            return fail(int(fault[:3]), "Slow down", "slow_down", {"Retry-After": wait})
        if fault == "429_days":
            return fail(429, "Come back", "slow_down", {"Retry-After": "172800"})
        if fault in ("500", "502", "409", "408"):
            return fail(int(fault), f"Oops while reading: {prompt[:200]}", "server_error")
        if fault == "400":
            return fail(400, f"Cannot parse: {prompt[:200]}", "invalid_request")
        if fault == "context":
            words = f"This model's maximum context length is 10 tokens: {prompt[:200]}"
            return fail(400, words, "context_length_exceeded")
        if fault == "filter_400":
            return fail(400, "The response was filtered", "content_filter")
        if fault == "html":
            return web.Response(text=HTML, content_type="text/html")
        if fault == "json":
            return web.Response(text='{"choices": [{"mess', content_type="application/json")
        if fault == "hidden":
            return web.json_response({"error": {"code": 503, "message": "upstream"}})
        if fault == "redirect":
            return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/v1"})
        if fault == "stall":
            await asyncio.sleep(self.plan.stall)
            return None
        transport = request.transport
        if not isinstance(transport, asyncio.WriteTransport):  # The client is gone already.
            return web.Response()
        if fault == "drop":
            transport.abort()
        elif fault in ("half", "half_open"):
            transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b'Content-Length: 4096\r\n\r\n{"id": "chatcmpl-1", "choi'
            )
            if fault == "half":
                transport.close()
            else:
                # The server's half of the connection is over, the client's stays open.
                transport.write_eof()
                await asyncio.sleep(self.plan.stall)
        elif fault == "garbage":
            transport.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
            transport.close()
        else:
            return None
        return web.Response()


def fail(
    status: int,
    message: str,
    code: str,
    headers: dict[str, str] | None = None,
) -> web.Response:
    return web.json_response(error_body(message, code), status=status, headers=headers)


async def main() -> None:
    plan = FaultPlan(**json.loads(sys.argv[1]))
    runner = web.AppRunner(
        FaultApp(plan, sys.argv[2]).routes(), access_log=None, keepalive_timeout=30
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    server = site._server
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")  # type: ignore[union-attr]
    sys.stdout.flush()
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_reader(sys.stdin, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
