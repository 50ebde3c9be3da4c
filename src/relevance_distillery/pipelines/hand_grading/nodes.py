"""Steps of the hand-grading pipelines."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.pairs_to_grade import build_pairs
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.files import parts_of
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.people.import_sheets import import_sheets
from relevance_distillery.people.sampling import (
    BY_UNCERTAINTY,
    KEY,
    SAMPLE_COLUMNS,
    draw_sample,
    sampling_frame,
)
from relevance_distillery.people.sheets import make_sheet
from relevance_distillery.pipelines.hand_grading.parameters import HandGradingParameters
from relevance_distillery.pipelines.scoring.nodes import choose_grader
from relevance_distillery.scoring.graders import GraderShelf

logger = logging.getLogger(__name__)


def draw_sheet(
    candidates: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    labels: pd.DataFrame,
    earlier: pd.DataFrame,
    graders: GraderShelf,
    recorded: RecordedGrades,
    prompt: Prompt,
    parameters: HandGradingParameters,
    labeling: dict[str, Any],
    scale: GradeScale,
) -> tuple[dict[str, str], pd.DataFrame, dict[str, Any]]:
    """Draw pairs for people and write them down.

    `earlier` holds the rows handed out before. The judge's grades in `labels` make strata and
    measure uncertainty; further judges whose doubts count are found in `graders`, or made of
    `recorded`, `prompt` and the parameters `labeling`.

    Returns:
        The sheet, everything that was ever handed out (schema `GradingSamples`), and how the
        sample was drawn. Errors are those of `people.sampling.draw_sample`.
    """
    frame = sampling_frame(candidates, queries, labels)
    if parameters.design in BY_UNCERTAINTY and parameters.doubters:
        pairs = build_pairs(frame, queries, passages)
        names = parts_of(parameters.doubters)
        # All judges are found before the first one is asked, which may cost money.
        chosen = [
            choose_grader(graders.find(name), recorded, prompt, labeling, scale) for name in names
        ]
        for name, grader in zip(names, chosen, strict=True):
            graded = grader.grade(pairs)[["grade", "probabilities"]]
            further = pairs[KEY].assign(judge=name).join(graded)
            further = further[further["grade"].notna()].astype({"grade": "int64"})
            labels = pd.concat([labels, further])
    sample, read = draw_sample(
        frame, labels, queries, passages, earlier, parameters.plan, parameters.doubt, scale
    )
    by_judge = parameters.design == "uncertain" or "grade" in parameters.plan.strata
    sheet = make_sheet(sample, read, parameters.format, scale, by_judge)
    all_samples = sample if earlier.empty else pd.concat([earlier, sample], ignore_index=True)
    strata = sample.groupby("stratum")["inclusion_probability"].agg(["size", "mean"])
    report = {
        "sample_id": str(sample["sample_id"].iloc[0]),
        "design": parameters.design,
        "unit": parameters.unit,
        "drawn_from": len(frame),
        "pairs": len(sample),
        "queries": int(sample["query_id"].nunique()),
        "strata": {
            str(name): {
                "pairs": int(size),
                "inclusion_probability": None if pd.isna(mean) else round(float(mean), 6),
            }
            for name, size, mean in zip(strata.index, strata["size"], strata["mean"], strict=True)
        },
    }
    logger.info(
        "%d of %d pairs for people, %s, from %d queries",
        len(sample),
        len(frame),
        parameters.design,
        report["queries"],
    )
    # The sheet comes first: where its file is refused, nothing counts as handed out.
    return sheet, all_samples.drop_duplicates("row_id", ignore_index=True), report


def read_sheets(
    files: list[Path], samples: pd.DataFrame, scale: GradeScale
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """As `people.import_sheets.import_sheets`; UserError also where nothing was handed out."""
    if samples.empty:
        raise UserError(
            "no sheet was handed out from here: run `kedro run --pipeline=export_sheet` first"
        )
    grades, report = import_sheets(files, samples[list(SAMPLE_COLUMNS)], scale)
    logger.info(
        "%d grades of %d pairs by %s",
        report["grades"],
        report["pairs"],
        ", ".join(report["annotators"]) or "an unnamed annotator",
    )
    if report["without_a_grade"]:
        reasons = ", ".join(
            f"{count} {reason}" for reason, count in report["without_a_grade_by_reason"].items()
        )
        logger.warning(
            "%d of %d rows came back without a grade (%s); if those are the hard ones, estimates "
            "are too good",
            report["without_a_grade"],
            report["handed_out"],
            reasons,
        )
    return grades, report
