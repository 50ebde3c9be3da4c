"""A run that is stopped from outside ends its tracking, and what is left of it is swept."""

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from relevance_distillery.io.files import sweep_partials


class Terminated(KeyboardInterrupt):
    """SIGTERM: what a scheduler sends where a person would press Ctrl-C."""


@contextmanager
def terminated_like_interrupted() -> Generator[None]:
    """SIGTERM ends the run as Ctrl-C does: files are whole, and the last line says what is kept."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_tracking() -> None:
    """End the MLflow run, if there is one, as killed."""
    gc.collect()
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    mlflow = sys.modules.get("mlflow")
    if mlflow is not None:
        # The message to the user must not get lost over a server that is gone.
        with suppress(Exception):
            while mlflow.active_run() is not None:
                mlflow.end_run("KILLED")


class StoppingHooks:
    """Sets tracking up in one run at a time, and sweeps what runs that were killed left."""

    @hook_impl(wrapper=True)
    def after_context_created(self, context: KedroContext) -> Iterator[None]:
        """Keeps a second first run waiting while the first makes MLflow's database."""
        with FileLock(Path(str(context.project_path)) / "mlflow.db.lock"):
            return (yield)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Removes half-written files of processes that are gone from where this run writes."""
        for name in pipeline.all_outputs():
            path = getattr(catalog[name], "_filepath", None) if name in catalog else None
            if path is not None:
                sweep_partials(Path(os.fspath(path)))
