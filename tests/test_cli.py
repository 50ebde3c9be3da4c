"""What a user sees when something is wrong: one line and exit status 1."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest
from kedro.io.core import DatasetError

from checkout import Project
from relevance_distillery.cli import one_line
from relevance_distillery.errors import UserError


def _refused(project: Project, *arguments: str, fresh: bool = False) -> str:
    done = project.kedro("run", *arguments, check=False, fresh=fresh)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    errors = [line for line in done.stdout.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, done.stdout
    return errors[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--params=documnets=x"], "unknown parameter in --params: documnets"),
        (["--params=synthesis.nope=1"], "nope is not a known key; known: "),
        (["--params=limit=many"], "limit"),
        (["--params=judge=oracle"], "oracle"),
        (["--params=documents=no/such/folder"], "no/such/folder"),
        (["--env=nope"], "no environment nope: there is no folder conf/nope; there are: base, "),
        (["--pipeline=nope"], "no pipeline nope; there are: synthesize, mine, label, distill"),
        (["--load-versions=labels:nope"], "labels has no version nope; there are: none"),
        (["--pipeline=mine"], "run `kedro run --pipeline=synthesize` first"),
        (["--pipeline=label"], "run `kedro run --pipeline=synthesize` first"),
        (["--pipeline=distill"], "run `kedro run --pipeline=synthesize` first"),
        (["--pipeline=report"], "run `kedro run --pipeline=synthesize` first"),
    ],
)
def test_one_line_for_what_a_user_can_mend(
    project: Project, arguments: list[str], expected: str
) -> None:
    assert expected in _refused(project, *arguments)


def test_a_home_folder_in_a_parameter_is_found(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "one").mkdir()
    done = project.kedro(
        "run", "--pipeline=synthesize", "--params=documents=~/one;~/no-such", check=False
    )
    assert f"{tmp_path}/no-such: no such file or folder" in done.stdout


def test_an_input_that_no_stage_makes_is_named_with_its_path(project: Project) -> None:
    error = _refused(project, "--pipeline=probe", "--params=attacks=mine.yml", fresh=True)
    assert "input not found: hostile_attacks (mine.yml); check the path" in error


def test_an_mlflow_server_that_does_not_answer_is_named_at_once(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = project.path / "conf" / "local" / "mlflow.yml"
        settings.write_text(f"server:\n  mlflow_tracking_uri: http://{address}\n")
        try:
            assert f"no MLflow server answers at {address}" in _refused(project)
        finally:
            settings.unlink()


def test_a_refused_run_leaves_no_run_behind(project: Project) -> None:
    _refused(project, "--pipeline=distill")
    assert not (project.path / "mlflow.db").exists() or not list(
        (project.path / "mlruns").glob("*/*/meta.yaml")
    )
    assert not (project.path / "data" / "06_models").exists()


def test_both_spellings_of_pipeline_work_without_a_warning(project: Project) -> None:
    for option in ("--pipeline=synthesize", "--pipelines=synthesize"):
        done = project.kedro("run", option, "--params=limit=12")
        assert "deprecated" not in done.stdout.lower()


def test_a_wrapped_user_error_shows_its_own_words() -> None:
    error = DatasetError("Failed while loading data")
    error.__cause__ = UserError("corpus.jsonl row 3:\nno text")
    assert one_line(error) == "corpus.jsonl row 3: no text"


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "permission")],
)
def test_a_full_or_locked_disk_is_explained(number: int, expected: str) -> None:
    error = DatasetError("Failed while saving data")
    error.__cause__ = OSError(number, "as the system says", "data/labels.parquet")
    message = one_line(error)
    assert message is not None
    assert expected in message
    assert "labels.parquet" in message


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    assert one_line(ZeroDivisionError("division by zero")) is None
