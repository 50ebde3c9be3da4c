"""A benchmark: queries, documents and the grades that people, or a teacher, gave them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from relevance_distillery.documents.reading import iter_lines, iter_records, table_kind
from relevance_distillery.documents.source import DocumentSource, table_at
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.benchmarks.inclusion import RowFacts, Sampled, sampled
from relevance_distillery.evaluation.benchmarks.judgments import GradeFile, read_grades
from relevance_distillery.grading import GradeScale
from relevance_distillery.schemas import HumanJudgments, empty

_QRELS = ("human", "authored", "test", "dev", "validation")
"""Files of `qrels/` in the order in which they are looked for."""

_QUERY_ID = ("query_id", "_id", "id", "qid")
_QUERY_TEXT = ("text", "query", "title")
"""Column names of a file of queries, the first found counts."""

_LISTED = 50
"""So many ids are named for each reason why something was left out."""


@dataclass(frozen=True)
class Benchmark:
    """What a labeler is measured against.

    Attributes:
        name: Name of the folder or file.
        kind: `own_corpus` brings its documents, `same_corpus` grades documents of the run,
            `held_out` stands for the teacher's grades of queries kept out of training.
        human: The grades were given by people.
        queries: Columns query_id, text, style (empty where not stated).
        judgments: Columns query_id, document_id, annotator (empty: the consensus), grade.
        annotators: The same columns, single raters; no rows where there are none.
        documents: A documents table, None unless `own_corpus`.
        judge_files: Files of recorded judges by name.
        skipped: Ids that were left out by reason.
        scale: The grades.
        sampled: Weights of the judgments, where they are a sample with known inclusion
            probabilities; None where all count alike.
        graded_passages: Where passages of the run were graded, what is known of each
            (query, passage): then judgments, annotators and weights hold the passage's id as
            document_id, and each passage stands for itself in every figure.
    """

    name: str
    kind: Literal["own_corpus", "same_corpus", "held_out"]
    human: bool
    queries: pd.DataFrame
    judgments: pd.DataFrame
    annotators: pd.DataFrame
    documents: pd.DataFrame | None
    scale: GradeScale
    judge_files: dict[str, Path] = field(default_factory=dict)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    sampled: Sampled | None = None
    graded_passages: dict[tuple[str, str], RowFacts] = field(default_factory=dict)

    def judged_documents(self) -> set[str]:
        """Ids of the documents that were graded, or of which a passage was."""
        if self.graded_passages:
            return {facts.document_id for facts in self.graded_passages.values()}
        return set(self.judgments["document_id"])

    def judge(self, name: str) -> pd.DataFrame | None:
        """Grades of a recorded judge: columns query_id, document_id, grade; None if unknown."""
        if name not in self.judge_files:
            return None
        return read_grades(self.judge_files[name], self.scale).grades.drop(columns="annotator")

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with any query, pair or grade."""
        texts = dict(zip(self.queries["query_id"], self.queries["text"], strict=True))
        rows = sorted(
            f"{texts.get(row.query_id, '')}\t{row.document_id}\t{row.grade}"
            for row in self.judgments.itertuples()
        )
        return hashlib.blake2b("\n".join(rows).encode(), digest_size=8).hexdigest()


def held_out(scale: GradeScale) -> Benchmark:
    """The stand-in where nobody graded anything: the teacher's grades of held-out queries."""
    none = empty(HumanJudgments)
    queries = pd.DataFrame({"query_id": [], "text": [], "style": []}, dtype=str)
    return Benchmark("held-out queries", "held_out", False, queries, none, none, None, scale)


def load_benchmark(
    location: str | Path | None, scale: GradeScale, queries: str | Path | None = None
) -> Benchmark:
    """Read a benchmark.

    Args:
        location: A folder in BEIR's layout (`corpus.jsonl[.gz]` may be absent, then its
            documents are those of the run), a file of TREC qrels, or a table of grades with
            the query's text (of a versioned one the newest); None for the held-out queries.
        scale: The grades.
        queries: The queries of TREC qrels: `.jsonl`, `.csv` or `.tsv` with ids and texts.

    Raises:
        UserError: Something is missing, not on the scale, or contradicts itself; or no
            judgment is left.
    """
    if location is None or not str(location).strip():
        return held_out(scale)
    path = Path(str(location)).expanduser()
    if not path.exists():
        raise UserError(f"{path}: no such benchmark; check the path")
    if path.is_dir() and path.suffix == ".parquet":
        path = _newest(path)
    if path.is_dir():
        return _from_folder(path, scale)
    return _from_file(path, scale, Path(str(queries)).expanduser() if queries else None)


def _newest(folder: Path) -> Path:
    """The newest version of a versioned table."""
    versions = sorted(folder.glob(f"*/{folder.name}"))
    if not versions:
        raise UserError(f"{folder}: holds no version of the table; run the stage that makes it")
    return versions[-1]


def _from_folder(folder: Path, scale: GradeScale) -> Benchmark:
    names = [name for name in _QRELS if (folder / "qrels" / f"{name}.tsv").is_file()]
    if not names:
        raise UserError(f"{folder}: has no qrels/human.tsv; give a folder in BEIR's layout")
    query_file = table_at(folder, "queries")
    if query_file is None:
        raise UserError(f"{folder}: has no queries.jsonl; give a folder in BEIR's layout")
    documents = None
    if table_at(folder, "corpus") is not None:
        documents = DocumentSource((folder,)).read().documents
    annotators = [
        read_grades(file, scale).grades.assign(annotator=file.stem)
        for file in sorted((folder / "annotators").glob("*.tsv"))
    ]
    return _assembled(
        name=folder.name,
        human=names[0] != "authored",
        found=read_grades(folder / "qrels" / f"{names[0]}.tsv", scale),
        queries=_read_queries(query_file),
        documents=documents,
        annotators=pd.concat(annotators, ignore_index=True) if annotators else None,
        judge_files={file.stem: file for file in sorted((folder / "judges").glob("*.tsv"))},
        scale=scale,
        where=folder,
    )


def _from_file(path: Path, scale: GradeScale, query_file: Path | None) -> Benchmark:
    found = read_grades(path, scale)
    if query_file is not None:
        queries = _read_queries(query_file)
    elif found.texts:
        queries = pd.DataFrame(
            {
                "query_id": list(found.texts),
                "text": list(found.texts.values()),
                "style": [found.styles.get(query_id, "") for query_id in found.texts],
            }
        )
    else:
        raise UserError(
            f"{path}: has no column query with the queries' texts; add one or give "
            '--params="judgment_queries=FILE"'
        )
    return _assembled(path.stem, True, found, queries, None, None, {}, scale, path)


def _read_queries(path: Path) -> pd.DataFrame:
    """Columns query_id, text, style of a file of queries."""
    if not path.is_file():
        raise UserError(f"{path}: no such file of queries; check the path")
    rows: dict[str, tuple[str, str]] = {}
    for number, record in _query_rows(path):
        inner = record.get("metadata") if isinstance(record.get("metadata"), dict) else {}
        query_id = _first(record, _QUERY_ID)
        text = _first(record, _QUERY_TEXT)
        if not query_id or not text:
            lacking = "text" if query_id else "id"
            raise UserError(f"{path}, row {number}: the query has no {lacking}; add it")
        if query_id in rows and rows[query_id][0] != text:
            raise UserError(f"{path}, row {number}: query id {query_id[:80]} twice; keep one")
        rows[query_id] = (text, _first(record, ("style",)) or _first(inner or {}, ("style",)))
    table = [(query_id, *values) for query_id, values in rows.items()]
    return pd.DataFrame(table, columns=["query_id", "text", "style"]).astype(str)


def _query_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a table of queries, or of TREC topics: id and text, a tab between, no header."""
    if table_kind(path) in ("", "tsv"):
        lines = [(number, line.strip("\r\n")) for number, line in iter_lines(path)]
        filled = [(number, line) for number, line in lines if line.strip()]
        header = {cell.strip() for cell in filled[0][1].split("\t")} if filled else set()
        if not header & {*_QUERY_ID, *_QUERY_TEXT}:
            for number, line in filled:
                query_id, _, text = line.partition("\t")
                yield number, {"query_id": query_id, "text": text}
            return
    yield from iter_records(path)


def _first(record: dict[str, object], names: tuple[str, ...]) -> str:
    for name in names:
        value = record.get(name)
        if value is not None and str(value).strip():
            return str(value).strip()
    return ""


def _assembled(
    name: str,
    human: bool,
    found: GradeFile,
    queries: pd.DataFrame,
    documents: pd.DataFrame | None,
    annotators: pd.DataFrame | None,
    judge_files: dict[str, Path],
    scale: GradeScale,
    where: Path,
) -> Benchmark:
    grades = found.grades
    if (grades["annotator"] != "").any():
        single = grades[grades["annotator"] != ""]
        annotators = single if annotators is None else pd.concat([annotators, single])
        grades = _consensus(grades)
    skipped: dict[str, list[str]] = {}
    if found.drawn:
        grades = _drawn(grades, found, skipped, where)
    kept = grades["query_id"].isin(queries["query_id"])
    _note(skipped, "judgments of unknown queries", grades[~kept])
    if documents is not None:
        known = grades["document_id"].isin(documents["document_id"])
        _note(skipped, "judgments of unknown documents", grades[kept & ~known])
        kept &= known
    if not kept.any():
        raise UserError(
            f"{where}: none of its {len(grades)} judgments names a query and a document that "
            "are there; check that the ids match"
        )
    grades = grades[kept].reset_index(drop=True)
    if found.repeated:
        skipped["repeated rows"] = [f"{found.repeated} rows"]
    return Benchmark(
        name=name,
        kind="own_corpus" if documents is not None else "same_corpus",
        human=human,
        queries=queries[queries["query_id"].isin(grades["query_id"])].reset_index(drop=True),
        judgments=HumanJudgments.validate(grades),
        annotators=empty(HumanJudgments) if annotators is None else _tidy(annotators, grades),
        documents=documents,
        scale=scale,
        judge_files=judge_files,
        skipped=skipped,
        sampled=sampled(found.facts) if found.drawn else None,
        graded_passages=found.facts if found.passages else {},
    )


def _drawn(
    grades: pd.DataFrame, found: GradeFile, skipped: dict[str, list[str]], where: Path
) -> pd.DataFrame:
    """Grades of pairs with an inclusion probability; the others never enter an estimate."""
    pairs = zip(grades["query_id"], grades["document_id"], strict=True)
    estimates = pd.Series([found.facts[pair].estimates for pair in pairs], index=grades.index)
    _note(skipped, "actively picked pairs, which never evaluate", grades[~estimates])
    if not estimates.any():
        raise UserError(
            f"{where}: all {len(grades)} graded pairs were picked actively, which may train but "
            "never evaluate; have people grade a random or stratified sample"
        )
    return grades[estimates]


def _consensus(grades: pd.DataFrame) -> pd.DataFrame:
    """The consensus rows; for pairs without one, the lower median of the raters."""
    agreed = grades[grades["annotator"] == ""]
    key = ["query_id", "document_id"]
    median = grades.sort_values("grade", kind="stable").groupby(key, sort=False)["grade"]
    voted = median.apply(lambda votes: votes.iloc[(len(votes) - 1) // 2]).reset_index()
    both = pd.concat([agreed, voted.assign(annotator="")], ignore_index=True)
    return both.drop_duplicates(key).reset_index(drop=True)


def _tidy(annotators: pd.DataFrame, grades: pd.DataFrame) -> pd.DataFrame:
    key = ["query_id", "document_id"]
    kept = annotators.merge(grades[key], on=key, how="inner")
    return HumanJudgments.validate(kept.reset_index(drop=True))


def _note(skipped: dict[str, list[str]], reason: str, rows: pd.DataFrame) -> None:
    if len(rows):
        ids = [f"{row.query_id}/{row.document_id}" for row in rows.itertuples()]
        more = [f"and {len(ids) - _LISTED} more"] if len(ids) > _LISTED else []
        skipped[f"{reason}: {len(ids)}"] = ids[:_LISTED] + more
