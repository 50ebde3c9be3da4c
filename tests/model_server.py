"""`mlflow models serve` in a process of its own, and requests to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def served(model: str, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The address of a served model for as long as the block lasts; its log lands in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scripts = Path(sys.executable).parent
    log = folder / "serve.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [
                str(scripts / "mlflow"),
                *("models", "serve", "-m", model, "--env-manager", "local", "--port", str(port)),
            ],
            cwd=folder,
            env={**environment, "PATH": f"{scripts}:{environment['PATH']}"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield _ready(server, f"http://127.0.0.1:{port}", log)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def post(address: str, body: dict[str, Any]) -> dict[str, Any]:
    """What `/invocations` answers; raises HTTPError where it refuses."""
    request = urllib.request.Request(
        f"{address}/invocations",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read())


def _ready(server: subprocess.Popen[bytes], address: str, log: Path) -> str:
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=2)
            return address
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.5)
    pytest.fail("the model server did not come up:\n" + log.read_text())
