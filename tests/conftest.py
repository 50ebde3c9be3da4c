"""Fixtures that several rooms share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from checkout import BENCHMARKS, Project, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh project without any results."""
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def benchmark_set() -> Callable[[str], Path]:
    """Finds a real benchmark set by name; the test is skipped where the sets are absent."""

    def find(name: str) -> Path:
        folder = BENCHMARKS / name
        if not folder.is_dir():
            pytest.skip(f"benchmark set {name} is not at {BENCHMARKS}; set BENCHMARKS")
        return folder

    return find
