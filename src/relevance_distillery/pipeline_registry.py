"""The pipelines by the names that users type."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module

from kedro.pipeline import Pipeline

STAGES = {
    "synthesize": "synthesis",
    "mine": "mining",
    "label": "labeling",
    "distill": "distillation",
    "report": "reporting",
}
"""The stages of `__default__`, in the order in which they feed one another, and their folders
in `pipelines/`."""

PIPELINES = {
    "__default__": "",
    **STAGES,
    # What `report` becomes where files of grades are given.
    "report_grades": "reporting:create_grades_pipeline",
    "plan": "planning",
    "score": "scoring",
    "search": "searching",
    "evaluate": "evaluating",
    "cascade": "cascading",
    "train_retriever": "retrieving",
    "compress_retriever": "compressing",
    "forget": "forgetting",
    "probe": "probing",
    "recalibrate": "recalibrating",
    "quantize": "quantizing",
    "export_sheet": "hand_grading:create_export_pipeline",
    "import_sheet": "hand_grading:create_import_pipeline",
}
"""Every pipeline: `FOLDER` or `FOLDER:FUNCTION`; `__default__` makes a labeler from documents."""


class PipelineRegistry(Mapping[str, Pipeline]):
    """Pipelines that are imported when they are asked for.

    A run of one stage need not wait for what the other pipelines import.
    """

    def __getitem__(self, name: str) -> Pipeline:
        """Build a pipeline, once.

        Raises:
            KeyError: There is none of that name.
        """
        return _create(name)

    def __iter__(self) -> Iterator[str]:
        return iter(PIPELINES)

    def __len__(self) -> int:
        return len(PIPELINES)


def register_pipelines() -> Mapping[str, Pipeline]:
    """Every pipeline by name, as typed after `--pipeline=`."""
    return PipelineRegistry()


@cache
def _create(name: str) -> Pipeline:
    folder, _, function = PIPELINES[name].partition(":")
    if not folder:
        return sum((_create(stage) for stage in STAGES), start=Pipeline([]))
    module = import_module(f"relevance_distillery.pipelines.{folder}.pipeline")
    create: Callable[[], Pipeline] = getattr(module, function or "create_pipeline")
    # Kedro-Viz draws a namespace as one box that expands; datasets keep their names.
    return Pipeline(create(), namespace=folder, prefix_datasets_with_namespace=False, tags=folder)
