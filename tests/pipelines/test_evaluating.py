"""`kedro run --pipeline=evaluate` from files of runs to the page, and its nodes with stand-ins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

import tiny_models
from checkout import Project
from relevance_distillery.collections.judge_files import JudgeFiles
from relevance_distillery.collections.system_runs import read_runs
from relevance_distillery.datasets import BenchmarkDataset, HandleDataset
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.systems.text_sources import TextSources
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.pipelines.evaluating.parameters import EvaluatingParameters
from relevance_distillery.pipelines.evaluating.pipeline import create_pipeline
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.reporting.system_evaluation import write_page
from relevance_distillery.scoring.graders import JudgeGrader

QUERIES, DOCUMENTS = 24, 30


def make_set(folder: Path, human: int = 12, corpus: bool = True) -> Path:
    """A benchmark whose first queries people graded, two recorded judges, and three runs."""
    rng = np.random.default_rng(0)
    truth = {
        (f"q{q}", f"d{d}"): int(rng.choice([0, 0, 0, 1, 2, 3]))
        for q in range(QUERIES)
        for d in range(DOCUMENTS)
    }
    benchmark, runs = folder / "bench", folder / "runs"
    for made in (benchmark / "qrels", benchmark / "judges", runs):
        made.mkdir(parents=True)
    words = tiny_models.WORDS
    queries = [{"_id": f"q{q}", "text": " ".join(words[q : q + 3])} for q in range(QUERIES)]
    documents = [
        {"_id": f"d{d}", "title": words[d], "text": " ".join(words[d : d + 9])}
        for d in range(DOCUMENTS)
    ]
    for name, rows in (("queries", queries), ("corpus", documents if corpus else [])):
        if rows:
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (benchmark / f"{name}.jsonl").write_text(lines)
    header = "query-id\tcorpus-id\tscore\n"
    people = {pair: grade for pair, grade in truth.items() if int(pair[0][1:]) < human}
    _write_grades(benchmark / "qrels" / "human.tsv", people or {("q0", "elsewhere"): 0}, header)
    good = {pair: int(np.clip(g + rng.integers(-1, 2), 0, 3)) for pair, g in truth.items()}
    bad = {pair: int(rng.integers(0, 4)) for pair in truth}
    _write_grades(benchmark / "judges" / "good.tsv", good, header)
    _write_grades(benchmark / "judges" / "bad.tsv", bad, header)
    for name, noise in (("strong", 0.5), ("medium", 2.0), ("weak", 6.0)):
        with (runs / f"{name}.run").open("w") as stream:
            for (query, document), grade in truth.items():
                score = grade + noise * rng.normal()
                stream.write(f"{query} Q0 {document} 0 {score:.2f} {name}-tag\n")
    return benchmark


def _write_grades(path: Path, grades: dict[tuple[str, str], int], header: str) -> None:
    path.write_text(header + "".join(f"{q}\t{d}\t{g}\n" for (q, d), g in grades.items()))


def test_from_runs_and_recorded_grades_to_the_page(project: Project, tmp_path: Path) -> None:
    benchmark = make_set(tmp_path)
    done = project.kedro(
        "run",
        "--pipeline=evaluate",
        f"--params=runs={tmp_path / 'runs'},benchmark={benchmark},grades=good;bad",
    )
    found = json.loads(project.newest("08_reporting/evaluation.json").read_text())
    assert list(found["systems"]) == ["medium", "strong", "weak"]
    assert found["human"]
    assert found["queries"]["all"] == QUERIES
    assert found["queries"]["correcting"] == {"good": 12, "bad": 12}
    assert found["differences"]["basis"] == "prediction_powered"
    assert found["differences"]["judge"] == "good"
    assert found["differences"]["ranking"] == [["strong"], ["medium"], ["weak"]]
    assert list(found["judges"]) == ["good", "bad"]
    assert found["judges"]["good"]["nDCG@10"]["kendall_tau"]["estimate"] == 1.0
    assert any("Only 12 queries tell how wrong" in line for line in found["warnings"])
    for system in found["systems"].values():
        row = system["measures"]["nDCG@10"]["prediction_powered"]["good"]
        assert (row["human_queries"], row["machine_queries"]) == (12, 12)
        assert row["low"] < row["estimate"] < row["high"]
    page = project.newest("08_reporting/evaluation.html").read_text()
    assert "strong is the best" in page
    assert "<script" not in page
    grades = pd.read_parquet(project.newest("07_model_output/evaluation_grades.parquet"))
    assert (grades.loc[grades["graded_by"] == "people", "grade"] == grades["human"].dropna()).all()
    assert set(grades["graded_by"]) == {"people", "good"}
    assert "evaluation.html" in done.stdout


def test_bad_input_is_one_line(project: Project, tmp_path: Path) -> None:
    def said(params: str) -> str:
        done = project.kedro("run", "--pipeline=evaluate", f"--params={params}", check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stdout
        return done.stdout

    assert "no runs were given" in said("judge=none")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "a.run").write_text("q1 Q0 d1 1 2.0 t\nq1 Q0 d2 2\n")
    assert "a.run, row 2: 4 cells where TREC runs have 6" in said(f"runs={tmp_path / 'r'}")


class Overlap:
    """Grades by how many query words a passage has; through the ledger as any judge."""

    name, model, prompt_hash, budget = "overlap", "overlap", "", None
    scale = DEFAULT_SCALE

    def __init__(self) -> None:
        self.asked = 0

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        return [f"{row.query}|{row.title}|{row.text}" for row in pairs.itertuples()]

    def grade(self, shards: Any) -> Any:
        for shard in shards:
            self.asked += len(shard)
            yield [
                Verdict(key, status="odd", reason="no answer")
                if row.title == "w3"
                else Verdict(key, grade=len(set(row.query.split()) & set(row.text.split())))
                for key, row in zip(self.request_hashes(shard), shard.itertuples(), strict=True)
            ]


class Shelf:
    def __init__(self, **graders: Any) -> None:
        self.graders = graders

    def find(self, name: str) -> Any:
        return self.graders[name]


class Kept(MemoryDataset):
    """Stays when no further node needs it."""

    def release(self) -> None:
        pass


def run(
    folder: Path,
    benchmark: Path | None,
    shelf: Shelf | None = None,
    files: str = "",
    **options: Any,
) -> dict[str, Any]:
    """The pipeline in process; what it made."""
    nothing = pd.DataFrame()
    known = options.pop("known", nothing)
    passages = options.pop("passages", nothing)
    catalog = DataCatalog(
        {
            "runs": HandleDataset(handle=read_runs, locations=str(folder / "runs")),
            "evaluation_benchmark": BenchmarkDataset(recall_when_unnamed=True, 
                filepath=None if benchmark is None else str(benchmark), grades_only=True
            ),
            "judge_files": MemoryDataset(JudgeFiles.parse(files)),
            "evaluation_texts": HandleDataset(handle=TextSources, 
                benchmark=None if benchmark is None else str(benchmark),
                queries=options.pop("queries", None),
            ),
            "stored_queries": MemoryDataset(options.pop("stored", nothing)),
            "previous_passages": MemoryDataset(passages),
            "previous_evaluation_passages": MemoryDataset(known),
            "graders": MemoryDataset(shelf, copy_mode="assign"),
            "grading_prompt": MemoryDataset("not needed"),
            "params:labeling": MemoryDataset({}),
            "params:synthesis": MemoryDataset(SynthesisParameters(passages={"split": False})),
            "params:evaluating": MemoryDataset(
                EvaluatingParameters(**({"resamples": 100, "permutations": 100} | options))
            ),
            "params:scale": MemoryDataset(DEFAULT_SCALE),
            **{
                name: Kept(copy_mode="assign")
                for name in (
                    "evaluation_runs", "evaluation_pool", "evaluation_facts", "evaluation_grades",
                    "evaluation_passages", "evaluation_judges", "system_evaluation",
                    "system_evaluation_page",
                )
            },
        }
    )  # fmt: skip
    SequentialRunner().run(create_pipeline(), catalog)
    return {
        name: catalog.load(name)
        for name in (
            "evaluation_pool",
            "evaluation_grades",
            "evaluation_passages",
            "evaluation_judges",
            "system_evaluation",
            "system_evaluation_page",
        )
    }


def test_a_judge_grades_the_pool_and_its_failures_are_counted(tmp_path: Path) -> None:
    benchmark, judge = make_set(tmp_path), Overlap()
    shelf = Shelf(overlap=JudgeGrader(judge, Ledger(tmp_path / "ledger.sqlite")))
    made = run(tmp_path, benchmark, shelf, judge="overlap")
    grades, found = made["evaluation_grades"], made["system_evaluation"]
    # People's pairs are graded too, since they tell how wrong the machine is.
    assert (
        grades["overlap_grade"].notna().sum() == len(grades) - (grades["document_id"] == "d3").sum()
    )
    failures = found["who"]["overlap"]["failures"]
    assert failures == {"odd: no answer": int((grades["document_id"] == "d3").sum())}
    asked = judge.asked
    run(tmp_path, benchmark, shelf, judge="overlap")
    # Nothing that the ledger knows is asked again, save for failures.
    assert judge.asked - asked <= (grades["document_id"] == "d3").sum()
    fewer = run(tmp_path, benchmark, shelf, judge="overlap", grade_judged=False)
    graded = fewer["evaluation_grades"]
    assert graded.loc[~graded["pooled"], "overlap_grade"].isna().all()


@pytest.fixture(scope="module")
def labeler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluating")
    base = tiny_models.encoder(folder / "tiny-bert")
    settings = tiny_models.tiny_settings(base, epochs=1)
    artifact, _ = distill(tiny_models.tiny_data(), settings, DEFAULT_SCALE, folder / "work")
    return artifact


def test_a_labeler_grades_what_it_has_not_graded_before(tmp_path: Path, labeler: Path) -> None:
    benchmark, shelf = make_set(tmp_path), Shelf(champion=Labeler.load(labeler))
    made = run(tmp_path, benchmark, shelf)
    facts = made["evaluation_judges"]["champion"]
    assert facts["passages_graded"] == len(made["evaluation_grades"])
    again = run(tmp_path, benchmark, shelf, known=made["evaluation_passages"])
    assert again["evaluation_judges"]["champion"]["passages_graded"] == 0
    pd.testing.assert_frame_equal(again["evaluation_grades"], made["evaluation_grades"])
    direct = Labeler.load(labeler)
    pool = made["evaluation_grades"].head(5)
    words = tiny_models.WORDS
    pairs = pd.DataFrame(
        {
            "query": [" ".join(words[int(q[1:]) : int(q[1:]) + 3]) for q in pool["query_id"]],
            "title": [words[int(d[1:])] for d in pool["document_id"]],
            "text": [" ".join(words[int(d[1:]) : int(d[1:]) + 9]) for d in pool["document_id"]],
        }
    )
    assert pool["champion_grade"].tolist() == direct.grade(pairs)["grade"].tolist()


class TaughtByPeople:
    """A grader whose profile says that people taught it some of the queries."""

    name, digest = "taught", "1"

    class profile:  # noqa: N801
        people = True

        @staticmethod
        def trained_on(texts: list[str]) -> np.ndarray:
            return np.array([text.startswith(("w0 ", "w1 ", "w20 ")) for text in texts])

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        grade = [hash(text) % 4 for text in pairs["text"]]
        return pd.DataFrame({"grade": grade}, index=pairs.index)


def test_people_s_grades_that_taught_the_machine_never_correct_it(tmp_path: Path) -> None:
    made = run(tmp_path, make_set(tmp_path), Shelf(champion=TaughtByPeople()))["system_evaluation"]
    assert made["queries"]["human"] == 12
    assert made["queries"]["correcting"] == {"champion": 10}
    assert made["queries"]["learned_from_people"] == {"champion": 2}
    powered = made["systems"]["strong"]["measures"]["nDCG@10"]["prediction_powered"]["champion"]
    assert (powered["human_queries"], powered["machine_queries"]) == (10, 11)
    page = write_page(made)
    assert "2 queries taught it by people" in page


def test_without_people_the_first_line_says_so(tmp_path: Path) -> None:
    benchmark = make_set(tmp_path, human=0)
    made = run(tmp_path, benchmark, files="good")
    found, page = made["system_evaluation"], made["system_evaluation_page"]
    assert not found["human"]
    assert found["differences"]["basis"] == "machine"
    assert "No people&#39;s grades" in page.partition("<h1>")[0]
    assert "prediction_powered" not in found["systems"]["strong"]["measures"]["nDCG@10"]


def test_grades_that_people_did_not_give_are_not_people_s(tmp_path: Path) -> None:
    benchmark = make_set(tmp_path)
    (benchmark / "qrels" / "human.tsv").rename(benchmark / "qrels" / "authored.tsv")
    made = run(tmp_path, benchmark, files="good")
    assert not made["system_evaluation"]["human"]
    assert made["evaluation_grades"]["human"].isna().all()
    assert "not given by people and not used" in made["system_evaluation_page"]


def test_people_alone_need_no_machine(tmp_path: Path) -> None:
    made = run(tmp_path, make_set(tmp_path, human=QUERIES), judge="none")
    found = made["system_evaluation"]
    assert found["differences"]["basis"] == "people"
    assert found["who"] == {}
    assert "strong" in made["system_evaluation_page"]


def test_a_file_of_grades_alone_is_enough(tmp_path: Path) -> None:
    benchmark = make_set(tmp_path)
    made = run(tmp_path, None, files=str(benchmark / "judges" / "good.tsv"))
    assert made["system_evaluation"]["queries"]["all"] == QUERIES


def test_runs_may_name_queries_by_their_texts(tmp_path: Path) -> None:
    benchmark = make_set(tmp_path)
    by_id = run(tmp_path, benchmark, files="good")
    for path in (tmp_path / "runs").iterdir():
        rows = [line.split() for line in path.read_text().splitlines()]
        path.write_text("".join("\t".join([texts(benchmark)[q], *r]) + "\n" for q, *r in rows))
    by_text = run(tmp_path, benchmark, files="good")
    pd.testing.assert_frame_equal(by_text["evaluation_grades"], by_id["evaluation_grades"])
    assert by_text["system_evaluation"]["source"]["id_notes"] == [
        "queries were matched by their texts"
    ]
    assert "queries were matched by their texts" in by_text["system_evaluation_page"]


def test_people_may_name_queries_by_texts_where_runs_and_judges_have_ids(tmp_path: Path) -> None:
    benchmark = make_set(tmp_path)
    by_id = run(tmp_path, benchmark, files="good")["evaluation_grades"]
    asked = texts(benchmark)
    people = pd.read_csv(benchmark / "qrels" / "human.tsv", sep="\t")
    people["query"] = people["query-id"].map(asked)
    people.drop(columns="query-id").to_csv(tmp_path / "people.csv", index=False)
    by_text = run(
        tmp_path,
        tmp_path / "people.csv",
        files=str(benchmark / "judges" / "good.tsv"),
        queries=str(benchmark / "queries.jsonl"),
    )["evaluation_grades"]
    graded = set(people["query"])
    assert set(by_text["query_id"]) & graded == graded
    by_id["query_id"] = [
        asked[name] if asked[name] in graded else name for name in by_id["query_id"]
    ]
    pd.testing.assert_frame_equal(by_text, by_id)


def texts(benchmark: Path) -> dict[str, str]:
    lines = (benchmark / "queries.jsonl").read_text().splitlines()
    return {row["_id"]: row["text"] for row in map(json.loads, lines)}


def test_runs_of_other_queries_are_refused_and_a_few_left_out(tmp_path: Path) -> None:
    benchmark = make_set(tmp_path)
    with (tmp_path / "runs" / "weak.run").open("a") as stream:
        stream.write("stranger Q0 d1 1 2.0 t\n")
    made = run(tmp_path, benchmark, judge="good")
    assert made["system_evaluation"]["source"]["unknown_query_ids"] == ["stranger"]
    for path in (tmp_path / "runs").iterdir():
        path.write_text("x1 Q0 d1 1 2.0 t\n")
    with pytest.raises(UserError, match="none of their 1 queries is known"):
        run(tmp_path, benchmark, judge="good")


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    benchmark = make_set(tmp_path)
    (tmp_path / "runs" / "weak.run").rename(tmp_path / "runs" / "<img onerror=x>.run")
    page = run(tmp_path, benchmark, files="good")["system_evaluation_page"]
    assert "<img" not in page
    assert "&lt;img onerror=x&gt;" in page


def test_an_earlier_runs_queries_and_passages_are_used(tmp_path: Path, labeler: Path) -> None:
    benchmark = make_set(tmp_path)
    texts = [json.loads(line) for line in (benchmark / "queries.jsonl").read_text().splitlines()]
    stored = pd.DataFrame(
        {"query_id": [t["_id"] for t in texts], "text": [t["text"] for t in texts]}
    )
    words, blank = tiny_models.WORDS, {"heading": "", "path": "", "author": "", "modified": ""}
    passages = pd.DataFrame(
        [
            {"passage_id": f"d{d}#{part}", "document_id": f"d{d}", "title": words[d],
             "text": " ".join(words[d + part : d + part + 5])} | blank
            for d in range(DOCUMENTS)
            for part in range(2)
        ]
    )  # fmt: skip
    made = run(
        tmp_path, None, Shelf(champion=Labeler.load(labeler)), stored=stored, passages=passages
    )
    grades = made["evaluation_grades"]
    assert grades["champion_grade"].notna().all()
    assert made["evaluation_judges"]["champion"]["passages_graded"] == 2 * len(grades)
