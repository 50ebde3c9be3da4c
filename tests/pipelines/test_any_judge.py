"""A report on files of grades, from the command line to agreement.json, with every bad input."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from checkout import ROOT, Project, make_project
from relevance_distillery.cli import _any_judge, run

HEADER = "query-id\tcorpus-id\tscore\n"
GRADED = ("kappa", "quadratic_kappa", "accuracy", "bias")
RANKED = ("spearman", "pairwise_accuracy", "ndcg", "ndcg_at_10")
Run = Callable[..., dict[str, Any]]

QUIET = """
tracking:
  disable_tracking:
    pipelines: [report_grades]
"""
FAST = "reporting:\n  resamples: 100\n  permutations: 100\n"


@cache
def _bootstrap() -> None:
    """Once for all: the package is the same in every project, and this takes half a second."""
    bootstrap_project(ROOT)


@pytest.fixture
def in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`kedro run --pipeline=report --params=…` in this process; agreement.json or the error."""
    project = make_project(tmp_path / "project")
    (project.path / "conf" / "local" / "mlflow.yml").write_text(QUIET)
    (project.path / "conf" / "local" / "parameters.yml").write_text(FAST)
    monkeypatch.chdir(project.path)

    def invoke(*arguments: str, refused: bool = False, **params: str) -> Any:
        _bootstrap()
        given = ",".join(f"{name.replace('__', '.')}={value}" for name, value in params.items())
        command = ["--pipeline=report", f"--params={given}", *arguments]
        done = CliRunner().invoke(run, command)
        if refused:
            assert done.exit_code == 1, done.output[-2000:]
            errors = [line for line in done.output.splitlines() if line.startswith("Error: ")]
            assert len(errors) == 1, done.output[-2000:]
            return errors[0]
        assert done.exit_code == 0, done.output[-3000:] or done.exception
        folder = "08_reporting/recorded" if "--env=recorded" in arguments else "08_reporting"
        text = project.newest(f"{folder}/agreement.json").read_text()
        page = project.newest(f"{folder}/report.html").read_text()
        assert "nan" not in re.sub(r"<style.*?</style>", "", page, flags=re.S).lower().split()
        return json.loads(text, parse_constant=pytest.fail)

    return invoke


def people(queries: int = 25, documents: int = 6, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [(f"q{q}", f"d{d}") for q in range(queries) for d in range(documents)]
    table = pd.DataFrame(rows, columns=["query-id", "corpus-id"])
    return table.assign(score=rng.integers(0, 4, len(table)))


def nearly(table: pd.DataFrame, seed: int, share: float = 0.3) -> pd.DataFrame:
    """Grades of a judge that is one off on some pairs."""
    rng = np.random.default_rng(seed)
    off = np.where(rng.random(len(table)) < share, rng.choice([-1, 1], len(table)), 0)
    return table.assign(score=np.clip(table["score"] + off, 0, 3))


def save(table: pd.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="," if ".csv" in path.name else "\t", index=False)
    return path


def make_set(folder: Path, table: pd.DataFrame, texts: bool = True) -> Path:
    save(table, folder / "qrels" / "human.tsv")
    if texts:
        queries = [
            {"_id": name, "text": f"berth fee {name}"} for name in table["query-id"].unique()
        ]
        documents = [
            {
                "_id": name,
                "title": f"Berth {name}",
                "text": "The berth fee is paid.",
                "path": f"a/{name}",
            }
            for name in table["corpus-id"].unique()
        ]
        for name, records in (("queries", queries), ("corpus", documents)):
            lines = "".join(json.dumps(record) + "\n" for record in records)
            (folder / f"{name}.jsonl").write_text(lines)
    return folder


def figures(found: dict[str, Any], judge: str, names: tuple[str, ...] = GRADED) -> list[Any]:
    return [found["judges"][judge][name]["estimate"] for name in names]


def test_the_command_in_a_fresh_project(project: Project, tmp_path: Path) -> None:
    table = people()
    folder = make_set(tmp_path / "set", table)
    save(nearly(table, 1), tmp_path / "one.tsv")
    save(nearly(table, 2, 0.8).iloc[5:], folder / "judges" / "two.tsv")
    done = project.kedro(
        "run", "--pipelines=report", f"--params=benchmark={folder},grades={tmp_path}/one.tsv;two"
    )
    assert "two on set: no grade for 5 judged pairs" in done.stdout
    found = json.loads(project.newest("08_reporting/agreement.json").read_text())
    assert list(found["judges"]) == ["one", "two"]
    assert found["benchmark"]["name"] == "set"
    assert found["benchmark"]["human"] is True
    assert figures(found, "one")[1] > figures(found, "two")[1]
    (couple,) = found["comparisons"]
    assert (couple["first"], couple["second"]) == ("one", "two")
    assert couple["metrics"]["quadratic_kappa"]["conclusion"] == "superior"
    assert found["graded_pairs"] == {"one": 150, "two": 145}
    assert found["sources"]["two"] == {
        "pairs_in_file": 145,
        "matched": 145,
        "missing": 5,
        "unknown": 0,
        "notes": [],
    }
    assert found["roles"] == {}
    cost = json.loads(project.newest("08_reporting/cost.json").read_text())
    assert list(cost["judges"]) == ["one", "two"]
    page = project.newest("08_reporting/report.html").read_text()
    assert "is paid" in page  # an example with its text
    for name in ("labels.parquet", "label_ledger.sqlite"):
        assert not (project.path / "data" / "05_model_input" / name).exists()


def test_every_odd_file_at_once(in_process: Run, tmp_path: Path) -> None:
    table = people()
    good = nearly(table, 1)
    odd = {
        "words.csv": good.assign(
            score=good["score"].map(
                ["irrelevant", "related", "Relevant", "perfectly relevant"].__getitem__
            )
        ),
        "contradicting.tsv": pd.concat(
            [good, good.iloc[:2].assign(score=lambda t: 3 - t["score"])]
        ),
        "repeated.tsv": pd.concat([good, good.iloc[:7]]),
        "scores.tsv": good.assign(score=good["score"] + 0.5),
        "wide.tsv": good.assign(score=good["score"] + 1),
        "floats.tsv": good.assign(score=good["score"].astype(float)),
        "constant.tsv": good.assign(score=2),
        "part.tsv": pd.concat([good.iloc[:100], good.iloc[:9].assign(**{"query-id": "other"})]),
    }
    for name, rows in odd.items():
        save(rows, tmp_path / name)
    run_file = tmp_path / "ties.run"
    run_file.write_text(
        "".join(f"{q} Q0 {d} 1 {g % 2}.25 x\n" for q, d, g in good.itertuples(index=False))
    )
    files = ";".join(str(tmp_path / name) for name in (*odd, "ties.run"))
    qrels = tmp_path / "people.qrels"
    qrels.write_text("".join(f"{q} 0 {d} {g}\n" for q, d, g in table.itertuples(index=False)))
    found = in_process(benchmark=str(qrels), grades=files)

    scores = ["scores", "wide", "ties"]
    assert sorted(found["judges"]) == sorted([*(name.split(".")[0] for name in odd), "ties"])
    assert figures(found, "words") == figures(found, "floats") == figures(found, "repeated")
    for name in scores:
        assert figures(found, name) == [None] * 4
        assert None not in figures(found, name, RANKED)
        reasons = {found["judges"][name][metric]["reason"] for metric in GRADED}
        assert len(reasons) == 1
        assert [entry for entry in found["not_defined"] if entry["where"] == f"judges.{name}.kappa"]
    assert "set `scale`" in found["judges"]["wide"]["kappa"]["reason"]
    assert figures(found, "scores", RANKED) == figures(found, "floats", RANKED)
    assert found["judges"]["constant"]["kappa"]["estimate"] == 0.0
    notes = {name: source["notes"] for name, source in found["sources"].items()}
    assert notes["contradicting"] == ["left out: 2 pairs with two different grades"]
    assert notes["repeated"] == ["7 repeated rows count once"]
    part = found["sources"]["part"]
    assert (part["matched"], part["missing"], part["unknown"]) == (100, 50, 6)
    assert len(found["comparisons"]) == 15  # every couple of the six that grade


def test_several_benchmarks_with_the_same_ids(in_process: Run, tmp_path: Path) -> None:
    tables = {name: people(seed=seed) for seed, name in enumerate(("first", "second"))}
    for name, table in tables.items():
        save(nearly(table, 5), make_set(tmp_path / name, table) / "judges" / "big.tsv")
    save(nearly(tables["second"], 6), tmp_path / "late.tsv")
    places = f"{tmp_path}/first;{tmp_path}/second"
    found = in_process("--env=recorded", benchmark=places, grades=f"big;{tmp_path}/late.tsv")
    (other,) = found["other_benchmarks"]
    assert [one["benchmark"]["name"] for one in (found, other)] == ["first", "second"]
    for one in (found, other):
        expected = nearly(tables[one["benchmark"]["name"]], 5)["score"]
        accuracy = (expected == tables[one["benchmark"]["name"]]["score"]).mean()
        assert one["judges"]["big"]["accuracy"]["estimate"] == pytest.approx(accuracy, abs=1e-6)
    # late.tsv holds the same ids as both, and is right on the second alone.
    assert figures(other, "late")[1] > 0.7 > figures(found, "late")[1]


def test_a_judge_of_the_second_benchmark_only(in_process: Run, tmp_path: Path) -> None:
    one, two = people(), people().assign(**{"query-id": lambda t: "x" + t["query-id"]})
    make_set(tmp_path / "one", one, texts=False)
    make_set(tmp_path / "two", two, texts=False)
    for name, table in (("a", one), ("b", two)):
        save(nearly(table, 1), tmp_path / f"{name}.tsv")
    files = f"{tmp_path}/a.tsv;{tmp_path}/b.tsv"
    found = in_process(benchmark=f"{tmp_path}/one;{tmp_path}/two", grades=files)
    assert list(found["judges"]) == ["a"]
    assert list(found["other_benchmarks"][0]["judges"]) == ["b"]
    assert "No grades by b for this benchmark." in found["notes"]


def test_any_column_names(in_process: Run, tmp_path: Path) -> None:
    table = people()
    names = {"query-id": "term", "corpus-id": "sku", "score": "stars"}
    save(table.rename(columns=names), tmp_path / "shop.csv")
    save(nearly(table, 1).rename(columns=names | {"score": "answer"}), tmp_path / "model.csv")
    mapping = {"columns__query": "term", "columns__document_id": "sku", "columns__grade": "stars"}
    theirs = {f"grade_{key}": value for key, value in mapping.items()} | {
        "grade_columns__grade": "answer"
    }
    given = {"benchmark": f"{tmp_path}/shop.csv", "grades": f"{tmp_path}/model.csv"}
    found = in_process(**given, **mapping, **theirs)
    assert found["sources"]["model"]["matched"] == len(table)
    error = in_process(refused=True, **given, **(mapping | {"columns__grade": "points"}), **theirs)
    assert "shop.csv: has no column points; has term, sku, stars" in error
    assert "has term, sku, stars" in in_process(refused=True, **given)


def test_prices_and_times_of_the_file_are_measured(in_process: Run, tmp_path: Path) -> None:
    table = people()
    save(nearly(table, 1).assign(cost_usd=0.002, seconds=0.25), tmp_path / "umbrela-gpt-4o.tsv")
    make_set(tmp_path / "set", table)
    in_process(benchmark=f"{tmp_path}/set", grades=f"{tmp_path}/umbrela-gpt-4o.tsv")
    folder = Path("data/08_reporting/cost.json")
    cost = json.loads(next(folder.glob("*/cost.json")).read_text())
    row = cost["judges"]["umbrela-gpt-4o"]
    assert row["usd_per_1000_labels"] == row["measured_usd_per_1000_labels"] == 2.0
    assert row["usd_basis"] == row["speed_basis"] == "measured"
    assert row["pairs_per_second"] == 4.0
    assert 0.5 < row["list_usd_per_1000_labels"] < 1.5
    assert any("list price" in str(one["source"]) for one in cost["assumptions"])


@pytest.mark.parametrize("kind", ["one grade", "one query", "one pair", "no relevant one"])
def test_degenerate_judgments(in_process: Run, tmp_path: Path, kind: str) -> None:
    table = {
        "one grade": people().assign(score=2),
        "one query": people(1, 30),
        "one pair": people(1, 1),
        "no relevant one": people().assign(score=lambda t: t["score"] % 2),
    }[kind]
    make_set(tmp_path / "set", table, texts=False)
    save(nearly(table, 1), tmp_path / "a.tsv")
    found = in_process(benchmark=f"{tmp_path}/set", grades=f"{tmp_path}/a.tsv")
    for value in found["judges"]["a"].values():
        missing = [side for side in ("estimate", "low", "high") if value[side] is None]
        assert bool(missing) == ("reason" in value)
    assert found["judges"]["a"]["accuracy"]["estimate"] is not None
    if kind == "one grade":
        assert found["judges"]["a"]["pairwise_accuracy"]["estimate"] is None


def test_people_s_own_oddities(in_process: Run, tmp_path: Path) -> None:
    table = people()
    junk = table.assign(score=table["score"].where(table.index > 3, -2))
    both = pd.concat([junk, table.iloc[10:12].assign(score=lambda t: (t["score"] + 1) % 4)])
    make_set(tmp_path / "set", both, texts=False)
    for name, part in (("ann", table.iloc[:60]), ("bob", table.iloc[90:]), ("eve", table)):
        save(nearly(part, 3), tmp_path / "set" / "annotators" / f"{name}.tsv")
    save(nearly(table, 1), tmp_path / "a.tsv")
    found = in_process(benchmark=f"{tmp_path}/set", grades=f"{tmp_path}/a.tsv")
    assert found["benchmark"]["pairs"] == len(table) - 2
    assert "4 grades below 0 (TREC's junk) count as the lowest grade." in found["notes"]
    assert any("two different grades by the same person: 2" in note for note in found["notes"])
    assert found["one_scale"]["pairs"] > 0


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"benchmark": "SET"}, "run `kedro run --pipeline=synthesize` first"),
        ({"grades": "GOOD"}, "name them too, --params="),
        ({"benchmark": "nowhere", "grades": "GOOD"}, "nowhere: no such benchmark"),
        ({"benchmark": "SET", "grades": "nobody"}, "nobody: no such file of grades, nor a judge"),
        ({"benchmark": "SET", "grades": "OTHER"}, "none of its 150 rows speaks of one of the 150"),
        ({"benchmark": "SET", "grades": "WIDE", "human_judgments": "WIDE"}, "set `scale`"),
        ({"benchmark": "SET", "grades": "GOOD", "colums__grade": "x"}, "unknown parameter"),
        ({"benchmark": "ir_datasets:no/such", "grades": "GOOD"}, "there is no such data set"),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    in_process: Run, tmp_path: Path, params: dict[str, str], expected: str
) -> None:
    table = people()
    places = {
        "SET": make_set(tmp_path / "set", table, texts=False),
        "GOOD": save(nearly(table, 1), tmp_path / "good.tsv"),
        "OTHER": save(table.assign(**{"query-id": "z"}), tmp_path / "other.tsv"),
        "WIDE": save(table.assign(score=table["score"] + 1), tmp_path / "wide.tsv"),
    }
    given = {name: str(places.get(value, value)) for name, value in params.items()}
    assert expected in in_process(refused=True, **given)


@pytest.mark.parametrize(
    ("pipelines", "env", "params", "expected"),
    [
        (["report"], None, {"grades": "x"}, ["report_grades"]),
        (["report"], None, {"grades": "x", "judge": "llm:tiny"}, ["report_grades"]),
        (["report"], None, {"grades": "x", "judge": "recorded"}, ["report"]),
        (["report"], None, {"grades": "x", "judge": "consensus"}, ["report"]),
        (["report"], "recorded", {"grades": "x", "judge": "recorded:gpt"}, ["report_grades"]),
        (["report"], None, {}, ["report"]),
        (["distill", "report"], None, {"grades": "x"}, ["distill", "report"]),
        ([], None, {"grades": "x"}, []),
    ],
)
def test_where_the_command_leads(
    pipelines: list[str], env: str | None, params: dict[str, str], expected: list[str]
) -> None:
    options = {"pipelines": pipelines, "env": env, "params": params}
    assert _any_judge(options)["pipelines"] == expected
