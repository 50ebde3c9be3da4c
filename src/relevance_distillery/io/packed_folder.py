"""The files of a folder in memory, for a machine that cannot read the folder."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np


@dataclass(frozen=True)
class PackedFolder:
    """Contents by path below the folder, as bytes, which pickle without a copy."""

    files: dict[str, np.ndarray]

    @classmethod
    def of(cls, folder: Path) -> PackedFolder:
        """Read every file of a folder."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return cls({path.relative_to(folder).as_posix(): np.fromfile(path, "u1") for path in files})

    @contextmanager
    def unpacked(self) -> Generator[Path]:
        """A temporary folder with these files."""
        with TemporaryDirectory(prefix="relevance-distillery-") as name:
            for path, content in self.files.items():
                target = Path(name) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                content.tofile(target)
            yield Path(name)
