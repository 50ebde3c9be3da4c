"""Cells of a spreadsheet: text that no spreadsheet runs as a formula, and back."""

from __future__ import annotations

import re

_DANGEROUS = re.compile(r"^'*[=+\-@\t\r\n＝＋－＠]")
_ESCAPED = re.compile(r"^'+[=+\-@\t\r\n＝＋－＠]")

LONGEST = 32_000
"""Characters; a spreadsheet's cell holds 32,767."""

_CUT = " […]"


def escape(text: str) -> str:
    """Text as a cell: an apostrophe goes before what a spreadsheet would take for a formula.

    Cells that begin with `= + - @`, a tab or a line break are formulas, or become some when
    the file is saved again (OWASP, CSV injection). Reversible by `unescape`, but for what is
    cut off after `LONGEST` characters.
    """
    cell = f"'{text}" if _DANGEROUS.match(text) else text
    return cell if len(cell) <= LONGEST else cell[: LONGEST - len(_CUT)] + _CUT


def unescape(cell: str) -> str:
    """The text of a cell that `escape` wrote."""
    return cell[1:] if _ESCAPED.match(cell) else cell
