"""The rules of the house, checked: where arrows go, what the catalog holds, how long a file is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "relevance_distillery"
PACKAGE = "relevance_distillery"
MODULES = sorted(SOURCE.rglob("*.py"))
ROOMS = (
    "synthesis",
    "mining",
    "planning",
    "labeling",
    "distillation",
    "reporting",
    "scoring",
    "evaluating",
    "forgetting",
    "cascading",
    "hand_grading",
    "probing",
    "recalibrating",
)
MAY_IMPORT_KEDRO = (
    "pipelines",
    "datasets",
    "settings",
    "hooks",
    "cli",
    "pipeline_registry",
)
MAY_IMPORT_MLFLOW = ("hooks", "flavor")


def _imports(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_arrows_go_one_way(module: Path) -> None:
    room = module.relative_to(SOURCE).parts[0].removesuffix(".py")
    roots = {name.split(".")[0] for name in _imports(module)}
    if room not in (*MAY_IMPORT_KEDRO, "__main__"):
        assert not roots & {"kedro", "kedro_datasets", "kedro_mlflow"}
    if not {room, module.stem} & set(MAY_IMPORT_MLFLOW):
        assert not roots & {"mlflow", "kedro_mlflow"}
    own = {name.split(".")[1] for name in _imports(module) if name.startswith(f"{PACKAGE}.")}
    if room not in (*MAY_IMPORT_KEDRO, "__main__"):
        assert not own & set(MAY_IMPORT_KEDRO)
    if room in ("grading", "errors"):
        assert not own


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_one_idea_a_file(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.fixture(scope="module")
def catalogs() -> dict[str, set[str]]:
    bootstrap_project(ROOT)
    found = {}
    for environment in ("base", "llm", "recorded"):
        with KedroSession.create(project_path=ROOT, env=environment) as session:
            found[environment] = set(session.load_context().catalog.keys())
    return found


@pytest.mark.parametrize("environment", ["base", "llm", "recorded"])
def test_every_dataset_is_in_the_catalog(catalogs: dict[str, set[str]], environment: str) -> None:
    used = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    stored = {name for name in used if not name.startswith("params:")}
    assert stored - catalogs[environment] == set()
    unused = {name for name in catalogs[environment] if not name.startswith("param")} - used
    assert unused == set()


def test_names_are_plain(catalogs: dict[str, set[str]]) -> None:
    names = {name for name in catalogs["base"] if not name.startswith("param")}
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_the_same_name_everywhere(room: str) -> None:
    assert (SOURCE / "pipelines" / room / "pipeline.py").is_file()
    assert (SOURCE / "pipelines" / room / "nodes.py").is_file()
    assert (SOURCE / "pipelines" / room / "parameters.py").is_file()
    assert (ROOT / "docs" / "pipelines" / f"{room}.md").is_file()
    assert (ROOT / "tests" / "pipelines" / f"test_{room}.py").is_file()
    parameters = yaml.safe_load((ROOT / "conf/base" / room / "parameters.yml").read_text())
    assert parameters
    assert set(parameters) == {room}


def test_every_entry_has_a_layer() -> None:
    layers = {
        "raw",
        "intermediate",
        "primary",
        "feature",
        "model_input",
        "models",
        "model_output",
        "reporting",
    }
    for file in sorted((ROOT / "conf" / "base").rglob("catalog*.yml")):
        for name, entry in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            if not name.startswith("_"):
                assert entry["metadata"]["kedro-viz"]["layer"] in layers, name


def test_nothing_of_the_machine_is_in_the_lock() -> None:
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line
