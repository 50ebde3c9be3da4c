"""Rows of CSV and TSV, also where a quotation mark is no more than a character."""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

Skip = Callable[[int, str], None]
"""Called with a row's number (1 for the first line) and the reason why it was skipped."""

Rows = Iterator[tuple[int, dict[str, Any]]]
"""The number of a row's last line, and its cells by column."""

_ENCLOSED = re.compile(r'"([^"]*(?:""[^"]*)*)"(?=\t|\Z)')
_OPEN = re.compile(r'"[^"]*(?:""[^"]*)*\Z')
_SWALLOWED = "a quotation mark opens a cell that takes in the rows after it; double or remove it"


class Lines:
    """Numbered lines that can be looked at before they are taken."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines, self._ahead = lines, deque[tuple[int, str]]()
        self.number = 0

    def peek(self, further: int = 0) -> str | None:
        """A line that was not taken yet; None after the last."""
        while len(self._ahead) <= further:
            following = next(self._lines, None)
            if following is None:
                return None
            self._ahead.append(following)
        return self._ahead[further][1]

    def take(self) -> str | None:
        """The next line; None after the last."""
        if self.peek() is None:
            return None
        self.number, line = self._ahead.popleft()
        return line

    @property
    def headless(self) -> bool:
        """Whether the first line could not be read."""
        return self.peek() is not None and self._ahead[0][0] > 1

    def delimiter(self) -> str:
        """What parts the cells of a header, whatever the file's name: comma, tab or semicolon."""
        header = self.peek() or ""
        return next((mark for mark in ",\t;" if mark in header), ",")


def tsv_rows(lines: Lines, skip: Skip) -> Rows:
    """Rows of cells between tabs, of which a quotation mark encloses a whole cell or is text."""
    while lines.peek() is not None and not (lines.peek() or "").strip():
        lines.take()
    header = list(_cells(lines, 0))
    while lines.peek() is not None:
        if not (lines.peek() or "").strip(" "):
            lines.take()
            continue
        cells = list(_cells(lines, len(header)))
        if len(cells) > len(header):
            skip(lines.number, "has more cells than the header")
        else:
            filled = [*cells, *[None] * (len(header) - len(cells))]
            yield lines.number, dict(zip(header, filled, strict=True))


def _cells(lines: Lines, width: int) -> Iterator[str]:
    """The cells of the next row."""
    text = lines.take() or ""
    while True:
        enclosed = _ENCLOSED.match(text)
        if enclosed is None and _OPEN.match(text):
            text = _joined(text, lines, width)
            enclosed = _ENCLOSED.match(text)
        if enclosed is None:
            cell, tab, text = text.partition("\t")
        else:
            cell = enclosed.group(1).replace('""', '"')
            tab, text = text[enclosed.end() : enclosed.end() + 1], text[enclosed.end() + 1 :]
        yield cell
        if not tab:
            return


def _joined(text: str, lines: Lines, width: int) -> str:
    """`text` and the lines up to the end of the cell that it opens; `text` alone without one."""
    parts = [text]
    while (line := lines.peek(len(parts) - 1)) is not None:
        # A line that is a row by itself is no part of a cell.
        if width > 1 and line.count("\t") >= width - 1 and not _closes(parts, line):
            return text
        parts.append(line)
        if '"' in line:
            whole = "\n".join(parts)
            if _ENCLOSED.match(whole):
                for _ in parts[1:]:
                    lines.take()
                return whole
            if not _OPEN.match(whole):
                return text
    return text


def _closes(parts: list[str], line: str) -> bool:
    """Whether the open cell ends in this line, before its first tab."""
    return _ENCLOSED.match("\n".join([*parts, line.partition("\t")[0]])) is not None


def csv_rows(lines: Lines, skip: Skip, max_row_mb: float) -> Rows:
    """Rows of cells between commas (or semicolons), quoted where they hold these, `"` or lines."""
    mark = ";" if lines.delimiter() == ";" else ","
    csv.field_size_limit(int(max_row_mb * 1_000_000))
    taken: list[str] = []

    def raw() -> Iterator[str]:
        while (line := lines.take()) is not None:
            taken.append(line)
            # Files of old Macs end their lines so.
            yield from (f"{part}\n" for part in line.split("\r"))

    rows = csv.DictReader(raw(), delimiter=mark)
    while True:
        taken.clear()
        try:
            record = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"larger than {max_row_mb:g} MB" if "limit" in str(error) else "broken CSV"
            skip(lines.number, reason)
            continue
        if _swallowed(taken, len(rows.fieldnames or ()), mark):
            skip(lines.number - len(taken) + 1, _SWALLOWED)
        elif None in record:
            skip(lines.number, "has more cells than the header")
        else:
            yield lines.number, dict(record)


def _swallowed(taken: list[str], width: int, mark: str) -> bool:
    """Whether a record of several lines holds rows of the file in one of its cells."""
    while taken and not taken[0].strip():
        taken = taken[1:]
    if len(taken) < 2:
        return False
    if sum(line.count('"') for line in taken) % 2:
        return True
    inner = taken[1:-1]
    return width > 2 and bool(inner) and all(line.count(mark) == width - 1 for line in inner)
