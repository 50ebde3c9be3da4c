"""Callers that come while others are being answered are answered together, in the next pass.

Nobody waits for company: a caller who finds a pass free starts at once, so that batches grow
with the load alone (requests join between two passes, as in Yu et al., Orca, 2022).
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Any


class MicroBatcher:
    """A function over many items, called by several threads at once.

    Args:
        answer: Answers items, in their order.
        piece: Items of a caller in one pass; a longer list goes in pieces, so that callers with few
            items need not wait for its end.
        passes: Threads that may be in `answer` at a time.
    """

    def __init__(
        self, answer: Callable[[list[Any]], Sequence[Any]], piece: int, passes: int = 1
    ) -> None:
        self._answer, self._piece, self._free = answer, piece, passes
        self._waiting: dict[Future[list[Any]], Sequence[Any]] = {}
        self._changed = threading.Condition()

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        """Answers to one caller's items; raises what `answer` raised for these alone."""
        starts = range(0, len(items), self._piece)
        return [one for at in starts for one in self._answered(items[at : at + self._piece])]

    def _answered(self, items: Sequence[Any]) -> list[Any]:
        mine: Future[list[Any]] = Future()
        with self._changed:
            self._waiting[mine] = items
            self._changed.wait_for(lambda: mine.done() or (self._free and mine in self._waiting))
            if mine.done():
                return mine.result()
            calls, self._waiting, self._free = self._waiting, {}, self._free - 1
        try:
            self._pass(calls)
        finally:
            with self._changed:
                self._free += 1
                for call in calls:
                    call.cancel()  # where Ctrl-C ended the pass
                self._changed.notify_all()
        return mine.result()

    def _pass(self, calls: Mapping[Future[list[Any]], Sequence[Any]]) -> None:
        try:
            answers = iter(self._answer([item for items in calls.values() for item in items]))
        except Exception as error:
            # What one caller's items cause is not the others' concern.
            for call, items in calls.items():
                if len(calls) > 1:
                    self._pass({call: items})
                else:
                    call.set_exception(error)
        else:
            for call, items in calls.items():
                call.set_result(list(islice(answers, len(items))))
