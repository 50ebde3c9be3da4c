"""Short names for content: BLAKE2b digests, which tell whether something changed."""

import hashlib
import json
from pathlib import Path
from typing import Any


def hex_digest(text: str, size: int = 6) -> str:
    """`2 * size` hexadecimal digits of a text; lone surrogates are encoded as they are."""
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=size).hexdigest()


def json_digest(value: Any, size: int = 6) -> str:
    """`2 * size` hexadecimal digits of a JSON value, whatever the order of its keys."""
    return hex_digest(json.dumps(value, sort_keys=True), size)


def digest_number(text: str) -> int:
    """A 64-bit integer that depends on the text alone, for choices that stay as they are."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def file_digest(path: Path) -> str:
    """Sixty-four hexadecimal digits (SHA-256) of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Sixteen hexadecimal digits (SHA-256) that change with any file's name or content."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]
