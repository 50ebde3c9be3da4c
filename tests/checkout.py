"""A project of its own for every test that runs `kedro`: own data, own MLflow store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from mlflow import MlflowClient

from forked import Forked

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "01_raw" / "sample"

# Two cores, and pytest may run two workers: one thread each keeps them out of each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@dataclass(frozen=True)
class Project:
    """A checkout in a temporary folder that shares the source code with this one."""

    path: Path

    def command(self, *arguments: str) -> list[str]:
        """The command line of `kedro ARGUMENTS`."""
        return [str(Path(sys.executable).with_name("kedro")), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The process environment for commands in this project."""
        return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "DO_NOT_TRACK": "1"}

    def kedro(
        self, *arguments: str, check: bool = True, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Runs `kedro ARGUMENTS` in the project; standard error goes into `stdout`.

        Args:
            arguments: What follows `kedro` on the command line.
            check: Fail the test where the command fails.
            fresh: Start the `kedro` executable, as a user does, in place of a fork of a process
                that has the libraries imported already.
        """
        if fresh:
            done = subprocess.run(
                self.command(*arguments),
                cwd=self.path,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=900,
            )
        else:
            code, output = self.start(*arguments).wait()
            done = subprocess.CompletedProcess(self.command(*arguments), code, stdout=output)
        if check and done.returncode != 0:
            pytest.fail(f"kedro {' '.join(arguments)} failed:\n{done.stdout[-6000:]}")
        return done

    def start(self, *arguments: str) -> Forked:
        """`kedro ARGUMENTS`, which goes on while the test does."""
        return Forked(["kedro", *arguments], self.path, self.environment)

    def newest(self, relative: str) -> Path:
        """The newest version of a versioned entry, such as `08_reporting/agreement.json`."""
        folder = self.path / "data" / relative
        versions = sorted(path for path in folder.iterdir() if path.is_dir())
        return versions[-1] / folder.name


def start_script(path: Path, *arguments: object) -> Forked:
    """A Python script that goes on while the test does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return Forked([str(path), *map(str, arguments)], path.parent, environment)


def _personal(folder: str, names: list[str]) -> list[str]:
    """What in `conf/local` is the developer's own, and not in a fresh clone."""
    return [name for name in names if Path(folder).name == "local" and name != ".gitkeep"]


@cache
def _empty_store() -> Path:
    """An MLflow database without runs: making one takes longer than most commands."""
    path = Path(tempfile.mkdtemp(prefix="mlflow-")) / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


def make_project(path: Path, store: bool = True) -> Project:
    """A project in `path` with the configuration of this checkout and the bundled corpus.

    Args:
        path: Where to.
        store: With an empty MLflow database; else the first command makes it.
    """
    path.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", path)
    shutil.copytree(ROOT / "conf", path / "conf", ignore=_personal)
    if store:
        shutil.copy(_empty_store(), path)
    (path / "src").mkdir()  # the package comes from PYTHONPATH
    raw = path / "data" / "01_raw"
    raw.mkdir(parents=True)
    if SAMPLE.exists():
        (raw / "sample").symlink_to(SAMPLE)
    return Project(path)
