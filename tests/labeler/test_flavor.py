from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from relevance_distillery import model_registry
from relevance_distillery.errors import UserError
from relevance_distillery.labeler import flavor
from relevance_distillery.labeler.inference import Labeler
from tiny_models import tiny_data

NAME = "tiny-labeler"


@pytest.fixture(scope="module")
def registered(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("registry")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=(folder / "runs").as_uri())
    mlflow.set_experiment("tiny")
    return flavor.log_and_register(artifact, NAME, {"base_model": "tiny"}, {"kappa": 0.5})


def test_it_is_registered_as_challenger_with_its_tags(
    registered: dict[str, str], artifact: Path
) -> None:
    assert registered["version"] == "1"
    assert model_registry.get_alias(NAME, "challenger") == "1"
    assert model_registry.get_alias(NAME, "champion") is None
    tags = model_registry.get_version_tags(NAME, "1")
    assert tags["base_model"] == "tiny"
    assert tags["digest"] == Labeler.load(artifact).digest == registered["digest"]
    assert mlflow.get_run(registered["run_id"]).data.metrics == {"kappa": 0.5}
    assert [entry["version"] for entry in model_registry.list_versions(NAME)] == ["1"]
    assert model_registry.list_versions(NAME)[0]["aliases"] == "challenger"
    assert model_registry.list_versions("nobody") == []


def test_what_was_logged_is_the_same_folder(registered: dict[str, str], artifact: Path) -> None:
    by_alias = flavor.load_registered(NAME, "challenger")
    assert Labeler.load(by_alias).digest == Labeler.load(artifact).digest
    assert flavor.load_registered(NAME, "1").name == by_alias.name
    model = by_alias.parents[1]
    assert not [p for p in model.rglob("*") if p.suffix in (".pkl", ".bin", ".pt")]


def test_the_loaded_model_grades_as_the_labeler_does(
    registered: dict[str, str], artifact: Path
) -> None:
    pairs = tiny_data().early.pairs[["query", "text"]]
    served = mlflow.pyfunc.load_model(f"models:/{NAME}@challenger").predict(
        pairs, params={"batch_size": 5}
    )
    ours = Labeler.load(artifact).grade(pairs)
    assert (served["grade"] == ours["grade"]).all()
    np.testing.assert_allclose(served["expected_grade"], ours["expected_grade"], atol=1e-5)


def test_what_is_logged_requires_all_that_it_imports(
    registered: dict[str, str], artifact: Path
) -> None:
    """The project's other dependencies are hidden: a server installs what the model names."""
    by_version = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{NAME}/1")
    asked = (Path(by_version) / "requirements.txt").read_text().splitlines()
    known, installed = set(), {canonicalize_name(Requirement(line).name) for line in asked}
    while fresh := installed - known:
        known |= fresh
        needed = [Requirement(line) for name in fresh for line in requires(name) or []]
        used = [one for one in needed if not one.marker or one.marker.evaluate({"extra": ""})]
        installed |= {canonicalize_name(one.name) for one in used}
    project = "relevance-distillery"
    ours = {canonicalize_name(Requirement(one).name) for one in requires(project)} - {project}
    hidden = [
        module
        for module, names in packages_distributions().items()
        if (found := {canonicalize_name(name) for name in names}) <= ours - installed and found
    ]
    assert "bm25s" in hidden
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden!r}))\n"
        "import pandas as pd\n"
        "from relevance_distillery.labeler import flavor\n"
        f"flavor.Labeler.load({str(artifact)!r}).grade(flavor._example())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_column_is_refused(registered: dict[str, str]) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@challenger")
    with pytest.raises(mlflow.MlflowException, match="text"):
        model.predict(pd.DataFrame({"query": ["w1"]}))


def test_no_text_of_the_user_is_logged(registered: dict[str, str]) -> None:
    model = flavor.load_registered(NAME, "1").parents[1]
    words = set(tiny_data().learn.pairs["query"])
    for path in model.rglob("*.json"):
        content = path.read_text(encoding="utf-8")
        assert not any(query in content for query in words)


def test_an_unknown_labeler_names_the_known_versions(registered: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"champion.*versions: 1"):
        flavor.load_registered(NAME, "champion")
    with pytest.raises(UserError, match="versions: none"):
        flavor.load_registered("nobody", "champion")


def test_aliases_move_and_tags_change(registered: dict[str, str]) -> None:
    model_registry.set_alias(NAME, "champion", "1")
    assert model_registry.get_alias(NAME, "champion") == "1"
    model_registry.set_version_tags(NAME, "1", {"promotion": "first"})
    assert model_registry.get_version_tags(NAME, "1")["promotion"] == "first"
