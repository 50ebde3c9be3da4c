"""Stops a run that cannot work before it does, or tracks, anything."""

import os
import re
from functools import partial
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import AbstractVersionedDataset, DataCatalog
from kedro.pipeline import Pipeline
from pydantic import BaseModel

from relevance_distillery.errors import UserError
from relevance_distillery.pipeline_registry import PIPELINES

_RUNTIME_PARAMETER = re.compile(r"\$\{runtime_params:\s*([A-Za-z_]\w*)")
_GROUP = re.compile(r"^([A-Za-z_]\w*):", re.MULTILINE)


def known_parameters(conf_source: Path) -> tuple[set[str], set[str]]:
    """What `--params` takes: names that some file of the `conf` folder reads, and whole groups.

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


def parameters_of(catalog: DataCatalog, group: str) -> dict[str, Any]:
    """A group of parameters as plain values; empty where the catalog has none of that name."""
    name = f"params:{group}"
    value = catalog.load(name) if name in catalog else {}
    return value.model_dump() if isinstance(value, BaseModel) else dict(value)


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
        if "documents" in pipeline.all_outputs():
            self._check_given(pipeline, catalog)

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

    @staticmethod
    def _check_given(pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Read what is small and given before documents, and with them every table, change."""
        written = {
            Path(str(entry._filepath)).resolve()
            for name in pipeline.all_outputs()
            if name in catalog and hasattr(entry := catalog[name], "_filepath")
        }
        for name in ("raw_documents", "query_log", "query_prompt", "grading_prompt"):
            given = catalog.load(name) if name in pipeline.inputs() else None
            for path in getattr(given, "locations", ()):
                if path.resolve() in written:
                    raise UserError(f"{path}: this run writes over it; give a copy of it")
            if name == "query_log" and given is not None:
                given.read()
            if name == "grading_prompt" and given is not None:
                llm = parameters_of(catalog, "labeling").get("llm") or {}
                given.wordings(llm.get("prompts") or 1)

    def _check_inputs(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        # Loads pandas and more, which `kedro --help` can do without.
        from relevance_distillery.datasets.files import StoredFile

        # Only a versioned entry or a plain file can be missing; handles such as the ledger make
        # themselves and answer True.
        inputs = sorted(name for name in pipeline.inputs() if not name.startswith("params:"))
        missing = [name for name in inputs if not (name in catalog and catalog.exists(name))]
        made = {name: _maker(name) for name in missing}
        if found := [f"{name} ({_place(catalog, name)})" for name in missing if not made[name]]:
            raise UserError(f"input not found: {', '.join(found)}; check the path")
        if missing:
            first = min(made.values(), key=list(PIPELINES).index)
            raise UserError(
                f"{', '.join(missing)} not there yet: run `kedro run --pipeline={first}` first "
                "(or `kedro run` for all stages)"
            )
        for name in inputs:
            if isinstance(stored := catalog[name], StoredFile):
                stored.remedy = partial(_remedy, name)
                stored.check()


def _maker(name: str) -> str:
    """The pipeline that makes an entry, the first in the order of stages; empty for none."""
    # Kedro shows only the requested pipelines unless the filter is reset.
    pipelines.set_requested(None)
    makers = (maker for maker in PIPELINES if maker != "__default__")
    return next((maker for maker in makers if name in pipelines[maker].all_outputs()), "")


def _remedy(name: str) -> str:
    return f"run `kedro run --pipeline={_maker(name)}` again"


def _place(catalog: DataCatalog, name: str) -> str:
    path = getattr(catalog.get(name), "_filepath", None)
    return "not in the catalog" if path is None else os.path.relpath(str(path))
