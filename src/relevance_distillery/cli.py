"""Kedro's `run` command, with one line instead of a traceback for what a user can correct."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.io.core import DatasetError
from kedro.validation.exceptions import DataValidationError, ParameterValidationError

from relevance_distillery.errors import UserError
from relevance_distillery.pipeline_registry import PIPELINES

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
    """The message for an error that the user can correct; None for a bug.

    Args:
        error: What a run raised; its causes are looked through as well.

    Returns:
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
        # By name: only hooks and flavors import MLflow.
        if type(link).__name__ == "MlflowException":
            said = " ".join(str(link).split())
            return f"MLflow: {said[:300]} (finished work is kept: correct this and run again)"
    for link in links:
        if isinstance(link, DatasetError):
            return " ".join(str(link).split())
    return None


def _parameter_line(report: str) -> str:
    """Pydantic's report without its preamble and its links to a manual."""
    report = re.sub(r"For further information visit \S+", "", report)
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


def _home_expanded(options: dict[str, Any]) -> dict[str, Any]:
    """`~` in the values of `--params` as a shell would expand it, had it seen it.

    Kedro would look for a folder `~` in the project.
    """
    given = options.get("params") or {}
    expanded = {
        name: ";".join(
            os.path.expanduser(part) if part.startswith("~/") else part for part in value.split(";")
        )
        if isinstance(value, str)
        else value
        for name, value in given.items()
    }
    return {**options, "params": expanded}


def _run(**options: Any) -> Any:
    """Kedro's run without a traceback for what a user can correct."""
    try:
        return kedro_run.callback(**_home_expanded(_any_judge(_named_pipelines(options))))  # type: ignore[misc]
    except click.exceptions.ClickException:
        raise
    except KeyboardInterrupt as stopped:
        raise click.ClickException(
            "stopped; finished work is kept, run the same command again to go on"
        ) from stopped
    except Exception as error:
        message = one_line(error)
        if message is None:
            raise
        # What a user typed was relative to this folder, and so is what they read.
        raise click.ClickException(message.replace(f"{Path.cwd()}/", "")) from None


@click.group(name="relevance-distillery")
def cli() -> None:
    """The project's own commands."""


run = click.Command(
    name="run",
    callback=_run,
    params=kedro_run.params,
    help=kedro_run.help,
    context_settings=kedro_run.context_settings,
)
cli.add_command(run)
