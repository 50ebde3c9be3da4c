"""The reporting room: from a benchmark to a page, with a stand-in for the trained labeler."""

from __future__ import annotations

import copy
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relevance_distillery import model_registry
from relevance_distillery.collections.benchmark import held_out, load_benchmark
from relevance_distillery.collections.benchmark_pairs import select_pairs
from relevance_distillery.collections.recorded_grades import RecordedGrades
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.recorded import RecordedJudge
from relevance_distillery.labeler import flavor
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.template import InputTemplate
from relevance_distillery.learning.document_grades import best_of_passages
from relevance_distillery.llm.prices import Budget
from relevance_distillery.pipelines.reporting import nodes
from relevance_distillery.pipelines.reporting.pipeline import create_pipeline
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.reporting import promotion as promoting
from relevance_distillery.reporting.benchmark_agreement import agreement_of_labeler
from relevance_distillery.reporting.benchmark_grades import grade_benchmark, teacher_grades
from relevance_distillery.reporting.cost_report import measure_cost
from relevance_distillery.reporting.figures import draw_figures
from relevance_distillery.reporting.report import labeler_report
from relevance_distillery.reporting.settings import ReportingParameters

WORDS = ("berth", "crane", "sensor", "invoice", "holiday", "pager", "badge", "canteen")
PARAMETERS = ReportingParameters.model_validate(
    {"judge": "big", "resamples": 100, "permutations": 100, "slice_pairs": 5}
)
HOSTILE = "<script>alert(1)</script>"


class StandIn:
    """Grades a pair by whether the query stands in the text, as a labeler would return it."""

    digest = "f00d"
    device, precision = "cpu", "fp32"
    stages, model = None, SimpleNamespace(can_share_layers=False)
    scale = SCALE
    facts = SimpleNamespace(
        base_model="bundled",
        architecture="combined",
        length_slope=0.0,
        template=InputTemplate(),
    )

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        grades = [
            3 if query in text else 0
            for query, text in zip(pairs["query"], pairs["text"], strict=True)
        ]
        return pd.DataFrame(
            {
                "grade": grades,
                "expected_grade": np.array(grades) * 0.9,
                "score": grades,
                "probabilities": [[0.1, 0.0, 0.0, 0.9] if g else [1.0, 0, 0, 0] for g in grades],
            },
            index=pairs.index,
        )

    def document_grades(self, predictions: pd.DataFrame) -> pd.DataFrame:
        columns = ["expected_grade", "grade", "score"]
        return best_of_passages(predictions, columns, ["probabilities"])


def passages() -> pd.DataFrame:
    rows = []
    for number, word in enumerate(WORDS):
        for part in range(2):
            rows.append(
                {
                    "passage_id": f"d{number}#{part}",
                    "document_id": f"d{number}",
                    "title": f"About {word}",
                    "heading": "",
                    "text": f"The {word} rule, part {part}." if part else f"Introduction {number}.",
                    "path": "",
                    "author": "",
                    "modified": "",
                }
            )
    return pd.DataFrame(rows)


def queries() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "query_id": [f"s{n}" for n in range(len(WORDS))],
            "text": [f"{word} question" for word in WORDS],
            "passage_id": [f"d{n}#1" for n in range(len(WORDS))],
            "style": "keyword",
        }
    )


def labels() -> pd.DataFrame:
    rows = [(f"s{q}", f"d{d}#1", 3 if q == d else d % 2) for q in range(8) for d in range(8)]
    table = pd.DataFrame(rows, columns=["query_id", "passage_id", "grade"])
    return table.assign(cost_usd=0.0, input_tokens=0, output_tokens=0)


def splits() -> pd.DataFrame:
    table = labels()[["query_id", "passage_id"]]
    names = ["train"] * 4 + ["early_stopping", "calibration", "calibration", "test"]
    return table.assign(split=[names[int(name[1:])] for name in table["query_id"]])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path)


def make_folder(parent: Path) -> Path:
    folder = parent / "people"
    (folder / "qrels").mkdir(parents=True)
    (folder / "judges").mkdir()
    asked = [{"_id": f"q{n}", "text": word} for n, word in enumerate(WORDS)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    lines = [f"q{q}\td{d}\t{3 if q == d else (q + d) % 2}" for q in range(8) for d in range(8)]
    header = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "human.tsv").write_text(header + "\n".join(lines) + "\nq0\tgone\t1\n")
    (folder / "judges" / "big.tsv").write_text(header + "\n".join(lines[:60]) + "\n")
    return folder


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    table = pd.DataFrame({"query_id": ["q0"], "document_id": ["d0"], "grade": [2]})
    return RecordedJudge(RecordedGrades("big", table), SCALE).to_state()


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Labeler, "load", lambda *_, **__: StandIn())


@pytest.fixture
def results(measured: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(measured)


@pytest.fixture(scope="module")
def measured(
    shared: Path, state: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Labeler, "load", lambda *_, **__: StandIn())
        yield run_nodes(shared, state, tmp_path_factory.mktemp("run"))


def run_nodes(folder: Path | str, state: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    benchmark = load_benchmark(folder, SCALE)
    synthesis = SynthesisParameters.model_validate({})
    pairs, facts = nodes.select_benchmark_pairs(
        benchmark, passages(), queries(), labels(), splits(), {}, synthesis, PARAMETERS
    )
    grades, failures, grading = grade_benchmark(
        benchmark,
        pairs,
        tmp_path,
        state,
        Ledger(tmp_path / "ledger.sqlite"),
        labels(),
        {},
        splits(),
        queries(),
        passages(),
        PARAMETERS,
    )
    agreement = agreement_of_labeler(grades, benchmark, facts, grading, PARAMETERS)
    cost = measure_cost(
        pairs, tmp_path, state, labels(), {}, {"seconds": 3.0}, benchmark, PARAMETERS
    )
    return {
        "benchmark": benchmark,
        "pairs": pairs,
        "facts": facts,
        "grades": grades,
        "failures": failures,
        "grading": grading,
        "agreement": agreement,
        "cost": cost,
        "disagreements": nodes.pick_disagreements(grades, pairs, benchmark, PARAMETERS),
    }


def report(results: dict[str, Any], **promotion: Any) -> str:
    decided = {
        "name": "relevance-labeler",
        "version": "1",
        "promoted": True,
        "champion": "1",
        "reason": "there was no champion",
        "margin": 0.03,
    }
    return labeler_report(
        agreement=results["agreement"],
        cost=results["cost"],
        benchmark=results["facts"],
        grading=results["grading"],
        disagreements=results["disagreements"],
        promotion=decided | promotion,
        labeling={"labelled": 64, "failures": {"missing": 2}},
        exclusions={"reasons": {"benchmark_query": {"pairs": 5, "queries": 1}}},
        training={"seconds": 3.0},
    )[0]


def text_of(page: str) -> str:
    """What a person reads, from the first line on."""
    return html.unescape(re.sub(r"<[^>]+>", "", page[page.index("<main") :])).strip()


def test_every_passage_of_a_judged_document_is_graded(results: dict[str, Any]) -> None:
    pairs = results["pairs"]
    assert len(pairs) == 64 * 2
    assert not pairs[["is_seed", "in_seed_document"]].any().any()
    seen = pairs.groupby("document_id")["seen"].all()
    assert seen.all()  # every document has a passage among the training labels
    assert results["facts"]["skipped"] == {
        "judgments of documents that are not in the corpus: 1": ["gone"]
    }


@pytest.mark.parametrize(
    ("limit", "level", "said"),
    [
        (None, "WARNING", "judgments of documents that are not in the corpus: 1"),
        (8, "INFO", "judgments of documents that limit=8 leaves out, as a trial does: 1"),
    ],
)
def test_documents_that_a_trial_leaves_out_are_no_fault(
    shared: Path, caplog: pytest.LogCaptureFixture, limit: int | None, level: str, said: str
) -> None:
    benchmark = load_benchmark(shared, SCALE)
    synthesis, read = SynthesisParameters.model_validate({}), {"limit": limit}
    with caplog.at_level("INFO"):
        _, facts = nodes.select_benchmark_pairs(
            benchmark, passages(), queries(), labels(), splits(), read, synthesis, PARAMETERS
        )
    assert (facts["skipped"], facts["limit"]) == ({said: ["gone"]}, limit)
    logged = [(one.levelname, one.getMessage()) for one in caplog.records]
    assert logged == [(level, f"benchmark people: {said}")]


def test_grades_of_all_judges_stand_side_by_side(results: dict[str, Any]) -> None:
    grades = results["grades"]
    assert len(grades) == 64
    right = grades["query_id"].str[1:] == grades["document_id"].str[1:]
    assert (grades.loc[right, "student_grade"] == 3).all()
    assert grades["teacher_grade"].isna().sum() == 4
    assert set(grades["passages"]) == {2}
    assert (grades.loc[right, "bm25"] > 0).all()
    assert (
        grades.loc[right, "base_similarity"].mean() > grades.loc[~right, "base_similarity"].mean()
    )
    assert grades["base_grade"].isin(SCALE.values.tolist()).all()
    assert results["grading"]["base"]["calibrated_on"] == 16


def test_agreement_and_cost_are_json_without_nan(results: dict[str, Any]) -> None:
    json.dumps([results["agreement"], results["cost"], results["grading"]], allow_nan=False)
    assert results["agreement"]["graded_pairs"]["teacher"] == 60
    assert results["agreement"]["benchmark"]["human"] is True
    cost = results["cost"]
    assert cost["judges"]["teacher"]["usd_basis"] == "not known"
    assert cost["break_even"]["labels"] is None
    assert len(cost["judges"]["student"]["runs"]) == 3


def test_a_listed_price_makes_a_break_even(
    results: dict[str, Any], state: dict[str, Any], tmp_path: Path
) -> None:
    price = {"usd_per_million_input": 2.0, "usd_per_million_output": 8.0, "source": "a list"}
    parameters = ReportingParameters.model_validate(
        {"judge": "big", "cost": {"prices": {"big": price}, "prompt_tokens": 1000}}
    )
    cost = measure_cost(
        results["pairs"], tmp_path, state, labels(), {}, {}, results["benchmark"], parameters
    )
    assert cost["judges"]["teacher"]["usd_basis"] == "list price"
    assert cost["judges"]["teacher"]["usd_per_1000_labels"] > 2.0
    assert cost["break_even"]["labels"] >= 64
    assert "a list" in {row["source"] for row in cost["assumptions"]}


def test_teacher_through_the_ledger(
    folder: Path, state: dict[str, Any], results: dict[str, Any], tmp_path: Path
) -> None:
    (folder / "judges" / "big.tsv").unlink()
    benchmark = load_benchmark(folder, SCALE)
    teacher, failures, reason = teacher_grades(
        benchmark, results["pairs"], state, Ledger(tmp_path / "l.sqlite"), "big", Budget(None)
    )
    assert reason == ""
    assert teacher is not None
    assert teacher.set_index(["query_id", "document_id"])["teacher_grade"].count() == 1
    assert len(failures) == 126


def test_a_teacher_s_means_rank_what_its_grades_leave_even(
    folder: Path, state: dict[str, Any], results: dict[str, Any], tmp_path: Path
) -> None:
    file = folder / "judges" / "big.tsv"
    file.write_text("query-id\tcorpus-id\tscore\nq0\td0\t2.75\nq0\td1\t2.6\n")
    teacher, _, _ = teacher_grades(
        load_benchmark(folder, SCALE),
        results["pairs"],
        state,
        Ledger(tmp_path / "l.sqlite"),
        "big",
        Budget(None),
    )
    assert teacher is not None
    assert teacher["teacher_grade"].tolist() == [3, 3]
    assert teacher["teacher_expected"].round(6).tolist() == [2.75, 2.6]


def test_no_teacher_where_nothing_is_recorded(
    folder: Path, results: dict[str, Any], tmp_path: Path
) -> None:
    (folder / "judges" / "big.tsv").unlink()
    table = pd.DataFrame({"query_id": ["x"], "document_id": ["y"], "grade": [2]})
    state = RecordedJudge(RecordedGrades("big", table), SCALE).to_state()
    teacher, failures, reason = teacher_grades(
        load_benchmark(folder, SCALE),
        results["pairs"],
        state,
        Ledger(tmp_path / "l.sqlite"),
        "big",
        Budget(None),
    )
    assert (teacher, len(failures)) == (None, 0)
    assert "no grades by big" in reason


def test_a_recorded_judge_of_another_collection_is_no_teacher(
    folder: Path, state: dict[str, Any], results: dict[str, Any], tmp_path: Path
) -> None:
    (folder / "judges" / "big.tsv").unlink()
    documents = [{"_id": f"d{n}", "text": f"Another {n}."} for n in range(8)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    benchmark = load_benchmark(folder, SCALE)
    ledger = Ledger(tmp_path / "l.sqlite")
    # It graded q0 and d0, which are another query and another document here.
    teacher, _, reason = teacher_grades(
        benchmark, results["pairs"], state, ledger, "big", Budget(None)
    )
    assert teacher is None
    assert "no grades by big for this benchmark" in reason


def test_held_out_queries_stand_in_for_people() -> None:
    pairs, facts = select_pairs(
        held_out(SCALE), passages(), queries(), labels(), splits(), lambda documents: documents
    )
    assert facts["human"] is False
    assert facts["kind"] == "held_out"
    assert set(pairs["query_id"]) == {"s7"}
    assert pairs["human"].tolist() == labels().query("query_id == 's7'")["grade"].tolist()
    with pytest.raises(UserError, match="human_judgments"):
        select_pairs(
            held_out(SCALE),
            passages(),
            queries(),
            labels(),
            splits().query("split != 'test'"),
            lambda documents: documents,
        )


def test_wrong_corpus_is_one_clear_line(folder: Path) -> None:
    with pytest.raises(UserError, match="none of its 65 judged documents"):
        select_pairs(
            load_benchmark(folder, SCALE),
            passages().assign(document_id="other"),
            queries(),
            labels(),
            splits(),
            lambda documents: documents,
        )


def test_several_benchmarks_keep_their_rows_apart(
    tmp_path: Path, folder: Path, state: dict[str, Any]
) -> None:
    other = make_folder(tmp_path / "more")
    lines = [f"q{q}\td{d}\t{3 if q == d else 0}" for q in range(8) for d in range(4)]
    header = "query-id\tcorpus-id\tscore\n"
    (other / "qrels" / "human.tsv").write_text(header + "\n".join(lines) + "\n")
    (other / "judges" / "big.tsv").unlink()
    found = run_nodes(f"{folder};{other}", state, tmp_path)
    agreement, (second,) = found["agreement"], found["agreement"]["other_benchmarks"]
    names = [one["benchmark"]["name"] for one in (agreement, second)]
    assert names == [f"{tmp_path.name}-people", "more-people"]
    assert found["grades"].groupby("benchmark", sort=False).size().to_dict() == dict(
        zip(names, (64, 32), strict=True)
    )
    alone = run_nodes(other, state, tmp_path / "alone")["agreement"]
    for judge in ("student", "base", "bm25"):
        assert second["judges"][judge] == alone["judges"][judge]
    graded = [one["graded_pairs"]["teacher"] for one in (agreement, second)]
    assert graded == [60, 1]  # its own file; and what the ledger's judge knows of the other
    assert [one["name"] for one in found["facts"]["others"]] == names[1:]


def test_the_first_benchmark_decides(
    folder: Path,
    state: dict[str, Any],
    results: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Registry({"1": {}, "2": {}}, "1")
    registry.install(monkeypatch)
    found = run_nodes(f"{folder};{make_folder(tmp_path / 'more')}", state, tmp_path)
    promote(found, "2")
    assert registry.tags["2"]["benchmark_digest"] == results["facts"]["digest"]


def test_probabilities_and_folders_of_documents(results: dict[str, Any]) -> None:
    grades = results["grades"]
    right = grades["student_grade"] == 3
    assert grades.loc[right, "student_probabilities"].map(list).tolist() == [
        [0.1, 0.0, 0.0, 0.9]
    ] * int(right.sum())
    assert set(grades["folder"]) == {""}


def test_examples_are_the_student_s_disagreements(results: dict[str, Any]) -> None:
    found = results["disagreements"]
    assert 0 < len(found) <= PARAMETERS.examples
    grades = results["grades"].set_index(["query_id", "document_id"])
    for one in found:
        row = grades.loc[(one["query_id"], one["document_id"])]
        assert one["judge"] == "student"
        assert one["human"] == row["human"] != row["student_grade"]


def test_report_is_self_contained_and_answers_first(results: dict[str, Any]) -> None:
    page = report(results)
    assert text_of(page).startswith("Measured against people's grades")
    assert not re.search(r"src=|href=(?!\"#)|@import|url\(|<script", page)
    assert "nan" not in re.sub(r"<style.*?</style>", "", page, flags=re.S).lower().split()
    for text in WORDS:
        assert f"{text} rule" not in page


def test_report_says_when_people_gave_no_grades(results: dict[str, Any]) -> None:
    results["agreement"]["benchmark"]["human"] = False
    assert text_of(report(results)).startswith("No grades by people")


def test_hostile_names_are_escaped(results: dict[str, Any]) -> None:
    results["agreement"]["benchmark"]["name"] = HOSTILE
    results["facts"]["skipped"] = {HOSTILE: [HOSTILE]}
    page = report(results, reason="{{ 7 * 7 }}" + HOSTILE)
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "{{ 7 * 7 }}" in page


def test_figures_are_plotly(results: dict[str, Any]) -> None:
    figures = draw_figures(results["agreement"], results["cost"])
    assert [len(figure.data) for figure in figures[:3]] == [3, 1, 4]
    for figure in figures:
        json.loads(figure.to_json())


class Registry:
    """A model registry in memory with its functions."""

    def __init__(self, tags: dict[str, dict[str, str]], champion: str | None) -> None:
        self.tags, self.champion = tags, champion

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model_registry, "get_alias", lambda *_: self.champion)
        monkeypatch.setattr(model_registry, "set_alias", lambda _n, _a, version: self._set(version))
        monkeypatch.setattr(
            model_registry, "list_versions", lambda _: [{"version": name} for name in self.tags]
        )
        monkeypatch.setattr(
            model_registry, "get_version_tags", lambda _, version: self.tags[version]
        )
        monkeypatch.setattr(
            model_registry,
            "set_version_tags",
            lambda _, version, tags: self.tags[version].update(tags),
        )
        monkeypatch.setattr(flavor, "load_registered", lambda _, version: Path(version))

    def _set(self, version: str) -> None:
        self.champion = version


def promote(results: dict[str, Any], version: str, mode: str = "auto") -> dict[str, Any]:
    parameters = PARAMETERS.model_copy(update={"promotion": mode})
    return promoting.promote(
        {"name": "relevance-labeler", "version": version},
        results["grades"],
        results["pairs"],
        results["benchmark"],
        results["agreement"],
        results["cost"],
        parameters,
    )


def test_first_version_becomes_champion_and_is_tagged(
    results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry({"1": {}}, None)
    registry.install(monkeypatch)
    found = promote(results, "1")
    json.dumps(found, allow_nan=False)
    assert found["promoted"]
    assert registry.champion == "1"
    reason = "there was no champion (8 queries are fewer than 20: nothing is proven)"
    assert registry.tags["1"]["promotion_reason"] == reason
    assert registry.tags["1"]["benchmark_digest"] == results["facts"]["digest"]


def test_manual_promotion_moves_nothing(
    results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry({"1": {}}, None)
    registry.install(monkeypatch)
    assert not promote(results, "1", "manual")["promoted"]
    assert registry.champion is None


def test_rival_is_the_best_on_this_benchmark(
    results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = results["facts"]["digest"]
    registry = Registry(
        {
            "1": {"benchmark_digest": digest, "quadratic_kappa": "0.9"},
            "2": {"benchmark_digest": digest, "quadratic_kappa": "0.5"},
            "3": {"benchmark_digest": "another", "quadratic_kappa": "1.0"},
            "4": {},
        },
        "2",
    )
    registry.install(monkeypatch)
    results["grades"] = results["grades"].sample(frac=1, random_state=0)
    results["agreement"]["benchmark"]["queries"] = 20
    found = promote(results, "4")
    assert (found["rival"], found["difference"], found["promoted"]) == ("1", 0.0, True)
    assert registry.champion == "4"


def test_few_queries_replace_no_champion(
    results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry({"1": {}, "2": {}}, "1")
    registry.install(monkeypatch)
    found = promote(results, "2")
    assert found["reason"] == "8 queries are fewer than 20: a person decides"
    assert (found["difference"], registry.champion) == (0.0, "1")


@pytest.mark.parametrize("trial", [{}, {"trial_limit": "8"}])
def test_another_benchmark_replaces_no_champion(
    trial: dict[str, str], results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = {"benchmark_digest": "f00d", "benchmark": "shop"}
    registry = Registry({"1": shop | trial, "2": {}}, "1")
    registry.install(monkeypatch)
    results["agreement"]["benchmark"]["queries"] = 20
    found = promote(results, "2")
    assert "was measured on another benchmark (shop): a person decides" in found["reason"]
    assert registry.champion == "1"


def test_a_trial_in_use_gives_way_to_a_run_on_everything_and_never_replaces_one(
    results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {"benchmark_digest": "f00d", "benchmark": "people"}
    registry = Registry({"1": measured | {"trial_limit": "8"}, "2": {}}, "1")
    registry.install(monkeypatch)
    results["agreement"]["benchmark"]["queries"] = 20
    found = promote(results, "2")
    assert (found["rival"], found["difference"], found["promoted"]) == ("1", 0.0, True)

    registry = Registry({"1": measured, "2": {}}, "1")
    registry.install(monkeypatch)
    results["agreement"]["benchmark"]["limit"] = 8
    found = promote(results, "2")
    assert "measured on other pairs of the benchmark (people): a person" in found["reason"]
    assert (registry.champion, registry.tags["2"]["trial_limit"]) == ("1", "8")


def test_a_worse_labeler_is_not_promoted(
    results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry({"1": {}, "2": {}}, "1")
    registry.install(monkeypatch)
    poor = results | {"grades": results["grades"].assign(student_grade=0)}
    poor["agreement"]["benchmark"]["queries"] = 20
    found = promote(poor, "2")
    assert not found["promoted"]
    assert registry.champion == "1"
    assert found["low"] < -0.03
    assert "worse than version 1" in registry.tags["2"]["promotion_reason"]


def test_pipeline_has_the_promised_outputs() -> None:
    outputs = create_pipeline().outputs()
    assert {"report", "agreement_plot", "confusion_plot", "cost_plot"} <= outputs


def test_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="resample"):
        ReportingParameters.model_validate({"resample": 3})
