"""Which labels train: the benchmarks' are kept out, the rest is split by document and query.

Kept out are the benchmarks' queries, near-duplicates of them, judged pairs and judged texts.
Splits and folds divide seed documents and queries, never the pairs of one.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.id_matching import as_named
from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.text.terms import analyzer
from relevance_distillery.text.words import normalised

SPLITS = ("train", "early_stopping", "calibration", "test")
_FEWEST_QUERIES = 10
REASONS = ("judged_pair", "benchmark_query", "near_duplicate_query", "judged_text")
_SAME_COLLECTION = 0.5


def query_groups(queries: pd.DataFrame, passages: pd.DataFrame) -> dict[str, str]:
    """Which queries belong together: those of one seed document, or of one wording.

    Queries have query_id, text and passage_id (the seed, empty for a real query), passages
    passage_id and document_id.

    Returns:
        For each query id the id of its group, which is its first query's.
    """
    document_of = dict(zip(passages["passage_id"], passages["document_id"], strict=True))
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    owner: dict[tuple[str, str], str] = {}
    for query, text, seed in zip(
        queries["query_id"], queries["text"], queries["passage_id"].fillna(""), strict=True
    ):
        parent[query] = query
        keys = [("text", normalised(text))]
        if seed:
            keys.append(("document", document_of.get(seed, seed)))
        for key in keys:
            if key in owner:
                parent[root(query)] = root(owner[key])
            else:
                owner[key] = query
    return {query: root(query) for query in parent}


def deal_groups(groups: Sequence[str], shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Deal rows into parts, such as splits or folds; rows of one group stay together.

    Groups are dealt in random order (`seed`), each to the part that is furthest below its share of
    rows, so that small data fill every part too. Shares need not sum to 1.

    Returns:
        Number of each row's part, shape (rows,).
    """
    names, group, sizes = np.unique(
        np.asarray(groups, dtype=str), return_inverse=True, return_counts=True
    )
    wanted = np.array(shares) / sum(shares) * len(group)
    filled, part = np.zeros(len(wanted)), np.zeros(len(names), dtype=np.int64)
    for place in np.random.default_rng(seed).permutation(len(names)):
        # Relative to its share, so that a small part is not starved by a large one.
        fullness = np.where(wanted > 0, filled / np.maximum(wanted, 1e-9), np.inf)
        part[place] = np.argmin(fullness)
        filled[part[place]] += sizes[place]
    return part[group]


def split_pairs(
    pairs: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    shares: Mapping[str, float],
    seed: int,
) -> pd.DataFrame:
    """Give every pair a split; whole groups of queries stay together.

    Pairs have query_id and passage_id; queries and passages are as of `query_groups`, `shares`
    those of `SPLITS`.

    Returns:
        Columns query_id, passage_id, split, group; the rows of `pairs`, in order.

    Raises:
        UserError: Fewer than ten queries.
    """
    group = pairs["query_id"].map(query_groups(queries, passages)).astype(str)
    if pairs["query_id"].nunique() < _FEWEST_QUERIES:
        raise UserError(
            f"labels: {pairs['query_id'].nunique()} queries with labels are left, at least "
            f"{_FEWEST_QUERIES} are needed; mine and label more queries, or look at "
            "exclusions.json for what was kept out"
        )
    part = deal_groups(group.tolist(), [shares[name] for name in SPLITS], seed)
    keys = pairs[["query_id", "passage_id"]].astype(str)
    return keys.assign(split=np.array(SPLITS)[part], group=group).reset_index(drop=True)


def exclude_benchmarks(
    labels: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    benchmarks: Sequence[Benchmark],
    language: str,
    near_duplicate: float,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Labels without anything of the benchmarks, and what was kept out.

    A benchmark that brings its own documents keeps its judged texts out as well, unless more
    than half of them are documents of the run: then it is the same collection, on which
    documents may recur and the report slices by seen and unseen.

    Labels have query_id and passage_id; queries query_id and text; passages passage_id,
    document_id, title, text and perhaps path. Ids of one benchmark say nothing about another's.
    From the Jaccard similarity `near_duplicate` of stemmed terms on, two queries count as the same.

    Returns:
        The labels that are left, and {"reasons": {reason: {"pairs", "queries"}}, "pairs_before",
        "pairs_after", "queries_before", "queries_after", "same_collection" (of any benchmark)};
        each pair counts once, under the first reason of `REASONS` that holds.
    """
    text_of = dict(zip(queries["query_id"], queries["text"], strict=True))
    graded = {name for one in benchmarks for name in one.judgments["document_id"]}
    named = as_named(passages, graded)
    document_of = dict(zip(named["passage_id"], named["document_id"], strict=True))
    asked = [text for one in benchmarks for text in one.queries["text"]]
    same = {normalised(text) for text in asked}
    near = NearDuplicates(asked, analyzer(language).terms, near_duplicate)
    judged: set[tuple[str, str]] = set()
    texts: set[str] = set()
    same_collection = False
    for one in benchmarks:
        wording = dict(zip(one.queries["query_id"], one.queries["text"], strict=True))
        pairs = zip(one.judgments["query_id"], one.judgments["document_id"], strict=True)
        judged |= {(normalised(wording.get(query, "")), document) for query, document in pairs}
        own, alike = _judged_texts(passages, one.judgments, one.documents)
        texts |= own
        same_collection |= alike
    seen: dict[str, str] = {}
    reasons = []
    for query, passage in zip(labels["query_id"], labels["passage_id"], strict=True):
        if query not in seen:
            plain = normalised(text_of.get(query, ""))
            seen[query] = "benchmark_query" if plain in same else ""
            if not seen[query] and near.holds(plain):
                seen[query] = "near_duplicate_query"
        pair = (normalised(text_of.get(query, "")), document_of.get(passage, passage))
        if pair in judged:
            reasons.append("judged_pair")
        elif seen[query]:
            reasons.append(seen[query])
        else:
            reasons.append("judged_text" if passage in texts else "")
    reason = pd.Series(reasons, index=labels.index, dtype=str)
    left = labels[reason == ""]
    facts = {
        "reasons": {
            name: {
                "pairs": int((reason == name).sum()),
                "queries": int(labels.loc[reason == name, "query_id"].nunique()),
            }
            for name in REASONS
        },
        "pairs_before": len(labels),
        "pairs_after": len(left),
        "queries_before": int(labels["query_id"].nunique()),
        "queries_after": int(left["query_id"].nunique()),
        "same_collection": same_collection,
    }
    return left.reset_index(drop=True), facts


class NearDuplicates:
    """Finds whether a query shares most of its terms with one of others: Jaccard similarity."""

    def __init__(
        self, texts: Sequence[str], terms: Callable[[str], Iterable[str]], threshold: float
    ) -> None:
        """Index the terms of the other queries."""
        self._terms_of, self._threshold = terms, threshold
        self._terms = [frozenset(terms(text)) for text in texts]
        self._with: dict[str, list[int]] = defaultdict(list)
        for row, found in enumerate(self._terms):
            for term in found:
                self._with[term].append(row)

    def holds(self, text: str) -> bool:
        """Whether the similarity to one of the others reaches the threshold."""
        terms = frozenset(self._terms_of(text))
        rows = {row for term in terms for row in self._with.get(term, ())}
        return any(
            len(terms & self._terms[row]) / len(terms | self._terms[row]) >= self._threshold
            for row in rows
        )


def _judged_texts(
    passages: pd.DataFrame, judgments: pd.DataFrame, documents: pd.DataFrame | None
) -> tuple[set[str], bool]:
    """Passages whose text, or whose document's text, was judged; and whether all is one corpus."""
    if documents is None or documents.empty:
        return set(), documents is None
    judged_ids = set(judgments["document_id"])
    judged = documents[documents["document_id"].isin(judged_ids)]
    hashes = {_hash(text) for text in judged["text"]} - {_hash("")}
    # A document without text is known by its title.
    hashes |= {
        _hash(t) for t, body in zip(judged["title"], judged["text"], strict=True) if not body
    }
    alone = passages["text"].where(passages["text"].str.strip() != "", passages["title"]).map(_hash)
    whole = passages.groupby("document_id", sort=False)["text"].agg(" ".join).map(_hash)
    held = alone.isin(hashes) | passages["document_id"].map(whole).isin(hashes)
    found = set(alone[held]) | set(passages["document_id"].map(whole)[held])
    if hashes and len(found & hashes) / len(hashes) > _SAME_COLLECTION:
        return set(), True
    return set(passages.loc[held, "passage_id"]), False


def _hash(text: str) -> str:
    return hex_digest(normalised(text), 12)
