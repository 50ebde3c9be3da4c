"""One file's content into title, text and metadata: Markdown, plain text, HTML, PDF, DOCX."""

import datetime as dt
import io
import logging
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from relevance_distillery.documents.markdown import plain, sections
from relevance_distillery.documents.word_files import read_docx
from relevance_distillery.errors import UserError

_AUTHOR_KEYS = ("author", "authors", "owner", "by")
_DATE_KEYS = ("modified", "updated", "last_modified", "lastmod", "date", "created")
_FRONT_MATTER_LIMIT = 65_536
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"[\w-]+:(?:\s|$)|[ \t#-]|$")
_NOTHING = ("", "~", "null")
_TITLE_FIELD = re.compile(r"\s*(?:[\w-]+:.*\n)*?(?:title|subject):[ \t]*(\S.*)", re.IGNORECASE)
_RULE = re.compile(r"[ \t]*([-=~^\"'`*+#_.:])\1{2,}[ \t]*")
_NO_TITLE = re.compile(r"\S+:\s|\d+[.)]\s|.*(?:\t| {3}|[|{}<>=;\\]|[:,]$)")
_SENTENCE = re.compile(r"[^\W\d_].*[.!?。！？][\"'”»)]?")
_INSTALL = "pip install 'relevance-distillery[documents]'"
_DROPPED_TAGS = (
    "script", "style", "template", "noscript", "iframe", "svg", "nav",
    "button", "select", "textarea",
)  # fmt: skip


class UnreadableError(Exception):
    """A document that cannot be read; the message is its reason, without its content."""


@dataclass(frozen=True)
class Parsed:
    """What one file says; everything but the text may be empty.

    Attributes:
        title: From front matter, `<title>` or the first level-one heading; of text without any
            see `first_line_title`.
        text: The body as Markdown or plain text.
        author: Names, separated by commas.
        modified: ISO date, or as it was written.
        metadata: Other scalar fields of the front matter.
        note: What could not be used although the document was read.
    """

    title: str
    text: str
    author: str = ""
    modified: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def decode(content: bytes) -> str:
    """Text of a file in UTF-8, or UTF-16 with a byte order mark; UnreadableError for any other."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise UnreadableError("is not valid UTF-16") from error
    if b"\0" in content[:8_192]:
        raise UnreadableError("is a binary file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError("is not valid UTF-8; save it as UTF-8") from error


def iso_date(value: Any) -> str:
    """A date as `YYYY-MM-DD` where it is one, else the stripped text of it."""
    if isinstance(value, dt.datetime):
        return value.date().isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    text = "" if value is None else str(value).strip()
    match = re.match(r"(\d{4}-\d{2}-\d{2})(?:[T ]|$)", text)
    return match.group(1) if match else text


def names(value: Any) -> str:
    """One or several names as one line."""
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, (names(item) for item in value)))
    if isinstance(value, dict):
        return names(value.get("name"))
    return "" if value is None else " ".join(str(value).split())


def _front_matter(text: str) -> tuple[dict[str, Any], str, str]:
    """Fields as they are written, the text after them, and a note where they are broken.

    What stands between two lines `---` is front matter only where it is a YAML mapping; text
    between two thematic breaks stays text.
    """
    import yaml

    found = _FRONT_MATTER.match(text[:_FRONT_MATTER_LIMIT])
    if found is None:
        return {}, text, ""
    block, after = found.group(1), text[found.end() :].lstrip("\n")
    try:
        fields = yaml.load(block, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        lines = block.splitlines()
        prose = len(lines) == 1 and not re.search(r"[\[{\"']", block)
        if prose or not all(map(_FIELD.match, lines)):
            return {}, text, ""
        return {}, after, "kept without its front matter, which is not valid YAML"
    if isinstance(fields, dict):
        return {str(key).lower(): value for key, value in fields.items()}, after, ""
    return {}, text, ""


def first_line_title(text: str) -> str:
    r"""The title that text without headings gives itself; empty where it gives none.

    It is the value of `Title:` or `Subject:` in opening lines `key: value`. Else it is the first
    line, where that has at most 100 characters and 15 words, begins with a capital or a figure,
    holds neither tab, three blanks nor one of `|{}<>=;\`, is no `key: value` or item of a list
    and does not end in a colon or comma; and where a blank line or an underline follows, or it is
    a sentence, or in capitals above a line that is not.
    """
    if field_line := _TITLE_FIELD.match(text):
        return names(field_line.group(1))
    lines = text.strip().splitlines()
    if lines and _RULE.fullmatch(lines[0]):
        del lines[0]
    if len(lines) < 2:
        return ""
    line, below = lines[0].strip(), lines[1].strip()
    start = line.lstrip("\"'“„«¿¡(")[:1]
    if not start.isalnum() or start.islower() or not re.search(r"[^\W\d_]", line):
        return ""
    if len(line) > 100 or len(line.split()) > 15 or _NO_TITLE.match(line):
        return ""
    alone = not below or _RULE.fullmatch(below) or _SENTENCE.fullmatch(line)
    return line if alone or (line.isupper() and not below.isupper()) else ""


def _top_heading(text: str) -> str:
    top = next((found for found in sections(text, empty=True) if found.level == 1), None)
    return top.path[0] if top else ""


def _parse_text(content: bytes) -> Parsed:
    """Plain text, which may name its title in its first lines."""
    text = decode(content)
    return Parsed(first_line_title(text), text)


def _parse_markdown(content: bytes) -> Parsed:
    """Markdown with optional YAML front matter (title, author, date, anything else)."""
    fields, text, note = _front_matter(decode(content).replace("\r\n", "\n"))
    fields = {key: value for key, value in fields.items() if value not in _NOTHING}
    title = names(fields.pop("title", "")) or _top_heading(text)
    title = title or plain(first_line_title(text))
    author = next((names(fields.pop(key)) for key in _AUTHOR_KEYS if fields.get(key)), "")
    modified = next((iso_date(fields.pop(key)) for key in _DATE_KEYS if fields.get(key)), "")
    kept = {
        key: value
        for key, value in fields.items()
        if isinstance(value, str)
        or (isinstance(value, list) and all(isinstance(item, str) for item in value))
    }
    return Parsed(title, text, author, modified, kept, note)


@cache
def _html_converter() -> Any:
    """HTML to Markdown: terms of definition lists as bold lines, links and pictures dropped."""
    from markdownify import MarkdownConverter

    base: Any = MarkdownConverter
    block = base.convert_div

    class Converter(MarkdownConverter):
        convert_address = convert_aside = convert_center = convert_details = block
        convert_fieldset = convert_footer = convert_header = convert_legend = block
        convert_main = convert_summary = block

        def convert_a(self, el: Any, text: str, *args: Any, **kwargs: Any) -> str:
            return text

        def convert_img(self, el: Any, text: str, *args: Any, **kwargs: Any) -> str:
            return ""

        def convert_dt(self, el: Any, text: str, *args: Any, **kwargs: Any) -> str:
            return f"\n\n**{text.strip()}**\n" if text.strip() else ""

        def convert_dd(self, el: Any, text: str, *args: Any, **kwargs: Any) -> str:
            return f"{text.strip()}\n\n" if text.strip() else ""

    return Converter(
        heading_style="ATX",
        bullets="-",
        escape_misc=False,
        escape_asterisks=False,
        escape_underscores=False,
    )


def _decode_html(content: bytes) -> str:
    """As `decode`, or in the encoding that the page itself names."""
    from bs4.dammit import EncodingDetector

    try:
        return decode(content)
    except UnreadableError:
        named = EncodingDetector.find_declared_encoding(content, is_html=True)
        with suppress(LookupError, UnicodeDecodeError):
            return content.decode(named or "utf-8")
        raise


def _parse_html(content: bytes) -> Parsed:
    """HTML: title, meta author and date, the body as Markdown; scripts and styles dropped."""
    from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning

    text = _decode_html(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
            soup = BeautifulSoup(text, "lxml")
        for tag in soup(_DROPPED_TAGS):
            tag.decompose()
        meta = {
            str(tag.get("name") or tag.get("property") or "").lower(): str(tag.get("content") or "")
            for tag in soup("meta")
        }
        titles = (names(tag.get_text()) for tag in (soup.title, soup.find("h1")) if tag)
        title = next(filter(None, titles), "")
        for tag in soup(("head", "title")):
            tag.decompose()
        markdown = _html_converter().convert_soup(soup)
    except RecursionError as error:
        raise UnreadableError("is nested too deeply to be read as HTML") from error
    author = names(meta.get("author") or meta.get("article:author"))
    date_keys = ("last-modified", "modified", "article:modified_time", "date")
    modified = next((iso_date(meta[key]) for key in date_keys if meta.get(key)), "")
    return Parsed(title, markdown, author, modified)


def _parse_pdf(content: bytes) -> Parsed:
    """PDF through pypdf, pages separated by blank lines; ValueError where closed or a scan."""
    try:
        import pypdf
        import pypdf.errors
    except ImportError as error:
        raise UserError(f"PDF files need the extra `documents`: {_INSTALL}") from error
    # It says what it repairs without saying in which file.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
    except pypdf.errors.PdfReadError as error:
        raise ValueError("is no whole PDF file; save it again") from error
    # Who may not change a file may read it: its password for readers is empty.
    if reader.is_encrypted and not reader.decrypt(""):
        raise ValueError("is encrypted; save it without a password")
    text = "\n\n".join(filter(None, (page.extract_text().strip() for page in reader.pages)))
    if not text:
        raise ValueError("holds no text; recognise its scanned pages first")
    info: Any = reader.metadata
    modified = ""
    for name in ("modification_date", "creation_date"):
        with suppress(ValueError):
            date = getattr(info, name, None)
            modified = modified or (date.date().isoformat() if date else "")
    return Parsed(
        title=str(info.title or "") if info else "",
        text=text,
        author=str(info.author or "") if info else "",
        modified=modified,
    )


def _parse_docx(content: bytes) -> Parsed:
    """DOCX: heading styles as Markdown headings, tables as rows."""
    try:
        blocks, core = read_docx(content)
    except ImportError as error:
        raise UserError(f"DOCX files need the extra `documents`: {_INSTALL}") from error
    date = core.modified or core.created
    text = "\n\n".join(blocks)
    return Parsed(
        title=(core.title or "").strip() or _top_heading(text),
        text=text,
        author=(core.author or "").strip(),
        modified=date.date().isoformat() if date else "",
    )


PARSERS: dict[str, Callable[[bytes], Parsed]] = {
    **dict.fromkeys((".md", ".markdown", ".mdx"), _parse_markdown),
    **dict.fromkeys((".txt", ".text", ".rst"), _parse_text),
    **dict.fromkeys((".html", ".htm", ".xhtml"), _parse_html),
    ".pdf": _parse_pdf,
    ".docx": _parse_docx,
}
"""A parser for every suffix that is read; `.gz` may follow any of them."""
CONTAINERS = (".pdf", ".docx")
"""Suffixes of what is no text."""


def parse(content: bytes, kind: str) -> Parsed:
    """The content of a file with a suffix of `PARSERS`.

    Raises:
        UnreadableError: It is not what its suffix says.
        UserError: Its parser is not installed.
    """
    try:
        return PARSERS[kind](content)
    except (UnreadableError, UserError):
        raise
    except ValueError as error:
        # pypdf and python-docx raise many kinds; only our own ValueErrors have fixed texts.
        own = type(error) is ValueError and kind in CONTAINERS and len(str(error)) < 80
        raise UnreadableError(str(error) if own else "cannot be parsed") from error
    except Exception as error:
        raise UnreadableError(f"cannot be parsed ({type(error).__name__})") from error
