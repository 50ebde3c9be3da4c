"""Query terms that the corpus does not know, mended by one edit (after Norvig, 2007)."""

from __future__ import annotations

import string
from collections.abc import Mapping

MIN_LENGTH = 4
"""Shorter terms are left alone: one edit turns them into too many other words."""


def nearest_known(term: str, frequencies: Mapping[str, int]) -> str | None:
    """The most frequent known term within one edit of an unknown one.

    An edit deletes, inserts or replaces a letter, or swaps two neighbours (Damerau, 1964).
    Terms with a digit are never mended: `2023` is not a misspelt `2024`.

    Args:
        term: A stemmed term.
        frequencies: Known stemmed terms and how many passages hold each.

    Returns:
        A key of `frequencies`, ties broken by the alphabet; None where nothing is near,
        or where the term is known already.
    """
    if term in frequencies or len(term) < MIN_LENGTH or not term.isalpha():
        return None
    letters = string.ascii_lowercase + "".join(sorted(set(term) - set(string.ascii_lowercase)))
    splits = [(term[:at], term[at:]) for at in range(len(term) + 1)]
    edits = {left + right[1:] for left, right in splits if right}
    edits |= {left + right[1] + right[0] + right[2:] for left, right in splits if len(right) > 1}
    edits |= {left + letter + right[1:] for left, right in splits if right for letter in letters}
    edits |= {left + letter + right for left, right in splits for letter in letters}
    known = [edit for edit in edits if edit in frequencies]
    return min(known, key=lambda edit: (-frequencies[edit], edit)) if known else None
