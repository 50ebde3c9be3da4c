"""PDF and DOCX, through libraries that come with the extra `documents`."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from relevance_distillery.errors import UserError

_MAX_UNPACKED = 200_000_000
_HINT = "pip install 'relevance-distillery[documents]'"


def parse_pdf_bytes(content: bytes) -> dict[str, Any]:
    """Title, text, author and date of a PDF file.

    Raises:
        UserError: pypdf is not installed.
        ValueError: The file is encrypted, or has no text (a scan).
    """
    try:
        import pypdf
    except ImportError as error:
        raise UserError(f"PDF files need the extra `documents`: {_HINT}") from error
    reader = pypdf.PdfReader(io.BytesIO(content))
    if reader.is_encrypted:
        raise ValueError("is encrypted")
    text = "\n\n".join(filter(None, (page.extract_text().strip() for page in reader.pages)))
    if not text:
        raise ValueError("holds no text; recognise its scanned pages first")
    info: Any = reader.metadata
    date = info.modification_date or info.creation_date if info else None
    return {
        "title": str(info.title or "") if info else "",
        "text": text,
        "author": str(info.author or "") if info else "",
        "modified": date.date().isoformat() if date else "",
    }


def parse_docx_bytes(content: bytes) -> dict[str, Any]:
    """Title, text (Markdown headings, tables as rows), author and date of a DOCX file.

    Raises:
        UserError: python-docx is not installed.
        ValueError: The file unpacks to more than 200 MB.
    """
    try:
        import docx
        from docx.table import Table
    except ImportError as error:
        raise UserError(f"DOCX files need the extra `documents`: {_HINT}") from error
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MAX_UNPACKED:
            raise ValueError("unpacks to more than 200 MB")
    document = docx.Document(io.BytesIO(content))
    blocks: list[str] = []
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            rows = [" | ".join(cell.text.strip() for cell in row.cells) for row in block.rows]
            blocks.append("\n".join(f"| {row} |" for row in rows))
            continue
        style = block.style.name if block.style is not None and block.style.name else ""
        text = block.text.strip()
        level = style.removeprefix("Heading ").strip()
        if text and style.startswith("Heading ") and level.isdigit():
            text = f"{'#' * min(int(level), 6)} {text}"
        elif text and style == "Title":
            text = f"# {text}"
        elif text and style.startswith("List"):
            text = f"- {text}"
        blocks.append(text)
    core = document.core_properties
    date = core.modified or core.created
    return {
        "title": (core.title or "").strip(),
        "text": "\n\n".join(filter(None, blocks)),
        "author": (core.author or "").strip(),
        "modified": date.date().isoformat() if date else "",
    }
