"""Where shards are graded: in this process; other machines join here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from relevance_distillery.scoring.shards import GradedShard, PairShard


class Executor(Protocol):
    """Grades shards wherever it likes.

    Results do not depend on it: each shard is graded for itself, and written under its number.
    """

    def __call__(
        self, grade: Callable[[PairShard], GradedShard], shards: Iterable[PairShard]
    ) -> Iterator[GradedShard]:
        """Grade every shard.

        Args:
            grade: Grades one shard; can be pickled where the grader can.
            shards: Those that are missing, read when they are asked for.

        Yields:
            Each graded shard as soon as it is ready, in any order.
        """
        ...


def local(
    grade: Callable[[PairShard], GradedShard], shards: Iterable[PairShard]
) -> Iterator[GradedShard]:
    """Grade one shard after another in this process."""
    yield from map(grade, shards)


EXECUTORS: dict[str, Executor] = {"local": local}
