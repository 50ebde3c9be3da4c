"""The executor of a Ray cluster: actors that load the work once and take items as they are free.

The driver reads items and writes results; a worker needs no file of it, since models travel
through Ray's object store. For a lost worker another one is started, on another node if need be,
and does again what that one had not finished. Ray Data is not used: it reads its input on the
workers, which then need the driver's files, and a dataset that was stopped is not resumed.
"""

from __future__ import annotations

import logging
import os
import pickle
import platform
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from itertools import islice
from typing import Any

import numpy as np

from relevance_distillery.errors import UserError, import_extra

logger = logging.getLogger(__name__)

_AHEAD = 2
"""Items that a worker holds: the next is there when one is done."""
_TRIES = 4
"""How often an item is begun before what ends its workers counts as its own fault."""
_SILENT_S = 60.0
_PACKAGES = ("relevance-distillery", "torch", "transformers", "numpy")
"""Whose versions change a grade, or what can be unpickled."""


class RayWorkers:
    """Runs work on the workers of a cluster; see `Executor`."""

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        cpus: float = 1,
        gpus: float = 0,
    ) -> None:
        """Remember what `ExecutionParameters` ask for; `cpus` and `gpus` are of a worker."""
        self._address, self._workers = address, workers
        self._needs = {name: need for name, need in (("CPU", cpus), ("GPU", gpus)) if need}

    def __call__(self, work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Results in the order in which they come; workers end with the iterator.

        No more workers are started than there are items, and none gets one before it runs: where
        a node was lost, or others hold the cluster, those that run do everything.

        Raises:
            UserError: Ray is not installed or not reached, the cluster has no room, a worker
                has other versions or dies again and again, or the work raises one.
        """
        waiting = iter(items)
        queue = deque((item, 1) for item in islice(waiting, 1))  # items, and how often begun
        if not queue:
            return
        ray = _connected(self._address)
        room = self._room(ray)
        # In a list, so that the worker unpacks it itself and can say what is wrong.
        sent, versions = [ray.put(_pack(work))], _versions()
        workers: set[Any] = set()
        starting: dict[Any, tuple[Any, Any, int]] = {}
        running: dict[Any, tuple[Any, Any, int]] = {}
        free: list[Any] = []
        failed = 0  # starts of workers, one after the other
        try:
            while True:
                queue.extend((item, 1) for item in islice(waiting, max(0, room - len(queue))))
                while len(workers) < room and len(starting) < len(queue):
                    worker = self._started(ray)
                    workers.add(worker)
                    starting[worker.ready.remote(versions)] = worker, None, 0
                while free and queue:
                    worker, (item, tries) = free.pop(0), queue.popleft()
                    running[worker.do.remote(sent, item)] = worker, item, tries
                if not queue and not running:
                    return
                for done in _finished(ray, [*starting, *running]):
                    began = done in starting
                    worker, item, tries = (starting if began else running).pop(done)
                    try:
                        result = _result(ray, done)
                    except ray.exceptions.RayError as error:
                        workers.discard(worker)
                        free = [one for one in free if one is not worker]
                        failed += began
                        if not began:
                            queue.appendleft((item, tries + 1))
                        _tell_lost(error, failed if began else tries)
                        continue
                    free += [worker] * (_AHEAD if began else worker in workers)
                    failed = 0
                    if not began:
                        yield result
        finally:
            for worker in workers:
                with suppress(ray.exceptions.RayError):
                    ray.kill(worker)

    def _room(self, ray: Any) -> int:
        """How many workers to start at most; UserError where the cluster cannot hold them."""
        total = ray.cluster_resources()
        room = min(int(total.get(name, 0) // need) for name, need in self._needs.items())
        if room < (self._workers or 1):
            has = ", ".join(f"{total.get(name, 0):g} {name}s" for name in self._needs)
            wants = ", ".join(f"{need:g} {name}s" for name, need in self._needs.items())
            raise UserError(
                f"executor=ray: the cluster has {has}: room for {room} workers of {wants} each; "
                "lower workers, execution.cpus_per_worker or execution.gpus_per_worker"
            )
        return self._workers or room

    def _started(self, ray: Any) -> Any:
        # Ray would start it again by itself, and tell of every try on standard error.
        needs = {f"num_{name.lower()}s": need for name, need in self._needs.items()}
        return ray.remote(**needs)(Worker).remote()


class Worker:
    """One process of a cluster: unpacks the work with its first item, then does item after item."""

    _work: Callable[[Any], Any] | None = None

    def ready(self, versions: dict[str, str]) -> None:
        """UserError where this node has other versions than the driver."""
        own = _versions()
        other = [
            f"{name} {own[name]}, not {versions[name]}"
            for name in own
            if own[name] != versions[name]
        ]
        if other:
            raise UserError(
                f"a worker on {platform.node()} has {', '.join(other)}; install the driver's "
                "versions on every node"
            )

    def do(self, sent: list[Any], item: Any) -> Any:
        """The result of one item; UserError where this worker cannot work, with its node."""
        import ray

        if self._work is None:
            try:
                self._work = _unpack(ray.get(sent[0]))
            except (UserError, ImportError) as error:
                raise UserError(
                    f"a worker on {platform.node()}: {error}; it needs what the driver has"
                ) from error
        return self._work(item)


def _connected(asked: str | None) -> Any:
    """Ray, connected to the cluster that is asked for."""
    # Nothing is reported unless the user says so.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = import_extra("ray", "ray", "executor=ray")
    if ray.is_initialized():
        return ray
    address = asked or os.environ.get("RAY_ADDRESS") or "local"
    own = {"include_dashboard": False} if address == "local" else {}
    if address.startswith("ray://"):
        raise UserError(
            f"ray_address={address}: Ray's client is not used; start the run on a node of the "
            "cluster with ray_address=auto"
        )
    logger.info("Ray: %s", "starting on this machine" if own else f"connecting to {address}")
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdigit():
            # Ray itself tries for minutes.
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **own)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"executor=ray: no cluster at ray_address={address} ({reason}); start one with `ray "
            "start --head`, or leave ray_address out to use this machine alone"
        ) from error
    return ray


def _finished(ray: Any, running: list[Any]) -> list[Any]:
    """What has ended; says so where nothing does for long, as when others hold the cluster."""
    while True:
        done, _ = ray.wait(running, timeout=_SILENT_S)
        if done:
            return done
        free, total = ray.available_resources(), ray.cluster_resources()
        logger.info(
            "Ray: no result for a minute; %g of %g cores are free", free.get("CPU", 0), total["CPU"]
        )


def _result(ray: Any, done: Any) -> Any:
    try:
        return ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None


def _tell_lost(error: Exception, tries: int) -> None:
    """Say that a worker was lost; UserError where it was the last try of an item."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    if tries < _TRIES:
        logger.warning("Ray: a worker was lost, its items are done again (%s)", lines[0])
        return
    raise UserError(
        f"executor=ray: {_TRIES} workers ended at the same item, or could not start ({lines[-1]}); "
        "where memory is short, lower scoring.batch_size or workers, or raise "
        "execution.cpus_per_worker; what is finished is kept"
    ) from error


def _pack(work: Any) -> tuple[bytes, list[np.ndarray]]:
    """Pickled work and its large arrays, which workers of one node then share."""
    cloudpickle = import_module("ray.cloudpickle")
    buffers: list[pickle.PickleBuffer] = []
    content = cloudpickle.dumps(work, protocol=5, buffer_callback=buffers.append)
    return content, [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]


def _unpack(sent: tuple[bytes, list[np.ndarray]]) -> Any:
    content, buffers = sent
    return pickle.loads(content, buffers=buffers)


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}
