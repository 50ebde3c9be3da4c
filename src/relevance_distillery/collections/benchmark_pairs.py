"""A benchmark's pairs: the passages to grade, and the judged documents with facts for slices."""

import json
import re
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark, note_skipped
from relevance_distillery.collections.id_matching import as_named
from relevance_distillery.collections.judgments import KEY, graded_text_digest
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import hex_digest

Split = Callable[[pd.DataFrame], pd.DataFrame]
"""Documents table in, passages table out."""

_HOST = re.compile(r"^[A-Za-z][\w+.-]*://[^/]*")
_DEPARTMENTS = ("department", "folder")
"""Keys of a document's metadata that name where it belongs better than its path does."""

EXPECTED = "as a trial does"
"""Ends the reasons that are no cause for concern."""

_FACTS = ["human", "style", "query_words", "seen", "folder"]


def select_pairs(
    benchmark: Benchmark,
    passages: pd.DataFrame,
    queries: pd.DataFrame,
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    split: Split,
    limit: int | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Every passage of every graded document, with its query and the grade to reach.

    Passages, queries, the teacher's labels and splits are the run's; `split` is for documents that
    a benchmark brings; a trial that read `limit` documents leaves others out for that reason.

    Returns:
        Columns `PAIR_COLUMNS` and human (grade of the document), style, query_words, seen
        (the document was in training), folder (where the document belongs, empty when not
        known), and for a sample weight (how many pairs it stands for). For held-out
        queries and graded passages each passage is its own document, the
        latter's true one in corpus_document. And facts: name, kind, human, digest, skipped
        (ids by reason), whole_queries (None unless it is a sample).

    Raises:
        UserError: No graded document is in the corpus, or nothing was held out.
    """
    if benchmark.kind == "held_out":
        pairs = _held_out(passages, queries, labels, splits)
        skipped: dict[str, list[str]] = {}
    elif benchmark.graded_passages:
        pairs, skipped = _judged_passages(benchmark, passages, queries)
    else:
        pairs, skipped = _judged(benchmark, passages, split, limit)
    trained = splits.loc[splits["split"] == "train", "passage_id"]
    seen_texts = set(passages.loc[passages["passage_id"].isin(trained), "text"].map(_normalised))
    by_passage = pairs["text"].map(_normalised).isin(seen_texts) | pairs["passage_id"].isin(trained)
    pairs["seen"] = by_passage.groupby([pairs["query_id"], pairs["document_id"]]).transform("any")
    by, of = ("path", pairs[["path"]].drop_duplicates())
    if benchmark.documents is not None:
        by, of = ("document_id", benchmark.documents)
    names = dict(zip(of[by], folders(of), strict=True))
    pairs["folder"] = pairs[by].map(names).fillna("")
    pairs["query_words"] = [len(query.split()) for query in pairs["query"]]
    if not benchmark.graded_passages:
        pairs["is_seed"] = False
        pairs["in_seed_document"] = False
    if benchmark.sampled is not None:
        pairs = pairs.merge(benchmark.sampled.weights, on=KEY, how="left")
    extra = [name for name in ("corpus_document", "weight") if name in pairs]
    pairs = pairs[[*PAIR_COLUMNS, *_FACTS, *extra]].reset_index(drop=True)
    left_out = benchmark.skipped | skipped
    own = {"digest": pairs_digest(pairs), "passages": len(pairs), "skipped": left_out}
    return pairs, benchmark.facts | own


def searched_passages(benchmark: Benchmark, passages: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Where a benchmark's queries search: its own documents, split, or the passages of the run.

    Documents have the ids that the grades name; where passages were graded, each is one.
    """
    if benchmark.documents is not None:
        passages = split(benchmark.documents)
    elif benchmark.kind == "held_out" or benchmark.graded_passages:
        passages = passages.assign(document_id=passages["passage_id"])
    return as_named(passages, benchmark.judgments["document_id"])


def pairs_digest(pairs: pd.DataFrame) -> str:
    """Sixteen hexadecimal digits that change with any query, document or grade."""
    graded = pairs.drop_duplicates(KEY)
    rows = sorted(f"{row.query}\t{row.document_id}\t{row.human}" for row in graded.itertuples())
    return hex_digest("\n".join(rows), 8)


def _judged(
    benchmark: Benchmark, passages: pd.DataFrame, split: Split, limit: int | None
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    grades = benchmark.judgments
    skipped: dict[str, list[str]] = {}
    if benchmark.documents is not None:
        judged = benchmark.documents["document_id"].isin(grades["document_id"])
        passages = split(benchmark.documents[judged].reset_index(drop=True))
    passages = as_named(passages, grades["document_id"])
    known = grades["document_id"].isin(passages["document_id"])
    if not known.any():
        raise UserError(
            f"benchmark {benchmark.name}: none of its {len(grades)} judged documents is in the "
            "corpus; check that document ids match those of `documents`"
        )
    absent = "are not in the corpus" if limit is None else f"limit={limit} leaves out, {EXPECTED}"
    _note(skipped, f"judgments of documents that {absent}", grades[~known])
    pairs = (
        grades[known]
        .merge(benchmark.queries.rename(columns={"text": "query"}), on="query_id", how="left")
        .merge(passages, on="document_id", how="left")
        .rename(columns={"grade": "human"})
    )
    return pairs, skipped


def _judged_passages(
    benchmark: Benchmark, passages: pd.DataFrame, queries: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Graded passages of the run, each its own document, with the seed link of the run's queries.

    A query of the run keeps its seed, so that a judge is asked what it was asked for the label.
    """
    grades = benchmark.judgments
    wanted = passages[passages["passage_id"].isin(grades["document_id"])]
    texts = wanted[["passage_id", "title", "heading", "text"]].itertuples(index=False)
    now = {name: graded_text_digest(*parts) for name, *parts in texts}
    known = grades["document_id"].isin(now.keys())
    keys = grades[KEY].itertuples(index=False, name=None)
    before = pd.Series(
        [benchmark.graded_passages[key].digest for key in keys], index=grades.index, dtype=str
    )
    same = (before == "") | (before == grades["document_id"].map(now))
    if not (known & same).any():
        raise UserError(
            f"benchmark {benchmark.name}: none of its {len(grades)} graded passages is in the "
            "corpus as it was graded; give the documents and the splitting of that time"
        )
    skipped: dict[str, list[str]] = {}
    _note(skipped, "judgments of passages that are not in the corpus", grades[~known])
    _note(skipped, "judgments of passages whose text changed since", grades[known & ~same])
    seeds = queries[["query_id", "text", "passage_id"]].rename(
        columns={"text": "query", "passage_id": "seed"}
    )
    pairs = (
        grades[known & same]
        .rename(columns={"grade": "human", "document_id": "passage_id"})
        .merge(benchmark.queries.rename(columns={"text": "query"}), on="query_id", how="left")
        .merge(seeds, on=["query_id", "query"], how="left")
        .merge(passages, on="passage_id", how="left")
    )
    seed = pairs["seed"].fillna("")
    pairs["is_seed"] = (seed != "") & (seed == pairs["passage_id"])
    seed_document = seed.map(passages.set_index("passage_id")["document_id"])
    pairs["in_seed_document"] = (seed != "") & (seed_document == pairs["document_id"])
    pairs["corpus_document"] = pairs["document_id"]
    pairs["document_id"] = pairs["passage_id"]
    return pairs, skipped


def _note(skipped: dict[str, list[str]], reason: str, rows: pd.DataFrame) -> None:
    ids = sorted(rows["document_id"].drop_duplicates())
    note_skipped(skipped, f"{reason}: {len(rows)}", ids)


def _held_out(
    passages: pd.DataFrame, queries: pd.DataFrame, labels: pd.DataFrame, splits: pd.DataFrame
) -> pd.DataFrame:
    tests = splits.loc[splits["split"] == "test", ["query_id", "passage_id"]]
    if tests.empty:
        raise UserError(
            "no query was held out for the report; give more queries, or grades of people by "
            '--params="human_judgments=PATH"'
        )
    asked = queries[["query_id", "text", "style"]].rename(columns={"text": "query"})
    pairs = (
        tests.merge(labels[["query_id", "passage_id", "grade"]], on=["query_id", "passage_id"])
        .merge(asked, on="query_id")
        .merge(passages, on="passage_id")
        .rename(columns={"grade": "human"})
    )
    # The teacher graded passages: each one is its own document.
    pairs["document_id"] = pairs["passage_id"]
    return pairs.drop_duplicates(["query_id", "passage_id"])


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())


def benchmark_documents(pairs: pd.DataFrame) -> pd.DataFrame:
    """One row a graded document of the pairs from `select_pairs`, in order of first appearance.

    Returns:
        Columns query_id, document_id, human, style, query_words, seen, folder, passages and,
        where pairs have it, weight.
    """
    groups = pairs.groupby(KEY, sort=False)
    documents = groups[[name for name in (*_FACTS, "weight") if name in pairs]].first()
    documents["passages"] = groups.size()
    return documents.reset_index()


def judged_pairs(benchmark: Benchmark) -> tuple[pd.DataFrame, pd.DataFrame]:
    """People's grades with what is known of query and document, where nothing was trained.

    Returns:
        Columns query_id, document_id, human and, as far as known, style, query_words, folder,
        weight; and the texts of the pairs (query_id, query, document_id, title, text, empty
        where not known), without rows where nothing is known.
    """
    grades = benchmark.judgments
    asked = benchmark.queries.set_index("query_id")
    table = grades[KEY].assign(human=grades["grade"].to_numpy())
    text = table["query_id"].map(asked["text"]).fillna("")
    table["style"] = table["query_id"].map(asked["style"]).fillna("")
    if (text != "").any():
        table["query_words"] = text.map(lambda query: len(query.split()))
    if benchmark.sampled is not None:
        table = table.merge(benchmark.sampled.weights, on=KEY, how="left")
    documents = benchmark.documents
    texts = table[KEY].assign(query=text, title="", text="")
    if documents is not None and len(documents):
        folder = pd.Series(folders(documents), index=documents["document_id"])
        table["folder"] = table["document_id"].map(folder).fillna("")
        titles = documents[["document_id", "title", "text"]]
        texts = texts[[*KEY, "query"]].merge(titles, on="document_id", how="left").fillna("")
    known = (texts[["query", "title", "text"]] != "").any(axis=None)
    return table, texts if known else texts.iloc[:0]


def folders(documents: pd.DataFrame) -> list[str]:
    """Where each document belongs: its department, or the first folder of its path.

    The department is read from the column metadata (a JSON object), where there is one. Folders
    that all paths share are passed over; a name is empty where nothing is known.
    """
    first = _first_folders(documents["path"])
    if "metadata" not in documents:
        return first
    named = map(_department, documents["metadata"])
    return [department or folder for department, folder in zip(named, first, strict=True)]


def _department(metadata: str) -> str:
    try:
        record = json.loads(metadata)
    except ValueError:
        return ""
    values = [record.get(key) for key in _DEPARTMENTS] if isinstance(record, dict) else []
    named = next((value for value in values if isinstance(value, str) and value.strip()), "")
    return named.strip().strip("/").split("/")[0]


def _first_folders(paths: Iterable[str]) -> list[str]:
    parts = [_HOST.sub("", path).replace("\\", "/").strip("/").split("/")[:-1] for path in paths]
    filled = [row for row in parts if row]
    levels = takewhile(lambda names: len(set(names)) == 1, zip(*filled, strict=False))
    shared = len(list(levels))
    return [row[shared] if len(row) > shared else "" for row in parts]
