"""Files and folders on disk, written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write a file or folder at, which is then renamed to `path`.

    Whatever is killed or fails in between leaves what stood at `path` before; only where a
    folder replaces a folder there is a moment between two renames in which neither stands.

    Args:
        path: Where the file or folder is wanted; its parent folder is made.

    Yields:
        The path to write at; nothing is there yet. Writing nothing leaves `path` as it is.

    Raises:
        OSError: It cannot be written; `filename` is `path`, which a user knows.
    """
    # The leading dot and the process number keep it out of every glob and every other run.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(partial)
        yield partial
        if partial.is_dir():
            old = path.with_name(f".{path.name}.old")
            if path.exists():
                _remove(old)
                os.replace(path, old)
            os.replace(partial, path)
            _remove(old)
        elif partial.exists():
            os.replace(partial, path)
    except OSError as error:
        if error.filename is None or Path(error.filename) == partial:
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        _remove(partial)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; line ends stay as they are.

    Raises:
        OSError: It cannot be written.
    """
    with replacing(path) as partial:
        partial.write_bytes(text.encode("utf-8"))


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
