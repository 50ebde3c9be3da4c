"""Slips of fingers: neighbouring keys, swapped, dropped and doubled letters."""

from __future__ import annotations

import re

import numpy as np

_NEIGHBOURS = {
    "a": "sqz", "b": "vn", "c": "xv", "d": "sfe", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o",
    "q": "wa", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc",
    "y": "tu", "z": "x",
}  # fmt: skip
_WORD = re.compile(r"(?<![\w-])[A-Za-z][a-z]{4,}(?![\w-])")


def misspell(text: str, rng: np.random.Generator) -> str:
    """The text with one slip in one word of at least five letters.

    The kinds follow what spelling research finds most often (Damerau, 1964): two letters
    swapped, one replaced by its neighbour on the keyboard, one dropped, one doubled. The
    first letter stays, as it mostly does. Capitals, figures and short words are left alone,
    since there a slip makes another name of it.

    Returns:
        The misspelt text; the same text where no word is long enough.
    """
    words = list(_WORD.finditer(text))
    if not words:
        return text
    match = words[int(rng.integers(len(words)))]
    word = match.group()
    place = int(rng.integers(1, len(word) - 1))
    kind = rng.choice(["swap", "neighbour", "drop", "double"], p=[0.4, 0.2, 0.25, 0.15])
    if kind == "swap" and word[place] == word[place + 1]:
        kind = "drop"
    letter = word[place]
    if kind == "swap":
        changed = word[:place] + word[place + 1] + letter + word[place + 2 :]
    elif kind == "neighbour":
        near = _NEIGHBOURS[letter]
        changed = word[:place] + near[int(rng.integers(len(near)))] + word[place + 1 :]
    elif kind == "drop":
        changed = word[:place] + word[place + 1 :]
    else:
        changed = word[:place] + letter + word[place:]
    return text[: match.start()] + changed + text[match.end() :]
