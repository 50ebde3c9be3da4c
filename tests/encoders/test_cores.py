"""Batches read side by side: in order, as they are needed, and in the modes of the caller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import current_thread, main_thread

import pandas as pd
import pytest
import torch

from relevance_distillery.encoders.cores import side_by_side
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler
from tiny_models import encoder, tiny_data, tiny_settings


@pytest.fixture(autouse=True)
def _two_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@torch.no_grad()
def test_results_are_in_order_of_batches_that_are_read_as_they_are_needed() -> None:
    asked = 0

    def batches() -> Iterator[int]:
        nonlocal asked
        for number in range(50):
            asked += 1
            yield number

    def read(number: int) -> tuple[int, int, bool]:
        return number, torch.get_num_threads(), current_thread() is main_thread()

    results = side_by_side(read, batches())
    assert next(results) == (0, 1, False)
    assert asked < 10
    assert [number for number, _, _ in results] == list(range(1, 50))


@torch.no_grad()
def test_a_single_batch_has_all_cores_and_no_batch_is_no_result() -> None:
    assert list(side_by_side(lambda _: torch.get_num_threads(), [1])) == [2]
    assert list(side_by_side(abs, [])) == []


def test_modes_go_along_and_gradients_stay_in_this_thread() -> None:
    weights = torch.ones(2, 2, requires_grad=True)

    def read(_: int) -> tuple[bool, bool, torch.dtype]:
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled(), (weights @ weights).dtype

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert set(side_by_side(read, range(4))) == {(True, False, torch.bfloat16)}
    assert set(side_by_side(read, range(4))) == {(False, True, torch.float32)}


@torch.no_grad()
def test_what_a_batch_raises_is_raised() -> None:
    def read(number: int) -> float:
        return 1 / (number - 3)

    with pytest.raises(ZeroDivisionError):
        list(side_by_side(read, range(9)))


def test_a_labeler_gives_the_same_grades_on_one_core_and_on_two(tmp_path: Path) -> None:
    settings = tiny_settings(encoder(tmp_path / "tiny"), architecture="combined", epochs=1)
    folder, _ = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path / "work")
    labeler = Labeler.load(folder, batch_size=4)
    pairs = tiny_data().learn.pairs[["query", "text"]]
    two = labeler.grade(pairs)
    torch.set_num_threads(1)
    one = labeler.grade(pairs)
    torch.set_num_threads(2)
    pd.testing.assert_frame_equal(one, two)
