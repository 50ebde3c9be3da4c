from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from transformers import modeling_utils

from checkout import start_script
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler import training
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.training import newest_complete_checkpoint
from tiny_models import tiny_data, tiny_settings

_SCRIPT = """
import sys
sys.path.insert(0, {path!r})
import torch
torch.set_num_threads(1)
from pathlib import Path
from tiny_models import tiny_data, tiny_settings
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.distilling import distill
folder, facts = distill(tiny_data(), tiny_settings({base!r}, epochs=4, patience=50),
                        DEFAULT_SCALE, Path({work!r}))
print("resumed", facts["resumed"], folder)
"""


def test_same_seed_same_labeler(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_encoder, epochs=1)
    grades = []
    for name in ("first", "second"):
        folder, _ = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path / name)
        grades.append(Labeler.load(folder).grade(tiny_data().early.pairs))
    assert grades[0].equals(grades[1])
    other, _ = distill(
        tiny_data(), tiny_settings(tiny_encoder, epochs=1, seed=9), DEFAULT_SCALE, tmp_path
    )
    assert not Labeler.load(other).grade(tiny_data().early.pairs).equals(grades[0])


def test_clear_pairs_leave_early_unless_that_is_switched_off(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    made = []
    for most_wrong in (0.005, 0):
        settings = tiny_settings(tiny_encoder, epochs=1, early_exit=most_wrong)
        folder, facts = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)
        made.append((Labeler.load(folder), facts))
    (early, told), (whole, told_whole) = made
    assert early.facts.early_exit is not None
    assert told["early_exit"]["pairs"] == 96
    assert 0.05 < told["early_exit"]["share"] < 1
    assert told["early_exit"]["wrong"] <= 0.005
    assert whole.facts.early_exit is None
    assert "early_exit" not in told_whole
    pairs = tiny_data().early.pairs
    given, full = early.grade(pairs), whole.grade(pairs)
    leaves = ~np.isclose(given["score"], full["score"], atol=1e-4)
    assert 0.05 < leaves.mean() < 0.6
    assert (given["grade"][leaves] == 0).all()
    # Whoever else is read with a pair decides neither its score nor whether it leaves.
    early.batch_size = 3
    shuffled = early.grade(pairs.sample(frac=1, random_state=3)).loc[pairs.index]
    np.testing.assert_allclose(shuffled["score"], given["score"], atol=1e-4)


def test_stuffed_copies_in_training_make_query_words_alone_worth_less(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    pairs = tiny_data().early.pairs[tiny_data().early.positions == 0].reset_index(drop=True)
    stuffed = pairs.assign(text=pairs["query"] + "\n\n" + pairs["text"])
    rises = []
    for share in (0.0, 0.4):
        settings = tiny_settings(tiny_encoder, stuffed_share=share)
        labeler = Labeler.load(distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)[0])
        before, after = (labeler.grade(one)["expected_grade"].mean() for one in (pairs, stuffed))
        rises.append(after - before)
    assert rises[1] < 0.8 * rises[0]


def test_a_finished_labeler_is_not_trained_twice(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_encoder, epochs=1)
    folder, first = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    again, second = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)
    assert (again, second) == (folder, first)
    assert (again / "model.safetensors").stat().st_mtime_ns == stamp
    changed, _ = distill(
        tiny_data(), tiny_settings(tiny_encoder, epochs=1, seed=1), DEFAULT_SCALE, tmp_path
    )
    assert changed != folder


def test_a_killed_training_resumes_and_ends_the_same(tiny_encoder: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    script = tmp_path / "train.py"
    script.write_text(
        _SCRIPT.format(path=str(Path(__file__).parents[1]), base=str(tiny_encoder), work=str(work))
    )
    process = start_script(script)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.runs():
        # Killed while the second checkpoint is being written or just after.
        if len(list(work.glob("*/*/checkpoint-*/model.safetensors"))) >= 2:
            break
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list(work.glob("*/labeler")), "the training was over before it could be killed"
    status, said = start_script(script).wait()
    assert status == 0
    assert "resumed True" in said
    resumed = Labeler.load(next(work.glob("*/labeler")))
    straight, told = distill(
        tiny_data(),
        tiny_settings(tiny_encoder, epochs=4, patience=50),
        DEFAULT_SCALE,
        tmp_path / "straight",
    )
    rates = [facts["pairs_per_second"] for facts in (resumed.facts.training, told)]
    assert min(rates) > told["train_pairs"] * 4 / told["seconds"]
    pairs = tiny_data().early.pairs
    np.testing.assert_allclose(
        resumed.grade(pairs)["score"], Labeler.load(straight).grade(pairs)["score"], atol=1e-3
    )
    assert not list(work.glob("*/*/checkpoint-*"))


def test_half_written_checkpoints_are_dropped(tmp_path: Path) -> None:
    for step, files in (
        (5, ("model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")),
        (10, ("model.safetensors", "optimizer.pt")),
        (15, ("model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")),
    ):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in files:
            (folder / name).write_text(f'{{"global_step": {step}}}')
    (tmp_path / "checkpoint-15" / "trainer_state.json").write_text('{"global_st')
    newest = newest_complete_checkpoint(tmp_path)
    assert newest == tmp_path / "checkpoint-5"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5"]


def test_a_loss_that_is_not_finite_says_what_to_do(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_encoder, learning_rate=1e18, head_learning_rate=1e18)
    with pytest.raises(UserError, match="lower learning_rate"):
        distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)


def test_one_grade_only_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    data = tiny_data()
    flat = data.learn.take(np.flatnonzero(data.learn.positions == 3))
    with pytest.raises(UserError, match="every training pair has grade 3"):
        distill(replace(data, learn=flat), tiny_settings(tiny_encoder), DEFAULT_SCALE, tmp_path)


def test_few_queries_are_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    data = tiny_data()
    few = data.learn.take(np.arange(12))
    with pytest.raises(UserError, match="at least 10"):
        distill(replace(data, learn=few), tiny_settings(tiny_encoder), DEFAULT_SCALE, tmp_path)


@pytest.mark.parametrize("architecture", ["cross_encoder", "late_interaction"])
def test_each_architecture_trains(architecture: str, tiny_encoder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(
        tiny_encoder, architecture=architecture, epochs=1, gradient_accumulation=2
    )
    folder, training = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)
    assert training["architecture"] == architecture
    assert len(Labeler.load(folder).grade(tiny_data().early.pairs))


@pytest.mark.parametrize("architecture", ["cross_encoder", "late_interaction"])
def test_states_computed_anew_give_the_same_labeler(
    architecture: str, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = mock.Mock(side_effect=modeling_utils.checkpoint)
    monkeypatch.setattr(modeling_utils, "checkpoint", counted)
    scores = []
    for anew in (False, True):
        settings = tiny_settings(
            tiny_encoder,
            architecture=architecture,
            epochs=1,
            precision="fp32",
            gradient_checkpointing=anew,
        )
        folder, _ = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path / str(anew))
        assert (counted.call_count > 0) == anew
        scores.append(Labeler.load(folder).grade(tiny_data().early.pairs)["score"])
    np.testing.assert_allclose(*scores, atol=1e-4)


def test_a_training_that_memory_does_not_hold_is_one_line(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("tried to allocate 17 GiB")

    monkeypatch.setattr(training._PairTrainer, "compute_loss", full)
    settings = tiny_settings(tiny_encoder, batch_size=6)
    with pytest.raises(UserError, match=r"^training: cpu lacks memory for batch_size=6; halve it"):
        distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)
