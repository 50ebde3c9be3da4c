"""Documents without control characters, boilerplate and copies.

Near copies are found exactly. Two versions of a policy differ in a year and a few figures, two
job offers in C++ and C#, and are different documents to their readers: a copy must also agree
in every number and every such sign.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection

import pandas as pd

from relevance_distillery.io.digests import hex_digest
from relevance_distillery.text.words import MARKS, cut, fold

_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2060\ufeff\ufffe]"
)
_TRAILING = re.compile(r"[ \t\u00a0]+$", flags=re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")
_COMMENT = re.compile(r"<!--.*?-->", flags=re.DOTALL)
_MIN_BOILERPLATE_WORDS = 3
_MIN_BOILERPLATE_DOCUMENTS = 10
_EDGE_LINES = 5
_SHINGLE = 3
_WORD = re.compile(rf"(?:\w+[{MARKS}]*)+")
_FIGURE = re.compile(r"(?<!\S)[-−]\d+|\d+|(?<=[^\W\d_])(?:\+\+|#)")


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


def find_boilerplate(texts: pd.Series, share: float) -> frozenset[str]:
    """Lines that open or close many documents: navigation, banners, footers.

    Only the first and last five non-blank lines of a document are looked at, headings and
    table rows never count, and a line needs three words and ten documents, so that a short
    answer which happens to recur is not taken for a footer. A line counts from this share of the
    documents on.
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
    removed, lines = 0, frozenset[str]()
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
    """Text as it counts for sameness: folded words by single spaces; without words, its signs."""
    folded = fold(text)
    return " ".join(_WORD.findall(folded) or folded.split())


def text_digest(text: str) -> str:
    """Sixteen hexadecimal digits of a text's normalised form."""
    return hex_digest(normalise(text), 8)


def deduplicate(
    documents: pd.DataFrame, *, near: float | None = 0.95, keep: Collection[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Drop copies; the newest of a group stays, among equals the first path.

    `near` is the Jaccard similarity of word trigrams of title and text from which two documents
    with the same numbers are copies; None drops exact copies only. Ids in `keep` are never dropped,
    since a benchmark judges them.

    Returns:
        The remaining documents in their old order, and the dropped: columns path (or id),
        where (`copy of ID`), reason (`exact duplicate` or `near duplicate`).
    """
    order = documents.assign(droppable=~documents["document_id"].isin(frozenset(keep)))
    order = order.sort_values(
        ["droppable", "modified", "path", "document_id"], ascending=[True, False, True, True]
    )
    exact: dict[tuple[str, ...], str] = {}
    dropped: list[tuple[str, str, str, str]] = []
    rest: list[tuple[str, str, bool]] = []
    texts: list[tuple[frozenset[str], Counter[str]]] = []
    for row in order.itertuples(index=False):
        identifier, name = str(row.document_id), str(row.path or row.document_id)
        alone = str(row.text) or str(row.title)
        key = (text_digest(alone), *_figures(alone))
        original = exact.get(key)
        if original is not None and row.droppable:
            dropped.append((identifier, name, f"copy of {original}", "exact duplicate"))
            continue
        exact.setdefault(key, identifier)
        rest.append((identifier, name, bool(row.droppable)))
        whole = f"{row.title}\n{row.text}"
        texts.append((_shingles(whole), Counter(_figures(whole))))
    if near is not None:
        index = _NearCopies([shingles for shingles, _ in texts], near)
        for place, (identifier, name, droppable) in enumerate(rest):
            alike = index.earlier(place) if droppable else []
            alike = [found for found in alike if texts[found[1]][1] == texts[place][1]]
            if alike:
                original = min((-similarity, rest[other][0]) for similarity, other in alike)[1]
                dropped.append((identifier, name, f"copy of {original}", "near duplicate"))
            else:
                index.add(place)
    dropped_ids = {identifier for identifier, *_ in dropped}
    remaining = documents[~documents["document_id"].isin(dropped_ids)].reset_index(drop=True)
    rows = [(name, where, reason) for _, name, where, reason in sorted(dropped)]
    return remaining, pd.DataFrame(rows, columns=["path", "where", "reason"]).astype(str)


def _figures(text: str) -> list[str]:
    return _FIGURE.findall(fold(text))


def _shingles(text: str) -> frozenset[str]:
    """Word trigrams; none where there are no words, since signs repeat as in no copy."""
    words = cut(_WORD.findall(fold(text)))
    starts = range(max(1, len(words) - _SHINGLE + 1)) if words else ()
    return frozenset(" ".join(words[at : at + _SHINGLE]) for at in starts)


class _NearCopies:
    """Finds all sets that reach a Jaccard similarity, by the prefixes of Bayardo et al. (2007).

    Of two sets in one order, rare shingles first, the beginnings share a shingle unless too
    much differs; so only sets whose beginnings do are compared, and no pair is missed.
    """

    def __init__(self, sets: list[frozenset[str]], near: float) -> None:
        self._sets, self._near = sets, near
        self._known: dict[str, list[int]] = {}
        self._counts = Counter(shingle for one in sets for shingle in one)

    def earlier(self, place: int) -> list[tuple[float, int]]:
        """Similarity and place of the added sets that reach the threshold."""
        one = self._sets[place]
        others = {
            other for shingle in self._beginning(one) for other in self._known.get(shingle, ())
        }
        found = [
            (len(one & self._sets[other]) / len(one | self._sets[other]), other) for other in others
        ]
        return [(similarity, other) for similarity, other in found if similarity >= self._near]

    def add(self, place: int) -> None:
        """Make a set one that later sets may be copies of."""
        for shingle in self._beginning(self._sets[place]):
            self._known.setdefault(shingle, []).append(place)

    def _beginning(self, one: frozenset[str]) -> list[str]:
        # Rounding may only ever make it longer.
        length = len(one) - math.ceil(self._near * len(one) - 1e-6) + 1
        return sorted(one, key=lambda shingle: (self._counts[shingle], shingle))[:length]
