"""Rungs: what is cut, aligned and refined, what a killed run keeps, and what stops it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from strings_of_words import word_strings

import tiny_models
from checkout import start_script
from relevance_distillery.encoders.base_model import load_encoder
from relevance_distillery.errors import UserError
from relevance_distillery.query_encoders.ladder import steps_of, train_ladder
from relevance_distillery.query_encoders.pruning import cut_layers, cut_units
from relevance_distillery.query_encoders.refinement import Graded
from relevance_distillery.query_encoders.settings import (
    AlignmentSettings,
    LadderSettings,
    PruningSettings,
)
from relevance_distillery.query_encoders.students import TransformerStudent
from relevance_distillery.query_encoders.targets import Targets
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.retriever.query_encoder import QueryEncoder
from relevance_distillery.retriever.settings import QUERY_ENCODER

STRINGS = word_strings(440)
WEIGHTS = "model.safetensors"
SMALL = {"batch_size": 32, "held_back": 40, "evaluations": 2, "loss": "cosine"}

_SCRIPT = """
import logging, sys
sys.path[:0] = {paths!r}
import torch
torch.set_num_threads({threads})
logging.basicConfig(level=logging.INFO)
from pathlib import Path
from test_ladder import STRINGS, settings
from relevance_distillery.query_encoders.ladder import train_ladder
from relevance_distillery.retriever.encoder import Retriever
how = settings(rungs=("pruned", "static"))
train_ladder(Retriever.load(Path({reference!r}), precision="fp32"), STRINGS, how, Path({work!r}))
"""


def settings(**changes: Any) -> LadderSettings:
    values = {
        "alignment": {**SMALL, "epochs": 4.0, "learning_rate": 3e-3},
        "static": {**SMALL, "epochs": 8.0, "learning_rate": 2e-2},
        "pruning": {"half": 0.5, "layers": 0.5, "units": 0.5, "schedule": (0.5, 0.5)},
        "refinement": {"learning_rate": 3e-3, "static_learning_rate": 1e-2, "epochs": 4},
        "words": 10,
        "seed": 1,
    }
    return LadderSettings.model_validate({**values, **changes})


def graded_pairs(reference: Retriever, folder: Path, queries: int = 24) -> Graded:
    """Passages are graded by how many of a query's words they have, as of `tiny_models.tables`."""
    labels, asked, passages = tiny_models.tables(queries)
    text = dict(zip(asked["query_id"], asked["text"], strict=True))
    grade = labels["grade"].to_numpy()
    buckets = np.array(["random", "hard_negative", "hard_positive", "easy_positive"], dtype=object)
    pairs = labels[["query_id", "passage_id"]].assign(
        query=labels["query_id"].map(text),
        bucket=buckets[grade],
        gain=(2.0**grade - 1) / 7,
        relevant=grade >= 2,
    )
    index = PassageIndex.build(reference, passages, folder)
    return Graded(pairs, index)


@pytest.fixture(scope="module")
def graded(reference: Retriever, tmp_path_factory: pytest.TempPathFactory) -> Graded:
    return graded_pairs(reference, tmp_path_factory.mktemp("graded") / "index")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def ladder(reference: Retriever, graded: Graded, work: Path) -> dict[str, Path]:
    every = (
        "aligned", "aligned_refined", "pruned", "one_shot", "refined_only", "static",
        "static_refined",
    )  # fmt: skip
    return train_ladder(reference, STRINGS, settings(rungs=every), work, graded)


def student_of(reference: Retriever) -> TransformerStudent:
    return TransformerStudent(*load_encoder(reference.source), 24)


def targets_of(reference: Retriever) -> Targets:
    vectors = reference.encode_queries(STRINGS)
    return Targets.of(STRINGS, vectors, AlignmentSettings.model_validate(SMALL))


def nearness(folder: Path, reference: Retriever) -> float:
    """Mean cosine with the reference's vectors of strings that nobody learned from."""
    unseen = [text for text in word_strings(100, seed=5) if text not in STRINGS]
    made = QueryEncoder.load(folder).encode_queries(unseen)
    return float((made * reference.encode_queries(unseen)).sum(1).mean())


def test_every_rung_is_a_query_encoder_of_the_references_index(
    ladder: dict[str, Path], reference: Retriever, graded: Graded
) -> None:
    for rung, folder in ladder.items():
        facts = QUERY_ENCODER.read(folder)
        assert facts["rung"] == rung
        assert facts["reference"] == {"name": reference.name, "fingerprint": reference.fingerprint}
        assert (facts["width"], facts["max_length"]) == (32, 24)
        encoder = QueryEncoder.load(folder)
        assert facts["kind"] == ("static" if rung.startswith("static") else "transformer")
        graded.index.require(encoder)
    layers = {
        rung: load_encoder(str(folder))[0].config.num_hidden_layers
        for rung, folder in ladder.items()
        if not rung.startswith("static")
    }
    assert set(layers.values()) == {1}
    units = [load_encoder(str(ladder[one]))[0].config.intermediate_size for one in layers]
    assert units == [64, 64, 32, 32, 64]


def test_aligned_rungs_come_near_the_reference(
    ladder: dict[str, Path], reference: Retriever
) -> None:
    near = {rung: nearness(folder, reference) for rung, folder in ladder.items()}
    assert near["aligned"] > near["refined_only"] + 0.1
    for rung in ("aligned", "pruned", "one_shot", "static"):
        stages = QUERY_ENCODER.read(ladder[rung])["training"]["stages"]
        assert stages[-1]["after"] > stages[-1]["before"] + 0.02, rung


def test_one_shot_takes_as_many_steps_as_the_cycles(ladder: dict[str, Path]) -> None:
    stages = {rung: QUERY_ENCODER.read(ladder[rung])["training"]["stages"] for rung in ladder}
    steps = {
        rung: sum(one["steps"] for one in found if one["stage"] == "align")
        for rung, found in stages.items()
    }
    assert steps["pruned"] == steps["one_shot"] == steps["aligned"] == 50
    assert [one["stage"] for one in stages["pruned"]] == ["cut", "align"] * 2
    assert [one["stage"] for one in stages["aligned_refined"]] == ["cut", "align", "refine"]


def test_refinement_moves_queries_alone(
    ladder: dict[str, Path], reference: Retriever, tmp_path: Path
) -> None:
    graded = graded_pairs(reference, tmp_path / "index", 200)
    before = {file: file.read_bytes() for file in (tmp_path / "index").iterdir()}
    rungs = ("aligned_refined", "static_refined")
    made = train_ladder(reference, STRINGS, settings(rungs=rungs), tmp_path / "work", graded)
    assert {file: file.read_bytes() for file in (tmp_path / "index").iterdir()} == before
    assert len(before) == 2
    for rung, folder in made.items():
        facts = QUERY_ENCODER.read(folder)["training"]["stages"][-1]
        assert facts["held_back"] == 40
        assert facts["validation"] > facts["before"] + 0.01, rung
        kept = ladder[rung.removesuffix("_refined")]
        assert (folder / WEIGHTS).read_bytes() != (kept / WEIGHTS).read_bytes()


def test_a_layer_that_does_nothing_goes_first(reference: Retriever) -> None:
    for idle in (0, 1):
        student = student_of(reference)
        layer = student.network.encoder.layer[idle]
        for part in (layer.attention.output.dense, layer.output.dense):
            part.weight.data.zero_()
        own = torch.nn.functional.normalize(student.vectors(student.rows(STRINGS)))
        targets = Targets.of(STRINGS, own.numpy(), AlignmentSettings.model_validate(SMALL))
        found = cut_layers(student, 1, targets)
        assert found["after"] > 0.999
        assert (found["layers"], found["removed"]) == ([1 - idle], [idle])
        assert student.network.config.num_hidden_layers == 1


def test_units_that_change_nothing_go_first(reference: Retriever) -> None:
    student, targets = student_of(reference), targets_of(reference)
    idle = torch.arange(64) % 2 == 0
    for layer in student.network.encoder.layer:
        layer.output.dense.weight.data[:, idle] = 0.0
    rows = student.rows(STRINGS[:20])
    before = student.vectors(rows)
    found = cut_units(student, 32, targets)
    assert (found["units"], found["of"]) == (32, 64)
    assert found["after"] == pytest.approx(found["before"], abs=1e-4)
    np.testing.assert_allclose(student.vectors(rows), before, atol=1e-4)


def test_the_same_seed_gives_the_same_bytes_and_nothing_is_made_twice(
    ladder: dict[str, Path],
    reference: Retriever,
    graded: Graded,
    work: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    how = settings(rungs=("aligned", "static"))
    again = train_ladder(reference, STRINGS, how, tmp_path)
    for rung, folder in again.items():
        assert (folder / WEIGHTS).read_bytes() == (ladder[rung] / WEIGHTS).read_bytes(), rung
    caplog.clear()
    static = settings(static={**SMALL, "epochs": 1.0}).static.model_dump()
    how = settings(rungs=("aligned", "static", "refined_only"), static=static)
    found = train_ladder(reference, STRINGS, how, work)
    assert "rung aligned: 2 of 2 steps were finished before" in caplog.messages
    assert "rung refined_only is left out: nothing is graded" in caplog.messages
    assert found["aligned"] == ladder["aligned"]
    assert found["static"] != ladder["static"]
    # Other strings: nothing is taken over but vectors.
    other = train_ladder(reference, STRINGS[:-1], settings(rungs=("static",)), work)
    assert other["static"] != ladder["static"]
    assert not ladder["aligned"].exists()


def test_a_killed_run_goes_on_behind_the_last_stage(reference: Retriever, tmp_path: Path) -> None:
    killed, script = tmp_path / "killed", tmp_path / "train.py"
    here = Path(__file__).parent
    script.write_text(
        _SCRIPT.format(
            paths=[str(here), str(here.parent)],
            reference=reference.source,
            work=str(killed),
            threads=torch.get_num_threads(),
        )
    )
    process = start_script(script)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.runs():
        if list(killed.glob("*/pruned-*")):
            break
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list(killed.glob("*/pruned-*"))) == 1, "killed too late"
    status, said = start_script(script).wait()
    assert status == 0, said
    assert "rung pruned: 2 of 4 steps were finished before" in said
    how = settings(rungs=("pruned",))
    straight = train_ladder(reference, STRINGS, how, tmp_path / "straight")["pruned"]
    resumed = next(killed.glob(f"*/{straight.name}"))
    assert (resumed / WEIGHTS).read_bytes() == (straight / WEIGHTS).read_bytes()


def test_another_model_of_another_width_gets_a_projection(
    reference: Retriever, tmp_path: Path
) -> None:
    from transformers import BertConfig, BertModel, set_seed

    set_seed(3)
    _, tokenizer = load_encoder(reference.source)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(tmp_path / "narrow")
    tokenizer.save_pretrained(tmp_path / "narrow")
    how = settings(student=str(tmp_path / "narrow"), rungs=("aligned", "pruned"))
    made = train_ladder(reference, STRINGS, how, tmp_path / "work")
    for folder in made.values():
        assert QueryEncoder.load(folder).encode_queries(["w1"]).shape == (1, 32)
    assert nearness(made["aligned"], reference) > 0.5


def test_a_student_of_another_tokenizer_keeps_it(
    reference: Retriever, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_models, "WORDS", tiny_models.WORDS[::-1])
    other = tiny_models.encoder(tmp_path / "other")
    how = settings(student=str(other), rungs=("aligned",))
    made = train_ladder(reference, STRINGS, how, tmp_path / "work")["aligned"]
    assert nearness(made, reference) > 0.5
    ours, its, theirs = (
        load_encoder(str(one))[1]("w1").input_ids for one in (made, other, reference.source)
    )
    assert ours == its != theirs


def test_a_read_only_model_is_enough_and_a_read_only_workspace_is_left_as_it_was(
    reference: Retriever, tmp_path: Path
) -> None:
    model, work = tmp_path / "model", tmp_path / "work"
    shutil.copytree(reference.source, model)
    before = {file: file.read_bytes() for file in model.rglob("*") if file.is_file()}
    for path in (*before, model):
        path.chmod(path.stat().st_mode & 0o555)
    static = settings(rungs=("static",))
    made = train_ladder(Retriever.load(model), STRINGS, static, tmp_path / "other")["static"]
    QueryEncoder.load(made)
    assert {file: file.read_bytes() for file in model.rglob("*") if file.is_file()} == before
    if os.geteuid() == 0:  # nothing is read-only to root: a file is where the folder should be
        work.write_text("")
    else:
        work.mkdir(0o500)
    with pytest.raises(OSError, match=r"Permission denied|Not a directory") as error:
        train_ladder(reference, STRINGS, static, work)
    assert str(error.value.filename).startswith(str(work))
    assert not work.is_dir() or not list(work.iterdir())


def test_schedules_end_at_the_target() -> None:
    pruning = PruningSettings(layers=1 / 3, units=0.5, schedule=(0.2, 0.3, 0.5))
    steps = steps_of("pruned", pruning, 6, 1536)
    assert steps == [
        ("cut", 5, 1280), ("align", 0.2), ("cut", 3, 1024), ("align", 0.3), ("cut", 2, 768),
        ("align", 0.5),
    ]  # fmt: skip
    assert steps_of("one_shot", pruning, 6, 1536) == [("cut", 2, 768), ("align", 1.0)]
    assert steps_of("aligned", pruning, 6, 1536) == [("cut", 3, 1536), ("align", 1.0)]


def test_bad_input_is_one_line_and_leaves_nothing(
    reference: Retriever, graded: Graded, tmp_path: Path
) -> None:
    def fails(match: str, strings: list[str] = STRINGS, **changes: Any) -> None:
        with pytest.raises(UserError, match=match):
            train_ladder(reference, strings, settings(**changes), tmp_path / "work")
        assert not list((tmp_path / "work").glob("*/[a-z]*-*"))

    below = {"layers": 0.1, "schedule": (1.0,)}
    fails("0.1 of 2 is less than one; raise compressing.ladder.pruning.layers", pruning=below)
    fails("the reference's vectors hold 32 numbers; give smaller sizes", matryoshka=(8, 32))
    fails("make no batch of 32", strings=STRINGS[:20], rungs=("static",))
    fails("no such folder", student="./nowhere", rungs=("aligned",))
    broken = tiny_models.encoder(tmp_path / "broken")
    words = tiny_models.english_encoder(tmp_path / "english")
    shutil.copy(words / "tokenizer.json", broken / "tokenizer.json")
    line = r"the tokenizer of broken has \d+ tokens, its network knows 65; give a model"
    fails(line, student=str(broken), rungs=("aligned",))
    other = Retriever.load(tiny_models.retriever(tmp_path))
    with pytest.raises(UserError, match="the index was made by the retriever"):
        train_ladder(other, STRINGS, settings(), tmp_path / "work", graded)
    few = Graded(graded.pairs[graded.pairs["query_id"] < "q15"], graded.index)
    how = settings(rungs=("refined_only",))
    with pytest.raises(UserError, match="graded queries have a relevant passage in the index, at"):
        train_ladder(reference, STRINGS, how, tmp_path / "work", few)
    with pytest.raises(ValueError, match="schedule takes shares above 0 that sum to 1"):
        PruningSettings(schedule=(0.5, 0.6))
