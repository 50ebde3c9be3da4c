"""MLflow's model registry: models logged from code, registered, found again.

MLflow runs a flavor's file when it loads the model ("models from code"), with the package beside
it, so no class is pickled. The registry is reached through the tracking address in force.
"""

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import folder_digest

# Six small files need no bar.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def log_and_register(
    code: str,
    artifacts: Mapping[str, Path],
    registered_name: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    requirements: Sequence[str],
    **options: Any,
) -> dict[str, str]:
    """Log folders as a model and register it with the alias `challenger`.

    The model goes into the active run, or into one of its own. Two models with the same files
    become two versions, since their lineage may differ.

    Args:
        code: The flavor's file.
        artifacts: Folders that the model reads; it is named after the first one.
        registered_name: In the registry.
        tags: Of the version; the digest of the first folder is added.
        metrics: Of the run.
        requirements: Packages, in the versions that are installed here.
        options: Of `mlflow.pyfunc.log_model`.

    Returns:
        {"name", "version", "run_id", "digest"}.
    """
    own_run = mlflow.active_run() is None
    try:
        if metrics:
            mlflow.log_metrics(dict(metrics))
        name, folder = next(iter(artifacts.items()))
        digest = folder_digest(folder)
        info = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(Path(code).resolve()),
            artifacts={name: str(folder) for name, folder in artifacts.items()},
            code_paths=[str(Path(__file__).resolve().parent)],
            registered_model_name=registered_name,
            # A local build tag such as +cpu is on no package index.
            pip_requirements=[f"{one}=={version(one).split('+')[0]}" for one in requirements],
            **options,
        )
        number = str(info.registered_model_version)
        set_version_tags(registered_name, number, {**tags, "digest": digest})
        set_alias(registered_name, "challenger", number)
        return {
            "name": registered_name,
            "version": number,
            "run_id": str(info.run_id),
            "digest": digest,
        }
    finally:
        if own_run and mlflow.active_run() is not None:
            mlflow.end_run()


def load_registered(
    name: str, alias_or_version: str, what: str, made_by: str, files: Sequence[str]
) -> list[Path]:
    """The folders of a registered model that hold the `files`, on this machine.

    UserError, with what it is called and made by, where there is no such model, its files are
    gone, or it is something else.
    """
    separator = "/" if alias_or_version.isdigit() else "@"
    uri = f"models:/{name}{separator}{alias_or_version}"
    try:
        local = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except (MlflowException, OSError) as error:
        known = ", ".join(entry["version"] for entry in list_versions(name)) or "none"
        raise UserError(
            f"{uri}: no such registered {what}, or its files are gone (versions: {known}); "
            f"run {made_by}, or set the alias by hand"
        ) from error
    found = [next(iter(sorted(local.rglob(file))), None) for file in files]
    if None in found:
        lacking = files[found.index(None)]
        raise UserError(f"{uri}: holds no {lacking}, so it is no {what} of this project")
    return [path.parent for path in found if path is not None]


def list_versions(name: str) -> list[dict[str, str]]:
    """Versions of a registered model, oldest first.

    Returns:
        {"version", "run_id", "created_at" (milliseconds), "aliases" (comma separated)} each;
        empty when nothing of that name is registered.
    """
    client = MlflowClient()
    try:
        # Listing versions leaves their aliases out; the registered model has them.
        aliases = client.get_registered_model(name).aliases
    except MlflowException:
        return []
    versions = sorted(
        client.search_model_versions(f"name = '{name}'"), key=lambda entry: int(entry.version)
    )
    return [
        {
            "version": str(entry.version),
            "run_id": str(entry.run_id or ""),
            "created_at": str(entry.creation_timestamp),
            "aliases": ",".join(
                sorted(alias for alias, at in aliases.items() if str(at) == str(entry.version))
            ),
        }
        for entry in versions
    ]


def get_version_tags(name: str, version: str) -> dict[str, str]:
    """Tags of a version."""
    return dict(MlflowClient().get_model_version(name, version).tags)


def set_version_tags(name: str, version: str, tags: Mapping[str, str]) -> None:
    """Add tags to a version, or change them."""
    client = MlflowClient()
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)


def set_alias(name: str, alias: str, version: str) -> None:
    """Point an alias at a version, away from any other."""
    MlflowClient().set_registered_model_alias(name, alias, version)


def get_alias(name: str, alias: str) -> str | None:
    """The version that an alias points at; None without one."""
    try:
        return str(MlflowClient().get_model_version_by_alias(name, alias).version)
    except MlflowException:
        return None
