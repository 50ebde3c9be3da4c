"""A benchmark: queries, documents and the grades that people, or a teacher, gave them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from relevance_distillery.collections import irdatasets
from relevance_distillery.collections.id_matching import with_known_ids
from relevance_distillery.collections.judge_answers import AnswerCollector, grades_of_answers
from relevance_distillery.collections.judgments import (
    KEY,
    Contradictions,
    GradeFile,
    RowFacts,
    Sampled,
    consensus,
    read_grades,
    sampled,
)
from relevance_distillery.collections.queries import query_table, read_queries
from relevance_distillery.documents.source import DocumentSource, read_wanted, table_at
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.io.files import newest_table, parts_of
from relevance_distillery.io.tables import distinct_names, stem_of, tables_in
from relevance_distillery.io.trec import Columns
from relevance_distillery.schemas import HumanJudgments, empty

_QRELS = ("human", "authored", "test", "dev", "validation")
"""Files of `qrels/` in the order in which they are looked for."""

_LISTED = 50


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
            document_id, and each passage counts as a document of its own.
        notes: What a reader must know of how the grades were read.
        others: Further benchmarks; this one decides.
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
    notes: tuple[str, ...] = ()
    others: tuple[Benchmark, ...] = ()

    @property
    def everything(self) -> tuple[Benchmark, ...]:
        """This benchmark and the others, the one that decides first."""
        return (self, *self.others)

    def query_texts(self) -> list[str]:
        """Texts of the queries of all benchmarks: none of them may be trained on."""
        return [text for one in self.everything for text in one.queries["text"] if text]

    def judged_documents(self) -> set[str]:
        """Ids of the run's documents that were graded, or of which a passage was."""
        found: set[str] = set()
        for one in self.everything:
            if one.graded_passages:
                found |= {facts.document_id for facts in one.graded_passages.values()}
            elif one.kind == "same_corpus":
                found |= set(one.judgments["document_id"])
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """What a report says of it: name, kind, human, digest, skipped and whole_queries."""
        whole = self.sampled and self.sampled.whole_queries
        own = {name: getattr(self, name) for name in ("name", "kind", "human", "digest", "skipped")}
        return own | {"whole_queries": whole}

    @property
    def known_ids(self) -> dict[str, pd.DataFrame]:
        """What `with_known_ids` needs for others' ids of the graded queries and documents."""
        documents = self.judgments[["document_id"]].drop_duplicates()
        if self.documents is not None:
            paths = self.documents[["document_id", "path"]]
            documents = documents.merge(paths, on="document_id", how="left")
        return {"query_id": self.queries, "document_id": documents}

    def query_names(self, texts: Mapping[str, str]) -> pd.DataFrame:
        """What names each query: columns query_id and text, its text and other ids of that text.

        An id that people graded under stands for all others of its text (`texts`, by id).
        """
        graded = set(self.judgments["query_id"]) if self.human else set()
        by_text = {text: name for name, text in texts.items() if text and name in graded}
        rows = [
            (name if name in graded else by_text.get(text, name), other)
            for name, text in {**dict.fromkeys(graded, ""), **texts}.items()
            for other in (name, text)
        ]
        return pd.DataFrame(rows, columns=["query_id", "text"], dtype=str)

    def judge(self, name: str) -> pd.DataFrame | None:
        """Grades of a recorded judge as of `grades_of_answers`; None if unknown."""
        path = self.judge_files.get(name)
        if path is None:
            return None
        answers = read_grades(path, self.scale, collector=AnswerCollector).grades
        grades = grades_of_answers(answers, self.scale)
        return with_known_ids(grades, **self.known_ids)[0]

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with any query, pair or grade."""
        texts = dict(zip(self.queries["query_id"], self.queries["text"], strict=True))
        rows = sorted(
            f"{texts.get(row.query_id, '')}\t{row.document_id}\t{row.grade}"
            for row in self.judgments.itertuples()
        )
        return hex_digest("\n".join(rows), 8)


def held_out(scale: GradeScale) -> Benchmark:
    """What is used where nobody graded anything: the teacher's grades of held-out queries."""
    none = empty(HumanJudgments)
    return Benchmark(
        "held-out queries", "held_out", False, query_table({}), none, none, None, scale
    )


def load_benchmark(
    location: str | Path | None,
    scale: GradeScale,
    queries: str | Path | None = None,
    columns: Columns | None = None,
    texts_needed: bool = True,
    contradictions: Contradictions = "leave out",
) -> Benchmark:
    """Read a benchmark, or several, of which the first decides.

    Args:
        location: A folder in BEIR's layout (`corpus.jsonl[.gz]` may be absent, then its
            documents are those of the run), a file of TREC qrels, a table of grades with
            the query's text (of a versioned one the newest), or `ir_datasets:IDENTIFIER`;
            several separated by `;`. None for the held-out queries.
        scale: The grades.
        queries: The queries of TREC qrels: `.jsonl`, `.csv` or `.tsv` with ids and texts.
        columns: What a table of grades calls its columns; folders have BEIR's.
        texts_needed: Queries must be there with their texts. Otherwise grades are enough, all
            of them are kept, and documents are read as far as they were judged.
        contradictions: What happens to pairs with two different grades by the same person:
            left out and noted, or an error.

    Raises:
        UserError: Something is missing, not on the scale, or contradicts itself; or no
            judgment is left.
    """
    places = parts_of(location)
    if not places:
        return held_out(scale)
    query_file = Path(str(queries)).expanduser() if queries else None
    loader = _Loader(scale, query_file, columns, texts_needed, contradictions)
    found = [loader.load(place) for place in places]
    if len({one.name for one in found}) < len(found):
        names = distinct_names([Path(irdatasets.identifier(place) or place) for place in places])
        found = [replace(one, name=name) for one, name in zip(found, names, strict=True)]
    return replace(found[0], others=tuple(found[1:]))


@dataclass(frozen=True)
class _Loader:
    scale: GradeScale
    query_file: Path | None
    columns: Columns | None
    texts_needed: bool
    contradictions: Contradictions

    def load(self, location: str) -> Benchmark:
        identifier = irdatasets.identifier(location)
        if identifier is not None:
            return self._from_catalog(identifier)
        path = Path(location).expanduser()
        if not path.exists():
            raise UserError(f"{path}: no such benchmark; check the path")
        path = newest_table(path)
        return self._from_folder(path) if path.is_dir() else self._from_file(path)

    def _grades(self, path: Path, columns: Columns | None = None) -> GradeFile:
        return read_grades(path, self.scale, columns, self.contradictions)

    def _from_folder(self, folder: Path) -> Benchmark:
        qrels = tables_in(folder / "qrels")
        kind = next((name for name in _QRELS if name in qrels), None)
        if kind is None:
            raise UserError(f"{folder}: has no qrels/human.tsv; give a folder in BEIR's layout")
        found = self._grades(qrels[kind])
        annotators = [
            self._grades(file).grades.assign(annotator=name)
            for name, file in tables_in(folder / "annotators").items()
        ]
        query_file = table_at(folder, "queries")
        if query_file is None and self.texts_needed:
            raise UserError(f"{folder}: has no queries.jsonl; give a folder in BEIR's layout")
        corpus = table_at(folder, "corpus")
        documents = None
        if corpus is not None and self.texts_needed:
            documents = DocumentSource((folder,)).read().documents
        elif corpus is not None:
            documents = read_wanted(corpus, set(found.grades["document_id"]))
        return self._assembled(
            name=folder.name,
            human=kind != "authored",
            found=found,
            queries=read_queries(query_file) if query_file else query_table({}),
            documents=documents,
            annotators=annotators,
            judge_files=tables_in(folder / "judges"),
            where=str(folder),
        )

    def _from_file(self, path: Path) -> Benchmark:
        found = self._grades(path, self.columns)
        texts = {name: (text, found.styles.get(name, "")) for name, text in found.texts.items()}
        queries = read_queries(self.query_file) if self.query_file else query_table(texts)
        if queries.empty and self.texts_needed:
            raise UserError(
                f"{path}: has no column query with the queries' texts; add one or give "
                '--params="judgment_queries=FILE"'
            )
        return self._assembled(stem_of(path), True, found, queries, None, [], {}, str(path))

    def _from_catalog(self, identifier: str) -> Benchmark:
        found, queries, documents, left_out = irdatasets.read_catalog(
            identifier, self.scale, self.texts_needed
        )
        note = f"No document was read: {left_out}."
        if documents is not None:
            note = "BM25 counts words in the judged documents, not in the whole collection."
        where = f"{irdatasets.PREFIX}{identifier}"
        read = self._assembled(identifier, True, found, queries, documents, [], {}, where)
        return replace(read, notes=(*read.notes, note))

    def _assembled(
        self,
        name: str,
        human: bool,
        found: GradeFile,
        queries: pd.DataFrame,
        documents: pd.DataFrame | None,
        annotators: list[pd.DataFrame],
        judge_files: dict[str, Path],
        where: str,
    ) -> Benchmark:
        judged = found.grades if documents is None else documents
        known = {"query_id": queries, "document_id": judged}
        grades, notes = with_known_ids(found.grades, **known)
        annotators = [with_known_ids(table, **known)[0] for table in annotators]
        names = dict(zip(_pairs(found.grades), _pairs(grades), strict=True))
        found.facts = {names.get(pair, pair): about for pair, about in found.facts.items()}
        single = grades[grades["annotator"] != ""]
        if len(single):
            grades = consensus(grades)
        skipped: dict[str, list[str]] = {}
        if found.contradicting:
            pairs = pd.DataFrame(found.contradicting, columns=KEY)
            _note_pairs(skipped, "pairs with two different grades by the same person", pairs)
        if found.drawn:
            grades = _drawn(grades, found, skipped, where)
        if self.texts_needed:
            grades = _known(grades, queries, documents, skipped, where)
        else:
            absent = sorted(set(grades["query_id"]) - set(queries["query_id"]))
            queries = pd.concat([queries, query_table(dict.fromkeys(absent, ("", "")))])
        raters = pd.concat([*annotators, single]).merge(grades[KEY], on=KEY, how="inner")
        if found.repeated:
            skipped["repeated rows"] = [f"{found.repeated} rows"]
        if found.junk:
            notes.append(f"{found.junk} grades below 0 (TREC's junk) count as the lowest grade.")
        return Benchmark(
            name=name,
            kind="own_corpus" if documents is not None else "same_corpus",
            human=human,
            queries=queries[queries["query_id"].isin(grades["query_id"])].reset_index(drop=True),
            judgments=HumanJudgments.validate(grades.reset_index(drop=True)),
            annotators=HumanJudgments.validate(raters),
            documents=documents,
            scale=self.scale,
            judge_files=judge_files,
            skipped=skipped,
            sampled=sampled(found.facts) if found.drawn else None,
            graded_passages=found.facts if found.passages else {},
            notes=tuple(notes),
        )


def _known(
    grades: pd.DataFrame,
    queries: pd.DataFrame,
    documents: pd.DataFrame | None,
    skipped: dict[str, list[str]],
    where: str,
) -> pd.DataFrame:
    """Grades of queries and documents that are there."""
    kept = grades["query_id"].isin(queries["query_id"])
    _note_pairs(skipped, "judgments of unknown queries", grades[~kept])
    if documents is not None:
        known = grades["document_id"].isin(documents["document_id"])
        _note_pairs(skipped, "judgments of unknown documents", grades[kept & ~known])
        kept &= known
    if not kept.any():
        raise UserError(
            f"{where}: none of its {len(grades)} judgments names a query and a document that "
            "are there; check that the ids match"
        )
    return grades[kept]


def _pairs(grades: pd.DataFrame) -> Iterator[tuple[str, str]]:
    return grades[KEY].itertuples(index=False, name=None)


def _drawn(
    grades: pd.DataFrame, found: GradeFile, skipped: dict[str, list[str]], where: str
) -> pd.DataFrame:
    """Grades of pairs with an inclusion probability; the others never enter an estimate."""
    known = [found.facts[pair].estimates for pair in _pairs(grades)]
    estimates = pd.Series(known, index=grades.index)
    _note_pairs(skipped, "actively picked pairs, which never evaluate", grades[~estimates])
    if not estimates.any():
        raise UserError(
            f"{where}: all {len(grades)} graded pairs were picked actively, which may train but "
            "never evaluate; have people grade a random or stratified sample"
        )
    return grades[estimates]


def _note_pairs(skipped: dict[str, list[str]], reason: str, rows: pd.DataFrame) -> None:
    ids = [f"{row.query_id}/{row.document_id}" for row in rows.itertuples()]
    note_skipped(skipped, f"{reason}: {len(rows)}", ids)


def note_skipped(skipped: dict[str, list[str]], reason: str, ids: list[str]) -> None:
    """Add a reason with the first 50 ids that were left out for it, where there are any."""
    if ids:
        more = [f"and {len(ids) - _LISTED} more"] if len(ids) > _LISTED else []
        skipped[reason] = ids[:_LISTED] + more
