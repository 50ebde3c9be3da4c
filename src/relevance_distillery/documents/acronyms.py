"""Acronyms and what they stand for, by what a corpus says: `performance plan (PIP)`, `PIP (…)`.

The long form must spell the acronym with the initials of its words, stop words skipped or not
(Schwartz & Hearst, 2003, in its strictest form).
"""

import re

import pandas as pd

from relevance_distillery.documents.markdown import blocks
from relevance_distillery.text.language import WORD, Language

ACRONYM = re.compile(r"(?<![\w-])[A-Z][A-Z0-9]{1,5}\b(?!-)")
_SHORT_IN_BRACKETS = re.compile(r"((?:[\w'’&-]+ ){1,8})\(([A-Z][A-Z0-9]{1,5})s?\)")
_LONG_IN_BRACKETS = re.compile(r"\b([A-Z][A-Z0-9]{1,5}) ?\(([\w'’& -]{5,70})\)")
_UNMARKED_DOCUMENTS = 2
"""In so many documents a phrase must fit an acronym unsaid, with two letters in twice as many."""
_SAID = re.compile(
    r"\b([A-Z][A-Z0-9]{1,5}) ?(?:=|:|means|stands for|is short for) ?(?:the )?([\w'’& -]{5,70})"
)


def expansions(passages: pd.DataFrame, language: Language) -> dict[str, tuple[str, ...]]:
    """Every acronym of a `passages` table with the long forms that the table gives for it.

    They are in lower case, in order of first use; an ambiguous acronym has several.
    """
    found: dict[str, dict[str, None]] = {}
    holders: dict[tuple[str, str], set[str]] = {}

    def note(short: str, long: str) -> None:
        if long and long != short.lower():
            found.setdefault(short, {})[long] = None

    for row in passages.itertuples(index=False):
        for pair in _spelled_out(f"{row.title}\n{row.heading}\n{row.text}", language):
            holders.setdefault(pair, set()).add(str(row.document_id))
        for block in (str(row.title), str(row.heading), *blocks(str(row.text))):
            for before, short in _SHORT_IN_BRACKETS.findall(block):
                note(short, _long_form(before.split(), short, language, before=True))
            for pattern in (_LONG_IN_BRACKETS, _SAID):
                for short, after in pattern.findall(block):
                    note(short, _long_form(WORD.findall(after), short, language, before=False))
    for (short, long), documents in sorted(holders.items()):
        if len(documents) >= (_UNMARKED_DOCUMENTS if len(short) > 2 else 2 * _UNMARKED_DOCUMENTS):
            note(short, long)
    return {short: tuple(longs) for short, longs in sorted(found.items())}


def _spelled_out(text: str, language: Language) -> set[tuple[str, str]]:
    """(acronym, phrase with its initials) where one text has both, without saying so."""
    shorts = {short for short in ACRONYM.findall(text) if short.isalpha()}
    if not shorts:
        return set()
    pairs: set[tuple[str, str]] = set()
    lengths = {len(short) for short in shorts}
    for block in text.split("\n"):
        words = [word.lower() for word in WORD.findall(block)]
        content = [at for at, word in enumerate(words) if word not in language.stop_words]
        for length in lengths:
            for start in range(len(content) - length + 1):
                span = content[start : start + length]
                # Stop words may be in between ("bill of materials"), but no more than one each.
                if span[-1] - span[0] > 2 * (length - 1):
                    continue
                short = "".join(words[at][0] for at in span).upper()
                if short in shorts and not {word.upper() for word in words} & {short}:
                    pairs.add((short, " ".join(words[span[0] : span[-1] + 1])))
    return pairs


def _spells(words: list[str], short: str, language: Language) -> bool:
    letters = short.lower()
    initials = "".join(word[0].lower() for word in words)
    content = [word for word in words if word.lower() not in language.stop_words]
    return len(content) > 1 and letters in (initials, "".join(word[0].lower() for word in content))


def _long_form(words: list[str], short: str, language: Language, *, before: bool) -> str:
    """The words right before or right after an acronym that spell it; empty if none do."""
    for count in range(2, min(len(words), len(short) + 3) + 1):
        span = words[-count:] if before else words[:count]
        if before and span[0].lower() in language.stop_words:
            continue
        if _spells(span, short, language):
            return " ".join(span).lower()
    return ""
