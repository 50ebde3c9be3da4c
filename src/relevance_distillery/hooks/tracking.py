"""One MLflow run per `kedro run`."""

import hashlib
import logging
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import click
import mlflow
import pandas as pd
import plotly.io
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractVersionedDataset, DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.pandas_dataset import PandasDataset
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH
from pydantic import BaseModel

from relevance_distillery.datasets import FigureDataset
from relevance_distillery.errors import UserError
from relevance_distillery.hooks.checks import parameters_of
from relevance_distillery.hooks.headlines import compared, headlines, training_curve
from relevance_distillery.pipeline_registry import PIPELINES

# On import the plugin defines a model class without type hints, of which MLflow warns, past
# every filter. Nobody who types `kedro run` can do anything about it.
with warnings.catch_warnings(record=True):
    from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook

# MLflow sets its own level when it is imported.
logging.getLogger("mlflow").setLevel(logging.WARNING)
# A column whose type is not clear from its first rows.
logging.getLogger("mlflow.data.pandas_dataset").setLevel(logging.ERROR)

_ARTIFACTS = (
    "agreement",
    "cost",
    "promotion",
    "robustness",
    "cascade_report",
    "cascade_page",
    "system_evaluation",
    "system_evaluation_page",
    "retrieval",
    "retrieval_page",
)
_PAGES = ("report_without_text", "report")
"""The report as it is tracked by default, and with `log_text=true`: one file name, two catalog
entries, since examples in the second quote documents and queries."""

_REPORTS = ("synthesis_report", "labeling_report", "training_facts")
"""Tables of counts that have no version of their own; they hold no text."""

_FIGURES = "figures.html"


class TrackingHooks(MlflowHook):
    """One MLflow run per `kedro run`: parameters, headlines, figures, tables, commit, versions.

    No document or query text is logged unless `log_text=true`; of tables MLflow gets name, digest,
    columns and number of rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self._digested: set[str] = set()
        self._parameters: dict[str, Any] = {}

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
        # Kedro names a runner by its address: `<kedro.runner.….SequentialRunner object at 0x…>`.
        runner = re.sub(
            r"^<(?:\w+\.)*(\w+) object at .*>$", r"\1", str(run_params.get("runner") or "")
        )
        # Kedro hands names over in the order of a set.
        names = sorted(run_params.get("pipeline_names") or [], key=list(PIPELINES).index)
        super().before_pipeline_run(
            run_params=run_params | {"runner": runner, "pipeline_names": names},
            pipeline=pipeline,
            catalog=catalog,
        )
        if self._tracks:
            if click.get_current_context(silent=True) is not None:
                # The plugin's own has neither parameters nor environment.
                mlflow.set_tag("kedro_command", shlex.join(["kedro", *sys.argv[1:]]))
            mlflow.set_tags(_commit_tags(Path(str(run_params.get("project_path", ".")))))

    @hook_impl
    def before_node_run(
        self, node: Node, catalog: DataCatalog, inputs: dict[str, Any], is_async: bool
    ) -> None:
        """Logs typed parameters key by key, and input tables as datasets."""
        plain = {
            name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            for name, value in inputs.items()
        }
        super().before_node_run(node=node, catalog=catalog, inputs=plain, is_async=is_async)
        if not self._tracks:
            return
        # At once: one by one, some hundred of them take longer than many a node.
        mlflow.log_params(self._parameters)
        self._parameters.clear()
        for name, value in inputs.items():
            if isinstance(value, pd.DataFrame) and name not in self._digested:
                self._digested.add(name)
                _log_table(name, value)

    def _log_param(self, name: str, value: Any) -> None:
        # A null is "not set", which MLflow would write as the text "None".
        if len(str(value)) > MAX_PARAM_VAL_LENGTH:
            super()._log_param(name, value)
        elif value is not None:
            self._parameters[name] = value

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Logs the few figures by which runs are compared, and reports that have no version."""
        if not self._tracks:
            return
        if figures := headlines(dataset_name, data):
            mlflow.log_metrics(figures)
        if tags := compared(dataset_name, data):
            mlflow.set_tags(tags)
        if dataset_name in _REPORTS:
            mlflow.log_dict(data, f"{dataset_name}.json")
        if dataset_name == "training_facts":
            for step, known in training_curve(data):
                mlflow.log_metrics(known, step=step)

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Keeps reports and figures as artifacts, catalog versions as tags, then ends the run."""
        if self._tracks:
            made = pipeline.all_outputs()
            drawn = []
            kept = {*_ARTIFACTS, _PAGES[logs_text(catalog)]} & made
            for name in sorted(pipeline.all_inputs() | made):
                dataset = catalog.get(name)
                if isinstance(dataset, AbstractVersionedDataset) and dataset._version:
                    path = Path(str(dataset._get_load_path()))
                    mlflow.set_tag(f"version.{name}", path.parent.name)
                    if name in kept:
                        mlflow.log_artifact(str(path))
                    if name in made and isinstance(dataset, FigureDataset):
                        drawn.append(dataset.load())
            if drawn:
                mlflow.log_text(_one_page(drawn), _FIGURES)
        super().after_pipeline_run(run_params=run_params, pipeline=pipeline, catalog=catalog)


def logs_text(catalog: DataCatalog) -> bool:
    """Whether the user lets text of documents and queries into MLflow: `reporting.log_text`."""
    return parameters_of(catalog, "reporting").get("log_text") is True


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
        return  # A server answers; MLflow reports what it refuses.
    except (OSError, ValueError) as error:
        raise UserError(
            f"no MLflow server answers at {host}: start it, or correct mlflow_tracking_uri in "
            "conf/local/mlflow.yml or conf/base/mlflow.yml"
        ) from error


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


class _Table(PandasDataset):
    """Name, digest, columns and size of a table; columns by its first rows, for MLflow's sake."""

    def __init__(self, table: pd.DataFrame, name: str) -> None:
        source = CodeDatasetSource(tags={})
        super().__init__(table.head(100), source, name=name, digest=table_digest(table))
        self._rows = len(table)

    @property
    def profile(self) -> dict[str, int]:
        return {"num_rows": self._rows}


def _log_table(name: str, table: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        # Of columns of whole numbers, which cannot hold a missing value.
        warnings.simplefilter("ignore")
        mlflow.log_input(_Table(table, name), context="input")


def _one_page(figures: list[Any]) -> str:
    """Figures as a page that loads nothing; the library that draws them is in it once."""
    drawn = [
        plotly.io.to_html(figure, include_plotlyjs=place == 0, full_html=False)
        for place, figure in enumerate(figures)
    ]
    return "<!doctype html>\n<meta charset='utf-8'>\n" + "\n".join(drawn)


def table_digest(table: pd.DataFrame) -> str:
    """Sixteen hexadecimal digits of a table's content and order; lists compare by their text."""
    plain = table.copy()
    for column in plain.select_dtypes(object):
        plain[column] = plain[column].map(str)
    hashes = pd.util.hash_pandas_object(plain, index=False).to_numpy()
    digest = hashlib.blake2b(hashes.tobytes(), digest_size=8)
    digest.update(",".join(map(str, table.columns)).encode())
    return digest.hexdigest()
