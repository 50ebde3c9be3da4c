"""Training tiny retrievers: what is learned, what is kept, what is said."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from training_tables import training_pairs, training_settings

import tiny_models
from checkout import start_script
from relevance_distillery.encoders.base_model import load_encoder
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.errors import UserError
from relevance_distillery.retriever import training
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.rankings import encode_together
from relevance_distillery.retriever.recipes import Trained, of_one_channel, train_recipes
from relevance_distillery.retriever.towers import Towers
from relevance_distillery.retriever.training import Examples, Stage, run_stage, validate

WEIGHTS = "model.safetensors"
PAIRS = training_pairs(24)

_SCRIPT = """
import logging, sys
sys.path[:0] = {paths!r}
import torch
torch.set_num_threads({threads})
logging.basicConfig(level=logging.INFO)
from pathlib import Path
from training_tables import training_pairs, training_settings
from relevance_distillery.retriever.recipes import train_recipes
settings = training_settings({base!r}, epochs=6)
print(train_recipes(training_pairs(24), settings, Path({work!r})).best)
"""


def reading(tokenizer: Any) -> partial[Any]:
    return partial(tokenise, tokenizer, limit=32)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.encoder(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def trained(base: Path, work: Path) -> Trained:
    every = ("curriculum", "listwise", "margin_mse", "one_stage", "one_channel", "no_token_similar")
    return train_recipes(PAIRS, training_settings(base, recipes=every), work)


def gap(folder: Path, pairs: pd.DataFrame = PAIRS) -> float:
    """By how much relevant pairs are nearer than others, on average."""
    retriever = Retriever.load(folder)
    queries = retriever.encode_queries(pairs["query"].tolist())
    passages = retriever.encode_passages(pd.DataFrame({"text": pairs["passage"]}))
    cosines = (queries * passages).sum(1)
    relevant = pairs["relevant"].to_numpy()
    return float(cosines[relevant].mean() - cosines[~relevant].mean())


def test_every_recipe_brings_relevant_passages_nearer_than_others(trained: Trained) -> None:
    before = gap(trained.folders["untrained"])
    assert set(trained.folders) == {"untrained", *trained.facts}
    for name, folder in trained.folders.items():
        if name != "untrained":
            assert gap(folder) > before + 0.0025, name
    # Nothing was held back to choose by: the first one is taken, half of the way.
    assert trained.held_back == []
    assert trained.best == "curriculum"
    for facts in trained.facts.values():
        assert facts["validation"] is None
    stages = trained.facts["curriculum"]["stages"]
    assert [one["name"] for one in stages] == ["bce", "mnrl", "triplet"]
    for one in stages:
        assert one["steps"] == one["best_step"] == 2 * -(-one["queries"] // 12)
    # All recipes take as many steps, but for the one that leaves a stage out.
    steps = {
        name: sum(one["steps"] for one in facts["stages"]) for name, facts in trained.facts.items()
    }
    assert steps["one_stage"] == 3 * 2 * -(-24 // 12)
    assert steps["no_token_similar"] < steps["curriculum"] <= steps["one_stage"]


@pytest.mark.parametrize("loss", ["bce", "mnrl", "triplet", "listwise", "margin_mse"])
def test_one_stage_widens_the_gap(base: Path, loss: str) -> None:
    network, tokenizer = load_encoder(str(base))
    towers = Towers(network.eval(), tokenizer, None, "cpu", "fp32")
    learn = Examples.of(PAIRS, reading(tokenizer))
    nothing = Examples.of(PAIRS[:0], reading(tokenizer))

    def apart() -> float:
        vectors = [towers.embed(rows).detach().numpy() for rows in (learn.queries, learn.passages)]
        pairs = learn.pairs
        cosines = (vectors[0][pairs["query"]] * vectors[1][pairs["passage"]]).sum(1)
        relevant = pairs["relevant"].to_numpy()
        return float(cosines[relevant].mean() - cosines[~relevant].mean())

    before = apart()
    facts = run_stage(towers, Stage(loss), learn, nothing, None, training_settings(base))
    assert apart() > before + 0.01
    assert facts["history"][-1]["loss"] < facts["history"][0]["loss"]


def test_the_same_seed_gives_the_same_bytes_and_frozen_layers_are_the_bases(
    base: Path, trained: Trained, tmp_path: Path
) -> None:
    again = train_recipes(PAIRS, training_settings(base), tmp_path / "again")
    other = train_recipes(PAIRS, training_settings(base, seed=2), tmp_path / "other")
    made = [one.folders["curriculum"] / WEIGHTS for one in (trained, again, other)]
    assert made[0].read_bytes() == made[1].read_bytes()
    assert made[0].read_bytes() != made[2].read_bytes()
    start, end = load_file(base / WEIGHTS), load_file(made[0])
    moved = {name for name, value in end.items() if not value.equal(start[name])}
    assert moved
    assert all(name.startswith("encoder.layer.1.") for name in moved)
    # Nobody validates 24 queries: it goes half the way, with the first share.
    last = load_file(
        next(made[0].parents[1].glob("stages/*/*/*/triplet-*")) / "weights.safetensors"
    )
    for name in moved:
        half = (start[name] + last[name]) / 2
        np.testing.assert_allclose(end[name], half, atol=1e-6)
    whole = train_recipes(
        PAIRS, training_settings(base, tuned_layers=None), tmp_path / "whole"
    ).folders["curriculum"]
    assert not load_file(whole / WEIGHTS)["embeddings.word_embeddings.weight"].equal(
        start["embeddings.word_embeddings.weight"]
    )


def test_what_changes_a_retriever_trains_it_again_and_nothing_else_does(
    base: Path, trained: Trained, work: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = trained.folders["listwise"].parent
    again = train_recipes(PAIRS, training_settings(base, recipes=("listwise",)), work)
    assert again.folders["listwise"] == trained.folders["listwise"]
    assert again.facts["listwise"] == trained.facts["listwise"]
    assert "stage listwise was finished before" in caplog.messages
    # The same name, other weights.
    network, _ = load_encoder(str(base))
    network.embeddings.word_embeddings.weight.data[7] += 1.0
    whole = (base / WEIGHTS).read_bytes()
    try:
        network.save_pretrained(base)
        moved = train_recipes(PAIRS, training_settings(base, epochs=1), work.parent / "moved")
    finally:
        (base / WEIGHTS).write_bytes(whole)
    straight = train_recipes(PAIRS, training_settings(base, epochs=1), work.parent / "moved")
    assert moved.folders["curriculum"] != straight.folders["curriculum"]
    assert folder.is_dir()
    assert not moved.folders["curriculum"].exists()


def test_a_killed_training_goes_on_behind_the_finished_stage(base: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    script = tmp_path / "train.py"
    here = Path(__file__).parent
    paths = [str(here), str(here.parent)]
    script.write_text(
        _SCRIPT.format(
            paths=paths, base=str(base), work=str(killed), threads=torch.get_num_threads()
        )
    )
    process = start_script(script)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.runs():
        if list(killed.glob("*/stages/*/bce-*/facts.json")):
            break
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list(killed.glob("*/stages/*/*/mnrl-*/facts.json")), "killed too late"
    status, said = start_script(script).wait()
    assert status == 0, said
    assert said.count("was finished before") == 1
    assert "stage bce was finished before" in said
    status, said = start_script(script).wait()
    assert said.count("was finished before") == 3
    straight = train_recipes(PAIRS, training_settings(base, epochs=6), tmp_path / "straight")
    resumed = next(killed.glob("*/curriculum")) / WEIGHTS
    assert resumed.read_bytes() == (straight.folders["curriculum"] / WEIGHTS).read_bytes()


def test_a_stage_without_pairs_is_skipped_and_says_so(
    base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = PAIRS[~PAIRS["bucket"].isin(["random", "token_similar"])]
    made = train_recipes(few, training_settings(base, epochs=1), tmp_path)
    stages = made.facts["curriculum"]["stages"]
    assert [bool(one.get("skipped")) for one in stages] == [True, False, True]
    assert stages[0]["skipped"] == "no query has pairs in easy_positive, random"
    assert stages[0]["steps"] == 0
    assert any(text.startswith("stage triplet is skipped: no query") for text in caplog.messages)
    # Read again, it is skipped again.
    again = train_recipes(few, training_settings(base, epochs=1), tmp_path)
    assert again.facts == made.facts


def towers_of(folder: Path) -> Towers:
    network, tokenizer = load_encoder(str(folder))
    return Towers(network.eval(), tokenizer, None, "cpu", "fp32")


def test_held_back_queries_choose_checkpoint_recipe_and_share_of_weights(
    base: Path, tmp_path: Path
) -> None:
    pairs = training_pairs(160, 5)
    shares = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    settings = training_settings(
        base, recipes=("no_token_similar", "curriculum", "listwise"), interpolation=shares,
        evaluations=4, epochs=1, learning_rate=0.02,
    )  # fmt: skip
    made = train_recipes(pairs, settings, tmp_path)
    assert len(made.held_back) == 32
    tokenizer = load_encoder(str(base))[1]
    held = Examples.of(pairs[pairs["query_id"].isin(made.held_back)], reading(tokenizer))
    before = validate(towers_of(base), held)
    assert made.facts["untrained"]["validation"] == before
    found, went_back = {"untrained": before}, False
    for name in ("curriculum", "listwise"):
        value = before
        for one in made.facts[name]["stages"]:
            checks = [entry["validation"] for entry in one["history"]]
            assert len(checks) == 4
            assert one["validation"] == max(value, *checks)
            went_back |= one["validation"] > checks[-1]
            value = one["validation"]
        found[name] = validate(towers_of(made.folders[name]), held)
        assert found[name] == pytest.approx(made.facts[name]["validation"], abs=1e-6)
        assert found[name] >= value
    assert went_back, "the last weights were always the best"
    # Recipes that only show an ingredient's worth are never the retriever.
    assert made.best == max(found, key=found.__getitem__)
    # Of the shares the best one, and its weights lie between.
    start = load_file(base / WEIGHTS)
    chosen = [name for name in found if 0 < made.facts[name].get("alpha", 1) < 1]
    assert chosen, "no share was better than all"
    for name in chosen:
        stages = made.folders[name].parent / "stages" / "all_channels"
        last = {"curriculum": "bce-*/mnrl-*/triplet-*", "listwise": "listwise-*"}[name]
        end = load_file(next(stages.glob(last)) / "weights.safetensors")
        for key, weight in load_file(made.folders[name] / WEIGHTS).items():
            wanted = start[key] + made.facts[name]["alpha"] * (end[key] - start[key])
            np.testing.assert_allclose(weight, wanted, atol=1e-6)


def test_what_cannot_be_trained_is_one_line(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the loss bce is not finite at step \d+; lower its"):
        train_recipes(PAIRS, training_settings(base, learning_rate=1e30), tmp_path)
    assert not list(tmp_path.glob("*/curriculum"))
    nine = PAIRS[PAIRS["query_id"].isin([f"q{i}" for i in range(9)])]
    first_token = tiny_models.encoder(tmp_path / "first-token")
    (first_token / "1_Pooling").mkdir()
    (first_token / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    with pytest.raises(UserError, match="first-token: its vectors are not means"):
        train_recipes(PAIRS, training_settings(first_token), tmp_path / "work")
    with pytest.raises(UserError, match="9 queries have a relevant passage, at least 10"):
        train_recipes(nine, training_settings(base), tmp_path)


@pytest.mark.parametrize("tuned_layers", [1, 2, None])
def test_encoding_together_is_encoding_alone(
    base: Path, tmp_path: Path, tuned_layers: int | None
) -> None:
    settings = training_settings(
        base, epochs=1, tuned_layers=tuned_layers, recipes=("curriculum", "listwise")
    )
    folders = train_recipes(PAIRS, settings, tmp_path).folders
    texts = [*PAIRS["passage"], "", "w1", " ".join(f"w{i % 60}" for i in range(200))]
    together = encode_together(folders, texts)
    assert set(together) == {"curriculum", "listwise", "untrained"}
    for name, folder in folders.items():
        alone = Retriever.load(folder, precision="fp32")
        np.testing.assert_allclose(together[name], alone.encode_queries(texts), atol=1e-5)
        table = pd.DataFrame({"text": texts})
        np.testing.assert_allclose(together[name], alone.encode_passages(table), atol=1e-5)
    assert np.abs(together["curriculum"] - together["listwise"]).max() > 1e-3


def test_no_passage_graded_relevant_is_a_negative_of_its_query_whoever_brought_it(
    base: Path,
) -> None:
    towers = towers_of(base)
    tokenizer = load_encoder(str(base))[1]
    rows = [
        ("a", "p1", "easy_positive", True, 1.0),
        ("a", "p2", "random", False, 0.0),
        ("a", "p5", "hard_positive", True, 1.0),
        ("b", "p3", "easy_positive", True, 1.0),
        ("b", "p4", "random", False, 0.0),
        ("b", "p5", "random", False, 0.0),
    ]
    pairs = pd.DataFrame(rows, columns=["query_id", "passage_id", "bucket", "relevant", "gain"])
    pairs = pairs.assign(query=pairs["query_id"], passage=pairs["passage_id"])
    # Graded, and not among the pairs that were chosen; the last is of no pair at all.
    also = pd.DataFrame({"query_id": ["b", "c", "a"], "passage_id": ["p1", "p1", "p9"]})
    examples = Examples.of(pairs, reading(tokenizer), also)
    chosen = {0: ([0], [1]), 1: ([3], [4, 2])}
    made = training._block(towers, examples, chosen, 0.1)
    assert made.foreign.tolist() == [
        [False, False, False, True, True],
        [False, True, False, False, False],
    ]
    assert made.positive.tolist() == [[True, *[False] * 4], [*[False] * 3, True, False]]
    assert made.negative[1].tolist() == [False, False, True, False, True]
    assert examples.relevant == {0: {0, 2}, 1: {3, 0}} | {
        -1: {0}, 0: {0, 2, -1},
    }  # fmt: skip


def test_a_text_with_two_ids_is_one_passage_and_never_its_own_negative(base: Path) -> None:
    rows = [
        ("a", "p1", "w1 w2", "easy_positive", True, 1.0),
        ("a", "copy", "w1 w2", "random", False, 0.0),
        ("a", "p3", "w3", "random", False, 0.0),
    ]
    columns = ["query_id", "passage_id", "passage", "bucket", "relevant", "gain"]
    pairs = pd.DataFrame(rows, columns=columns).assign(query="w1")
    examples = Examples.of(pairs, reading(load_encoder(str(base))[1]))
    assert len(examples.passages) == 2
    assert examples.lists(Stage("mnrl")) == {0: ([0], [1])}


def test_one_channel_learns_nothing_from_what_nobody_graded_or_bm25_missed() -> None:
    rows = [
        ("p1", "easy_positive", True, 1.0, 3),
        ("p2", "hard_positive", True, 0.4, 1),
        ("p3", "other_positive", True, 1.0, 0),
        ("p4", "hard_negative", False, 0.0, 0),
        ("p5", "other_negative", False, 0.0, 2),
        ("p6", "ungraded", False, 0.0, 4),
        ("p7", "random", False, 0.0, 0),
    ]
    pairs = pd.DataFrame(rows, columns=["passage_id", "bucket", "relevant", "gain", "rank_bm25"])
    found = of_one_channel(pairs).set_index("passage_id")["bucket"].to_dict()
    assert found == {
        "p1": "easy_positive", "p2": "hard_positive", "p5": "hard_negative", "p6": "ungraded",
        "p7": "random",
    }  # fmt: skip
    # A channel that found nothing has no ranks.
    left = of_one_channel(pairs.drop(columns="rank_bm25"))
    assert left["passage_id"].tolist() == ["p7"]


def test_a_retriever_says_how_it_was_trained(trained: Trained) -> None:
    facts = json.loads((trained.folders["curriculum"] / "retriever.json").read_text())
    assert facts["training"] == trained.facts["curriculum"]
    assert facts["tuned_layers"] == 1
    assert facts["max_length"] == 32
