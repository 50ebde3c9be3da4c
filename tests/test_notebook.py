"""The notebook runs from its first cell to its last on a small project."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from checkout import ROOT, Project

NOTEBOOK = ROOT / "notebooks" / "explore_labels.ipynb"

# As little of everything as leaves something to look at.
SMALL = (
    "limit=25,architecture=late_interaction,distillation.training.max_train_pairs=64,"
    "distillation.training.max_null_pairs=0,reporting.resamples=100,reporting.permutations=100,"
    "reporting.cost.throughput_pairs=8,reporting.cost.repeats=1"
)


def test_outputs_are_not_in_git() -> None:
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None


@pytest.mark.slow
def test_the_notebook_shows_labels_and_disagreements(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project.kedro("run", f"--params={SMALL}")
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DISTILLERY_PROJECT", str(project.path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()

    shown = "\n".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    assert "NOT graded by people" in shown
    for grade_name in ("irrelevant", "perfectly relevant"):
        assert grade_name in shown
    assert "student_grade" in shown
    assert "seen" in shown
