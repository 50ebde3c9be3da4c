from __future__ import annotations

import csv
import gzip
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io.core import DatasetError

import tiny_models
from relevance_distillery.collections.recorded_grades import read_recorded_grades
from relevance_distillery.datasets.grader import AskedJudge, GraderDataset
from relevance_distillery.datasets.pairs import SUFFIXES, PairsDataset, PairsFile
from relevance_distillery.datasets.scored import ScoredDataset
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.composites.settings import ConsensusSettings
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.registry import prepare_judge
from relevance_distillery.judges.settings import JudgeSettings
from relevance_distillery.judges.sources import JudgeSources
from relevance_distillery.labeler import flavor
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.scoring.nodes import (
    choose_grader,
    report_drift,
    score_pairs,
)
from relevance_distillery.pipelines.scoring.parameters import ScoringParameters
from relevance_distillery.scoring.grading_job import GRADE_COLUMNS, JudgeGrader

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from slow_scoring import PARAMETERS, LengthGrader  # noqa: E402


def _rows(size: int) -> list[dict[str, Any]]:
    return [
        {
            "query_id": f"q{i // 3}",
            "query": f'query {i}, "quoted"\nand é',
            "document_id": f"d{i}",
            "text": "=x" * (1 + i % 7),
            "other": i,
        }
        for i in range(size)
    ]


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    name = path.name
    if name.endswith(".parquet"):
        # Row groups that do not fit shards.
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000)
        return path
    with (gzip.open if name.endswith(".gz") else open)(path, "wt", encoding="utf-8") as stream:
        if ".csv" in name:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        else:
            stream.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def _read(path: Path) -> list[dict[str, Any]]:
    if path.name.endswith(".parquet"):
        return pq.read_table(path).to_pylist()
    with (gzip.open if path.name.endswith(".gz") else open)(path, "rt", encoding="utf-8") as stream:
        if ".csv" in path.name:
            return list(csv.DictReader(stream))
        return [json.loads(line) for line in stream]


def _score(pairs: Path, scored: Path, grader: Any = None, qrels: Path | None = None) -> None:
    job = score_pairs(
        PairsDataset(filepath=str(pairs)).load(), grader or LengthGrader(), ScoringParameters()
    )
    ScoredDataset(filepath=str(scored), qrels=str(qrels) if qrels else None).save(job)


@pytest.mark.parametrize("source", SUFFIXES)
@pytest.mark.parametrize("target", SUFFIXES)
def test_same_rows_in_order_with_grades(source: str, target: str, tmp_path: Path) -> None:
    rows = _rows(4500)
    pairs, scored = _write(tmp_path / f"pairs{source}", rows), tmp_path / f"scored{target}"
    _score(pairs, scored)
    result = _read(scored)
    assert len(result) == 4500
    for i in (0, 2047, 2048, 4499):
        assert list(result[i]) == [*rows[0], *GRADE_COLUMNS]
        assert {key: str(result[i][key]) for key in rows[i]} == {
            key: str(value) for key, value in rows[i].items()
        }
        assert int(result[i]["grade"]) == 2 * (1 + i % 7) % 4
    assert [path.name for path in tmp_path.iterdir() if path not in (pairs, scored)] == []


def test_qrels_hold_the_best_grade_of_a_document(tmp_path: Path) -> None:
    rows = [
        {"query_id": "q", "document_id": "a", "query": "x", "text": "1"},
        {"query_id": "q", "document_id": "b", "query": "x", "text": "22"},
        {"query_id": "q", "document_id": "a", "query": "x", "text": "333"},
    ]
    pairs = _write(tmp_path / "pairs.jsonl", rows)
    _score(pairs, tmp_path / "out.jsonl", qrels=tmp_path / "out.qrels")
    assert (tmp_path / "out.qrels").read_text() == "q 0 a 3\nq 0 b 2\n"
    no_ids = _write(tmp_path / "no_ids.csv", [{"query": "x", "text": "y"}])
    with pytest.raises(DatasetError, match="lacks query_id, document_id"):
        _score(no_ids, tmp_path / "out.csv", qrels=tmp_path / "out.qrels")
    spaced = _write(tmp_path / "spaced.jsonl", [{**rows[0], "query_id": "two words"}])
    with pytest.raises(DatasetError, match="blanks"):
        _score(spaced, tmp_path / "out.jsonl", qrels=tmp_path / "out.qrels")


def test_rows_that_cannot_be_graded_are_kept_counted_and_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = _rows(2100)
    rows[5]["text"] = "  "
    rows[2099]["query"] = ""
    pairs, scored = _write(tmp_path / "pairs.jsonl", rows), tmp_path / "scored.parquet"
    with caplog.at_level(logging.INFO):
        _score(pairs, scored)
    result = _read(scored)
    assert len(result) == 2100
    assert result[5]["grade"] is None
    assert sum(row["grade"] is None for row in result) == 2
    assert "2 of 2100 pairs got no grade" in caplog.text
    assert "row 6: neither title nor text; row 2100: empty query" in caplog.text
    assert "pairs/s" in caplog.records[-1].getMessage()
    _score(pairs, tmp_path / "scored.csv")
    assert _read(tmp_path / "scored.csv")[5]["grade"] == ""


def test_nothing_graded_is_a_failure(tmp_path: Path) -> None:
    pairs = _write(tmp_path / "pairs.csv", [{"query": "", "text": "x"}] * 3)
    with pytest.raises(DatasetError, match="none of 3 pairs"):
        _score(pairs, tmp_path / "scored.csv")
    assert not (tmp_path / "scored.csv").exists()


def test_a_killed_scoring_resumes_and_grades_nothing_twice(tmp_path: Path) -> None:
    pairs = _write(tmp_path / "pairs.jsonl", _rows(2048 * 6 + 10))
    scored, log = tmp_path / "scored.csv", tmp_path / "asked"
    command = [sys.executable, str(HERE / "slow_scoring.py"), str(pairs), str(scored), str(log)]
    process = subprocess.Popen([*command, "0.5"], stderr=subprocess.DEVNULL)
    parts = tmp_path / "scored.csv.parts"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(parts.glob("part-*.csv"))) < 2:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = len(list(parts.glob("part-*.csv")))
    assert not scored.exists()
    asked_before = log.read_text().splitlines()
    done = subprocess.run([*command, "0"], stderr=subprocess.PIPE, text=True, check=True)
    assert "more from before the interruption" in done.stderr
    asked_again = log.read_text().splitlines()[len(asked_before) :]
    # The query of a row takes two lines of the log.
    assert len(asked_again) == 2 * (2048 * (6 - finished) + 10)
    _score(pairs, tmp_path / "straight.csv")
    assert scored.read_bytes() == (tmp_path / "straight.csv").read_bytes()
    assert not parts.exists()


def test_other_pairs_or_another_grader_start_afresh(tmp_path: Path) -> None:
    pairs, scored = _write(tmp_path / "pairs.jsonl", _rows(3000)), tmp_path / "scored.jsonl"

    class Stops(LengthGrader):
        def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
            if len(pairs) < 2048:
                raise RuntimeError("stopped")
            return super().grade(pairs)

    with pytest.raises(DatasetError):
        _score(pairs, scored, Stops())
    assert (tmp_path / "scored.jsonl.parts" / "part-00000000.jsonl").is_file()
    rows = _rows(3000)
    rows[0]["text"] = "another"
    _write(pairs, rows)
    _score(pairs, scored)
    assert _read(scored)[0]["text"] == "another"


def test_memory_stays_bounded(tmp_path: Path) -> None:
    file = PairsFile(_write(tmp_path / "pairs.csv", _rows(9000)))
    sizes = [len(shard.texts) for shard in file.shards()]
    assert sizes == [2048, 2048, 2048, 2048, 808]
    assert [shard.first_row for shard in file.shards(start=3)] == [6145, 8193]


def _text(content: str | bytes) -> Callable[[Path], None]:
    data = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(data) and None


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("none.csv", lambda path: None, "no such file"),
        ("pairs.txt", _text("x"), "give a file that ends with"),
        ("pairs.csv", _text("query,body\na,b\n"), "lacks the column text; it has query, body"),
        ("pairs.csv", _text("query,text,grade\na,b,1\n"), "already has the column grade"),
        ("pairs.csv", _text("query,text\na,b\nc\n"), "line 3 has 1 fields"),
        ("pairs.csv", _text(b"query,text\na,\xff\xfe\n"), "not valid UTF-8"),
        ("pairs.csv", _text(""), "lacks the column query, text; it has none"),
        ("pairs.jsonl", _text(""), "holds no pairs"),
        ("pairs.jsonl", _text('{"query":"a","text":"b"}\n{"query"\n'), "line 2 is not JSON"),
        ("pairs.jsonl", _text('{"query":"a","text":"b"}\n{"query":"a"}\n'), "line 2 lacks text"),
        ("pairs.jsonl.gz", _text(b"no gzip"), "cannot be read"),
        ("pairs.parquet", _text(b"PAR0"), "not a Parquet file"),
    ],
)
def test_bad_files_are_one_line(
    name: str, write: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    write(path)
    with pytest.raises(DatasetError) as raised:
        _score(path, tmp_path / "out.csv")
    cause = raised.value.__cause__
    assert isinstance(cause, UserError)
    assert message in str(cause)
    assert "\n" not in str(cause)


def test_forgotten_file_names_say_what_to_type(tmp_path: Path) -> None:
    pairs = _write(tmp_path / "pairs.csv", _rows(3))
    assert PairsDataset(filepath=None).exists()
    with pytest.raises(DatasetError, match="give a file of pairs"):
        PairsDataset(filepath=None).load()
    job = score_pairs(PairsFile(pairs), LengthGrader(), ScoringParameters())
    with pytest.raises(DatasetError, match="say where to write"):
        ScoredDataset(filepath=None).save(job)


class _Judge:
    name, model, prompt_hash, scale = "picky", "m", "p", DEFAULT_SCALE
    budget = None

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        return [f"{q}/{t}" for q, t in zip(pairs["query"], pairs["text"], strict=True)]

    def grade(self, shards: Iterable[pd.DataFrame]) -> Any:
        for pairs in shards:
            for key, text in zip(self.request_hashes(pairs), pairs["text"], strict=True):
                if text == "odd":
                    yield [Verdict(key, status="missing", reason="not in the file")]
                else:
                    yield [Verdict(key, grade=2, probabilities=(0.1, 0.2, 0.4, 0.3))]


def test_another_judge_can_grade_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"query": "a", "text": text} for text in ("fine", "odd", "fine")]
    pairs, scored = _write(tmp_path / "pairs.csv", rows), tmp_path / "scored.jsonl"
    with caplog.at_level(logging.INFO):
        _score(pairs, scored, JudgeGrader(_Judge(), Ledger(tmp_path / "ledger.sqlite")))
    result = _read(scored)
    assert [row["grade"] for row in result] == [2, None, 2]
    assert result[0]["expected_grade"] == pytest.approx(1.9)
    assert result[0]["confidence"] == pytest.approx(0.4)
    assert "row 2: missing: not in the file" in caplog.text


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=(folder / "runs").as_uri())
    mlflow.set_experiment("tiny")
    base = tiny_models.encoder(folder / "tiny-bert")
    artifact, _ = distill(
        tiny_models.tiny_data(),
        tiny_models.tiny_settings(base, epochs=1),
        DEFAULT_SCALE,
        folder / "work",
    )
    flavor.log_and_register(artifact, "tiny-scorer", {}, {})
    return artifact


def _grader(judge: str, state: str = "nowhere/judge_state.json") -> GraderDataset:
    return GraderDataset(
        judge=judge, registered_name="tiny-scorer", judge_state=state, ledger="nowhere/l.sqlite"
    )


def test_the_champion_grades_as_the_loaded_model_does(registry: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such registered labeler"):
        _grader("champion").load()
    flavor.set_alias("tiny-scorer", "champion", "1")
    labeler = _grader("champion").load()
    assert labeler.digest == Labeler.load(registry).digest
    table = tiny_models.tiny_data().early.pairs[["query", "text"]]
    pairs, scored = _write(tmp_path / "p.csv", table.to_dict("records")), tmp_path / "s.parquet"
    _score(pairs, scored, labeler)
    served = mlflow.pyfunc.load_model("models:/tiny-scorer@champion").predict(table)
    result = pd.DataFrame(_read(scored))
    assert result["grade"].tolist() == served["grade"].tolist()
    for column in ("expected_grade", "confidence"):
        assert result[column].tolist() == pytest.approx(served[column].tolist(), abs=1e-5)


def test_graders_by_alias_version_folder_and_unknown_name(registry: Path) -> None:
    assert _grader("challenger").load().digest == _grader("1").load().digest
    assert _grader(str(registry)).load().digest == Labeler.load(registry).digest
    with pytest.raises(DatasetError, match="neither a judge"):
        _grader("gpt-17").load()
    with pytest.raises(UserError, match="not prepared yet"):
        _grader("embedded").load().as_prepared()


def test_a_consensus_that_has_labelled_scores_without_its_judges_named(tmp_path: Path) -> None:
    grades = tmp_path / "judges"
    grades.mkdir()
    for name in ("big", "small"):
        (grades / f"{name}.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t3\n")
    sources = JudgeSources(
        scale=DEFAULT_SCALE,
        recorded=read_recorded_grades(str(tmp_path), "big"),
        settings=JudgeSettings(consensus=ConsensusSettings(judges="recorded:big;recorded:small")),
    )
    state = prepare_judge("consensus", sources).to_state()
    asked = AskedJudge("consensus", state, Ledger(tmp_path / "ledger.sqlite"), DEFAULT_SCALE)
    ready = choose_grader(
        asked,
        read_recorded_grades(None, None),
        Prompt("{% block system %}{% endblock %}{% block user %}{% endblock %}", "any"),
        {"seed": 1, "judge": "champion"},
        DEFAULT_SCALE,
    )
    graded = ready.grade(pd.DataFrame({"query_id": ["q"], "document_id": ["a"], "query": ["hi"]}))
    assert graded["grade"].tolist() == [3]


def test_a_judge_that_nobody_prepared_is_prepared_for_a_file(tmp_path: Path) -> None:
    grades = tmp_path / "big.tsv"
    grades.write_text("query-id\tcorpus-id\tscore\nq\ta\t3\n")
    labeling = {"seed": 1, "judge": "champion"}
    ready = choose_grader(
        _grader("recorded:big").load(),
        read_recorded_grades(str(grades), None),
        Prompt("{% block system %}{% endblock %}{% block user %}{% endblock %}", "any"),
        labeling,
        DEFAULT_SCALE,
    )
    assert isinstance(ready, JudgeGrader)
    assert (ready.name, ready.judge.model) == ("big", "recorded")
    with pytest.raises(UserError, match=r"labeling\.max_attempts: Input should be greater"):
        choose_grader(
            _grader("recorded:big").load(),
            read_recorded_grades(None, None),
            Prompt("{% block system %}{% endblock %}{% block user %}{% endblock %}", "any"),
            {**labeling, "max_attempts": 0},
            DEFAULT_SCALE,
        )


def _drift(
    pairs: Path, scored: Path, grader: Any, **settings: Any
) -> tuple[dict[str, Any], ScoredDataset]:
    parameters = ScoringParameters(drift={"resamples": 300, **settings})
    dataset = ScoredDataset(filepath=str(scored))
    dataset.save(score_pairs(PairsDataset(filepath=str(pairs)).load(), grader, parameters))
    return report_drift(dataset.load()), dataset


def _tiny_pairs(queries: int, seed: int) -> list[dict[str, Any]]:
    labels, questions, passages = tiny_models.tables(queries, 6, seed)
    table = labels[["query_id", "passage_id"]].merge(
        questions.rename(columns={"text": "query"})[["query_id", "query"]], on="query_id"
    )
    return table.merge(passages[["passage_id", "text"]], on="passage_id").to_dict("records")


def test_drift_is_quiet_on_pairs_like_training_and_speaks_on_others(
    registry: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labeler = Labeler.load(registry)
    alike = _write(tmp_path / "alike.jsonl", _tiny_pairs(400, 5))
    with caplog.at_level(logging.INFO):
        quiet, _ = _drift(alike, tmp_path / "alike.csv", labeler)
    assert quiet["verdict"] == "ok"
    assert (quiet["pairs"], quiet["pairs_read"]) == (2400, 2400)
    assert quiet["queries"] == pytest.approx(400, rel=0.2)
    # What a person reads last: the drift, then the rate.
    lines = [record.getMessage() for record in caplog.records[-2:]]
    assert lines[0] == quiet["line"]
    assert "pairs/s" in lines[1]

    rows = [
        {**row, "text": " ".join(f"z{word}" for word in (row["text"] * 5).split())}
        for row in _tiny_pairs(400, 5)
    ]
    other = _write(tmp_path / "other.jsonl", rows)
    loud, _ = _drift(other, tmp_path / "other.csv", labeler)
    assert loud["verdict"] == "distrust"
    spoken = {name for name, c in loud["comparisons"].items() if c["verdict"] == "distrust"}
    assert "unknown_text_words" in spoken
    assert "unknown_query_words" not in spoken
    assert loud["comparisons"]["text_tokens"]["verdict"] == "watch"
    assert "have people grade some of these pairs" in loud["line"]


def test_drift_after_a_kill_is_that_of_a_straight_run(registry: Path, tmp_path: Path) -> None:
    pairs = _write(tmp_path / "pairs.jsonl", _tiny_pairs(1200, 3))
    scored, log = tmp_path / "scored.csv", tmp_path / "log"
    command = [sys.executable, str(HERE / "slow_scoring.py"), str(pairs), str(scored), str(log)]
    process = subprocess.Popen([*command, "1", str(registry)], stderr=subprocess.DEVNULL)
    parts = tmp_path / "scored.csv.parts"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(parts.glob("part-*.csv"))) < 2:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not scored.exists()
    done = subprocess.run(
        [*command, "0", str(registry)], stderr=subprocess.PIPE, text=True, check=True
    )
    assert "more from before the interruption" in done.stderr
    resumed = json.loads((tmp_path / "log.drift").read_text())
    dataset = ScoredDataset(filepath=str(tmp_path / "straight.csv"))
    source = PairsDataset(filepath=str(pairs)).load()
    dataset.save(score_pairs(source, Labeler.load(registry), PARAMETERS))
    assert resumed == json.loads(json.dumps(report_drift(dataset.load())))
    assert resumed["pairs"] == 7200
    assert 2700 <= resumed["pairs_read"] <= 3300


def test_a_part_of_the_texts_says_what_all_say(registry: Path, tmp_path: Path) -> None:
    labeler = Labeler.load(registry)
    pairs = _write(tmp_path / "pairs.jsonl", _tiny_pairs(500, 3))
    whole, _ = _drift(pairs, tmp_path / "a.csv", labeler)
    part, _ = _drift(pairs, tmp_path / "b.csv", labeler, sample=600)
    assert whole["pairs_read"] == 3000
    assert 450 <= part["pairs_read"] <= 750
    assert part["comparisons"]["grades"] == whole["comparisons"]["grades"]
    for name in ("unknown_text_words", "common_text_words"):
        values = [result["comparisons"][name]["batch"] for result in (whole, part)]
        assert values[1] == pytest.approx(values[0], abs=0.03)


def test_what_cannot_be_compared_says_why(registry: Path, tmp_path: Path) -> None:
    pairs = _write(tmp_path / "pairs.jsonl", _tiny_pairs(60, 5))
    few = _write(tmp_path / "few.jsonl", _tiny_pairs(20, 5))
    older, damaged = tmp_path / "older", tmp_path / "damaged"
    for folder in (older, damaged):
        shutil.copytree(registry, folder)
    (older / "profile.json").unlink()
    (damaged / "profile.json").write_text("{")
    labeler = Labeler.load(registry)
    for number, (file, grader, settings, verdict, why) in enumerate(
        [
            (pairs, LengthGrader(), {}, "not known", "length was not distilled here"),
            (pairs, Labeler.load(older), {}, "not known", "no training profile; distill again"),
            (pairs, Labeler.load(damaged), {}, "not known", "cannot be read; distill again"),
            (pairs, labeler, {"sample": 0}, "not known", "turned off"),
            (few, labeler, {}, "too few to tell", "120 graded pairs, at least 200"),
        ]
    ):
        result, dataset = _drift(file, tmp_path / f"{number}.csv", grader, **settings)
        assert result["verdict"] == verdict
        assert why in result["reason"]
        assert dataset.load().path.is_file()
    other_run = ScoredDataset(filepath=str(tmp_path / "0.csv"))
    assert report_drift(other_run.load())["verdict"] == "not known"


def test_parts_of_an_older_version_are_kept_and_drift_is_not_known(
    registry: Path, tmp_path: Path
) -> None:
    pairs, scored = _write(tmp_path / "p.jsonl", _tiny_pairs(400, 3)), tmp_path / "s.csv"

    class Stops(Labeler):
        def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
            if len(pairs) < 2048:
                raise RuntimeError("stopped")
            return super().grade(pairs)

    with pytest.raises(DatasetError):
        _drift(pairs, scored, Stops.load(registry))
    facts = tmp_path / "s.csv.parts" / "facts-00000000.json"
    known = json.loads(facts.read_text())
    assert set(known.pop("watch")) == {"tally", "queries"}
    facts.write_text(json.dumps(known))
    result, _ = _drift(pairs, scored, Labeler.load(registry))
    assert result["verdict"] == "not known"
    assert "1 of 2 parts were scored before" in result["reason"]
    assert len(_read(scored)) == 2400
