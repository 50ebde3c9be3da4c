"""Text as people would want to read it: one Unicode form, no control characters, no boilerplate."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter

import pandas as pd

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u2060\ufeff\ufffe]")
_TRAILING = re.compile(r"[ \t\u00a0]+$", flags=re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")
_COMMENT = re.compile(r"<!--.*?-->", flags=re.DOTALL)
_MIN_BOILERPLATE_WORDS = 3
_MIN_BOILERPLATE_DOCUMENTS = 10
_EDGE_LINES = 5


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

    Returns:
        The stripped lines.
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
    """Clean every document.

    Args:
        documents: The `documents` table.
        boilerplate_share: See `find_boilerplate`; None keeps every line.

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
    counts = {
        "changed": changed,
        "boilerplate_lines": len(lines),
        "boilerplate_removed": removed,
    }
    return cleaned, counts
