"""Kedro's `run` command, with one line instead of a traceback for what a user can correct."""

import errno
import os
import re
import traceback
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import KedroCliError
from kedro.io.core import DatasetError
from kedro.utils import find_kedro_project
from kedro.validation.exceptions import DataValidationError, ParameterValidationError
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from relevance_distillery.errors import UserError
from relevance_distillery.hooks import stopping
from relevance_distillery.pipeline_registry import PIPELINES
from relevance_distillery.typed_parameters import read_parameters

_CORRECTABLE_OS_ERRORS = {
    errno.ENOSPC: "the disk is full: free some space and run again, finished work is kept",
    errno.EDQUOT: "the disk quota is used up: free some space and run again, finished work is kept",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "permission denied: check who owns the file",
    errno.EPERM: "not permitted: check who owns the file",
    errno.ENOENT: "no such file or folder: check the path",
    errno.EISDIR: "a folder where a file was expected: check the path",
    errno.ENOTDIR: "a file where a folder was expected: check the path",
}

_READ_GRADES = ("recorded", "cascade", "consensus")
"""Kinds of judge that read `grades` themselves, when they are a labeler's teacher."""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def one_line(error: BaseException) -> str | None:
    """The message for an error that the user can correct, or its causes; None for a bug.

    One line, or a few for a table that failed several checks.
    """
    links = list(_chain(error))
    for link in links:
        if isinstance(link, UserError):
            return " ".join(str(link).split())
        if isinstance(link, ParameterValidationError):
            return _parameter_line(str(link))
        if isinstance(link, DataValidationError):
            return str(link)
    for link in links:
        if isinstance(link, OSError) and link.errno in _CORRECTABLE_OS_ERRORS:
            where = f"{os.path.relpath(link.filename)}: " if link.filename else ""
            return f"{where}{_CORRECTABLE_OS_ERRORS[link.errno]}"
    for link in links:
        # By name: the database is MLflow's, and only hooks and flavors import that.
        if type(link).__module__.partition(".")[0] in ("sqlalchemy", "alembic"):
            return _database_line(link)
        if isinstance(link, ValueError) and _raised_in(link) == "kedro/pipeline/pipeline.py":
            said = " ".join(str(link).split()).rstrip(".")
            return f"{said}; `kedro registry describe PIPELINE` lists its nodes"
    for link in links:
        # By name: only hooks and flavors import MLflow.
        if type(link).__name__ == "MlflowException":
            said = " ".join(str(link).split())
            return f"MLflow: {said[:300]} (finished work is kept: correct this and run again)"
    for link in links:
        if isinstance(link, DatasetError):
            return " ".join(str(link).split())
    return None


def _database_line(error: BaseException) -> str:
    """What is wrong with the database of MLflow's runs."""
    if "locked" in str(error):
        return "MLflow's database (mlflow.db) is locked by another program: wait for it, run again"
    return (
        "MLflow's database (mlflow.db) is damaged or half made: move it away and run again, and a "
        "new one is made; labels, models in data/06_models and reports are not in it"
    )


def _raised_in(error: BaseException) -> str:
    """The last three parts of the path of the file that raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return "/".join(Path(frames[-1].filename).parts[-3:]) if frames else ""


def _parameter_line(report: str) -> str:
    """Pydantic's report without its preamble and its links to a manual."""
    report = re.sub(r"For further information visit \S+", "", report)
    # Of a whole group the value would be its first and last letters.
    report = re.sub(r"\[type=\w+, input_value=\{.*?, input_type=dict\]", "", report)
    report = re.sub(r"\[type=\w+, input_value=(.*?), input_type=\w+\]", r"(given: \1)", report)
    report = re.sub(
        r"- Parameter '(\w+)': Failed to instantiate \w+ for parameter '\w+': "
        r"\d+ validation errors? for \w+",
        r"in \1:",
        report,
    )
    return " ".join(report.replace("Value error, ", "").split())


def _named_pipelines(options: dict[str, Any]) -> dict[str, Any]:
    """`--pipeline` and `--pipelines` as one option, each name a known one.

    Kedro renames the first into the second and warns; here both mean the same.
    """
    asked = [name for name in (options.pop("pipeline", None),) if name]
    asked += [name for name in options.get("pipelines") or [] if name not in asked]
    known = [name for name in PIPELINES if name != "__default__"]
    unknown = [name for name in asked if name not in PIPELINES]
    if unknown:
        raise UserError(f"no pipeline {', '.join(unknown)}; there are: {', '.join(known)}")
    return {**options, "pipeline": None, "pipelines": asked}


def _any_judge(options: dict[str, Any]) -> dict[str, Any]:
    """`report` with `grades` is a report on files of grades: another pipeline.

    Not so where `judge` names a teacher that reads its grades from there. In the environment
    `recorded` a teacher reads them from the train set.
    """
    given = options.get("params") or {}
    taught = str(given.get("judge", "")).partition(":")[0] in _READ_GRADES
    asked = options["pipelines"] == ["report"] and given.get("grades")
    if asked and (options.get("env") == "recorded" or not taught):
        return {**options, "pipelines": ["report_grades"]}
    return options


def _check(options: dict[str, Any]) -> None:
    """Refuse what Kedro would take and this project cannot do."""
    here, root = Path.cwd(), find_kedro_project(Path.cwd())
    if root is not None and root.resolve() != here.resolve():
        # Paths of the configuration, MLflow's file among them, are relative to the project.
        raise UserError(
            f"{here.name} is a folder inside the project: run the command in "
            f"{os.path.relpath(root)}, with paths as seen from there"
        )
    runner = str(options.get("runner") or "").rpartition(".")[2]
    if runner not in ("", "SequentialRunner"):
        raise UserError(
            f"--runner={runner}: leave it out; nodes run one after the other, since MLflow tracks "
            "one run a process, and each uses all cores"
        )


def _run(**options: Any) -> Any:
    """Kedro's run without a traceback for what a user can correct."""
    try:
        _check(options)
        with stopping.terminated_like_interrupted():
            return kedro_run.callback(**_any_judge(_named_pipelines(options)))  # type: ignore[misc]
    except click.exceptions.ClickException:
        raise
    except KeyboardInterrupt as stopped:
        how = " by SIGTERM" if isinstance(stopped, stopping.Terminated) else ""
    except Exception as error:
        message = one_line(error)
        if message is None:
            raise
        # What a user typed was relative to this folder, and so is what they read.
        raise click.ClickException(message.replace(f"{Path.cwd()}/", "")) from None
    # Only now is the stack gone, and with it a transaction that was interrupted: it would keep
    # MLflow's database locked.
    stopping.end_tracking()
    raise click.ClickException(
        f"stopped{how}; finished tables, answers of judges and graded parts are kept: run the same "
        "command again to go on"
    )


def _read_params(_: click.Context, __: click.Parameter, value: Any) -> Any:
    """Of a file that `--config` names, a mapping; else what was typed."""
    return value if isinstance(value, dict) else read_parameters(str(value))


def _in_one_line(read: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*given: Any) -> Any:
        try:
            return read(*given)
        except KedroCliError as error:
            # Kedro would print the traceback of its own refusal.
            raise click.ClickException(" ".join(str(error).split())) from None
        except (LookupError, TypeError, AttributeError, YAMLError, OmegaConfBaseException):
            raise click.ClickException(
                f"--config={os.path.relpath(given[-1])}: no YAML file with a mapping `run`, "
                "as conf/example.yml is"
            ) from None

    return checked


@click.group(name="relevance-distillery")
def cli() -> None:
    """The project's own commands."""


run = click.Command(
    name="run",
    callback=_run,
    params=[copy(option) for option in kedro_run.params],
    help=f"""Run the whole project, or the pipeline that --pipeline names:
    {", ".join(name for name in PIPELINES if name not in ("__default__", "report_grades"))}.""",
    epilog="""Common parameters of --params: documents, queries, human_judgments, benchmark (paths;
    several separated by ;), judge, model, language, base_model, limit, seed, max_cost_usd;
    pairs and scored (score), runs (evaluate), grades (report), sheet (export_sheet, import_sheet),
    document (forget). All of them with their reasons: docs/reference/parameters.md.""",
    context_settings=kedro_run.context_settings,
)
for option in run.params:
    if option.name == "params":
        option.callback = _read_params
    elif option.name in ("load_versions", "config"):
        option.callback = _in_one_line(option.callback)  # type: ignore[arg-type]
cli.add_command(run)
