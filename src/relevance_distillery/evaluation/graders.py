"""The judges of the report at work: each grades the documents of a benchmark in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.judgments import KEY
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS, build_pairs
from relevance_distillery.evaluation.untrained import ScoreGrades, UntrainedEncoder
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.learning.document_grades import best_of_passages


def grade_with_student(labeler: Labeler, pairs: pd.DataFrame) -> pd.DataFrame:
    """Grades of the student.

    Returns:
        Columns query_id, document_id, student_grade, student_expected (corrected for the
        number of passages), student_score (uncalibrated), student_probabilities (calibrated,
        of the document's best passage).
    """
    # Neighbours share their passage, which is then read once.
    pairs = pairs.sort_values("passage_id", kind="stable", ignore_index=True)
    graded = labeler.grade(pairs)
    graded[KEY] = pairs[KEY]
    documents = labeler.document_grades(graded)
    names = {
        "grade": "student_grade",
        "expected_grade": "student_expected",
        "score": "student_score",
        "probabilities": "student_probabilities",
    }
    return documents.rename(columns=names)[[*KEY, *names.values()]]


def grade_with_teacher(
    judge: Judge, ledger: Ledger, pairs: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Grades of a teacher that can be asked, through the ledger.

    A document has the grade of its best passage. A document with a passage that got no grade
    has none: its best passage could be that one.

    Returns:
        Columns query_id, document_id, teacher_grade and, where the judge gives probabilities,
        teacher_expected and teacher_probabilities; and the table of failures.
    """
    asked = pairs[list(PAIR_COLUMNS)]
    if "corpus_document" in pairs:
        asked = asked.assign(document_id=pairs["corpus_document"])
    labeling = run_labeling(asked, judge, ledger)
    failures = labeling.failures
    merged = pairs[[*KEY, "passage_id"]].merge(
        labeling.labels, on=["query_id", "passage_id"], how="left"
    )
    values = judge.scale.values.astype(np.float64)
    merged["expected"] = [
        float(np.dot(row, values)) if isinstance(row, Sequence | np.ndarray) else np.nan
        for row in merged["probabilities"]
    ]
    merged["grade"] = merged["grade"].astype("Float64")
    documents = best_of_passages(merged, ["grade", "expected"], ["probabilities"], by="expected")
    documents["grade"] = documents["grade"].astype("Int64")
    columns = ["grade", "expected", "probabilities"]
    if documents["expected"].isna().all():
        columns = ["grade"]
    graded = documents["expected"].notna()
    documents["probabilities"] = documents["probabilities"].where(graded, None)
    names = {name: f"teacher_{name}" for name in columns}
    return documents[[*KEY, *columns]].rename(columns=names), failures


def recorded_teacher(benchmark: Benchmark, name: str) -> pd.DataFrame | None:
    """Grades from the benchmark's file of a recorded judge, None where there is none."""
    grades = benchmark.judge(name)
    if grades is None:
        return None
    return grades.rename(columns={"grade": "teacher_grade"}).astype({"teacher_grade": "Int64"})


def grade_with_base(
    encoder: UntrainedEncoder, pairs: pd.DataFrame, calibration: pd.DataFrame, scale: GradeScale
) -> pd.DataFrame:
    """Grades of the untrained base model.

    Args:
        encoder: The base model.
        pairs: From `selection.select_pairs`.
        calibration: Pairs of the calibration split with the teacher's `grade`.
        scale: The grades.

    Returns:
        Columns query_id, document_id, base_grade (late interaction with fitted cut points),
        base_similarity (late interaction), base_cosine.
    """
    scores = encoder.scores(pairs)
    scores[KEY] = pairs[KEY]
    documents = best_of_passages(scores, ["late_interaction", "cosine"]).drop(columns="passages")
    fitted = encoder.scores(calibration)["late_interaction"].to_numpy()
    grades = ScoreGrades(fitted, calibration["grade"].to_numpy(dtype=np.int64), scale)
    documents["base_grade"] = grades(documents["late_interaction"].to_numpy())
    return documents.rename(
        columns={"late_interaction": "base_similarity", "cosine": "base_cosine"}
    )


def score_with_bm25(
    benchmark: Benchmark, pairs: pd.DataFrame, passages: pd.DataFrame, language: str
) -> pd.DataFrame:
    """BM25 over the whole corpus of the benchmark, a document by its best passage.

    Returns:
        Columns query_id, document_id, bm25.
    """
    corpus = passages
    rows = pairs[[*KEY, "query", "passage_id"]]
    if benchmark.documents is not None:
        corpus = benchmark.documents.assign(
            passage_id=benchmark.documents["document_id"], heading=""
        )
        rows = rows.assign(passage_id=rows["document_id"]).drop_duplicates(KEY)
    index = BM25Channel.build(corpus, language)
    parts = [
        part.assign(bm25=index.scores(str(part["query"].iloc[0]), part["passage_id"].tolist()))
        for _, part in rows.groupby("query_id", sort=False)
    ]
    return best_of_passages(pd.concat(parts), ["bm25"])[[*KEY, "bm25"]]


def calibration_pairs(
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    most: int,
    seed: int,
) -> pd.DataFrame:
    """Pairs of the calibration split with the teacher's grade, a sample of them.

    Returns:
        Columns of `build_pairs` and grade, at most `most` rows.
    """
    key = ["query_id", "passage_id"]
    chosen = splits.loc[splits["split"] == "calibration", key]
    chosen = chosen.merge(labels[[*key, "grade"]], on=key)
    if len(chosen) > most:
        chosen = chosen.sample(most, random_state=seed).sort_index()
    return build_pairs(chosen, queries, passages).merge(chosen, on=key)


def assemble(documents: pd.DataFrame, parts: Sequence[pd.DataFrame | None]) -> pd.DataFrame:
    """One table of all judges: a row a graded document, missing where a judge gave no grade."""
    table = documents
    for part in parts:
        if part is not None:
            table = table.merge(part, on=KEY, how="left", validate="one_to_one")
    for column in [name for name in table.columns if name.endswith("_grade")]:
        table[column] = table[column].astype("Int64")
    return table


def failure_counts(failures: pd.DataFrame) -> dict[str, Any]:
    """How many pairs a judge could not grade, by reason."""
    if failures.empty:
        return {}
    counts = failures.groupby("reason").size().sort_index()
    return {str(reason): int(count) for reason, count in counts.items()}
