"""Work on the workers of a real Ray cluster of this machine: same results, lost workers, faults."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from checkout import Project, start_script
from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.channels.registry import ChannelSources, search_channels
from relevance_distillery.collections.pairs_to_grade import build_pairs
from relevance_distillery.errors import UserError
from relevance_distillery.executors import ray_workers
from relevance_distillery.executors.execution import LOCAL, ExecutionParameters, Executor, in_order
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.embedding.embedded import EmbeddedJudge
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.settings import EmbeddedSettings
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.pipelines.scoring.nodes import score_pairs
from relevance_distillery.pipelines.scoring.parameters import ScoringParameters
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.scoring.graders import JudgeGrader
from relevance_distillery.scoring.pairs_file import GivenPairs, ScoringOutput
from tiny_models import encoder, tables, tiny_data, tiny_settings

ray = pytest.importorskip("ray")

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "scoring"))
from pair_files import pair_rows, read_rows, write_rows  # noqa: E402
from slow_scoring import LengthGrader  # noqa: E402

# Workers cannot import the tests.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
TWO = ExecutionParameters(executor="ray", workers=2, cpus_per_worker=0.5)


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labeler")
    settings = tiny_settings(encoder(folder / "tiny"), epochs=1)
    return distill(tiny_data(), settings, DEFAULT_SCALE, folder / "work")[0]


@pytest.fixture(scope="module")
def spread() -> Executor:
    return TWO.make()


def _score(pairs: Path, scored: Path, grader: Any, execution: ExecutionParameters) -> bytes:
    score_pairs(
        GivenPairs(str(pairs)), grader, ScoringOutput(str(scored)), ScoringParameters(), execution
    )
    return scored.read_bytes()


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_two_workers_write_the_file_of_one_process(
    kind: str, artifact: Path, tmp_path: Path
) -> None:
    table = tiny_data().learn.pairs[["query", "text"]]
    rows = [*table.to_dict("records"), {"query": " ", "text": "w1"}] * 30
    assert len(rows) > 2 * 2048
    pairs = write_rows(tmp_path / f"pairs{kind}", rows)
    labeler = Labeler.load(artifact)
    here = _score(pairs, tmp_path / f"here{kind}", labeler, LOCAL)
    assert _score(pairs, tmp_path / f"there{kind}", labeler, TWO) == here


def test_fewer_rows_than_workers(artifact: Path, tmp_path: Path) -> None:
    pairs = write_rows(tmp_path / "pairs.csv", [{"query": "w1", "text": "w2"}])
    _score(pairs, tmp_path / "scored.csv", Labeler.load(artifact), TWO)
    assert len(read_rows(tmp_path / "scored.csv")) == 1


def test_a_judge_that_computes_labels_on_workers_as_here(spread: Executor, tmp_path: Path) -> None:
    labels, queries, passages = tables(12)
    candidates = labels[["query_id", "passage_id"]].assign(is_seed=False)
    pairs = build_pairs(candidates, queries, passages)
    judge = EmbeddedJudge.fit(passages, queries, DEFAULT_SCALE, EmbeddedSettings(sample=50))
    here = run_labeling(pairs, judge, Ledger(tmp_path / "here.sqlite"))
    ledger = Ledger(tmp_path / "there.sqlite")
    there = run_labeling(pairs, judge, ledger, executor=spread)
    assert there.labels["grade"].tolist() == here.labels["grade"].tolist()
    np.testing.assert_allclose(
        np.stack(there.labels["probabilities"]), np.stack(here.labels["probabilities"]), atol=1e-6
    )
    again = run_labeling(pairs, judge, ledger, executor=spread)
    assert again.from_ledger == len(pairs)
    file = write_rows(tmp_path / "pairs.csv", pairs[["query", "text"]].to_dict("records"))
    graders = [JudgeGrader(judge, Ledger(tmp_path / f"{n}.sqlite")) for n in range(2)]
    graded = [
        _score(file, tmp_path / f"{n}.csv", grader, where)
        for n, (grader, where) in enumerate(zip(graders, (LOCAL, TWO), strict=True))
    ]
    assert graded[0] == graded[1]
    assert not (tmp_path / "1.sqlite").exists()


def test_channels_and_index_on_workers_as_here(spread: Executor, tmp_path: Path) -> None:
    _, queries, passages = tables(12)
    index = BM25Channel.build(passages)
    index.save(tmp_path / "bm25")
    found = [
        search_channels(
            queries,
            ChannelSources(
                passages,
                BM25Channel.load(tmp_path / "bm25"),
                pd.DataFrame(columns=["query_id", "document_id"]),
                depth=20,
                random_passages=0,
                seed=0,
                executor=executor,
            ),
            ["bm25", "dense"],
        )[0]
        for executor in (map, spread)
    ]
    pd.testing.assert_frame_equal(found[0], found[1], atol=2e-6)
    retriever = Retriever.untrained(str(encoder(tmp_path / "tiny")))
    built = [
        PassageIndex.build(retriever, passages, tmp_path / name, executor)
        for name, executor in (("here", map), ("there", spread))
    ]
    assert built[0].fingerprint == built[1].fingerprint
    np.testing.assert_allclose(built[0].vectors, built[1].vectors, atol=1e-6)


def test_items_are_read_as_they_are_needed(spread: Executor) -> None:
    read = 0

    def items() -> Iterator[int]:
        nonlocal read
        for number in range(200):
            read += 1
            yield number

    results = iter(spread(abs, items()))
    next(results)
    assert read <= 2 * ray_workers._AHEAD + 3
    assert len(list(results)) == 199


def test_results_come_in_the_order_of_items(spread: Executor) -> None:
    assert in_order(spread, _slow_first, range(6)) == list(range(6))


def _slow_first(number: int) -> int:
    time.sleep(0.3 if number == 0 else 0)
    return number


def _ray_workers(driver: int) -> list[psutil.Process]:
    found = psutil.Process(driver).children(recursive=True)
    return [one for one in found if any("Worker.do" in part for part in one.cmdline())]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait(done: Any, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)


def test_a_killed_worker_and_a_killed_driver_lose_nothing(tmp_path: Path) -> None:
    pairs = write_rows(tmp_path / "pairs.jsonl", pair_rows(2048 * 9 + 5))
    scored, log = tmp_path / "scored.jsonl", tmp_path / "asked.txt"
    parts = tmp_path / "scored.jsonl.parts"
    arguments = (pairs, scored, log)
    process = start_script(HERE / "slow_ray.py", *arguments, 0.7)
    _wait(lambda: len(list(parts.glob("part-*"))) >= 1)
    # One may have graded before the other had started.
    _wait(lambda: len(_ray_workers(process.pid)) == 2)
    workers = _ray_workers(process.pid)
    workers[0].kill()
    there = len(list(parts.glob("part-*")))
    _wait(lambda: len(list(parts.glob("part-*"))) >= there + 2)
    workers = _ray_workers(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    _wait(lambda: not any(map(_runs, workers)))
    assert not scored.exists()
    finished = {int(path.stem.split("-")[1]) for path in parts.glob("part-*")}
    log.unlink()
    again = start_script(HERE / "slow_ray.py", *arguments, 0)
    status, said = again.wait()
    assert status == 0, said
    expected = tmp_path / "expected.jsonl"
    assert scored.read_bytes() == _score(pairs, expected, LengthGrader(), LOCAL)
    assert log.read_text().count("query ") == 2048 * (9 - len(finished)) + 5


def test_a_lost_node_costs_time_alone() -> None:
    from ray.cluster_utils import Cluster

    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = cluster.add_node(num_cpus=1)
    try:
        two = ExecutionParameters(executor="ray", ray_address=cluster.address, workers=2)
        results = iter(two.make()(_slowly, range(30)))
        found = [next(results)]
        cluster.remove_node(node, allow_graceful=False)
        assert sorted([*found, *results]) == list(range(30))
    finally:
        ray.shutdown()
        cluster.shutdown()


def _slowly(number: int) -> int:
    time.sleep(0.5)
    return number


def test_work_that_ends_its_worker_again_and_again_is_one_line(
    spread: Executor, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="4 workers ended at the same item") as raised:
        list(spread(partial(_die, str(tmp_path / "deaths")), range(3)))
    assert "\n" not in str(raised.value)


def _die(path: str, number: int) -> None:
    with open(path, "a") as stream:
        stream.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_fault_of_the_user_is_told_as_here(spread: Executor) -> None:
    with pytest.raises(UserError, match=r"^row 7 lacks a text$"):
        list(spread(_refuse, range(3)))


def _refuse(number: int) -> None:
    raise UserError("row 7 lacks a text")


def test_workers_with_other_versions_are_refused(
    spread: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {name: "0.1" for name in ray_workers._PACKAGES}
    # Of the driver alone: a worker imports the module anew.
    monkeypatch.setattr(ray_workers, "_versions", lambda: versions)
    with pytest.raises(UserError, match=r"a worker on .*torch .*, not 0\.1"):
        list(spread(abs, [1]))


def test_a_worker_that_lacks_a_model_says_so(spread: Executor) -> None:
    with pytest.raises(UserError, match=r"a worker on .*: no such model here"):
        list(spread(_NotThere(), [1]))


class _NotThere:
    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse_model, ()


def _refuse_model() -> None:
    raise UserError("no such model here")


def test_more_workers_than_there_is_room_for(tmp_path: Path) -> None:
    many = ExecutionParameters(executor="ray", workers=500)
    with pytest.raises(UserError, match=r"room for \d+ workers of 1 CPUs each; lower workers"):
        list(many.make()(abs, [1]))
    with pytest.raises(UserError, match="0 GPUs"):
        list(ExecutionParameters(executor="ray", gpus_per_worker=1).make()(abs, [1]))


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'relevance-distillery\[ray\]'"):
        list(TWO.make()(abs, [1]))


def test_the_same_command_runs_on_ray(project: Project, artifact: Path) -> None:
    rows = tiny_data().learn.pairs[["query", "text"]].head(50).to_dict("records")
    write_rows(project.path / "pairs.csv", rows)
    score = ("run", "--pipeline=score", "--params")
    what = f"pairs=pairs.csv,judge={artifact}"
    project.kedro(*score, f"{what},scored=here.csv")
    done = project.kedro(
        "run", "--env=ray", *score[1:], f"{what},scored=there.csv,workers=1", fresh=True
    )
    assert "Ray: starting on this machine" in done.stdout
    here, there = (project.path / f"{name}.csv" for name in ("here", "there"))
    assert here.read_bytes() == there.read_bytes()
    for wrong, message in (
        ("executor=spark", "local"),
        ("executor=ray,ray_address=127.0.0.1:1", "no cluster at ray_address=127.0.0.1:1"),
    ):
        failed = project.kedro(*score, f"{what},scored=other.csv,{wrong}", check=False, fresh=True)
        assert failed.returncode == 1
        assert message in failed.stdout
        assert "Traceback" not in failed.stdout
    assert not list(project.path.glob("other.csv*"))
