"""Project settings: https://docs.kedro.org/en/stable/configure/project_settings/."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any

# Nothing is fetched and nothing is reported unless the user says so: the embedded default
# needs no network. `HF_HUB_OFFLINE=0 kedro run --params="base_model=..."` may download.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# A note from one library to the developers of another, on every start.
warnings.filterwarnings("ignore", message=r"register_new_resolver\(\) is deprecated")
# Pandera imports pyspark.pandas wherever pyspark is installed; nothing here uses it.
warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")

from relevance_distillery.hooks.benchmark_memory import BenchmarkMemoryHooks  # noqa: E402
from relevance_distillery.hooks.checks import CleanStartHooks  # noqa: E402
from relevance_distillery.hooks.closing import ClosingLinesHooks  # noqa: E402
from relevance_distillery.hooks.credentials import CredentialsHooks  # noqa: E402
from relevance_distillery.hooks.stopping import StoppingHooks  # noqa: E402
from relevance_distillery.hooks.tracking import TrackingHooks  # noqa: E402

# The plugin sets its own level when it is imported; its start and end of a run say nothing new.
logging.getLogger("kedro_mlflow").setLevel(logging.ERROR)

# Order matters: Kedro calls the last one first.
HOOKS = (
    TrackingHooks(),
    ClosingLinesHooks(),
    BenchmarkMemoryHooks(),
    CredentialsHooks(),
    CleanStartHooks(),
    StoppingHooks(),
)

# Ours are subclasses of the plugin's: with both, every run would be tracked twice.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow", "kedro-telemetry", "kedro_telemetry")


def _when_equal(left: Any, right: Any, then: Any, otherwise: Any = None) -> Any:
    """`${when_equal:A,B,THEN,OTHERWISE}`: THEN if A and B name the same path."""
    same = str(left) == str(right) or (
        left is not None and Path(str(left)).resolve() == Path(str(right)).resolve()
    )
    return then if same else otherwise


def _judge_kind(judge: Any) -> str:
    """`${judge_kind:recorded:gpt-4o}`: `recorded`."""
    return str(judge).partition(":")[0]


CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Only parameters merge softly: a soft catalog would keep base's `versioned: true`
    # in an entry that is meant to replace it.
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
    "custom_resolvers": {"when_equal": _when_equal, "judge_kind": _judge_kind},
}
