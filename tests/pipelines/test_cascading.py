"""The cascade pipeline on recorded judges, and the cascade as a judge of the labeling pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from checkout import Project
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.datasets import BenchmarkDataset
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.cascades import asking
from relevance_distillery.evaluation.cascades.asking import graded_pairs
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.composites.cascade import read_fitted
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.registry import JudgeSources, prepare_judge, restore_judge
from relevance_distillery.judges.settings import CascadeSettings, ConsensusSettings, JudgeSettings
from relevance_distillery.pipelines.cascading import nodes
from relevance_distillery.pipelines.cascading.parameters import CascadingParameters
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.reporting.cascade import draw_frontier, fill_page

JUDGES = {"cheap": 0.55, "middle": 0.7, "last": 0.9}
LIST = "cheap;middle;last"


def make_set(folder: Path, seed: int, queries: int = 12, each: int = 30) -> Path:
    """A BEIR folder with people's grades and three recorded judges of known accuracy."""
    rng = np.random.default_rng(seed)
    (folder / "qrels").mkdir(parents=True)
    (folder / "judges").mkdir()
    keys = [
        (f"q{query}", f"d{query}-{number}") for query in range(queries) for number in range(each)
    ]
    human = rng.choice(4, size=len(keys), p=[0.55, 0.2, 0.15, 0.1])
    human[:4] = range(4)
    with open(folder / "corpus.jsonl", "w") as corpus:
        for _, document in keys:
            corpus.write(json.dumps({"_id": document, "title": "", "text": f"about {document}"}))
            corpus.write("\n")
    with open(folder / "queries.jsonl", "w") as texts:
        for query in range(queries):
            texts.write(json.dumps({"_id": f"q{query}", "text": f"question {query}"}) + "\n")

    def write(path: Path, grades: np.ndarray) -> None:
        rows = [
            f"{query}\t{document}\t{grade}"
            for (query, document), grade in zip(keys, grades, strict=True)
        ]
        path.write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows) + "\n")

    write(folder / "qrels" / "human.tsv", human)
    for name, accuracy in JUDGES.items():
        right = rng.random(len(keys)) < accuracy
        write(
            folder / "judges" / f"{name}.tsv",
            np.where(right, human, rng.integers(4, size=len(keys))),
        )
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    return make_set(folder / "mine", 1), make_set(folder / "theirs", 2)


def labeling(judges=LIST, **cascade):
    return LabelingParameters(seed=1, cascade=CascadeSettings(judges=judges, **cascade))


def run(sets, folder, judges=LIST, prices=None, **cascade):
    train, benchmark = (BenchmarkDataset(filepath=str(place)).load() for place in sets)
    parameters = labeling(judges, **cascade)
    answers = nodes.ask_judges(
        train, benchmark, None, Ledger(folder / "ledger.sqlite"), parameters, DEFAULT_SCALE
    )
    measuring = CascadingParameters(
        judges_usd_per_1000=prices, resamples=200, permutations=200, seed=1
    )
    return nodes.fit(*answers, parameters, measuring, DEFAULT_SCALE)


@pytest.fixture(scope="module")
def measured(sets, tmp_path_factory):
    return run(sets, tmp_path_factory.mktemp("run"), target="cost", value=0.5)


def test_the_report_compares_the_cascade_with_every_simpler_way(measured):
    _, report = measured
    report = json.loads(json.dumps(report, allow_nan=False))

    assert list(report["systems"]) == [
        "cascade",
        "cheap alone",
        "middle alone",
        "last alone",
        "plain rule on cheap",
        "plain rule on middle",
        "vote of all",
    ]
    for row in report["systems"].values():
        assert row["graded"] == 360
        for measure in ("quadratic_kappa", "kappa", "binary_kappa", "accuracy"):
            assert row[measure]["low"] <= row[measure]["estimate"] <= row[measure]["high"]
    assert report["systems"]["last alone"]["calls"] == {
        "cheap": 0.0,
        "middle": 0.0,
        "last": 1.0,
    }
    assert report["systems"]["cascade"]["calls"]["last"] <= 0.65
    minus = report["cascade_minus"]["last alone"]["quadratic_kappa"]
    apart = (
        report["systems"]["cascade"]["quadratic_kappa"]["estimate"]
        - report["systems"]["last alone"]["quadratic_kappa"]["estimate"]
    )
    assert minus["estimate"] == pytest.approx(apart, abs=1e-5)
    assert 0 < minus["p"] <= 1


def test_exits_add_up_and_cost_counts_every_judge_that_was_asked(measured):
    _, report = measured
    stages = report["stages"]
    calls = report["systems"]["cascade"]["calls"]

    assert [row["judge"] for row in stages] == ["cheap", "middle", "last", "vote"]
    assert sum(row["left"] for row in stages) == 360
    for row, before in zip(stages[1:3], stages, strict=False):
        assert row["asked"] == before["asked"] - before["left"]
        assert calls[row["judge"]] == pytest.approx(row["asked"] / 360, abs=1e-5)


def test_the_plain_rule_believes_a_cheap_judges_lowest_grade(sets, measured):
    _, report = measured
    grades = pd.read_csv(sets[1] / "judges" / "cheap.tsv", sep="\t")["score"]

    calls = report["systems"]["plain rule on cheap"]["calls"]
    assert calls == {
        "cheap": 1.0,
        "middle": 0.0,
        "last": pytest.approx((grades != 0).mean(), abs=1e-6),
    }


def test_given_prices_count_and_are_named_as_assumptions(sets, tmp_path):
    _, report = run(sets, tmp_path, prices="cheap:0.1;middle:0.4;last:2", target="cost", value=0.6)
    row = report["systems"]["cascade"]
    spent = 0.1 * row["calls"]["cheap"] + 0.4 * row["calls"]["middle"] + 2 * row["calls"]["last"]

    assert row["usd_per_1000"] == pytest.approx(spent, rel=1e-4)
    assert row["cost"] == pytest.approx(spent / 2, rel=1e-4)
    assert {price["basis"] for price in report["prices"]} == {"given"}
    assert report["cost_unit"].startswith("dollars")
    assert report["fit"]["chosen_on"]["cost"] <= 0.6


def test_without_prices_the_last_judges_calls_are_counted_and_the_report_says_so(measured):
    _, report = measured
    row = report["systems"]["cascade"]

    assert report["cost_unit"] == "calls of the last judge"
    assert row["cost"] == pytest.approx(row["calls"]["last"], abs=1e-5)
    assert row["usd_per_1000"] is None
    assert any("price of at least one judge is not known" in note for note in report["notes"])


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ("cheap", "is not NAME:USD"),
        ("cheap:-1", "is not NAME:USD"),
        ("other:1", "no judge 'other'"),
    ],
)
def test_prices_that_make_no_sense_are_one_line(sets, tmp_path, prices, message):
    with pytest.raises(UserError, match=message):
        run(sets, tmp_path, prices=prices)


def test_the_frontier_goes_from_the_cheapest_judge_to_what_agrees_best(measured):
    _, report = measured
    costs = [point["chosen_on"]["cost"] for point in report["frontier"]]
    kappas = [point["chosen_on"]["quadratic_kappa"] for point in report["frontier"]]

    assert costs == sorted(costs)
    assert kappas == sorted(kappas)
    assert report["frontier"][-1]["quadratic_kappa"]["estimate"] > 0.7
    figure = draw_frontier(report)
    assert len(figure.data[0].x) == len(report["frontier"])


def test_the_page_stands_alone_and_escapes_names(measured):
    _, report = measured
    hostile = json.loads(json.dumps(report))
    hostile["benchmark"]["name"] = "<script>alert(1)</script>"
    written = fill_page(hostile)

    assert "<script" not in written
    assert "http" not in written.replace("http://www.w3.org", "")
    assert "plain rule on middle" in written
    assert "about d" not in written


@pytest.mark.parametrize(
    ("judges", "message"),
    [
        ("cheap;nobody", r"no judge 'nobody'.*mine has no judges/nobody.tsv \(it has: cheap"),
        ("cheap;recorded:nobody", r"no judge 'nobody'"),
        ("cheap", "needs at least two judges"),
        ("cheap;cascade", "cascade cannot be part of a cascade"),
        ("embedded;cheap", "embedded cannot be part of a cascade: it is made of the documents"),
        (None, "needs at least two judges"),
    ],
)
def test_a_judge_that_is_not_there_is_one_line(sets, tmp_path, judges, message):
    with pytest.raises(UserError, match=message) as found:
        run(sets, tmp_path, judges=judges)
    assert "\n" not in str(found.value)


@pytest.fixture
def nobody_is_asked(monkeypatch):
    """Asking a judge may cost money, so what is wrong has to be said before."""

    def refuse(*_, **__):
        raise AssertionError("a judge was asked")

    monkeypatch.setattr(asking, "run_labeling", refuse)


def test_a_train_set_that_lacks_a_grade_is_one_line(sets, tmp_path, nobody_is_asked):
    poor = make_set(tmp_path / "poor", 3)
    path = poor / "qrels" / "human.tsv"
    path.write_text(path.read_text().replace("\t3\n", "\t2\n"))

    with pytest.raises(UserError, match="calibration set poor has no pair with grade 3"):
        run((poor, sets[1]), tmp_path / "run")


def test_a_judge_that_the_benchmark_lacks_is_missed_before_one_is_asked(
    sets, tmp_path, nobody_is_asked
):
    other = make_set(tmp_path / "other", 4)
    (other / "judges" / "last.tsv").unlink()

    with pytest.raises(UserError, match=r"other has no judges/last\.tsv"):
        run((sets[0], other), tmp_path / "run")


def store(state, folder: Path) -> Path:
    path = folder / "cascade.json"
    path.write_text(json.dumps(state))
    return path


def sources_of(benchmark, **settings):
    """Recorded judges of one folder."""
    location = str(benchmark)
    recorded = RecordedGrades(
        "", pd.DataFrame(columns=["query_id", "document_id", "grade"]), location
    )
    return JudgeSources(DEFAULT_SCALE, JudgeSettings(**settings), recorded=recorded)


def test_the_fitted_cascade_labels_as_it_was_measured(sets, measured, tmp_path):
    state, report = measured
    fitted = store(state, tmp_path)
    prepared = prepare_judge(
        "cascade", sources_of(sets[1], cascade=CascadeSettings(fitted=str(fitted)))
    )
    judge = restore_judge("cascade", json.loads(json.dumps(prepared.to_state())), DEFAULT_SCALE)
    pairs = graded_pairs(BenchmarkDataset(filepath=str(sets[1])).load())
    result = run_labeling(pairs, judge, Ledger(tmp_path / "ledger.sqlite"))

    accuracy = (result.labels["grade"].to_numpy() == pairs["human"].to_numpy()).mean()
    assert accuracy == pytest.approx(report["systems"]["cascade"]["accuracy"]["estimate"], abs=1e-5)
    assert result.judge_labels.groupby("judge").size().to_dict() == {
        row["judge"]: row["asked"] for row in report["stages"][:3]
    }
    assert len(result.difficulty) == 360
    left = [row["left"] for row in report["stages"]]
    assert [row["left"] for row in result.facts["stages"]] == left


def test_a_consensus_of_recorded_judges_is_one_parameter_away(sets, tmp_path):
    settings = ConsensusSettings(judges=LIST, method="dawid_skene")
    prepared = prepare_judge("consensus", sources_of(sets[1], consensus=settings))
    judge = restore_judge("consensus", json.loads(json.dumps(prepared.to_state())), DEFAULT_SCALE)
    pairs = graded_pairs(BenchmarkDataset(filepath=str(sets[1])).load())
    result = run_labeling(pairs, judge, Ledger(tmp_path / "ledger.sqlite"))

    accuracy = (result.labels["grade"].to_numpy() == pairs["human"].to_numpy()).mean()
    assert accuracy > 0.8
    assert set(result.labels["model"]) == {"cheap + middle + last"}


def test_a_cascade_that_was_not_fitted_is_one_line(tmp_path):
    with pytest.raises(
        UserError, match=r"no fitted cascade at .*run `kedro run --pipeline=cascade`"
    ):
        read_fitted(str(tmp_path / "cascade.json"))
    (tmp_path / "cascade.json").write_text("{}")
    with pytest.raises(UserError, match="has format None"):
        read_fitted(str(tmp_path / "cascade.json"))
    (tmp_path / "cascade.json").write_text("no json")
    with pytest.raises(UserError, match="is no fitted cascade"):
        read_fitted(str(tmp_path / "cascade.json"))


def test_a_cascade_is_not_fitted_on_answers_to_several_prompts():
    several = LabelingParameters.model_validate({"judge": "llm", "llm": {"prompts": 3}, "seed": 1})
    with pytest.raises(UserError, match="prompts=3: each judge of a cascade has one prompt"):
        nodes.ask_judges(None, None, None, None, several, DEFAULT_SCALE)


@pytest.mark.slow
def test_one_command_fits_and_reports(project: Project, sets):
    typed = f"train_set={sets[0]},benchmark={sets[1]},judges={LIST}"
    done = project.kedro("run", "--pipeline=cascade", "--env=recorded", f"--params={typed}")

    assert "cascade.html" in done.stdout
    report = json.loads(project.newest("08_reporting/recorded/cascade_report.json").read_text())
    assert report["fit"]["target"] == "agreement"
    assert read_fitted(str(project.path / "data/06_models/recorded/cascade.json")).size == 4

    failed = project.kedro(
        "run", "--pipeline=cascade", "--env=recorded", f"--params={typed};nobody", check=False
    )
    assert failed.returncode == 1
    assert "no judge 'nobody'" in failed.stdout
    assert "Traceback" not in failed.stdout
