"""What Markdown marks: sections under their headings, emphasis, and the words alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEADING = re.compile(r"^(#{1,6})[ \t]+(.*?)[ \t#]*$")
_FENCE = re.compile(r"^[ \t]*(```|~~~)")
_IMAGE = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)")
_LINK = re.compile(r"\[([^\]\n]+)\]\([^)\n]*\)")
_REFERENCE = re.compile(r"\[([^\]\n]+)\]\[[^\]\n]*\]")
_URL = re.compile(r"<?\bhttps?://[^\s>)\]]+>?")
_EMPHASIS = re.compile(r"(\*\*\*|\*\*|__|\*|(?<!\w)_)(?=\S)(.+?)(?<=\S)(\1)(?!\w)")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>")
_BULLET = re.compile(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]+")
_QUOTE = re.compile(r"^[ \t]*>+[ \t]?")
_RULE = re.compile(r"^[ \t]*(?:[-*_][ \t]*){3,}$|^[ \t|:-]+$")
_BOLD = re.compile(r"\*\*(?=\S)(.{2,80}?)(?<=\S)\*\*")


@dataclass(frozen=True)
class Section:
    """Text under one heading.

    Attributes:
        path: The headings above the text, outermost first; empty before the first heading.
        body: The text without its heading.
    """

    path: tuple[str, ...]
    body: str


def sections(text: str) -> list[Section]:
    """Split Markdown at its `#` headings, code blocks left whole.

    Returns:
        Sections in order; one without text is left out unless nothing follows below it.
    """
    found: list[Section] = []
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""

    def close() -> None:
        body = "\n".join(lines).strip("\n")
        if body.strip():
            found.append(Section(tuple(name for _, name in path), body))
        lines.clear()

    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark and (not fence or mark.group(1) == fence):
            fence = "" if fence else mark.group(1)
        heading = None if fence or mark else _HEADING.match(line)
        if heading is None:
            lines.append(line)
            continue
        close()
        level = len(heading.group(1))
        path = [entry for entry in path if entry[0] < level]
        path.append((level, plain(heading.group(2))))
    close()
    return found


def without_links(text: str) -> str:
    """Markdown with the words of links and images, without their targets."""
    return _REFERENCE.sub(r"\1", _LINK.sub(r"\1", _IMAGE.sub(r"\1", text)))


def plain(text: str) -> str:
    """One line of Markdown as its words: no emphasis, links, tags or code marks."""
    text = _URL.sub(" ", without_links(text))
    text = _TAG.sub(" ", text).replace("`", "")
    for _ in range(2):
        text = _EMPHASIS.sub(r"\2", text)
    return " ".join(text.replace("\\", "").split())


def blocks(text: str) -> list[str]:
    """The sentences' surroundings: paragraphs, list items and table cells as plain text.

    Words of one block belong together; a phrase never spans two of them.
    """
    found: list[str] = []
    paragraph: list[str] = []
    fence = False

    def close() -> None:
        if paragraph:
            found.append(plain(" ".join(paragraph)))
            paragraph.clear()

    for raw in text.split("\n"):
        if _FENCE.match(raw):
            fence = not fence
            close()
            continue
        line = _QUOTE.sub("", raw)
        if not line.strip() or _RULE.match(line):
            close()
        elif fence:
            continue
        elif line.lstrip().startswith("|"):
            close()
            found.extend(plain(cell) for cell in line.strip().strip("|").split("|"))
        elif heading := _HEADING.match(line):
            close()
            found.append(plain(heading.group(2)))
        else:
            if _BULLET.match(line):
                close()
            paragraph.append(_BULLET.sub("", line).strip())
    close()
    return [block for block in found if block]


def bold(text: str) -> list[str]:
    """Bold text as plain text, in order."""
    return [plain(match) for match in _BOLD.findall(text)]
