"""One row a judged document, with the facts by which a report is sliced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.votes import KEY

_HOST = re.compile(r"^[A-Za-z][\w+.-]*://[^/]*")
_DEPARTMENTS = ("department", "folder")
"""Keys of a document's metadata that name where it belongs better than its path does."""

FACTS = ["human", "style", "query_words", "seen", "folder", "weight"]


def benchmark_documents(pairs: pd.DataFrame) -> pd.DataFrame:
    """One row a graded document.

    Args:
        pairs: From `selection.select_pairs`.

    Returns:
        Columns query_id, document_id, human, style, query_words, seen, folder, passages and,
        where pairs have it, weight, in order of first appearance.
    """
    groups = pairs.groupby(KEY, sort=False)
    documents = groups[[name for name in FACTS if name in pairs]].first()
    documents["passages"] = groups.size()
    return documents.reset_index()


def judged_pairs(benchmark: Benchmark) -> tuple[pd.DataFrame, pd.DataFrame]:
    """People's grades with what is known of query and document, where nothing was trained.

    Args:
        benchmark: With or without the texts of queries and documents.

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
        words = {query: len(query.split()) for query in text.unique()}
        table["query_words"] = text.map(words)
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

    Args:
        documents: Column path and, where there is one, metadata (a JSON object).

    Returns:
        One name a document, empty where nothing is known; folders that all paths share are
        passed over.
    """
    metadata = documents.get("metadata")
    told = [""] * len(documents) if metadata is None else [_department(cell) for cell in metadata]
    first = _first_folders(documents["path"])
    return [department or folder for department, folder in zip(told, first, strict=True)]


def _department(metadata: str) -> str:
    if not any(f'"{key}"' in metadata for key in _DEPARTMENTS):
        return ""
    try:
        record = json.loads(metadata)
    except ValueError:
        return ""
    values = (record.get(key) for key in _DEPARTMENTS if isinstance(record, dict))
    named = next((value for value in values if isinstance(value, str) and value.strip()), "")
    return named.strip().strip("/").split("/")[0]


def _first_folders(paths: Iterable[str]) -> list[str]:
    parts = [_HOST.sub("", path).replace("\\", "/").strip("/").split("/")[:-1] for path in paths]
    filled = [row for row in parts if row]
    shared = 0
    while filled and len({tuple(row[: shared + 1]) for row in filled}) == 1:
        if len(filled[0]) <= shared:
            break
        shared += 1
    return [row[shared] if len(row) > shared else "" for row in parts]
