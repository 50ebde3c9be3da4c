"""A folder of Markdown, text, HTML, PDF and DOCX files, read without leaving the folder."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pathspec

from relevance_distillery.documents.formats import PARSERS, Parsed, UnreadableError, decode
from relevance_distillery.errors import UserError
from relevance_distillery.io.tables import MEGABYTE

_CONTAINERS = (".pdf", ".docx")
_CONTAINER_FACTOR = 10
"""A PDF or DOCX file may be this many times as large as a text: most of it is pictures."""


class FolderReader:
    """Reads one document a file; `document_id` is the path relative to the folder.

    Attributes:
        skipped: (path, where, reason) of everything that was left out, as found.
    """

    def __init__(
        self,
        folder: Path,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        max_document_mb: float = 5.0,
        file_dates: bool = False,
    ) -> None:
        """Choose what to read.

        Args:
            folder: The folder.
            include: Patterns in gitignore's syntax; with any, only what matches is read.
            exclude: Patterns of what is not read, stronger than `include`.
            max_document_mb: Longest document in megabytes of text.
            file_dates: Use a file's time where the document names no date of its own.
        """
        self.folder = folder
        self.include = pathspec.GitIgnoreSpec.from_lines(include) if include else None
        self.exclude = pathspec.GitIgnoreSpec.from_lines(exclude)
        self.max_document_mb = max_document_mb
        self.file_dates = file_dates
        self.skipped: list[tuple[str, str, str]] = []

    def read(self, limit: int | None = None, seed: int = 0) -> list[dict[str, str]]:
        """Documents of the folder, sorted by path.

        Args:
            limit: At most so many documents, a random sample of the files.
            seed: Seed of that sample.

        Returns:
            Rows of the `documents` table.

        Raises:
            UserError: The folder cannot be listed, or a file needs an extra.
        """
        files = self._files()
        if limit is not None and limit < len(files):
            order = np.random.default_rng(seed).permutation(len(files))
            files = [files[position] for position in order]
        rows: list[dict[str, str]] = []
        for name in files:
            if limit is not None and len(rows) >= limit:
                break
            try:
                rows.append(self._read_file(name))
            except UnreadableError as error:
                self._skip(name, str(error))
        return sorted(rows, key=lambda row: row["document_id"])

    def _skip(self, name: str, reason: str) -> None:
        self.skipped.append((name, "file", reason))

    def _files(self) -> list[str]:
        """Relative paths of the files to read, sorted; folders reached by links are not entered."""

        def fail(error: OSError) -> None:
            raise UserError(f"{error.filename}: cannot be listed ({error.strerror})") from error

        found: list[str] = []
        for parent, folders, files in os.walk(self.folder, followlinks=False, onerror=fail):
            for name in sorted(folders):
                place = Path(parent) / name
                if place.is_symlink() and not name.startswith("."):
                    self._skip(self._relative(place), "link to a folder, not followed")
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if name.startswith("."):
                    continue
                relative = self._relative(Path(parent) / name)
                if self.exclude.match_file(relative):
                    continue
                if self.include is not None and not self.include.match_file(relative):
                    continue
                if _kind(name) not in PARSERS:
                    self._skip(relative, f"'{_kind(name) or name}' files are not read")
                    continue
                found.append(relative)
        return sorted(found)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _read_file(self, name: str) -> dict[str, str]:
        path = self.folder / name
        if path.is_symlink() and not path.resolve().is_relative_to(self.folder.resolve()):
            raise UnreadableError("link that leaves the folder, not followed")
        content = self._content(path)
        parsed = _parse(content, _kind(name))
        text = parsed.text.strip()
        if len(text) > self.max_document_mb * MEGABYTE:
            raise UnreadableError(f"larger than {self.max_document_mb:g} MB")
        if not text and not parsed.title:
            raise UnreadableError("title and text are both empty")
        if parsed.note:
            self._skip(name, parsed.note)
        modified = parsed.modified
        if not modified and self.file_dates:
            modified = dt.date.fromtimestamp(path.stat().st_mtime).isoformat()
        stem = name.rsplit("/", 1)[-1].removesuffix(".gz").rsplit(".", 1)[0]
        metadata: dict[str, Any] = {
            **parsed.metadata,
            "file_name": name.rsplit("/", 1)[-1],
            "folder": name.rpartition("/")[0],
        }
        return {
            "document_id": name,
            "title": parsed.title or " ".join(stem.replace("-", " ").replace("_", " ").split()),
            "text": text,
            "path": name,
            "author": parsed.author,
            "modified": modified,
            "metadata": json.dumps(metadata, ensure_ascii=False, sort_keys=True),
        }

    def _content(self, path: Path) -> bytes:
        factor = _CONTAINER_FACTOR if _kind(path.name) in _CONTAINERS else 1
        longest = int(self.max_document_mb * MEGABYTE * factor)
        try:
            if path.stat().st_size > longest:
                raise UnreadableError(f"larger than {longest / MEGABYTE:g} MB")
            opener = gzip.open if path.suffix.lower() == ".gz" else open
            with opener(path, "rb") as stream:
                content = stream.read(longest + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UnreadableError("is not a whole gzip file") from error
        except OSError as error:
            raise UnreadableError(f"cannot be opened ({error.strerror})") from error
        if len(content) > longest:
            raise UnreadableError(f"larger than {longest / MEGABYTE:g} MB")
        return bytes(content)


def _kind(name: str) -> str:
    lower = name.lower().removesuffix(".gz")
    return "." + lower.rsplit(".", 1)[1] if "." in lower else ""


def _parse(content: bytes, kind: str) -> Parsed:
    if kind not in _CONTAINERS:
        decode(content)
    try:
        return PARSERS[kind](content)
    except (UnreadableError, UserError):
        raise
    except ValueError as error:
        # pypdf and python-docx raise many kinds; only our own ValueErrors have fixed texts.
        own = type(error) is ValueError and kind in _CONTAINERS and len(str(error)) < 80
        raise UnreadableError(str(error) if own else "cannot be parsed") from error
    except Exception as error:
        raise UnreadableError(f"cannot be parsed ({type(error).__name__})") from error
