"""Later versions of a labeler: distilled again, compared, promoted or left alone."""

from __future__ import annotations

import numpy as np
import pytest
from mlflow import MlflowClient

import tiny_models
from checkout import Project, make_project
from relevance_distillery.labeler.inference import Labeler
from test_end_to_end import PAIRS, SMALL


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Equal settings give equal labelers."""
    base = tiny_models.english_encoder(tmp_path_factory.mktemp("base") / "tiny-bert")
    return f"--params=limit=20,{SMALL},base_model={base}"


@pytest.fixture(scope="module")
def distilled_again(settings: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after `kedro run`, and `kedro run --pipeline=distill` from the stored labels."""
    project = make_project(tmp_path_factory.mktemp("versions") / "project")
    project.kedro("run", settings)
    project.kedro("run", "--pipeline=distill", settings)
    return project


def _client(project: Project) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project.path}/mlflow.db")


def test_distilling_again_gives_a_challenger_with_the_same_weights(
    distilled_again: Project,
) -> None:
    client = _client(distilled_again)
    champion = client.get_model_version_by_alias("relevance-labeler", "champion")
    challenger = client.get_model_version_by_alias("relevance-labeler", "challenger")
    assert (int(champion.version), int(challenger.version)) == (1, 2)
    versions = sorted((distilled_again.path / "data/06_models/labeler").iterdir())
    first, second = (path / "labeler" for path in versions[:2])
    grades = [Labeler.load(folder).grade(PAIRS) for folder in (first, second)]
    assert np.allclose(grades[0]["expected_grade"], grades[1]["expected_grade"], atol=1e-6)


def test_an_equal_challenger_is_promoted_and_an_older_version_can_be_loaded(
    distilled_again: Project, settings: str
) -> None:
    distilled_again.kedro("run", "--pipeline=report", settings)
    client = _client(distilled_again)
    champion = client.get_model_version_by_alias("relevance-labeler", "champion")
    assert int(champion.version) == 2
    assert "not worse than version 1" in champion.tags["promotion_reason"]
    assert float(champion.tags["promotion_difference"]) == 0.0

    older = sorted((distilled_again.path / "data/05_model_input/labels.parquet").iterdir())[0].name
    distilled_again.kedro("run", "--pipeline=distill", settings, f"--load-versions=labels:{older}")


def test_manual_promotion_leaves_it_to_a_person(distilled_again: Project, settings: str) -> None:
    before = _client(distilled_again).get_model_version_by_alias("relevance-labeler", "champion")
    distilled_again.kedro("run", "--pipeline=distill", settings)
    distilled_again.kedro("run", "--pipeline=report", f"{settings},promotion=manual")
    after = _client(distilled_again).get_model_version_by_alias("relevance-labeler", "champion")
    assert after.version == before.version
