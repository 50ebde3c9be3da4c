"""What Markdown marks: sections under their headings, emphasis, and the words alone."""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-{2,})[ \t]*$")
_FENCE = re.compile(r"^[ \t]*(```|~~~)")
_IMAGE = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)")
_LINK = re.compile(r"\[([^\]\n]+)\]\([^)\n]*\)")
_REFERENCE = re.compile(r"\[([^\]\n]+)\]\[[^\]\n]*\]")
_URL = re.compile(r"<?\bhttps?://[^\s>)\]]+>?")
_EMPHASIS = re.compile(r"(\*\*\*|\*\*|__|\*|(?<!\w)_)(?=\S)(.+?)(?<=\S)(\1)(?!\w)")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>")
_BULLET = re.compile(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]+")
_QUOTE = re.compile(r"^[ \t]*>+[ \t]?")
_RULE = re.compile(r"^[ \t]*(?:[-*_][ \t]*){3,}$|^[ \t|:-]+$|^[ \t]*={3,}[ \t]*$")
_BOLD = re.compile(r"\*\*(?=\S)(.{2,80}?)(?<=\S)\*\*")


@dataclass(frozen=True)
class Section:
    """Text under one heading.

    Attributes:
        path: The headings above the text, outermost first; empty before the first heading.
        body: The text without its heading.
        level: Of its heading, 1 to 6; 0 before the first.
    """

    path: tuple[str, ...]
    body: str
    level: int = 0


def sections(text: str, empty: bool = False) -> list[Section]:
    """Split Markdown at its headings, `#` or underlined, code blocks left whole.

    Sections without text are left out unless `empty`.
    """
    found: list[Section] = []
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""

    def open_section(level: int, name: str) -> None:
        close()
        path[:] = [entry for entry in path if entry[0] < level]
        path.append((level, plain(name)))

    def close() -> None:
        body = "\n".join(lines).strip("\n")
        if body.strip() or (empty and path):
            level = path[-1][0] if path else 0
            found.append(Section(tuple(name for _, name in path), body, level))
        lines.clear()

    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark and (not fence or mark.group(1) == fence):
            fence = "" if fence else mark.group(1)
        open_line = not fence and not mark
        if open_line and (heading := _HEADING.match(line)):
            open_section(len(heading.group(1)), heading.group(2))
        elif open_line and _UNDERLINE.match(line) and _may_be_underlined(lines):
            name = lines.pop()
            open_section(1 if "=" in line else 2, name)
        else:
            lines.append(line)
    close()
    return found


def _may_be_underlined(lines: list[str]) -> bool:
    """The last line is a paragraph of its own, no list item, quotation, table row or code."""
    if not lines or not lines[-1].strip() or (len(lines) > 1 and lines[-2].strip()):
        return False
    last = lines[-1]
    other = _BULLET.match(last) or _QUOTE.match(last) or _RULE.match(last) or _FENCE.match(last)
    return not other and "|" not in last and not last.startswith(("    ", "\t"))


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


_CODE = re.compile(r"(`+)(.{1,1000}?)\1")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_ADDRESS = re.compile(r"<(https?://[^\s<>]+)>")
_TASK = re.compile(r"^\[[ xX]\][ \t]+")
_SPAN = re.compile(r"(\*\*\*|\*\*|__|\*|(?<!\w)_)(?=\S)(.{1,400}?)(?<=\S)(\1)(?!\w)")
_HTML = re.compile(
    r"</?(?:(a|b|code|del|em|i|kbd|s|span|strong|su[bp]|u)|br|details|div|h[1-6]|hr|img|li|ol|p|"
    r"pre|summary|t[dhr]|table|ul)(?:\s+[\w-]+=(?:\"[^\"]*\"|'[^']*'|[^\s<>]+))*\s*/?>",
    re.IGNORECASE,
)
"""Tags; the first group has those that stand inside words."""


def shown(text: str) -> str:
    """Markdown as one line of what a page shows: words, code and addresses without their marks."""
    lines, fence, kept = [], "", list[str]()

    def keep(code: str) -> str:
        kept.append(code)
        return f"\ue000{len(kept) - 1}\ue001"

    def restored(text: str, of: Callable[[str], str]) -> str:
        parts = re.split("\ue000(\\d+)\ue001", text)
        return "".join(
            restored(kept[int(part)], str) if place % 2 else of(part)
            for place, part in enumerate(parts)
        )

    for raw in re.sub("[\ue000\ue001]", "", text).split("\n"):
        mark = _FENCE.match(raw)
        if mark and (not fence or mark.group(1) == fence):
            fence = "" if fence else mark.group(1)
        elif fence:
            lines.append(keep(raw.strip()))
        elif not _RULE.match(line := _QUOTE.sub("", raw)):
            if heading := _HEADING.match(line):
                line = heading.group(2)
            elif line.lstrip().startswith("|"):
                line = " · ".join(cell.strip() for cell in line.strip().strip("|").split("|"))
            elif _BULLET.match(line):
                number = line.split(maxsplit=1)[0]
                item = _TASK.sub("", _BULLET.sub("", line))
                line = f"{number if number[0].isdecimal() else '•'} {item}"
            lines.append(line)
    line = _CODE.sub(lambda found: keep(found.group(2).strip()), " ".join(lines))
    line = _ESCAPED.sub(lambda found: keep(found.group(1)), line)
    line = _ADDRESS.sub(r"\1", without_links(line))
    line = _HTML.sub(lambda found: "" if found.group(1) else " ", line)
    for _ in range(2):
        line = _SPAN.sub(r"\2", line)
    return " ".join(restored(line, html.unescape).split())
