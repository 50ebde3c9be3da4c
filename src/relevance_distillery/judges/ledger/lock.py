"""One run at a time: a lock on the ledger that the operating system keeps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from relevance_distillery.errors import UserError


class LedgerLock:
    """Held while a run labels or writes queries; may be taken again by who holds it.

    The lock is the operating system's (`flock`), so it ends with its process, however that
    ends. The file beside the ledger stays; only the lock on it counts.
    """

    def __init__(self, path: Path) -> None:
        """Name the lock of the ledger `path`."""
        self._path = path
        self._file = path.with_name(f"{path.name}.lock")
        self._lock = FileLock(
            self._file, thread_local=False, fallback_to_soft=False, on_acquired=_sign
        )

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the lock; gives true where it was not held before.

        Raises:
            UserError: Another process holds it, or the lock file cannot be made.
        """
        first = not self._lock.is_locked
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise UserError(
                f"The ledger {self._path} is in use by another run{self._holder()}: "
                "wait until that one has ended, or stop it."
            ) from None
        except OSError as error:
            raise UserError(
                f"The ledger {self._path} cannot be locked ({error.strerror}): "
                "make its folder writable and run again."
            ) from error
        try:
            yield first
        finally:
            self._lock.release()

    def _holder(self) -> str:
        with suppress(OSError, ValueError):
            return f" (process {int(self._file.read_text(encoding='ascii'))})"
        return ""


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode("ascii"))
