"""What all synthesizers share: seed passages, ids, repeatable choices, keyboard typos."""

import re

import numpy as np
import pandas as pd

from relevance_distillery.io.digests import digest_number, hex_digest
from relevance_distillery.schemas import Queries

_NEIGHBOURING_KEYS = {
    "a": "sqz", "b": "vn", "c": "xv", "d": "sfe", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o",
    "q": "wa", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc",
    "y": "tu", "z": "x",
}  # fmt: skip
_LONG_WORD = re.compile(r"(?<![\w-])[A-Za-z][a-z]{4,}(?![\w-])")


def query_table(rows: list[tuple[str, str, str, int, str, str, str]]) -> pd.DataFrame:
    """A table with schema `Queries`, of rows in the order of its columns."""
    columns = list(Queries.to_schema().columns)
    return pd.DataFrame(rows, columns=columns).astype({"frequency": "int64"})


def digest(*parts: object) -> str:
    """Twelve hexadecimal digits of some values."""
    return hex_digest(repr(parts))


def hashed(seed: int, *parts: str) -> int:
    """A 64-bit integer that depends on the seed and the parts alone, not on their order in a table.

    Choices made from it stay as they are when other documents come or go.
    """
    return digest_number("\x1f".join((str(seed), *parts)))


def choose_seeds(passages: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Up to `count` rows of `passages` to write queries for, in the order of choice.

    Every document gives one passage before any gives a second one; within a document and
    among documents the order is random.
    """
    keys = [hashed(seed, "passage", name) for name in passages["passage_id"]]
    owners = {name: hashed(seed, "document", name) for name in passages["document_id"].unique()}
    table = passages.assign(_key=keys, _owner=passages["document_id"].map(owners))
    table = table.sort_values(["_key", "passage_id"], kind="stable")
    table["_round"] = table.groupby("document_id", sort=False).cumcount()
    table = table.sort_values(["_round", "_owner", "document_id"], kind="stable")
    return table.drop(columns=["_key", "_owner", "_round"]).head(count).reset_index(drop=True)


def misspell(text: str, rng: np.random.Generator) -> str:
    """The text with one keyboard typo in one word of at least five letters, if there is one.

    The kinds follow what spelling research finds most often (Damerau, 1964): two letters
    swapped, one replaced by its neighbour on the keyboard, one dropped, one doubled. The
    first letter stays, as it mostly does. Capitals, numbers and short words are left alone,
    since a typo there makes another name of it.
    """
    words = list(_LONG_WORD.finditer(text))
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
        near = _NEIGHBOURING_KEYS[letter]
        changed = word[:place] + near[int(rng.integers(len(near)))] + word[place + 1 :]
    elif kind == "drop":
        changed = word[:place] + word[place + 1 :]
    else:
        changed = word[:place] + letter + word[place:]
    return text[: match.start()] + changed + text[match.end() :]
