"""One copy of each document: exact copies by hash, near copies by verified Jaccard similarity.

Near copies are found with MinHash and locality-sensitive hashing (Broder, 1997; Leskovec,
Rajaraman & Ullman, Mining of Massive Datasets, chapter 3), then verified on the true sets,
so that the hashing only ever saves comparisons. Two versions of a policy differ in a year
and a few figures and are different documents to their readers: a near copy must also agree
in every number.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection

import pandas as pd
from datasketch import MinHash, MinHashLSH

from relevance_distillery.io.digests import hex_digest

_SHINGLE = 3
_PERMUTATIONS = 128
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")


def normalise(text: str) -> str:
    """Text as it counts for sameness: NFKC, case folded, words separated by single spaces."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def text_digest(text: str) -> str:
    """Sixteen hexadecimal digits of a text's normalised form."""
    return hex_digest(normalise(text), 8)


def _shingles(words: list[str]) -> frozenset[str]:
    if len(words) < _SHINGLE:
        return frozenset([" ".join(words)])
    spans = range(len(words) - _SHINGLE + 1)
    return frozenset(" ".join(words[start : start + _SHINGLE]) for start in spans)


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right)


def deduplicate(
    documents: pd.DataFrame,
    *,
    near: float | None = 0.95,
    keep: Collection[str] = (),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Drop copies; the newest of a group stays, among equals the first path.

    Args:
        documents: The `documents` table.
        near: Jaccard similarity of word trigrams of title and text from which two documents
            with the same numbers are copies; None drops exact copies only.
        keep: Ids that are never dropped, since a benchmark judges them.

    Returns:
        The remaining documents in their old order, and the dropped: columns path (or id),
        where (`copy of ID`), reason (`exact duplicate` or `near duplicate`).
    """
    kept_ids = frozenset(keep)
    order = documents.assign(droppable=~documents["document_id"].isin(kept_ids))
    order = order.sort_values(["path", "document_id"], kind="stable")
    order = order.sort_values("modified", ascending=False, kind="stable")
    order = order.sort_values("droppable", kind="stable")

    exact: dict[str, str] = {}
    index = None if near is None else MinHashLSH(threshold=near * 0.95, num_perm=_PERMUTATIONS)
    sets: dict[str, frozenset[str]] = {}
    numbers: dict[str, Counter[str]] = {}
    dropped: list[tuple[str, str, str, str]] = []
    for row in order.itertuples(index=False):
        identifier, name = str(row.document_id), str(row.path or row.document_id)
        whole = normalise(f"{row.title}\n{row.text}")
        digest = text_digest(str(row.text) or str(row.title))
        twin = exact.get(digest)
        if twin is not None and row.droppable:
            dropped.append((identifier, name, f"copy of {twin}", "exact duplicate"))
            continue
        exact.setdefault(digest, identifier)
        if index is None:
            continue
        shingles = _shingles(whole.split())
        figures = Counter(_NUMBER.findall(whole))
        sketch = MinHash(num_perm=_PERMUTATIONS, seed=1)
        sketch.update_batch([shingle.encode() for shingle in sorted(shingles)])
        if row.droppable:
            similar = [
                (-_jaccard(shingles, sets[other]), other)
                for other in sorted(index.query(sketch))
                if numbers[other] == figures
            ]
            if similar and -min(similar)[0] >= (near or 0.0):
                twin = min(similar)[1]
                dropped.append((identifier, name, f"copy of {twin}", "near duplicate"))
                continue
        index.insert(identifier, sketch)
        sets[identifier], numbers[identifier] = shingles, figures
    gone = {identifier for identifier, *_ in dropped}
    remaining = documents[~documents["document_id"].isin(gone)].reset_index(drop=True)
    rows = [(name, where, reason) for _, name, where, reason in sorted(dropped)]
    return remaining, pd.DataFrame(rows, columns=["path", "where", "reason"]).astype(str)
