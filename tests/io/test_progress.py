"""What long work says in a log."""

from __future__ import annotations

import logging

import pytest

from relevance_distillery.encoders.batching import by_length
from relevance_distillery.io import progress
from relevance_distillery.io.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Progress, "_logged", 0.0)
    return now


def test_pauses_grow_and_the_time_left_is_said(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    said_after: list[int] = []
    with Progress(100, "training", "step") as shown:
        for second in range(1, 101):
            clock[0] += 1
            shown.advance()
            if len(caplog.records) > len(said_after):
                said_after.append(second)
    assert said_after == [5, 10, 20, 40, 80]
    assert caplog.messages[2] == "training: 20 of 100 steps, 60 steps/min, about 80 s left"


def test_of_work_within_work_only_one_speaks(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Progress(2, "judge embedded") as outer:
        for chosen in by_length([3] * 12, 1):
            clock[0] += 1
            assert len(chosen) == 1
        outer.advance()
    assert [line.split(":")[0] for line in caplog.messages] == ["reading texts"] * 2
