"""What a user sees when something is wrong: one line and exit status 1."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from kedro.io.core import DatasetError

from checkout import Project, make_project
from relevance_distillery.cli import one_line
from relevance_distillery.errors import UserError
from relevance_distillery.hooks.checks import known_parameters


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
        (["--config=pyproject.toml"], "--config=pyproject.toml: no YAML file with a mapping `run`"),
        (["--config=conf/base/globals.yml"], "globals.yml: no YAML file with a mapping `run`"),
        (["--load-versions=queries"], "Expected the form of 'load_versions'"),
        (["--params=document=*", "--pipeline=forget"], "document=*: nothing that is stored has"),
        (["--params=document=Project #1", "--pipeline=forget"], "document=Project #1: nothing"),
        (["--params=limit="], "limit= has no value"),
        (["--params=limit=true"], "limit takes a number, not true"),
        (["--params=seed=-1"], "Input should be greater than or equal to 0"),
        (["--tags=nope"], "Pipeline contains no nodes"),
        (["--nodes=nope"], "Pipeline does not contain nodes named ['nope']"),
        (["--from-nodes=nope"], "Pipeline does not contain nodes named ['nope']"),
        (["--runner=ParallelRunner"], "--runner=ParallelRunner: leave it out"),
        (["--runner=nope"], "--runner=nope: leave it out"),
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


def test_a_run_from_a_folder_inside_the_project_says_where_to_run_it(project: Project) -> None:
    (project.path / "docs").mkdir()
    inside = Project(project.path / "docs")
    assert "docs is a folder inside the project: run the command in .." in _refused(inside)
    assert list(inside.path.iterdir()) == []


def test_a_query_log_that_cannot_be_read_replaces_no_table(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "log.csv").write_text("searches,times\nhotel,3\n")
    (tmp_path / "new.md").write_text("# Hotels\n\nHotels are booked by the office.\n")
    project.kedro("run", "--pipeline=synthesize", "--params=limit=12")
    stored = sorted((project.path / "data" / "02_intermediate").glob("*.*"))
    content = {path: path.read_bytes() for path in stored}
    given = f"--params=documents={tmp_path}/new.md,queries={tmp_path}/log.csv"
    assert "log.csv: needs the column query" in _refused(project, "--pipeline=synthesize", given)
    assert {path: path.read_bytes() for path in stored} == content


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no database at all, but text", "damaged or half made"), (b"", "")],
)
def test_a_damaged_database_of_runs_is_one_line(
    project: Project, content: bytes, said: str
) -> None:
    (project.path / "mlflow.db").write_bytes(content)
    done = project.kedro("run", "--pipeline=mine", check=False)
    assert "Traceback" not in done.stdout
    assert said in done.stdout


def test_a_locked_database_of_runs_is_one_line(project: Project) -> None:
    with closing(sqlite3.connect(project.path / "mlflow.db")) as other:
        other.execute("begin exclusive")
        assert "mlflow.db) is locked by another program" in _refused(project, "--pipeline=mine")


def test_two_first_runs_at_once_both_end_well(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", store=False)
    both = [project.start("run", "--pipeline=synthesize", "--params=limit=12") for _ in range(2)]
    for running in both:
        status, said = running.wait()
        assert status == 0, said
        assert "Traceback" not in said
    assert _statuses(project) == ["FINISHED", "FINISHED"]


def test_a_half_written_table_names_the_stage_that_makes_it(project: Project) -> None:
    project.kedro("run", "--pipeline=synthesize", "--params=limit=12")
    (passages,) = (project.path / "data").rglob("passages.parquet")
    whole = passages.read_bytes()
    remedy = "passages.parquet: half written or damaged; run `kedro run --pipeline=synthesize` ag"
    for damaged in (whole[: len(whole) // 2], whole[:4] + b"\xff" * 400 + whole[404:]):
        passages.write_bytes(damaged)
        assert remedy in _refused(project, "--pipeline=mine")
    # The first one began no run.
    assert sorted(_statuses(project)) == ["FAILED", "FINISHED"]


def test_the_example_configuration_lacks_nothing_but_a_key(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    example = (project.path / "conf" / "example.yml").read_text()
    kept_back = re.findall(r"^ +# (\w+): ", example, re.MULTILINE)
    assert kept_back
    assert set(kept_back) <= known_parameters(project.path / "conf")[0]
    project.kedro("run", "--config=conf/example.yml", "--pipeline=plan")
    plan = json.loads((project.path / "data/08_reporting/plan.json").read_text())
    assert [stage["who"] for stage in plan["stages"]] == ["llm:gpt-4o-mini"] * 2
    assert all(stage["price_known"] for stage in plan["stages"])
    assert "set OPENAI_API_KEY" in _refused(project, "--config=conf/example.yml")
    broken = example.replace("      cost:\n", "      costs:\n")
    (project.path / "broken.yml").write_text(broken)
    assert "costs is not a known key" in _refused(project, "--config=broken.yml")


def test_help_names_pipelines_and_common_parameters(project: Project) -> None:
    said = " ".join(project.kedro("run", "--help").stdout.split())
    for name in ("documents", "human_judgments", "judge", "limit", "pairs", "export_sheet"):
        assert name in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_as_killed_and_says_what_is_kept(
    project: Project, number: signal.Signals
) -> None:
    project.kedro("run", "--pipeline=synthesize", "--params=limit=12")
    # An input that waits for the signal.
    (project.path / "conf" / "local" / "catalog.yml").write_text(
        "recorded_grades:\n  type: relevance_distillery.datasets.HandleDataset\n"
        "  handle: signal.pause\n"
    )
    running = project.start("run", "--pipeline=mine")
    while "RUNNING" not in _statuses(project):
        assert running.runs()
        time.sleep(0.2)
    os.kill(running.pid, number)
    status, said = running.wait()
    assert status == 1, said
    assert "Traceback" not in said
    assert "run the same command again to go on" in said
    assert sorted(_statuses(project)) == ["FINISHED", "KILLED"]


def _statuses(project: Project) -> list[str]:
    with closing(sqlite3.connect(project.path / "mlflow.db")) as database:
        return [row[0] for row in database.execute("select status from runs")]


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
    error = _refused(project, "--pipeline=probe", "--params=attacks=mine.yml")
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
