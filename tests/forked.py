"""Runs `kedro` and scripts in a fork of a process that has imported the libraries already.

Importing torch, transformers and MLflow takes several seconds of every command, and the tests run
dozens of them. One server for the whole test session imports them and the pipelines once and forks
for each command, so that every command still is a process of its own, with its own working
directory, environment, exit status and output. The server has no second thread when it forks: what
that one had locked would stay locked in the child.
"""

from __future__ import annotations

import faulthandler
import gc
import inspect
import json
import os
import runpy
import select
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

_LIBRARIES = (
    "IPython.terminal.embed",
    "bm25s",
    "git",
    "ir_measures",
    "mlflow.pyfunc",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandera.backends.pandas.builtin_checks",
    "plotly.graph_objects",
    "pyarrow.dataset",
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
_WITHOUT_THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
_LONGEST = 900  # seconds of a command
_SESSION = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
"""The process that lives as long as the test session: workers are its children."""


class Forked:
    """A command that runs in a fork.

    Attributes:
        pid: Its process, which can be killed.
    """

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
        """Start it.

        Args:
            arguments: `kedro` or the path of a Python script, and what follows it.
            folder: The working directory.
            environment: All environment variables of the command.
        """
        self._log = tempfile.NamedTemporaryFile("r", suffix=".log", errors="replace")  # noqa: SIM115
        self._server = _connected(environment)
        request = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": environment,
            "log": self._log.name,
        }
        self._server.sendall(json.dumps(request).encode() + b"\n")
        self._answers = self._server.makefile("rb", buffering=0)
        self.pid = int(self._answers.readline())

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def wait(self) -> tuple[int, str]:
        """Exit status (negative for a signal), and standard output and error together.

        A command that does not end is ended, so that its test fails in place of the session.
        """
        if not select.select([self._server], [], [], _LONGEST)[0]:
            os.kill(self.pid, signal.SIGABRT)
        status = int(self._answers.readline())
        self._server.close()
        with self._log:
            return status, self._log.read()


def _connected(environment: dict[str, str]) -> socket.socket:
    """A connection to the session's server, which the first caller starts."""
    address = Path(tempfile.gettempdir()) / f"kedro-for-tests-{_SESSION}"
    try:
        Path(f"{address}.started").touch(exist_ok=False)
    except FileExistsError:
        pass
    else:
        command = [sys.executable, __file__, str(address), str(_SESSION)]
        subprocess.Popen(command, env=environment | _WITHOUT_THREADS)
    for _ in range(600):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(address))
        except OSError:
            connection.close()
            time.sleep(0.2)
        else:
            return connection
    raise RuntimeError("the process that runs kedro for the tests did not start")


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    max_children = 64  # with as many the next one waits, and what a test holds open never ends

    def service_actions(self) -> None:
        """End with the test session."""
        super().service_actions()
        try:
            os.kill(int(sys.argv[2]), 0)
        except OSError:
            for path in (sys.argv[1], f"{sys.argv[1]}.started"):
                Path(path).unlink(missing_ok=True)
            os._exit(0)


class _Command(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        child = os.fork()
        if child == 0:
            _run(request)
        self.wfile.write(b"%d\n" % child)
        self.wfile.write(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _serve() -> None:
    import importlib

    import mlflow.utils.requirements_utils

    for name in _LIBRARIES:
        importlib.import_module(name)
    from relevance_distillery.pipeline_registry import register_pipelines
    from relevance_distillery.reporting.pages import templates

    assert all(register_pipelines().values())
    for name in templates().list_templates(["jinja2"]):
        templates().get_template(name)
    # What a run looks up in everything that is installed and imported.
    mlflow.utils.requirements_utils._init_packages_to_modules_map()
    inspect.stack()
    gc.collect()
    gc.freeze()  # Children need not walk through what they share.
    with _Server(sys.argv[1], _Command) as server:
        server.serve_forever()


def _run(request: dict[str, Any]) -> None:
    """The command itself, in the child: never returns."""
    output = os.open(request["log"], os.O_WRONLY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, target)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    faulthandler.enable()  # says where a command that is ended hung
    # A shell's background job ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = request["arguments"]
    code = 1
    try:
        if sys.argv[0] == "kedro":
            from kedro.framework.cli import main

            main()
        else:
            sys.path[:0] = [str(Path(sys.argv[0]).parent)]
            runpy.run_path(sys.argv[0], run_name="__main__")
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
