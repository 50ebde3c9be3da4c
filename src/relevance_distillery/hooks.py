"""What happens around a run: checks before it, tracking of it, its closing lines."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import subprocess
import warnings
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import mlflow
import pandas as pd
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import AbstractVersionedDataset, DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel

from relevance_distillery.datasets.benchmark import BenchmarkDataset
from relevance_distillery.errors import UserError

# On import the plugin defines a model class without type hints, of which MLflow warns, past
# every filter. Nobody who types `kedro run` can do anything about it.
with warnings.catch_warnings(record=True):
    from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook

logger = logging.getLogger(__name__)
# MLflow sets its own level when it is imported.
logging.getLogger("mlflow").setLevel(logging.WARNING)

_RUNTIME_PARAMETER = re.compile(r"\$\{runtime_params:\s*([A-Za-z_]\w*)")
_GROUP = re.compile(r"^([A-Za-z_]\w*):", re.MULTILINE)
_STAGES = ("synthesize", "mine", "label", "distill", "report")


def known_parameters(conf_source: Path) -> tuple[set[str], set[str]]:
    """What `--params` takes: names that some configuration file reads, and whole groups.

    Args:
        conf_source: The project's `conf` folder.

    Returns:
        Names such as `documents`, `judge`, `limit`; and groups such as `synthesis`, whose
        keys are set as `synthesis.typo_share=0`.
    """
    names: set[str] = set()
    groups: set[str] = set()
    for file in sorted(conf_source.rglob("*.yml")):
        text = file.read_text(encoding="utf-8")
        names.update(_RUNTIME_PARAMETER.findall(text))
        if file.name.startswith("parameters"):
            groups.update(_GROUP.findall(text))
    return names, groups


class CleanStartHooks:
    """Stops a run that cannot work before it does, or tracks, anything."""

    def __init__(self) -> None:
        self._conf_source = Path("conf")

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Refuses an unknown environment, and remembers where the configuration is."""
        self._conf_source = Path(str(context.config_loader.conf_source))
        # Without its folder MLflow's plugin falls back to defaults in silence.
        environment = context.env or str(getattr(context.config_loader, "default_run_env", "local"))
        if not (self._conf_source / environment).is_dir():
            there = sorted(path.name for path in self._conf_source.iterdir() if path.is_dir())
            raise UserError(
                f"no environment {environment}: there is no folder conf/{environment}; "
                f"there are: {', '.join(there)}"
            )

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Refuses unknown parameters and missing inputs, each with one line."""
        self._check_parameters(run_params.get("runtime_params") or {})
        self._check_versions(run_params.get("load_versions") or {}, catalog)
        self._check_inputs(pipeline, catalog)

    def _check_versions(self, asked: dict[str, str], catalog: DataCatalog) -> None:
        for name, version in asked.items():
            dataset = catalog.get(name)
            if not isinstance(dataset, AbstractVersionedDataset) or dataset.exists():
                continue
            folder = Path(str(dataset._filepath))
            there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
            raise UserError(
                f"{name} has no version {version}; there are: {', '.join(there) or 'none'}"
            )

    def _check_parameters(self, given: dict[str, Any]) -> None:
        # Kedro takes a mistyped name in silence and runs without it.
        names, groups = known_parameters(self._conf_source)
        unknown = sorted(name for name in given if name.split(".")[0] not in names | groups)
        if unknown:
            raise UserError(
                f"unknown parameter in --params: {', '.join(unknown)}; "
                f"known: {', '.join(sorted(names))}; "
                f"or GROUP.KEY with GROUP among {', '.join(sorted(groups))}"
            )

    def _check_inputs(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        missing = sorted(
            name
            for name in pipeline.inputs()
            if not name.startswith("params:") and not _exists(catalog, name)
        )
        if not missing:
            return
        # Kedro shows only the requested pipelines until it is told otherwise.
        pipelines.set_requested(None)
        makers = {
            stage: [name for name in missing if name in pipelines[stage].all_outputs()]
            for stage in _STAGES
        }
        made = {name for names in makers.values() for name in names}
        found = [f"{name} ({_place(catalog, name)})" for name in missing if name not in made]
        if found:
            raise UserError(f"input not found: {', '.join(found)}; check the path")
        first = next(stage for stage, names in makers.items() if names)
        raise UserError(
            f"{', '.join(missing)} not there yet: run `kedro run --pipeline={first}` first "
            "(or `kedro run` for all stages)"
        )


def _exists(catalog: DataCatalog, name: str) -> bool:
    # Only a versioned entry or a plain file can be missing; handles such as the ledger
    # make themselves and answer True.
    return name in catalog and catalog.exists(name)


def _place(catalog: DataCatalog, name: str) -> str:
    path = getattr(catalog.get(name), "_filepath", None)
    return "not in the catalog" if path is None else os.path.relpath(str(path))


class BenchmarkMemoryHooks:
    """A stage that runs alone uses the benchmark that the stored tables were made for.

    Without this, `kedro run --pipeline=distill` after `kedro run --params="documents=..."`
    would keep the bundled corpus's queries out of training instead of the user's.
    """

    def __init__(self) -> None:
        self._benchmark: BenchmarkDataset | None = None

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Recalls the benchmark where documents are not read and none is named."""
        named = {"human_judgments", "benchmark", "documents"} & set(
            run_params.get("runtime_params") or {}
        )
        found = catalog["benchmark"] if "benchmark" in pipeline.inputs() else None
        self._benchmark = found if isinstance(found, BenchmarkDataset) else None
        if self._benchmark is not None and not named and "raw_documents" not in pipeline.inputs():
            self._benchmark.recall()

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Remembers the benchmark once the documents that it belongs to are read."""
        if self._benchmark is not None and "documents" in node.outputs:
            self._benchmark.remember()


class ClosingLinesHooks:
    """Says what a run made and where it lies."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Names the results that a person would open next."""
        for name, what in _RESULTS.items():
            if name in pipeline.outputs() | pipeline.all_outputs() and name in catalog:
                path = _path_of(catalog, name)
                if path is not None and path.exists():
                    logger.info("%-10s %s", what, os.path.relpath(path))


_RESULTS = {
    "labels": "labels",
    "failures": "failures",
    "labeler": "labeler",
    "agreement": "agreement",
    "cost": "cost",
    "promotion": "promotion",
    "report": "report",
    "robustness": "robustness",
    "human_grades": "grades",
    "cascade": "cascade",
    "cascade_report": "figures",
    "cascade_page": "report",
}


def _path_of(catalog: DataCatalog, name: str) -> Path | None:
    dataset = catalog[name]
    if isinstance(dataset, AbstractVersionedDataset):
        return Path(str(dataset._get_load_path()))
    return None


class TrackingHooks(MlflowHook):
    """One MLflow run per `kedro run`: parameters, metrics, digests, commit, versions.

    No document or query text is logged; tables are tracked by digest and row count.
    """

    def __init__(self) -> None:
        super().__init__()
        self._digested: set[str] = set()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Sets tracking up, on a server only when it answers."""
        configured = dict(context.config_loader["mlflow"] or {})
        check_server(str((configured.get("server") or {}).get("mlflow_tracking_uri") or ""))
        super().after_context_created(context=context)

    @property
    def _tracks(self) -> bool:
        return bool(getattr(self, "_is_mlflow_enabled", False)) and mlflow.active_run() is not None

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Starts the run; notes commit and the versions that are read and written."""
        self._digested.clear()
        super().before_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)
        if not self._tracks:
            return
        mlflow.set_tags(_commit_tags(Path(str(run_params.get("project_path", ".")))))

    @hook_impl
    def before_node_run(
        self, node: Node, catalog: DataCatalog, inputs: dict[str, Any], is_async: bool
    ) -> None:
        """Logs typed parameters key by key, and input tables by digest."""
        plain = {
            name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            for name, value in inputs.items()
        }
        super().before_node_run(node=node, catalog=catalog, inputs=plain, is_async=is_async)
        if not self._tracks:
            return
        for name, value in inputs.items():
            if isinstance(value, pd.DataFrame) and name not in self._digested:
                self._digested.add(name)
                mlflow.set_tag(f"digest.{name}", table_digest(value))
                mlflow.set_tag(f"rows.{name}", len(value))

    def _log_param(self, name: str, value: Any) -> None:
        # Two nodes share a group of parameters, and the same value twice is no conflict;
        # a null is "not set", which MLflow would write as the text "None".
        if value is not None:
            super()._log_param(name, value)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Logs the figures of agreement, cost and labeling as metrics."""
        if self._tracks and dataset_name in _METRICS and isinstance(data, dict):
            for key, value in flat_numbers(data, _METRICS[dataset_name]).items():
                mlflow.log_metric(key, value)

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Keeps reports as artifacts and catalog versions as tags, then ends the run."""
        if self._tracks:
            for name in sorted(pipeline.all_inputs() | pipeline.all_outputs()):
                if name in catalog and not name.startswith("params:"):
                    self._note_version(catalog, name, name in pipeline.all_outputs())
        super().after_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)

    def _note_version(self, catalog: DataCatalog, name: str, made_here: bool) -> None:
        dataset = catalog[name]
        if not (isinstance(dataset, AbstractVersionedDataset) and dataset._version):
            return
        path = Path(str(dataset._get_load_path()))
        mlflow.set_tag(f"version.{name}", path.parent.name)
        if made_here and name in _ARTIFACTS:
            mlflow.log_artifact(str(path))


def check_server(uri: str) -> None:
    """Ask an MLflow server whether it is there; MLflow itself would try for minutes.

    Raises:
        UserError: `uri` is an HTTP address and nothing answers within five seconds.
    """
    if not uri.startswith(("http://", "https://")):
        return
    host = urlsplit(uri).netloc.rpartition("@")[2]
    try:
        with urlopen(f"{uri.rstrip('/')}/health", timeout=5):
            return
    except HTTPError:
        return  # Somebody is there; MLflow says what it does not like.
    except (OSError, ValueError) as error:
        raise UserError(
            f"no MLflow server answers at {host}: start it, or correct mlflow_tracking_uri in "
            "conf/local/mlflow.yml or conf/base/mlflow.yml"
        ) from error


_METRICS = {
    "agreement": "agreement",
    "cost": "cost",
    "synthesis_report": "synthesis",
    "labeling_report": "labeling",
    "robustness": "robustness",
    "human_grades_report": "human_grades",
    "cascade_report": "cascade",
}
_ARTIFACTS = (
    "agreement",
    "cost",
    "promotion",
    "report",
    "robustness",
    "cascade_report",
    "cascade_page",
)


def flat_numbers(tree: dict[str, Any], prefix: str) -> dict[str, float]:
    """Every number of a nested dictionary under its dotted path.

    Args:
        tree: Dictionaries within dictionaries; lists and texts are passed over.
        prefix: First part of every name.

    Returns:
        For example `{"agreement.judges.student.kappa.estimate": 0.41}`.
    """
    found: dict[str, float] = {}
    for key, value in tree.items():
        name = re.sub(r"[^\w./ -]", "_", f"{prefix}.{key}")
        if isinstance(value, dict):
            found.update(flat_numbers(value, name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
    return found


def table_digest(table: pd.DataFrame) -> str:
    """A digest of a table's content, the same for the same rows in the same order.

    Args:
        table: Any table; lists in cells are compared by their text.

    Returns:
        Sixteen hexadecimal digits.
    """
    plain = table.copy()
    for column in plain.select_dtypes(object):
        plain[column] = plain[column].map(str)
    hashes = pd.util.hash_pandas_object(plain, index=False).to_numpy()
    digest = hashlib.blake2b(hashes.tobytes(), digest_size=8)
    digest.update(",".join(map(str, table.columns)).encode())
    return digest.hexdigest()


def _commit_tags(project: Path) -> dict[str, str]:
    def git(*arguments: str) -> str:
        try:
            return subprocess.run(
                ["git", "-C", str(project), *arguments],
                capture_output=True,
                text=True,
                check=True,
                timeout=20,
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return ""

    commit = git("rev-parse", "HEAD")
    if not commit:
        return {}
    changed = "yes" if git("status", "--porcelain", "--untracked-files=no") else "no"
    return {"git_commit": commit, "git_uncommitted_changes": changed}
