"""Where long work runs: in this process, or on the workers of a Ray cluster.

Work is cut into items, such as shards of a file, whatever runs them: results depend on neither
the executor nor the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, TypeVar

from pydantic import Field

from relevance_distillery.strict import StrictModel

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

Executor = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Calls a function with every item wherever it likes; yields each result as soon as it is there.

The order may be any. `map` does it in this process, one item at a time. Other executors send the
function to workers: it can be pickled, and keeps what is worth keeping between items (a model) as
an attribute or a bound argument. Items are asked for as they are needed.
"""


class ExecutionParameters(StrictModel):
    """What runs scoring, labeling by judges of this process, mining and indexing."""

    executor: Literal["local", "ray"] = "local"
    """`ray` spreads work over a Ray cluster, or over this machine's cores where there is none."""
    ray_address: str | None = None
    """The cluster: `HOST:PORT`, or `auto` for the one that this machine is a node of; without it
    that of the variable `RAY_ADDRESS`, else Ray is started on this machine."""
    workers: int | None = Field(None, ge=1)
    """Processes that each load the model; without it as many as there is room for."""
    cpus_per_worker: float = Field(1.0, gt=0)
    """Cores of one worker."""
    gpus_per_worker: float = Field(0.0, ge=0)
    """GPUs of one worker; a labeler or model is read on it where there is one."""

    def make(self) -> Executor:
        """The executor; a cluster is reached for when there is work for it."""
        if self.executor == "local":
            return map
        from relevance_distillery.executors.ray_workers import RayWorkers

        needs = self.cpus_per_worker, self.gpus_per_worker
        return RayWorkers(self.ray_address, self.workers, *needs)


LOCAL = ExecutionParameters()


def in_order(
    executor: Executor, work: Callable[[_Item], _Result], items: Iterable[_Item]
) -> list[_Result]:
    """Results of all items, in the order of the items."""
    results = dict(executor(partial(_numbered, work), enumerate(items)))
    return [results[number] for number in sorted(results)]


def _numbered(work: Callable[[Any], Any], item: tuple[int, Any]) -> tuple[int, Any]:
    number, given = item
    return number, work(given)
