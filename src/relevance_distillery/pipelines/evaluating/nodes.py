"""Pool the runs, grade what people did not, measure the systems."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.judge_files import JudgeFiles
from relevance_distillery.collections.recorded_grades import read_recorded_grades
from relevance_distillery.collections.system_runs import SystemRuns, match_ids
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.systems import pool_grading
from relevance_distillery.evaluation.systems.pools import make_pool, with_people
from relevance_distillery.evaluation.systems.system_means import Options
from relevance_distillery.evaluation.systems.system_measures import parse_measures
from relevance_distillery.evaluation.systems.system_report import measure_systems
from relevance_distillery.evaluation.systems.text_sources import TextSources
from relevance_distillery.grading import GradeScale
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.evaluating.parameters import EvaluatingParameters
from relevance_distillery.pipelines.scoring.nodes import choose_grader
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.scoring.graders import GraderShelf

logger = logging.getLogger(__name__)

CHAMPION = "champion"
NOBODY = "none"


def pool_runs(
    runs: SystemRuns,
    benchmark: Benchmark,
    files: JudgeFiles,
    texts: TextSources,
    stored_queries: pd.DataFrame,
    parameters: EvaluatingParameters,
) -> tuple[SystemRuns, pd.DataFrame, dict[str, Any]]:
    """Which pairs have to be graded.

    Returns:
        evaluation_runs (the runs for the queries that are known), evaluation_pool (see
        `evaluation.systems.pools.with_people`), evaluation_facts.

    Raises:
        UserError: None of the runs' queries is known, or a measure is not.
    """
    parse_measures(parameters.measures, benchmark.scale)
    queries = texts.query_texts(benchmark, stored_queries)
    people = benchmark.judgments if benchmark.human else benchmark.judgments.iloc[:0]
    documents = benchmark.known_ids["document_id"].iloc[: None if benchmark.human else 0]
    names = benchmark.query_names(queries)
    runs, notes = match_ids(runs, query_id=names, document_id=documents)
    known = set(queries) | set(people["query_id"])
    asked = runs.ranked["query_id"].drop_duplicates()
    # Recorded judges may know queries that are unknown otherwise, and need no texts.
    unknown = asked.iloc[:0] if files.locations else asked[~asked.isin(known)]
    if len(unknown) == len(asked):
        raise UserError(
            f"runs: none of their {len(asked)} queries is known (such as {asked.iloc[0][:80]}); "
            "give the benchmark or queries=FILE that the runs belong to, and check that ids match"
        )
    kept = runs.only(set(asked) - set(unknown))
    if len(unknown):
        logger.warning("%d queries of the runs are not known and left out", len(unknown))
    pool = with_people(make_pool(kept, parameters.depth), benchmark)
    facts = {
        "benchmark": {
            "name": benchmark.name,
            "kind": benchmark.kind,
            "human": benchmark.human,
            "grades_not_by_people": 0 if benchmark.human else len(benchmark.judgments),
        },
        "unknown_queries": len(unknown),
        "unknown_query_ids": sorted(unknown)[:20],
        "id_notes": notes,
        "people_graded_passages": bool(benchmark.graded_passages and pool["human"].isna().all()),
        "weights": _weights(benchmark),
    }
    logger.info(
        "%d systems, %d queries: %d pairs among the first %d, %d graded by people",
        len(kept.systems),
        kept.ranked["query_id"].nunique(),
        int(pool["pooled"].sum()),
        parameters.depth,
        int((pool["pooled"] & pool["human"].notna()).sum()),
    )
    return kept, pool, facts


def grade_pool(
    pool: pd.DataFrame,
    benchmark: Benchmark,
    files: JudgeFiles,
    texts: TextSources,
    stored_queries: pd.DataFrame,
    stored_passages: pd.DataFrame,
    known: pd.DataFrame,
    graders: GraderShelf,
    prompt: Prompt,
    labeling: dict[str, Any],
    synthesis: SynthesisParameters,
    parameters: EvaluatingParameters,
    scale: GradeScale,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Let the machine grade the pool, people's pairs too: they tell how wrong it is.

    Returns:
        evaluation_grades (see `evaluation.systems.pool_grading.merge_grades`), evaluation_passages
        (what a labeler said, for the next run), evaluation_judges (facts by judge).

    Raises:
        UserError: A judge cannot be found, or none of the documents has a text.
    """
    wanted = pool if parameters.grade_judged else pool[pool["pooled"]]
    name, files = _asked(parameters.judge or "", files, benchmark)
    judges: list[pool_grading.MachineJudge] = []
    said = pd.DataFrame(columns=pool_grading.KNOWN_COLUMNS)
    if name:
        none = read_recorded_grades(None, None)
        grader = choose_grader(graders.find(name), none, prompt, labeling, scale)
        queries = texts.query_texts(benchmark, stored_queries)
        ids = set(wanted["document_id"])
        passages = texts.passages(
            benchmark,
            stored_passages,
            ids,
            synthesis.split,
            **synthesis.reading.model_dump(),
        )
        graded = pool_grading.grade_documents(grader, wanted, queries, passages, known)
        asked = {query: queries[query] for query in pool["query_id"].unique() if query in queries}
        judges.append(pool_grading.machine_judge(_called(name), grader, graded, asked))
        said = graded.known
        for reason, count in graded.failures.items():
            logger.warning("%s gave no grade to %d documents: %s", name, count, reason)
    if files.locations:
        names = benchmark.query_names(texts.query_texts(benchmark, stored_queries))
        judges += pool_grading.recorded_judges(files, benchmark, wanted, names)
    twice = {judge.name for judge in judges if [j.name for j in judges].count(judge.name) > 1}
    if twice:
        raise UserError(f"judge and grades both name {sorted(twice)[0]}; rename the file")
    facts = {judge.name: {**judge.facts, "learned": list(judge.learned)} for judge in judges}
    grades = pool_grading.merge_grades(pool, judges)
    if grades["grade"].isna().all():
        raise UserError(
            "nobody graded any of the documents: give people's grades by benchmark=DIR, files of "
            "grades by grades=FILE, or a judge by judge=NAME"
        )
    return grades, said, facts


def measure(
    runs: SystemRuns,
    grades: pd.DataFrame,
    pool_facts: dict[str, Any],
    judges: dict[str, Any],
    parameters: EvaluatingParameters,
    scale: GradeScale,
) -> dict[str, Any]:
    """The content of evaluation.json, see docs/pipelines/evaluating.md."""
    options = Options(
        depth=parameters.depth,
        resamples=parameters.resamples,
        permutations=parameters.permutations,
        level=parameters.confidence,
        seed=parameters.seed,
    )
    found = measure_systems(
        runs,
        grades,
        list(judges),
        parse_measures(parameters.measures, scale),
        {name: set(facts["learned"]) for name, facts in judges.items()},
        options,
        pool_facts["weights"],
    )
    shown = {key: value for key, value in pool_facts.items() if key != "weights"}
    who = {
        name: {key: value for key, value in facts.items() if key != "learned"}
        for name, facts in judges.items()
    }
    found |= {"source": shown, "who": who, "options": vars(options)}
    if pool_facts["people_graded_passages"]:
        found["warnings"].append(
            "People graded passages and the runs name documents: their grades could not be used."
        )
    for line in found["warnings"]:
        logger.warning("%s", line)
    return found


def _asked(judge: str, files: JudgeFiles, benchmark: Benchmark) -> tuple[str, JudgeFiles]:
    """The grader's name, empty for none, and the files of recorded judges."""
    if judge in benchmark.judge_files:
        return "", JudgeFiles((judge, *files.locations), files.columns)
    if judge == NOBODY:
        return "", files
    return judge or ("" if files.locations else CHAMPION), files


def _called(judge: str) -> str:
    """A labeler's folder goes by its name; any other judge as it was asked for."""
    folder = Path(judge).expanduser()
    return folder.resolve().name if folder.is_dir() else judge


def _weights(benchmark: Benchmark) -> dict[str, float] | None:
    """How many queries each graded one stands for, where whole queries were drawn."""
    if benchmark.sampled is None or not benchmark.sampled.whole_queries:
        return None
    first = benchmark.sampled.weights.drop_duplicates("query_id")
    return dict(zip(first["query_id"], first["weight"].astype(float), strict=True))
