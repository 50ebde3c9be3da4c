"""Logs the paths of a run's main results."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from kedro.framework.hooks import hook_impl
from kedro.io import AbstractVersionedDataset, DataCatalog
from kedro.pipeline import Pipeline

logger = logging.getLogger(__name__)

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
    "system_evaluation": "evaluation",
    "system_evaluation_page": "report",
    "evaluation_grades": "grades",
}


class ClosingLinesHooks:
    """Logs the paths of a run's main results."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Names the results that a person would open next."""
        for name, what in _RESULTS.items():
            if name in pipeline.outputs() | pipeline.all_outputs() and name in catalog:
                path = _path_of(catalog, name)
                if path is not None and path.exists():
                    logger.info("%-10s %s", what, os.path.relpath(path))


def _path_of(catalog: DataCatalog, name: str) -> Path | None:
    dataset = catalog[name]
    if isinstance(dataset, AbstractVersionedDataset):
        return Path(str(dataset._get_load_path()))
    return None
