"""Versioned catalog entries on disk, `NAME/VERSION/NAME`, and what an earlier run left of them.

Kedro's pipelines have no circles, so what a run can reuse of the last one is an input under
another name. A file that is missing or cannot be read counts as none: everything is done anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.errors import UserError


def versions(path: Path) -> list[Path]:
    """All versions of a versioned file or folder, the newest first; empty where none is."""
    return sorted(path.glob(f"*/{path.name}"), reverse=True)


def newest_version(path: Path) -> Path:
    """The newest version of a versioned file; `path` itself where it has no versions."""
    return next(iter(versions(path)), path)


def newest_table(path: Path) -> Path:
    """The newest version of a versioned table, which is a folder; any other path as it is.

    Raises:
        UserError: The folder holds no version.
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
