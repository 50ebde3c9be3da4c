"""How many tokens a text has, where its model's tokenizer is not at hand.

A byte-pair vocabulary holds the common words of the languages that it was made for, cuts the
rest into pieces of three or four letters, and numbers into groups of up to three digits. So the
estimate looks at words, not at characters: an English word up to eight letters is one token,
every four further letters are one more. Measured characters a token:

| text | o200k (gpt-4o) | cl100k (gpt-4) | tekken (Mistral) | this estimate |
|---|---|---|---|---|
| English office prose, Markdown | 3.7 | 3.7 | 3.5 | 3.8 |
| Python source | 4.3 | 4.3 | 4.1 | 4.0 |
| file paths | 3.5 | 3.7 | 3.0 | 3.1 |
| hexadecimal ids | 1.7 | 1.7 | 1.1 | 1.8 |
| German, French, Spanish | 4.7 | 3.9 | 4.5 | 4.5 |
| Russian | 4.3 | 2.2 | 3.5 | 2.7 |
| Chinese, Japanese | 1.3 | 0.8 | 1.2 | 1.0 |
| Korean | 1.8 | 1.1 | 1.8 | 1.5 |
| Arabic | 3.4 | 1.4 | 3.3 | 3.0 |

On English it is within 10 % of all three. On other scripts vocabularies differ by a factor of
two and more, so the estimate lies between them and may be wrong by half.
"""

from __future__ import annotations

import math
import re

_PIECES = re.compile(
    r"(?P<latin>[A-Za-z\u00c0-\u024f]+)"
    r"|(?P<digits>[0-9]+)"
    r"|(?P<ideograph>[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])"
    r"|(?P<hangul>[\uac00-\ud7af])"
    # Vowel signs of Indic scripts and Thai are marks, not letters, to Unicode.
    r"|(?P<letters>(?:[^\W\d_]|[\u0300-\u036f\u0590-\u0fff])+)"
    r"|(?P<space>\s+)"
    r"|(?P<mark>.)",
    re.DOTALL,
)
_WORD = 8
_PIECE = 4.0
_ACCENTED = 3.3
_OTHER_SCRIPT = 2.5
_DIGITS = 3
_DIGIT_GROUP = 1.1
_MARK = 0.8
"""Less than one: a comma or bracket often joins its neighbour."""


def estimate_tokens(text: str) -> int:
    """Tokens of a text by the words, digits and marks in it.

    Args:
        text: Any text.

    Returns:
        0 for an empty text, else at least 1.
    """
    total = 0.0
    for match in _PIECES.finditer(text):
        piece, kind = match.group(), match.lastgroup
        if kind == "latin":
            total += _latin(piece)
        elif kind == "digits":
            total += math.ceil(len(piece) / _DIGITS) * _DIGIT_GROUP
        elif kind == "ideograph":
            total += 1.0
        elif kind == "hangul":
            total += 0.9
        elif kind == "letters":
            total += max(1.0, len(piece) / _OTHER_SCRIPT)
        elif kind == "space":
            # A single space belongs to the word behind it.
            total += 0.0 if piece == " " else 1.0 if "\n" in piece else 0.5
        else:
            total += _MARK
    return max(1, round(total)) if text else 0


def _latin(word: str) -> float:
    if word.isascii():
        return 1.0 if len(word) <= _WORD else 1.0 + (len(word) - _WORD) / _PIECE
    return max(1.3, len(word) / _ACCENTED)
