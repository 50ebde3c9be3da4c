"""`kedro run` in a project of its own, so that your labels and your champion stay as they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def prepare(project: Path) -> None:
    """Give a folder the configuration and the bundled corpus; what it holds otherwise stays."""
    shutil.rmtree(project / "conf", ignore_errors=True)
    for folder in ("src", "data/01_raw"):
        (project / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", project)
    shutil.copytree(ROOT / "conf", project / "conf", ignore=shutil.ignore_patterns("local"))
    (project / "conf" / "local").mkdir()
    sample = project / "data" / "01_raw" / "sample"
    if not sample.exists():
        sample.symlink_to(ROOT / "data" / "01_raw" / "sample")


def kedro_run(project: Path, arguments: list[str]) -> None:
    """`kedro run ARGUMENTS` there, with the checkout's code."""
    subprocess.run(
        [str(Path(sys.executable).with_name("kedro")), "run", *arguments],
        cwd=project,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )


def newest(project: Path, name: str) -> Path:
    """The newest file of a name in the project's data, versioned or not, of any environment."""
    return sorted(path for path in (project / "data").rglob(name) if path.is_file())[-1]


def newest_json(project: Path, name: str) -> dict[str, Any]:
    """The content of the newest JSON file of a name."""
    content: dict[str, Any] = json.loads(newest(project, name).read_text(encoding="utf-8"))
    return content
