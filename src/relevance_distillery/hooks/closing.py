"""Logs the paths of a run's main results."""

import logging
import os

from kedro.framework.hooks import hook_impl
from kedro.io import AbstractVersionedDataset, DataCatalog
from kedro.pipeline import Pipeline

logger = logging.getLogger(__name__)

_OWN = ("labels", "failures", "labeler", "agreement", "cost", "promotion", "report", "robustness")
_RESULTS = {
    **{name: name for name in _OWN},
    "human_grades": "grades",
    "cascade": "cascade",
    "cascade_report": "figures",
    "cascade_page": "report",
    "system_evaluation": "evaluation",
    "system_evaluation_page": "report",
    "evaluation_grades": "grades",
    "retriever": "retriever",
    "query_encoder": "encoder",
    "retrieval": "figures",
    "retrieval_page": "report",
}
"""What a result is called in its line, in the order of the lines."""


class ClosingLinesHooks:
    """Logs the paths of a run's main results."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Names the results that a person would open next."""
        made = pipeline.all_outputs()
        for name, what in _RESULTS.items():
            dataset = catalog[name] if name in made and name in catalog else None
            if isinstance(dataset, AbstractVersionedDataset):
                path = str(dataset._get_load_path())
                if os.path.exists(path):
                    logger.info("%-10s %s", what, os.path.relpath(path))
