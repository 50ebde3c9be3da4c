"""Versioned catalog entries on disk: `NAME/VERSION/NAME`, versions in alphabetical order."""

from __future__ import annotations

from pathlib import Path


def versions(path: Path) -> list[Path]:
    """All versions of a versioned file or folder, the newest first; empty where none is."""
    return sorted(path.glob(f"*/{path.name}"), reverse=True)


def newest_version(path: Path) -> Path:
    """The newest version of a versioned file; `path` itself where it has no versions."""
    return next(iter(versions(path)), path)
