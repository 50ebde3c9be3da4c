"""What long work says in a log."""

from __future__ import annotations

import logging

import pytest
import torch

from relevance_distillery.encoders.batching import Row, by_length, read_by_length
from relevance_distillery.io import progress
from relevance_distillery.io.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Progress, "_logged", 0.0)
    monkeypatch.setattr(Progress, "_outermost", None)
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


def test_a_job_of_many_batches_is_one_progress(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Progress(120, "judge champion") as job:
        for _ in range(10):
            for chosen in by_length([3] * 12, 1):
                clock[0] += 1
                assert len(chosen) == 1
            job.advance(12)
    assert caplog.messages == [
        # The job's own rate is not known before its first batch is done.
        "reading texts: 5 of 12 texts, 60 texts/min, about 7 s left",
        "reading texts: 10 of 12 texts, 60 texts/min, about 2 s left",
        "judge champion: 12 of 120 pairs, 60 pairs/min, reading texts 8 of 12, about 2 min left",
        "judge champion: 36 of 120 pairs, 60 pairs/min, reading texts 4 of 12, about 80 s left",
        "judge champion: 72 of 120 pairs, 60 pairs/min, reading texts 8 of 12, about 40 s left",
    ]


@pytest.mark.parametrize("told", [True, False])
def test_what_is_said_to_be_read_is_read(
    clock: list[float], caplog: pytest.LogCaptureFixture, told: bool
) -> None:
    caplog.set_level(logging.INFO)

    def read(rows: list[Row]) -> torch.Tensor:
        clock[0] += 3
        return torch.tensor([float(len(row["input_ids"])) for row in rows])

    rows: list[Row] = [{"input_ids": [7] * size} for size in (3, 1, 2)]
    assert read_by_length(rows, 1, read, told=told).tolist() == [3.0, 1.0, 2.0]
    said = ["reading texts: 2 of 3 texts, 20 texts/min, about 3 s left"]
    assert caplog.messages == (said if told else [])
