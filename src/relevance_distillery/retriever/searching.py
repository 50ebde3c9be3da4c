"""Queries answered by a retriever and its index, alone or with BM25, into a TREC run."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.channels.dense import run_table
from relevance_distillery.channels.fusion import reciprocal_rank_fusion
from relevance_distillery.collections.queries import read_queries
from relevance_distillery.encoders.layout import FolderKind
from relevance_distillery.errors import UserError
from relevance_distillery.io.files import newest_version, replacing
from relevance_distillery.io.progress import Progress
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.retriever.settings import INDEX, QUERY_ENCODER, RETRIEVER, TRAIN

logger = logging.getLogger(__name__)

_QUERIES = 256  # searched at once
_LEAST = 100
"""Passages that a ranking gives at least: a shallow run begins as a deep one does."""
_ENDINGS = ("", ".run", ".trec", ".txt")


@dataclass(frozen=True)
class SearchFiles:
    """What a user named; nothing is read yet."""

    queries: str | None = None
    run: str | None = None

    def check(self) -> tuple[pd.DataFrame, Path]:
        """The queries (query_id, text) and where their run goes; UserError where one is no use."""
        if not self.queries or not self.run:
            raise UserError('say what to search and where to: --params="queries=FILE,run=FILE"')
        source, run = Path(self.queries).expanduser(), Path(self.run).expanduser()
        if run.is_dir() or run.suffix.lower() not in _ENDINGS or run.resolve() == source.resolve():
            raise UserError(f"run={run}: give a file of its own that ends with .run, .trec or .txt")
        queries = read_queries(source, skip_empty=True)
        if queries.empty:
            raise UserError(f"{source}: no query has a text, so there is nothing to search")
        return queries, run


@dataclass(frozen=True)
class RetrieverShelf:
    """Where retrievers, their indexes and the BM25 index of the stored passages are."""

    registered_name: str
    retriever_index: str
    """The versioned folder of indexes, for a retriever that is named by its folder."""
    bm25_index: str
    registered_query_encoder: str = "relevance-query-encoder"

    def find(self, name: str, query_encoder: str | None = None) -> tuple[Any, PassageIndex]:
        """What reads queries, and the index that it searches; UserError for none.

        A retriever by alias, version number or folder, or a query encoder by the same. Registered
        they bring their index; a query encoder's folder searches the one of the retriever `name`.
        """
        # Loads torch.
        from relevance_distillery.retriever.encoder import open_encoder

        if query_encoder is None:
            folder, place = self._retriever(name)
        else:
            folder, place = self._query_encoder(query_encoder, name)
        encoder, index = open_encoder(folder), PassageIndex.load(place)
        index.require(encoder)
        return encoder, index

    def _retriever(self, name: str) -> tuple[Path, Path]:
        folder, stored = Path(name).expanduser(), Path(self.retriever_index)
        if not RETRIEVER.is_at(folder):
            return _registered(self.registered_name, name, RETRIEVER)
        beside = stored / folder.resolve().parent.name / stored.name
        return folder, beside if INDEX.is_at(beside) else newest_version(stored)

    def _query_encoder(self, name: str, retriever: str) -> tuple[Path, Path]:
        folder = Path(name).expanduser()
        if not QUERY_ENCODER.is_at(folder):
            return _registered(f"{self.registered_query_encoder}-search", name, QUERY_ENCODER)
        return folder, self._retriever(retriever)[1]

    def bm25(self, index: PassageIndex) -> BM25Channel:
        """BM25 over the passages of an index; UserError where it has others."""
        channel = BM25Channel.load(Path(self.bm25_index))
        if set(channel.passage_ids) != set(index.passage_ids):
            raise UserError(
                "fuse=true: the BM25 index has other passages than the retriever's; run kedro run "
                f"--pipeline=mine, then {TRAIN}, or leave fuse out"
            )
        return channel


def _registered(name: str, alias_or_version: str, kind: FolderKind) -> tuple[Path, Path]:
    # Loads MLflow.
    from relevance_distillery.model_registry import load_registered

    files = [kind.file, INDEX.file]
    folder, index = load_registered(name, alias_or_version, kind.name, kind.command, files)
    return folder, index


@dataclass(frozen=True)
class Searcher:
    """Ranks documents, or passages, for queries: `depth` for each."""

    retriever: Any
    """What reads queries: a `Retriever`, or a `QueryEncoder` of its index."""
    index: PassageIndex
    bm25: BM25Channel | None
    """Fused with the retriever's ranking, where there is one."""
    by_document: bool
    """A document stands where its best passage does."""
    depth: int

    def blocks(self, queries: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """Rankings of some queries (query_id, text) after the others, in trec_eval's order.

        Yields:
            Columns query_id, document_id, rank, score (float32). Of equal scores the id that is
            larger as text comes first, since that is how a run is read.
        """
        for start in range(0, len(queries), _QUERIES):
            block = queries.iloc[start : start + _QUERIES]
            vectors = self.retriever.encode_queries(block["text"].tolist())
            found = self._documents(block, vectors, max(self.depth, _LEAST))
            places = pd.Index(block["query_id"]).get_indexer(pd.Index(found["query_id"]))
            found = found.assign(query=places)
            order = ["query", "score", "document_id"]
            found = found.sort_values(order, ascending=[True, False, False], kind="stable")
            found["rank"] = found.groupby("query").cumcount() + 1
            names = ["query_id", "document_id", "rank", "score"]
            yield found.loc[found["rank"] <= self.depth, names]

    def _documents(self, queries: pd.DataFrame, vectors: np.ndarray, k: int) -> pd.DataFrame:
        """At least `depth` documents of every query where there are as many."""
        found = run_table(queries, self.index.passage_ids, *self.index.search(vectors, k))
        if self.bm25 is not None:
            found = reciprocal_rank_fusion([found, self.bm25.search(queries, k)])
        ids = found["passage_id"]
        if self.by_document:
            ids = self.index.document_ids.take(self.index.passage_ids.get_indexer(pd.Index(ids)))
        found = found.assign(document_id=ids, score=found["score"].astype(np.float32))
        found = found.drop_duplicates(["query_id", "document_id"])
        counts = found["query_id"].value_counts().reindex(queries["query_id"]).to_numpy()
        short = counts < self.depth
        if not short.any() or k >= len(self.index):
            return found
        # Documents of many passages fill a ranking: these queries need a longer one.
        whole = found[found["query_id"].isin(queries["query_id"][~short])]
        return pd.concat([whole, self._documents(queries[short], vectors[short], 4 * k)])


def write_run(searcher: Searcher, queries: pd.DataFrame, path: Path) -> None:
    """Search, and write a TREC run whole or not at all; its rate is logged."""
    longest = int(searcher.retriever.facts["max_length"])
    long = queries["query_id"][queries["text"].str.count(r"\S+") > longest]
    if len(long):
        named = f"{len(long)} queries, such as {long.iloc[0][:80]}"
        logger.warning("%s, have more than %d words: the end is not read", named, longest)
    for ids in (queries["query_id"], searcher.index.document_ids, searcher.index.passage_ids):
        if ids.str.contains(r"[\t\r\n]").any():
            raise UserError("an id holds a tab or a line break, which no run can; rename it")
    tag = searcher.retriever.name.replace(" ", "_") + ("+bm25" if searcher.bm25 else "")
    rows, began = 0, time.monotonic()
    progress = Progress(len(queries), "searching", "query")
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as out, progress:
        for found in searcher.blocks(queries):
            # Tabs, since ids may hold blanks.
            out.writelines(
                f"{query}\tQ0\t{document}\t{rank}\t{score:.9g}\t{tag}\n"
                for query, document, rank, score in found.itertuples(index=False)
            )
            rows += len(found)
            progress.advance(found["query_id"].nunique())
    rate = len(queries) / max(time.monotonic() - began, 1e-9)
    logger.info("%d queries, %d rows, %.1f queries/s → %s", len(queries), rows, rate, path)
