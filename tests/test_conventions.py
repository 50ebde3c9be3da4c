"""The rules of the house, checked: where arrows go, what the catalog holds, how long a file is."""

from __future__ import annotations

import ast
import re
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from relevance_distillery.pipeline_registry import STAGES, register_pipelines

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "relevance_distillery"
MODULES = sorted(SOURCE.rglob("*.py"))
ROOMS = (
    "synthesis",
    "mining",
    "planning",
    "labeling",
    "distillation",
    "reporting",
    "scoring",
    "searching",
    "evaluating",
    "forgetting",
    "cascading",
    "hand_grading",
    "probing",
    "recalibrating",
    "quantizing",
    "compressing",
)
ORDER = (
    "errors",
    "strict",
    "grading",
    "typed_parameters",
    "schemas",
    "io",
    "executors",
    "text",
    "model_registry",
    "documents",
    "collections",
    "encoders",
    "learning",
    "llm",
    "labeler",
    "judges",
    "channels",
    "retriever",
    "synthesizers",
    "scoring",
    "evaluation",
    "query_encoders",
    "people",
    "planning",
    "reporting",
    "datasets",
    "pipelines",
    "pipeline_registry",
    "hooks",
    "settings",
    "cli",
    "__main__",
)
"""What stands further down may import what stands above it, never the other way."""
MAY_IMPORT_KEDRO = ORDER[ORDER.index("datasets") :]
MAY_IMPORT_MLFLOW = ("hooks", "flavor", "model_registry")
LAYERS = (
    "01_raw",
    "02_intermediate",
    "03_primary",
    "04_feature",
    "05_model_input",
    "06_models",
    "07_model_output",
    "08_reporting",
)


def _name(module: Path) -> str:
    parts = module.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


NAMES = {_name(module): module for module in MODULES}


def _imports(module: Path) -> set[str]:
    """What a file imports, its own modules by their full names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name for name in inner if name in NAMES} or {node.module}
    return names


IMPORTS = {name: _imports(module) for name, module in NAMES.items()}


def _room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_arrows_go_one_way() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, imported in IMPORTS.items()
        for other in sorted(imported & set(NAMES))
        if _room(name) and _room(other) and _room(name) != _room(other)
        if ORDER.index(_room(other)) > ORDER.index(_room(name))
    ]
    assert not wrong


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {
        name: {other for other in imported & set(NAMES) if other != name}
        for name, imported in IMPORTS.items()
        if NAMES[name].name != "__init__.py"
    }
    # Raises CycleError with the names of the files.
    TopologicalSorter(graph).prepare()


def test_kedro_and_mlflow_stay_where_they_belong() -> None:
    wrong = []
    for name, imported in IMPORTS.items():
        roots = {other.split(".")[0] for other in imported}
        if _room(name) not in MAY_IMPORT_KEDRO and roots & {"kedro", "kedro_datasets"}:
            wrong.append(f"{name} imports kedro")
        allowed = {_room(name), NAMES[name].stem} & set(MAY_IMPORT_MLFLOW)
        if not allowed and roots & {"mlflow", "kedro_mlflow"}:
            wrong.append(f"{name} imports mlflow")
    assert not wrong


def test_one_idea_a_file() -> None:
    lines = {name: len(module.read_text().splitlines()) for name, module in NAMES.items()}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_no_package_is_crowded() -> None:
    counts = Counter(module.parent for module in MODULES if module.name != "__init__.py")
    assert {str(folder): count for folder, count in counts.items() if count > 20} == {}


def test_no_module_is_left_over() -> None:
    catalog = "".join(file.read_text() for file in (ROOT / "conf").rglob("*.yml"))
    used = set().union(*IMPORTS.values())
    started = {"settings", "cli", "__main__", "pipeline_registry", "pipelines"}
    unused = {
        name
        for name in NAMES
        if name not in used and name not in catalog and NAMES[name].name != "__init__.py"
        if _room(name) not in started
    }
    # Imported by name when needed, as `embedding.embedded:EmbeddedJudge`.
    lazily = set(re.findall(r"\"([a-z_.]+):[A-Z]\w+\"", (SOURCE / "judges/base.py").read_text()))
    assert unused == {f"relevance_distillery.judges.{name}" for name in lazily} & unused


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


@pytest.fixture(scope="module")
def layers() -> dict[str, str]:
    files = sorted((ROOT / "conf" / "base").rglob("catalog*.yml"))
    entries = {
        name: entry
        for file in files
        for name, entry in yaml.safe_load(file.read_text(encoding="utf-8")).items()
        if not name.startswith("_")
    }
    return {name: entry["metadata"]["kedro-viz"]["layer"] for name, entry in entries.items()}


def test_layers_follow_the_data(layers: dict[str, str]) -> None:
    """Kedro-Viz drops every layer where two form a circle, and sorts unrelated ones by name."""
    assert set(layers.values()) <= set(LAYERS)
    backwards = {
        f"{node.name}: {read} ({layers[read]}) to {made} ({layers[made]})"
        for pipeline in register_pipelines().values()
        for node in pipeline.nodes
        for read in node.inputs
        for made in node.outputs
        if not read.startswith("params:")
        if LAYERS.index(layers[read]) > LAYERS.index(layers[made])
    }
    assert backwards == set()


def test_kedro_viz_shows_the_layers_of_every_pipeline() -> None:
    """By Kedro-Viz itself, which shows none where it cannot put them in order."""
    from kedro_viz.data_access import data_access_manager as lineage
    from kedro_viz.server import load_and_populate_data

    load_and_populate_data(ROOT)
    shown = {name: lineage.get_sorted_layers_for_registered_pipeline(name) for name in pipelines}
    assert shown["__default__"] == list(LAYERS)
    assert {name for name, layers in shown.items() if set(layers) != set(LAYERS)} == set()


def test_parameters_of_nodes_are_typed() -> None:
    """Kedro makes no model of parameters where any annotation of a node cannot be resolved."""
    every = [node for pipeline in register_pipelines().values() for node in pipeline.nodes]
    typed = [node for node in every if any("params:" in name for name in node.inputs)]
    for node in typed:
        assert get_type_hints(node.func), node.name


def test_every_stage_is_one_box_in_the_lineage() -> None:
    groups = register_pipelines()["__default__"].group_nodes_by("namespace")
    assert {group.name for group in groups} == set(STAGES.values())


def test_nothing_of_the_machine_is_in_the_lock() -> None:
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line
