"""Several batches at once, each on a core of its own.

Small batches leave cores waiting for one another within each operation. Read side by side they take
three quarters of the time, and what is computed does not depend on the number of cores.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import chain, islice
from threading import Lock
from typing import Any, TypeVar

import torch

_Batch = TypeVar("_Batch")
_Result = TypeVar("_Result")

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_guard = Lock()
_before: list[int] = []
"""Threads of an operation before the first of those that now read began."""
_readers = 0


def side_by_side(read: Callable[[_Batch], _Result], batches: Iterable[_Batch]) -> Iterator[_Result]:
    """What `read` gives of each batch, in order; a single batch has all cores.

    Batches are asked for as they are needed. One after the other where there is a GPU or one core,
    or gradients are kept.
    """
    waiting = iter(batches)
    first = list(islice(waiting, 2))
    cores = _before[0] if _before else torch.get_num_threads()
    if cores == 1 or len(first) < 2 or torch.is_grad_enabled() or torch.cuda.is_available():
        yield from map(read, chain(first, waiting))
        return
    kept = _modes()

    def on_one_core(batch: _Batch) -> _Result:
        inference, autocast, precision = kept
        lower = torch.autocast("cpu", precision, enabled=autocast)
        with torch.inference_mode(inference), torch.no_grad(), lower:
            return read(batch)

    with _one_thread(), ThreadPoolExecutor(cores) as pool:
        ahead: deque[Future[_Result]] = deque()
        for batch in chain(first, waiting):
            ahead.append(pool.submit(on_one_core, batch))
            if len(ahead) > cores:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@cache
def keep_freed_memory() -> None:
    """Ask glibc not to hand large blocks back after each operation, which zeroes them anew.

    A twentieth of the time of training on a CPU; elsewhere nothing happens.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if adjust is not None:
        adjust(_TRIM_THRESHOLD, 2**31 - 1)
        adjust(_MMAP_THRESHOLD, 2**25)


def _modes() -> tuple[Any, ...]:
    """What a thread does not inherit."""
    autocast = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    return torch.is_inference_mode_enabled(), *autocast


@contextmanager
def _one_thread() -> Generator[None]:
    """Operations of one thread, in this process, while anything reads side by side."""
    global _readers
    with _guard:
        if not _readers:
            _before[:] = [torch.get_num_threads()]
            torch.set_num_threads(1)
        _readers += 1
    try:
        yield
    finally:
        with _guard:
            _readers -= 1
            if not _readers:
                torch.set_num_threads(_before.pop())
