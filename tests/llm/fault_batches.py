"""The Batch API of the fault server: files, batches, and a control to end them."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from fault_answers import completion, error_body, refusal
from fault_server import FaultPlan, digest_of, prompt_of


class Batches:
    """Files and batches in memory; a batch stays as it is until `/control` ends it."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.drop_creation = False

    def add_routes(self, app: web.Application, path: str) -> None:
        app.router.add_post(f"{path}/files", self.upload)
        app.router.add_get(f"{path}/files/{{id}}/content", self.content)
        app.router.add_post(f"{path}/batches", self.create)
        app.router.add_get(f"{path}/batches", self.listed)
        app.router.add_get(f"{path}/batches/{{id}}", self.retrieve)

    async def upload(self, request: web.Request) -> web.Response:
        name = ""
        async for part in await request.multipart():
            if part.name == "file":  # type: ignore[union-attr]
                name = self.keep(await part.read())  # type: ignore[union-attr]
        return web.json_response(
            {
                "id": name,
                "object": "file",
                "bytes": len(self.files[name]),
                "created_at": 1,
                "filename": "requests.jsonl",
                "purpose": "batch",
                "status": "processed",
            }
        )

    async def content(self, request: web.Request) -> web.Response:
        found = self.files.get(request.match_info["id"])
        if found is None:
            return web.json_response(error_body("No such File", "not_found"), status=404)
        return web.Response(body=found, content_type="application/octet-stream")

    async def create(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        job = {
            "id": f"batch_{len(self.jobs)}",
            "object": "batch",
            "endpoint": asked["endpoint"],
            "input_file_id": asked["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "created_at": len(self.jobs),
            "metadata": asked.get("metadata"),
            "output_file_id": None,
            "error_file_id": None,
        }
        self.jobs[str(job["id"])] = job
        if self.drop_creation:
            # The batch exists, and the client never hears of it.
            self.drop_creation = False
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(job)

    async def listed(self, request: web.Request) -> web.Response:
        newest = list(reversed(self.jobs.values()))
        after = request.query.get("after")
        if after:
            newest = newest[[job["id"] for job in newest].index(after) + 1 :]
        page = newest[: int(request.query.get("limit", 20))]
        return web.json_response(
            {
                "object": "list",
                "data": page,
                "first_id": page[0]["id"] if page else None,
                "last_id": page[-1]["id"] if page else None,
                "has_more": len(page) < len(newest),
            }
        )

    async def retrieve(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            return web.json_response(error_body("No such batch", "not_found"), status=404)
        return web.json_response(job)

    async def control(self, request: web.Request) -> web.Response:
        change = json.loads(await request.read())
        if change.get("reset"):
            self.files.clear()
            self.jobs.clear()
            self.asked.clear()
        self.drop_creation = bool(change.get("drop_creation"))
        if "forget_jobs" in change:
            self.jobs.clear()
        if "finish" in change:
            for job in self.jobs.values():
                if job["status"] in ("validating", "in_progress"):
                    self.finish(job, change)
        return web.json_response(
            {
                "jobs": list(self.jobs.values()),
                "requests": {
                    job["id"]: len(self.files[job["input_file_id"]].splitlines())
                    for job in self.jobs.values()
                },
                "asked": self.asked,
            }
        )

    def finish(self, job: dict[str, Any], change: dict[str, Any]) -> None:
        """End a batch after a share of its requests."""
        job["status"] = change["finish"]
        if change["finish"] == "in_progress":
            return
        if change["finish"] == "failed":
            errors = [{"code": change.get("code", "model_not_found"), "message": "secret words"}]
            job["errors"] = {"object": "list", "data": errors}
            return
        lines = [json.loads(line) for line in self.files[job["input_file_id"]].splitlines()]
        ran = round(len(lines) * change.get("share", 1.0))
        failed = int(change.get("errors", 0))
        answered = [self.answered(line) for line in lines[failed:ran]]
        broken = [
            self.line(line, {"status_code": 500, "body": error_body("oops", "server_error")})
            for line in lines[:failed]
        ]
        if not change.get("silent"):
            code = f"batch_{change['finish']}"
            broken += [
                self.line(line, None) | {"error": {"code": code, "message": "was not executed"}}
                for line in lines[ran:]
            ]
        if answered:
            job["output_file_id"] = self.keep(lines_of(answered))
        if broken:
            job["error_file_id"] = self.keep(lines_of(broken))

    def answered(self, line: dict[str, Any]) -> dict[str, Any]:
        prompt = prompt_of(line["body"]["messages"])
        refused = refusal(self.plan, line["body"])
        if refused is not None:
            return self.line(line, {"status_code": refused[0], "body": refused[1]})
        self.asked.append(digest_of(prompt))
        fault, _ = self.plan.fault(prompt)
        body = completion(self.plan, line["body"], fault)
        return self.line(line, {"status_code": 200, "request_id": "r", "body": body})

    @staticmethod
    def line(line: dict[str, Any], response: dict[str, Any] | None) -> dict[str, Any]:
        return {"id": "b", "custom_id": line["custom_id"], "response": response, "error": None}

    def keep(self, content: bytes) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = bytes(content)
        return name


def lines_of(values: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()
