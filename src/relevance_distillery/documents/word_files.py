"""Every visible word of a DOCX file once, in order, as Markdown blocks.

python-docx passes over insertions, content controls, fields and smart tags, and repeats merged
cells; so the XML is walked, and what it does not show is left out by name.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

_MAX_UNPACKED = 200_000_000
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_HIDDEN = frozenset(
    _WORD + name
    for name in ("del", "moveFrom", "instrText", "delText", "rt", "pPr", "rPr", "sdtPr", "tblPr")
)
_BREAKS = {_WORD + "tab": "\t", _WORD + "br": "\n", _WORD + "cr": "\n"}
_BREAKS[_WORD + "noBreakHyphen"] = "-"
_PARAGRAPH, _TABLE, _ROW, _CELL = (_WORD + name for name in ("p", "tbl", "tr", "tc"))
_BOX = _WORD + "txbxContent"


def read_docx(content: bytes) -> tuple[list[str], Any]:
    """The blocks of a DOCX file: headings, list items, paragraphs, tables, notes.

    Returns:
        The blocks, and the properties of the file as python-docx has them.

    Raises:
        ValueError: It unpacks to more than 200 MB.
        ImportError: python-docx is not installed.
    """
    import docx
    from docx.oxml import parse_xml

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MAX_UNPACKED:
            raise ValueError("unpacks to more than 200 MB")
    document = docx.Document(io.BytesIO(content))
    blocks = list(_blocks(document.element.body, document))
    for relation in document.part.rels.values():
        if relation.reltype.endswith(("/footnotes", "/endnotes")):
            notes = [note for note in parse_xml(relation.target_part.blob) if not _of(note, "type")]
            blocks += [block for note in notes for block in _blocks(note, document)]
    return [block for block in blocks if block], document.core_properties


def _of(element: Any, attribute: str) -> str:
    return str(element.get(_WORD + attribute) or "")


def _children(element: Any) -> Iterator[Any]:
    """What is shown of an element; of alternatives for several programs the first."""
    for child in element:
        if not isinstance(child.tag, str) or child.tag in _HIDDEN:
            continue
        if child.tag.endswith("}AlternateContent"):
            yield from _children(next(iter(child), ()))
        elif not (child.tag == _WORD + "r" and _is_on(child.find(f"{_WORD}rPr/{_WORD}vanish"))):
            yield child


def _is_on(flag: Any) -> bool:
    return flag is not None and _of(flag, "val") not in ("0", "false")


def _blocks(element: Any, document: Any) -> Iterator[str]:
    for child in _children(element):
        if child.tag == _PARAGRAPH:
            yield _styled(child, document)
            for box in _within(child, _BOX):
                yield from _blocks(box, document)
        elif child.tag == _TABLE:
            yield "\n".join(_rows(child, document))
        else:
            yield from _blocks(child, document)


def _styled(paragraph: Any, document: Any) -> str:
    from docx.text.paragraph import Paragraph

    text = _text(paragraph).strip()
    found = Paragraph(paragraph, document._body).style
    style = found.name if found is not None and found.name else ""
    level = style.removeprefix("Heading ").strip()
    if text and style.startswith("Heading ") and level.isdigit():
        return f"{'#' * min(int(level), 6)} {text}"
    if text and style == "Title":
        return f"# {text}"
    return f"- {text}" if text and style.startswith("List") else text


def _text(element: Any) -> str:
    parts: list[str] = []
    for child in _children(element):
        if child.tag in _BREAKS:
            parts.append(_BREAKS[child.tag])
        elif child.tag.endswith("}t"):
            parts.append(child.text or "")
        elif child.tag != _BOX:
            parts.append(_text(child))
    return "".join(parts)


def _rows(table: Any, document: Any) -> Iterator[str]:
    for row in _within(table, _ROW):
        if row.find(f"{_WORD}trPr/{_WORD}del") is None:
            cells = (_cell(cell, document) for cell in _within(row, _CELL))
            yield f"| {' | '.join(cells)} |"


def _cell(cell: Any, document: Any) -> str:
    merged = cell.find(f"{_WORD}tcPr/{_WORD}vMerge")
    if merged is not None and _of(merged, "val") != "restart":
        return ""
    # The rows of a nested table become words of the cell.
    return " ".join(" ".join(_blocks(cell, document)).replace("|", " ").split())


def _within(element: Any, tag: str) -> Iterator[Any]:
    """The nearest elements below with a tag, not those inside one of them."""
    for child in _children(element):
        if child.tag == tag:
            yield child
        else:
            yield from _within(child, tag)
