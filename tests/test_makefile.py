"""`make clean` and `make clean-all` in a folder that looks like a used checkout."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from checkout import ROOT

KEPT = (
    "data/02_intermediate/forgotten.json",
    "data/05_model_input/label_ledger.sqlite",
    "data/05_model_input/grading_samples.parquet/v1/grading_samples.parquet",
    "data/05_model_input/human_grades.parquet/v1/human_grades.parquet",
    "mlflow.db",
    "mlruns/1/models/head.safetensors",
)
REMOVED = (
    "data/03_primary/queries.parquet/v1/queries.parquet",
    "data/06_models/labeler/v1/labeler.json",
    "build/index.html",
)
OWN = ("data/01_raw/sample/a.md", "conf/local/parameters.yml")


@pytest.fixture
def used(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in (*KEPT, *REMOVED, *OWN):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def _make(folder: Path, target: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", target], cwd=folder, input=answer, capture_output=True, text=True, check=False
    )


def _files(folder: Path) -> set[str]:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return found - {"Makefile"}


def test_clean_keeps_what_cost_money_or_work_and_says_so(used: Path) -> None:
    said = _make(used, "clean").stdout
    assert _files(used) == {*KEPT, *OWN}
    assert "kept data/05_model_input/label_ledger.sqlite\n" in said
    assert said.count("kept ") == len(KEPT)


def test_clean_all_asks_first(used: Path) -> None:
    assert _make(used, "clean-all", "no\n").returncode != 0
    assert _files(used) == {*KEPT, *REMOVED, *OWN}
    assert _make(used, "clean-all", "yes\n").returncode == 0
    assert _files(used) == set(OWN)


def test_help_lists_every_target() -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    phony = next(line for line in lines if line.startswith(".PHONY:")).split()[1:]
    assert [line.split()[0] for line in _make(ROOT, "help").stdout.splitlines()] == phony
