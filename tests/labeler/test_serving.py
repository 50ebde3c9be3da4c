"""Requests that arrive at once, through MLflow's own server and through the model alone."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException

from checkout import ROOT
from model_server import post, served
from relevance_distillery.encoders.micro_batching import MicroBatcher
from relevance_distillery.labeler import flavor
from relevance_distillery.labeler.artifact import ARTIFACT_NAME
from relevance_distillery.labeler.flavor import ServedLabeler
from relevance_distillery.labeler.inference import Labeler
from tiny_models import WORDS, tiny_data

ROUNDING = 2e-3
"""Of expected grades; see docs/how-to/serve.md."""
AT_ONCE = 8


@pytest.fixture
def model(artifact: Path) -> ServedLabeler:
    loaded = ServedLabeler()
    loaded.load_context(SimpleNamespace(artifacts={ARTIFACT_NAME: str(artifact)}))
    return loaded


@pytest.fixture(scope="module")
def requests() -> list[pd.DataFrame]:
    """Requests of different sizes and lengths, whose passages are as long as the labeler reads."""
    rng = np.random.default_rng(0)
    pairs = tiny_data().learn.pairs[["query", "text"]].head(60)
    pairs["text"] += [" " + " ".join(rng.choice(WORDS, size=n % 70)) for n in range(len(pairs))]
    return [pairs.iloc[start : start + 1 + start % 7] for start in range(0, 60, 2)]


@pytest.fixture(scope="module")
def address(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("served")
    store = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(store)
    mlflow.create_experiment("served", artifact_location=(folder / "runs").as_uri())
    mlflow.set_experiment("served")
    flavor.log_and_register(artifact, "served-labeler", {}, {})
    environment = os.environ | {"MLFLOW_TRACKING_URI": store, "PYTHONPATH": str(ROOT / "src")}
    with served("models:/served-labeler/1", folder, environment) as found:
        yield found


def _same(found: pd.DataFrame, alone: pd.DataFrame) -> None:
    assert found["grade"].tolist() == alone["grade"].tolist()
    np.testing.assert_allclose(found["expected_grade"], alone["expected_grade"], atol=ROUNDING)
    np.testing.assert_allclose(found["score"], alone["score"], atol=0.02)


def test_requests_at_once_are_graded_as_alone_and_a_bad_one_hurts_nobody(
    address: str, labeler: Labeler, requests: list[pd.DataFrame]
) -> None:
    bad: dict[str, dict[str, Any]] = {
        "row 2 has an empty query": {
            "dataframe_records": [{"query": "w1", "text": "w1"}, {"query": " ", "text": "w2"}]
        },
        "batch_size=0: give a whole number": {
            "dataframe_records": [{"query": "w1", "text": "w1"}],
            "params": {"batch_size": 0},
        },
    }

    def ask(number: int) -> tuple[int, dict[str, Any]]:
        body: dict[str, Any] = {"dataframe_records": requests[number].to_dict("records")}
        if number % 5 == 0:
            body = list(bad.values())[number % 2]
        elif number % 3 == 0:
            body["params"] = {"batch_size": 2}
        try:
            return 200, post(address, body)
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(ask, range(len(requests))))
    for number, (status, answer) in enumerate(answers):
        if number % 5 == 0:
            assert status == 400
            assert list(bad)[number % 2] in answer["message"]
        else:
            assert status == 200
            _same(pd.DataFrame(answer["predictions"]), labeler.grade(requests[number]))


def test_what_waits_is_read_in_one_pass_and_every_request_keeps_its_rows(
    model: ServedLabeler,
    labeler: Labeler,
    requests: list[pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model._graded = MicroBatcher(model._raw, piece=256)
    begun, go_on, passes = threading.Event(), threading.Event(), []
    read = Labeler.raw_texts

    def raw_texts(self: Labeler, queries: list[str], passages: list[str]) -> Any:
        passes.append((len(queries), self.batch_size))
        begun.set()
        assert go_on.wait(60)
        return read(self, queries, passages)

    monkeypatch.setattr(Labeler, "raw_texts", raw_texts)
    some = [*requests[:5], requests[0].head(0)]
    with ThreadPoolExecutor(len(some)) as pool:
        first = pool.submit(model.predict, None, some[0], {"batch_size": 4})
        assert begun.wait(60)
        others = [pool.submit(model.predict, None, one, {"batch_size": 7}) for one in some[1:]]
        while len(model._graded._waiting) < len(some) - 2:  # the empty one asks for nothing
            time.sleep(0.01)
        go_on.set()
        answers = [first.result(), *(other.result() for other in others)]
    assert passes == [(len(some[0]), 4), (sum(map(len, some[1:])), 7)]
    assert model.labeler.batch_size == 32
    monkeypatch.undo()
    for asked, answer in zip(some, answers, strict=True):
        assert answer.index.equals(asked.index)
        _same(answer, labeler.grade(asked))


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_of_nothing_is_refused(model: ServedLabeler, size: int) -> None:
    with pytest.raises(MlflowException, match=f"batch_size={size}: give a whole number"):
        model.predict(None, pd.DataFrame({"query": ["w1"], "text": ["w1"]}), {"batch_size": size})


def test_only_the_caller_whose_items_fail_gets_the_error() -> None:
    holds, turn = threading.Event(), threading.Event()

    def answer(items: list[int]) -> list[int]:
        turn.set()
        assert holds.wait(60)
        if 13 in items:
            raise ValueError("thirteen")
        return [item * 2 for item in items]

    batcher = MicroBatcher(answer, piece=2)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batcher, [0])
        assert turn.wait(60)
        # The long one goes in pieces, the last of which fails; the short ones are done by then.
        others = [pool.submit(batcher, items) for items in ([1, 2, 3, 4, 13], [5], [6, 7, 8])]
        while len(batcher._waiting) < 3:
            time.sleep(0.01)
        holds.set()
        assert first.result(60) == [0]
        assert [other.result(60) for other in others[1:]] == [[10], [12, 14, 16]]
        with pytest.raises(ValueError, match="thirteen"):
            others[0].result(60)
        assert batcher([9]) == [18]
    assert not batcher._waiting


def test_two_passes_run_at_a_time_and_a_third_caller_waits() -> None:
    both = threading.Barrier(2)

    def answer(items: list[int]) -> list[int]:
        both.wait(60)
        return items

    batcher = MicroBatcher(answer, piece=9, passes=2)
    with ThreadPoolExecutor(4) as pool:
        assert [list(one) for one in pool.map(batcher, [[1], [2]])] == [[1], [2]]
    assert batcher._free == 2


def test_threads_that_share_a_tokenizer_read_whole_texts(
    labeler: Labeler, requests: list[pd.DataFrame]
) -> None:
    """A tokenizer keeps the limit of the last call, which may be another thread's for queries."""
    rendered = [labeler.facts.template.render(one) for one in requests]
    alone = [labeler.tokenise(*texts) for texts in rendered]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        together = list(pool.map(lambda texts: labeler.tokenise(*texts), rendered * 40))
    assert together == alone * 40


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_threads_and_order_of_rows_change_no_grade(
    artifact: Path, requests: list[pd.DataFrame], precision: str
) -> None:
    one, pairs = Labeler.load(artifact, precision=precision), pd.concat(requests)
    pairs = pairs.reset_index(drop=True)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        whole = one.grade(pairs)
        torch.set_num_threads(2)
        _same(one.grade(pairs), whole)
        _same(one.grade(pairs.sample(frac=1, random_state=1)).loc[pairs.index], whole)
    finally:
        torch.set_num_threads(before)
