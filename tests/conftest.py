"""Fixtures that several rooms share."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import mlflow
import pytest

from checkout import Project, make_project

_LONGEST = (
    "test_end_to_end.py",
    "test_cascading.py",
    "test_cli.py",
    "test_versions.py",
    "test_llm_run.py",
    "test_any_judge.py",
)
"""Files of minutes, which begin first: a worker that got one of them last would work alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first and leaves the order within files as it is."""
    ranks = {name: rank for rank, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh project without any results."""
    return make_project(tmp_path / "project")


@pytest.fixture(scope="module", autouse=True)
def _no_run_of_another_module() -> None:
    """An MLflow run that one module left open would be looked for in another one's store."""
    while mlflow.active_run() is not None:
        with suppress(mlflow.MlflowException):
            mlflow.end_run()
