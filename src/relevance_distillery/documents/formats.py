"""One file's content into title, text and metadata: Markdown, plain text, HTML, PDF, DOCX."""

from __future__ import annotations

import datetime as dt
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import frontmatter
import yaml
from bs4 import BeautifulSoup, Tag, XMLParsedAsHTMLWarning
from markdownify import MarkdownConverter

from relevance_distillery.documents.office import parse_docx_bytes, parse_pdf_bytes

_AUTHOR_KEYS = ("author", "authors", "owner", "by")
_DATE_KEYS = ("modified", "updated", "last_modified", "lastmod", "date", "created")
_FRONT_MATTER_LIMIT = 65_536
_DROPPED_TAGS = ("script", "style", "template", "noscript", "iframe", "svg", "nav", "form")


class UnreadableError(Exception):
    """A document that cannot be read; the message is its reason, without its content."""


@dataclass(frozen=True)
class Parsed:
    """What one file says.

    Attributes:
        title: From front matter, `<title>` or the first level-one heading; may be empty.
        text: The body as Markdown or plain text.
        author: Names, separated by commas; may be empty.
        modified: ISO date, or as it was written; may be empty.
        metadata: Other scalar fields of the front matter.
        note: What could not be used although the document was read; usually empty.
    """

    title: str
    text: str
    author: str = ""
    modified: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def decode(content: bytes) -> str:
    """Text of a file in UTF-8, or in UTF-16 with a byte order mark.

    Raises:
        UnreadableError: The content is binary or in another encoding.
    """
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


def parse_markdown(content: bytes) -> Parsed:
    """Markdown with optional YAML front matter (title, author, date, anything else)."""
    text = decode(content)
    fields, note = {}, ""
    if text.startswith("---") and "\n---" in text[:_FRONT_MATTER_LIMIT]:
        try:
            post = frontmatter.loads(text)
            fields, text = dict(post.metadata), post.content
        except (yaml.YAMLError, ValueError, TypeError, RecursionError):
            note = "kept without its front matter, which is not valid YAML"
            text = re.sub(r"\A---.*?\n---[ \t]*(?:\n|\Z)", "", text, count=1, flags=re.DOTALL)
    fields = {str(key).lower(): value for key, value in fields.items()}
    title = names(fields.pop("title", "")) or _first_heading(text)
    author = next((names(fields.pop(key)) for key in _AUTHOR_KEYS if fields.get(key)), "")
    modified = next((iso_date(fields.pop(key)) for key in _DATE_KEYS if fields.get(key)), "")
    return Parsed(title, text, author, modified, _scalars(fields), note)


def _first_heading(text: str) -> str:
    match = re.search(r"^#[ \t]+(.+?)[ \t#]*$", text, flags=re.MULTILINE)
    return " ".join(match.group(1).split()) if match else ""


def _scalars(fields: dict[str, Any]) -> dict[str, Any]:
    """What can be kept of front matter: scalars and flat lists, never nested structures."""
    kept: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, str | int | float | bool):
            kept[key] = value
        elif isinstance(value, dt.date):
            kept[key] = value.isoformat()
        elif isinstance(value, list) and all(isinstance(item, str | int) for item in value):
            kept[key] = value
    return kept


def parse_text(content: bytes) -> Parsed:
    """Plain text; it has no title of its own."""
    return Parsed("", decode(content))


class _Converter(MarkdownConverter):
    """HTML to Markdown with questions of definition lists as bold lines, no link targets."""

    def convert_a(self, el: Tag, text: str, *args: Any, **kwargs: Any) -> str:
        return text

    def convert_img(self, el: Tag, text: str, *args: Any, **kwargs: Any) -> str:
        return ""

    def convert_dt(self, el: Tag, text: str, *args: Any, **kwargs: Any) -> str:
        return f"\n\n**{text.strip()}**\n" if text.strip() else ""

    def convert_dd(self, el: Tag, text: str, *args: Any, **kwargs: Any) -> str:
        return f"{text.strip()}\n\n" if text.strip() else ""


def parse_html(content: bytes) -> Parsed:
    """HTML: title, meta author and date, the body as Markdown; scripts and styles dropped."""
    text = decode(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
            soup = BeautifulSoup(text, "html.parser")
        for tag in soup(_DROPPED_TAGS):
            tag.decompose()
        meta = {
            str(tag.get("name") or tag.get("property") or "").lower(): str(tag.get("content") or "")
            for tag in soup("meta")
        }
        title = names(soup.title.get_text()) if soup.title else ""
        first = soup.find("h1")
        title = title or (names(first.get_text()) if first else "")
        body = soup.body or soup
        for tag in body("title"):
            tag.decompose()
        markdown = _Converter(heading_style="ATX", bullets="-", escape_misc=False).convert_soup(
            body
        )
    except RecursionError as error:
        raise UnreadableError("is nested too deeply to be read as HTML") from error
    author = names(meta.get("author") or meta.get("article:author"))
    date_keys = ("last-modified", "modified", "article:modified_time", "date")
    modified = next((iso_date(meta[key]) for key in date_keys if meta.get(key)), "")
    return Parsed(title, markdown, author, modified)


def parse_pdf(content: bytes) -> Parsed:
    """PDF through pypdf (extra `documents`), pages separated by blank lines."""
    return Parsed(**parse_pdf_bytes(content))


def parse_docx(content: bytes) -> Parsed:
    """DOCX through python-docx (extra `documents`), heading styles as Markdown headings."""
    return Parsed(**parse_docx_bytes(content))


PARSERS: dict[str, Callable[[bytes], Parsed]] = {
    ".md": parse_markdown,
    ".markdown": parse_markdown,
    ".mdx": parse_markdown,
    ".txt": parse_text,
    ".text": parse_text,
    ".rst": parse_text,
    ".html": parse_html,
    ".htm": parse_html,
    ".xhtml": parse_html,
    ".pdf": parse_pdf,
    ".docx": parse_docx,
}
"""A parser for every suffix that is read; `.gz` may follow any of them."""
