"""Documents without control characters, boilerplate and copies.

Near copies are found with MinHash and locality-sensitive hashing (Broder, 1997; Leskovec,
Rajaraman & Ullman, Mining of Massive Datasets, chapter 3), then verified on the true sets,
so that the hashing only ever saves comparisons. Two versions of a policy differ in a year
and a few figures and are different documents to their readers: a near copy must also agree
in every number.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection

import pandas as pd

from relevance_distillery.io.digests import hex_digest

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u2060\ufeff\ufffe]")
_TRAILING = re.compile(r"[ \t\u00a0]+$", flags=re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")
_COMMENT = re.compile(r"<!--.*?-->", flags=re.DOTALL)
_MIN_BOILERPLATE_WORDS = 3
_MIN_BOILERPLATE_DOCUMENTS = 10
_EDGE_LINES = 5
_SHINGLE = 3
_PERMUTATIONS = 128
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")


def clean_text(text: str) -> str:
    """Normalise one text: NFC, one kind of line end, no control characters, no HTML comments.

    Runs of blank lines become one; spaces inside a line stay, since they may indent
    lists and code.
    """
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", _COMMENT.sub("", text))
    text = _TRAILING.sub("", text.replace("\u00a0", " "))
    return _BLANK_LINES.sub("\n\n", text).strip("\n ")


def clean_line(text: str) -> str:
    """Normalise a title, path, author or date to one line."""
    return " ".join(clean_text(text).split())


def find_boilerplate(texts: pd.Series[str], share: float) -> frozenset[str]:
    """Lines that open or close many documents: navigation, banners, footers.

    Only the first and last five non-blank lines of a document are looked at, headings and
    table rows never count, and a line needs three words and ten documents, so that a short
    answer which happens to recur is not taken for a footer.

    Args:
        texts: One text a document.
        share: A line is boilerplate from this share of the documents on.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        edges = set(lines[:_EDGE_LINES]) | set(lines[-_EDGE_LINES:])
        counts.update(
            line
            for line in edges
            if len(line.split()) >= _MIN_BOILERPLATE_WORDS and line[0] not in "#|"
        )
    needed = max(_MIN_BOILERPLATE_DOCUMENTS, math.ceil(share * len(texts)))
    return frozenset(line for line, count in counts.items() if count >= needed)


def clean_documents(
    documents: pd.DataFrame, boilerplate_share: float | None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Clean every document; see `find_boilerplate` for the share, None keeps every line.

    Returns:
        The table with `title`, `text`, `path`, `author` and `modified` cleaned, and counts:
        `changed` documents, `boilerplate_lines` found, `boilerplate_removed` occurrences.
        A document that would lose all its text keeps it.
    """
    cleaned = documents.copy()
    for column in ("title", "path", "author", "modified"):
        cleaned[column] = documents[column].map(clean_line)
    cleaned["text"] = documents["text"].map(clean_text)
    removed = 0
    lines: frozenset[str] = frozenset()
    if boilerplate_share is not None:
        lines = find_boilerplate(cleaned["text"], boilerplate_share)
    if lines:
        texts: list[str] = []
        for text in cleaned["text"]:
            kept = [line for line in text.split("\n") if line.strip() not in lines]
            shorter = clean_text("\n".join(kept))
            removed += text.count("\n") + 1 - len(kept) if shorter else 0
            texts.append(shorter or text)
        cleaned["text"] = texts
    changed = int((cleaned["text"] != documents["text"]).sum())
    counts = {"changed": changed, "boilerplate_lines": len(lines), "boilerplate_removed": removed}
    return cleaned, counts


def normalise(text: str) -> str:
    """Text as it counts for sameness: NFKC, case folded, words separated by single spaces."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def text_digest(text: str) -> str:
    """Sixteen hexadecimal digits of a text's normalised form."""
    return hex_digest(normalise(text), 8)


def deduplicate(
    documents: pd.DataFrame, *, near: float | None = 0.95, keep: Collection[str] = ()
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
    # Imported here: it loads scipy.
    from datasketch import MinHash, MinHashLSH

    order = documents.assign(droppable=~documents["document_id"].isin(frozenset(keep)))
    order = order.sort_values(
        ["droppable", "modified", "path", "document_id"], ascending=[True, False, True, True]
    )

    exact: dict[str, str] = {}
    index = None if near is None else MinHashLSH(threshold=near * 0.95, num_perm=_PERMUTATIONS)
    sets: dict[str, frozenset[str]] = {}
    numbers: dict[str, Counter[str]] = {}
    dropped: list[tuple[str, str, str, str]] = []
    for row in order.itertuples(index=False):
        identifier, name = str(row.document_id), str(row.path or row.document_id)
        whole = normalise(f"{row.title}\n{row.text}")
        digest = text_digest(str(row.text) or str(row.title))
        original = exact.get(digest)
        if original is not None and row.droppable:
            dropped.append((identifier, name, f"copy of {original}", "exact duplicate"))
            continue
        exact.setdefault(digest, identifier)
        if index is None:
            continue
        words = whole.split()
        starts = range(max(1, len(words) - _SHINGLE + 1))
        shingles = frozenset(" ".join(words[at : at + _SHINGLE]) for at in starts)
        figures = Counter(_NUMBER.findall(whole))
        sketch = MinHash(num_perm=_PERMUTATIONS, seed=1)
        sketch.update_batch([shingle.encode() for shingle in sorted(shingles)])
        if row.droppable:
            similar = [
                (-len(shingles & sets[other]) / len(shingles | sets[other]), other)
                for other in sorted(index.query(sketch))
                if numbers[other] == figures
            ]
            if similar and -min(similar)[0] >= (near or 0.0):
                original = min(similar)[1]
                dropped.append((identifier, name, f"copy of {original}", "near duplicate"))
                continue
        index.insert(identifier, sketch)
        sets[identifier], numbers[identifier] = shingles, figures
    dropped_ids = {identifier for identifier, *_ in dropped}
    remaining = documents[~documents["document_id"].isin(dropped_ids)].reset_index(drop=True)
    rows = [(name, where, reason) for _, name, where, reason in sorted(dropped)]
    return remaining, pd.DataFrame(rows, columns=["path", "where", "reason"]).astype(str)
