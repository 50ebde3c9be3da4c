"""Fixtures that several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkout import Project, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh project without any results."""
    return make_project(tmp_path / "project")
