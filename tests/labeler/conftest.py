from __future__ import annotations

from pathlib import Path

import pytest

import tiny_models
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler
from tiny_models import tiny_data, tiny_settings


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.encoder(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def artifact(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("workspace")
    # Both ways of reading at once, each of which also stands alone.
    settings = tiny_settings(tiny_encoder, architecture="combined")
    folder, _ = distill(tiny_data(), settings, DEFAULT_SCALE, workspace)
    return folder


@pytest.fixture(scope="session")
def labeler(artifact: Path) -> Labeler:
    return Labeler.load(artifact)
