"""Runs `kedro` in a fork of a process that has imported the libraries already.

Importing torch, transformers and MLflow takes several seconds of every command, and the tests run
dozens of them. A server process imports them and the pipelines once and forks for each command, so
that every command still is a process of its own, with its own working directory, environment, exit
status and output. The server starts no threads of its own before it forks.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

_LIBRARIES = (
    "ir_measures",
    "mlflow.pyfunc",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandera.pandas",
    "sklearn.linear_model",
    "scipy.stats",
    "torch",
    "peft",
    "transformers.models.bert.modeling_bert",
    "transformers.trainer",
    "kedro.framework.cli",
    "kedro_mlflow.framework.cli.cli",
    "kedro_mlflow.framework.hooks",
)
_server: subprocess.Popen[str] | None = None


def run_forked(arguments: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run `kedro ARGUMENTS`.

    Args:
        arguments: What follows `kedro` on the command line.
        folder: The working directory.
        environment: All environment variables of the command.

    Returns:
        Exit status (negative for a signal) and what was written to standard output and error.
    """
    global _server
    if _server is None or _server.poll() is not None:
        _server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        atexit.register(_server.kill)
    assert _server.stdin is not None
    assert _server.stdout is not None
    with tempfile.NamedTemporaryFile("r", suffix=".log", errors="replace") as log:
        request = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": environment,
            "log": log.name,
        }
        _server.stdin.write(json.dumps(request) + "\n")
        _server.stdin.flush()
        answer = _server.stdout.readline()
        if not answer:
            raise RuntimeError("the process that runs kedro for the tests has ended")
        return int(answer), log.read()


def _serve() -> None:
    import importlib

    for name in _LIBRARIES:
        importlib.import_module(name)
    from relevance_distillery.pipeline_registry import register_pipelines

    assert all(register_pipelines().values())
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(json.loads(line))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


def _run(request: dict[str, Any]) -> None:
    """The command itself, in the child: never returns."""
    output = os.open(request["log"], os.O_WRONLY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, target)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["kedro", *request["arguments"]]
    code = 1
    try:
        from kedro.framework.cli import main

        main()
        code = 0
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(bool(stopped.code))
        if isinstance(stopped.code, str):
            sys.stderr.write(f"{stopped.code}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
