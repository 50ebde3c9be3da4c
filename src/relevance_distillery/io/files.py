"""Files on disk: written whole or not at all, in versions, and read again by later runs.

A versioned catalog entry is `NAME/VERSION/NAME`. Kedro's pipelines have no circles, so what a run
can reuse of the last one is an input under another name. A file that is missing or cannot be read
counts as none: everything is done anew.
"""

import json
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from relevance_distillery.errors import UserError


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Gives a path beside `path` to write a file or folder at, which is then renamed to `path`.

    Whatever is killed or fails in between leaves what was at `path` before; only where a
    folder replaces a folder there is a moment between two renames in which neither is there. The
    folder of `path` is made.

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


@contextmanager
def undamaged(path: Path, remedy: Callable[[], str]) -> Generator[None]:
    """A UserError with the remedy where the stored file that is read inside is not whole."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        if getattr(error, "errno", None):
            raise
        raise UserError(f"{path}: half written or damaged; {remedy()}") from error


def sweep_partials(path: Path) -> None:
    """Remove what killed processes left half-written of a file, a folder or its versions."""
    name = path.name
    for partial in [*path.parent.glob(f".{name}.*.partial"), *path.glob(f"*/.{name}.*.partial")]:
        process = partial.name.split(".")[-2]
        if process.isdigit() and not _runs_elsewhere(int(process)):
            _remove(partial)
            if partial.parent.parent == path:
                # A version of which there is nothing else.
                with suppress(OSError):
                    partial.parent.rmdir()


def _runs_elsewhere(process: int) -> bool:
    """Whether another process than this one has this number."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 as `replacing` does; line ends stay as they are."""
    with replacing(path) as partial:
        partial.write_bytes(text.encode("utf-8"))


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def only_folder(home: Path, name: str, *kept: str) -> Path:
    """A folder of `home`, named by what it holds; folders of anything else are removed."""
    for other in home.glob("*"):
        if other.is_dir() and other.name not in (name, *kept):
            shutil.rmtree(other)
    return home / name


def parts_of(locations: str | Path | None) -> list[str]:
    """What a user named, separated by `;`; nothing for None."""
    return [part.strip() for part in str(locations or "").split(";") if part.strip()]


def named_paths(locations: str | Path | None) -> list[Path]:
    """Files and folders that a user named, separated by `;`; none for None."""
    return [Path(part).expanduser() for part in parts_of(locations)]


def versions(path: Path) -> list[Path]:
    """All versions of a versioned file or folder, the newest first; empty where none is."""
    return sorted(path.glob(f"*/{path.name}"), reverse=True)


def newest_version(path: Path) -> Path:
    """The newest version of a versioned file; `path` itself where it has no versions."""
    return next(iter(versions(path)), path)


def newest_table(path: Path) -> Path:
    """The newest version of a versioned table, which is a folder, UserError where it has none.

    Any other path is given back as it is.
    """
    if not (path.is_dir() and path.suffix == ".parquet"):
        return path
    if not versions(path):
        raise UserError(f"{path}: holds no version of the table; run the stage that makes it")
    return newest_version(path)


def read_stored_table(filepath: str | Path) -> pd.DataFrame:
    """The newest readable version of a Parquet table; without rows and columns where none is."""
    path = Path(filepath)
    for file in versions(path) or [path]:
        try:
            return pd.read_parquet(file)
        except (OSError, ValueError):
            continue
    return pd.DataFrame()


def read_stored_json(filepath: str | Path) -> dict[str, Any]:
    """The newest version of a JSON object; empty where it cannot be read."""
    try:
        value = json.loads(newest_version(Path(filepath)).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
