"""From the labeling parameters and the catalog's tables to what judges are prepared from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.sources import JudgeSources
from relevance_distillery.labeler.flavor import load_registered
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters


def judge_sources(
    parameters: LabelingParameters,
    scale: GradeScale,
    recorded: RecordedGrades,
    prompt: Prompt,
    benchmark: Benchmark | None = None,
    passages: pd.DataFrame | None = None,
    queries: pd.DataFrame | None = None,
) -> JudgeSources:
    """What any judge may be prepared from.

    Args:
        parameters: Settings of all kinds of judge.
        scale: The grades to give.
        recorded: Grades of the recorded judge, empty where there are none.
        prompt: The grading prompt.
        benchmark: Whose queries no few-shot example may ask.
        passages: The corpus; None where a file of pairs is graded.
        queries: Its queries; None likewise.
    """
    return JudgeSources(
        scale=scale,
        passages=passages,
        queries=queries,
        recorded=recorded,
        prompt=prompt,
        benchmark_queries=[] if benchmark is None else benchmark.query_texts(),
        find_labeler=labelers_of(parameters.registered_name),
        embedded=parameters.embedded,
        llm=parameters.llm,
        transformers=parameters.transformers,
        cascade=parameters.cascade,
        consensus=parameters.consensus,
        prices=parameters.prices,
        language=parameters.language,
        seed=parameters.seed,
    )


def labelers_of(registered_name: str) -> Callable[[str], Path]:
    """A function that finds a labeler's folder by path, or by alias or version of a name."""

    def find(which: str) -> Path:
        folder = Path(which).expanduser()
        if (folder / "labeler.json").is_file():
            return folder
        return load_registered(registered_name, which)

    return find
