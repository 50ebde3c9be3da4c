"""The judges that a list names, ready to grade a set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.errors import UserError
from relevance_distillery.judges.base import Judge
from relevance_distillery.judges.kinds import JUDGES, KINDS, parse_judge
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.recorded import RecordedJudge
from relevance_distillery.judges.registry import prepare_judge
from relevance_distillery.judges.sources import JudgeSources
from relevance_distillery.llm.prices import Budget


def graded_pairs(benchmark: Benchmark) -> pd.DataFrame:
    """Every graded document with its query; a document is judged whole, as one passage.

    Returns:
        Columns `PAIR_COLUMNS` and human, its texts empty where the set brings no documents.
    """
    grades = benchmark.judgments[benchmark.judgments["annotator"] == ""]
    queries = benchmark.queries.rename(columns={"text": "query"})[["query_id", "query"]]
    pairs = grades.rename(columns={"grade": "human"}).merge(queries, on="query_id")
    if benchmark.documents is not None:
        texts = benchmark.documents[["document_id", "title", "text", "path", "author", "modified"]]
        pairs = pairs.merge(texts, on="document_id", how="inner")
    pairs["passage_id"] = pairs["document_id"]
    for column in PAIR_COLUMNS:
        if column not in pairs.columns:
            pairs[column] = False if column in ("is_seed", "in_seed_document") else ""
    return pairs[[*PAIR_COLUMNS, "human"]].reset_index(drop=True)


def judge_of_set(
    name: str, benchmark: Benchmark, sources: JudgeSources, ledger: Ledger, budget: Budget
) -> Judge:
    """The judge of that name for a graded set.

    Args:
        name: `KIND` or `KIND:MODEL`; `recorded:NAME`, or a bare name that is no kind, is a
            recorded judge of the set's folder.
        benchmark: The set.
        sources: What other judges are prepared from.
        ledger: Where jobs of the Batch API are remembered.
        budget: What all judges may spend together.

    Raises:
        UserError: No such judge; or it reads documents and the set has none; or it is itself
            made of judges, or of documents.
    """
    kind, _, model = name.partition(":")
    if kind == "recorded" or kind not in JUDGES:
        return _recorded(model if kind == "recorded" else name, benchmark, sources)
    if KINDS[parse_judge(name).kind].composite:
        raise UserError(f"judge {name} cannot be part of a cascade: name the judges themselves")
    if kind == "embedded":
        raise UserError(
            "judge embedded cannot be part of a cascade: it is made of the documents that it "
            "labels, and what its answers are worth on graded ones says nothing about those; "
            "name the labeler that it taught, labeler:champion"
        )
    if benchmark.documents is None:
        raise UserError(
            f"judge {name} reads documents and {benchmark.name} brings none: give a folder in "
            "BEIR's layout with corpus.jsonl"
        )
    return prepare_judge(name, sources, budget=budget, ledger=ledger)


def _recorded(name: str, benchmark: Benchmark, sources: JudgeSources) -> Judge:
    grades = benchmark.judge(name) if name else None
    if grades is None:
        raise UserError(
            f"there is no judge {name!r}: it is none of {', '.join(JUDGES)}, and "
            f"{benchmark.name} has no judges/{Path(name).name}.tsv (it has: "
            f"{', '.join(benchmark.judge_files) or 'none'})"
        )
    return RecordedJudge(RecordedGrades(name, grades), sources.scale)


def identity(asked: str, judge: Judge) -> dict[str, Any]:
    """Who a judge is, as plain JSON values."""
    return {
        "judge": asked,
        "name": judge.name,
        "model": judge.model,
        "prompt_hash": judge.prompt_hash,
    }
