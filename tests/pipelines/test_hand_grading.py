"""Hand-grading through Kedro: a sheet goes out, comes back, and the report is measured on it."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner

from relevance_distillery.collections.benchmark import load_benchmark
from relevance_distillery.collections.benchmark_pairs import benchmark_documents, select_pairs
from relevance_distillery.datasets import HandleDataset, SheetDataset, TableDataset
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.io.files import read_stored_table
from relevance_distillery.people.import_sheets import returned_files
from relevance_distillery.pipelines.hand_grading.parameters import HandGradingParameters
from relevance_distillery.pipelines.hand_grading.pipeline import (
    create_export_pipeline,
    create_import_pipeline,
)

ROOT = Path(__file__).parents[2]
QUERIES, PASSAGES = 30, 10


def stored() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame(
        [(f"q{q}", f"d{p // 2}#{p % 2}") for q in range(QUERIES) for p in range(PASSAGES)],
        columns=["query_id", "passage_id"],
    )
    blank = {name: "" for name in ("heading", "path", "author", "modified")}
    return {
        "candidates": pairs.assign(channel="bm25", rank=1, score=1.0, is_seed=False),
        "queries": pd.DataFrame(
            {
                "query_id": [f"q{q}" for q in range(QUERIES)],
                "text": [f"question {q}" for q in range(QUERIES)],
                "style": "question",
                "passage_id": [f"d{q % 5}#0" for q in range(QUERIES)],
            }
        ),
        "passages": pd.DataFrame(
            {
                "passage_id": [f"d{p // 2}#{p % 2}" for p in range(PASSAGES)],
                "document_id": [f"d{p // 2}" for p in range(PASSAGES)],
                "title": "A title",
                "text": [f"text {p}" for p in range(PASSAGES)],
                **blank,
            }
        ),
        "labels": pairs.assign(
            judge="one", grade=rng.choice(4, len(pairs), p=[0.6, 0.2, 0.1, 0.1]), probabilities=None
        ),
    }


class Contrarian:
    """A further judge, which grades everything 3."""

    def find(self, name: str):
        assert name == "labeler:champion"
        return SimpleNamespace(
            grade=lambda pairs: pd.DataFrame({"grade": 3, "probabilities": None}, index=pairs.index)
        )


def export(folder: Path, tables: dict[str, pd.DataFrame] | None = None, **options):
    catalog = DataCatalog(
        {name: MemoryDataset(table) for name, table in (tables or stored()).items()}
        | {
            "previous_samples": HandleDataset(
                handle=read_stored_table, filepath=str(folder / "samples.parquet")
            ),
            "graders": MemoryDataset(Contrarian(), copy_mode="assign"),
            "recorded_grades": MemoryDataset("not needed"),
            "grading_prompt": MemoryDataset("not needed"),
            "params:labeling": MemoryDataset({"judge": "embedded"}),
            "params:hand_grading": MemoryDataset(HandGradingParameters(**options)),
            "params:scale": MemoryDataset(DEFAULT_SCALE),
            "grading_sheet": SheetDataset(filepath=str(folder / "sheet.csv")),
            "grading_samples": TableDataset(filepath=str(folder / "samples.parquet")),
            "grading_sample_report": MemoryDataset(),
        }
    )
    SequentialRunner().run(create_export_pipeline(), catalog)
    return catalog.load("grading_sample_report")


def fill_in(folder: Path, grade=lambda row: "2") -> None:
    path = folder / "sheet.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"grade": grade(row)} for row in rows)


def take_back(folder: Path):
    catalog = DataCatalog(
        {
            "returned_sheets": HandleDataset(
                handle=returned_files, filepath=str(folder / "sheet.csv")
            ),
            "previous_samples": HandleDataset(
                handle=read_stored_table, filepath=str(folder / "samples.parquet")
            ),
            "params:scale": MemoryDataset(DEFAULT_SCALE),
            "human_grades": TableDataset(filepath=str(folder / "human_grades.parquet")),
            "human_grades_report": MemoryDataset(),
        }
    )
    SequentialRunner().run(create_import_pipeline(), catalog)
    return catalog.load("human_grades"), catalog.load("human_grades_report")


def test_a_sheet_goes_out_and_its_grades_measure_the_report(tmp_path: Path) -> None:
    report = export(tmp_path, size=60)
    assert report["pairs"] == 60
    assert sum(part["pairs"] for part in report["strata"].values()) == 60
    fill_in(tmp_path)
    grades, counts = take_back(tmp_path)
    assert len(grades) == counts["grades"] == 60
    benchmark = load_benchmark(tmp_path / "human_grades.parquet", DEFAULT_SCALE)
    tables = stored()
    splits = tables["labels"][["query_id", "passage_id"]].assign(split="test")
    pairs, facts = select_pairs(
        benchmark, tables["passages"], tables["queries"], tables["labels"], splits, lambda d: d
    )
    # Each graded passage stands for itself, knows its document, and its query's seed.
    assert pairs["document_id"].tolist() == pairs["passage_id"].tolist()
    assert set(pairs["corpus_document"]) <= {f"d{n}" for n in range(5)}
    assert pairs["is_seed"].tolist() == [
        row.passage_id == f"d{int(row.query_id[1:]) % 5}#0" for row in pairs.itertuples()
    ]
    weights = benchmark_documents(pairs).set_index(["query_id", "document_id"])["weight"]
    assert weights.sum() == pytest.approx(QUERIES * PASSAGES)
    for row in grades.itertuples():
        assert weights[row.query_id, row.passage_id] == pytest.approx(1 / row.inclusion_probability)
    assert facts["whole_queries"] is False


def test_passages_that_changed_since_are_left_out_and_counted(tmp_path: Path) -> None:
    export(tmp_path, size=60, design="random")
    fill_in(tmp_path)
    take_back(tmp_path)
    benchmark = load_benchmark(tmp_path / "human_grades.parquet", DEFAULT_SCALE)
    tables = stored()
    splits = tables["labels"][["query_id", "passage_id"]].assign(split="test")
    changed = tables["passages"].copy()
    changed.loc[0, "text"] = "rewritten"
    pairs, facts = select_pairs(
        benchmark, changed.iloc[:-1], tables["queries"], tables["labels"], splits, lambda d: d
    )
    reasons = " ".join(facts["skipped"])
    assert "judgments of passages whose text changed since: " in reasons
    assert "judgments of passages that are not in the corpus: " in reasons
    assert set(pairs["passage_id"]).isdisjoint({"d0#0", "d4#1"})
    with pytest.raises(UserError, match="none of its 60 graded passages is in the corpus"):
        select_pairs(
            benchmark,
            changed.assign(text="other"),
            tables["queries"],
            tables["labels"],
            splits,
            lambda d: d,
        )


def test_further_judges_make_pairs_doubtful(tmp_path: Path) -> None:
    export(tmp_path, size=10, design="active", doubters="labeler:champion", doubt="disagreement")
    sample = pd.read_parquet(tmp_path / "samples.parquet")
    labels = stored()["labels"].set_index(["query_id", "passage_id"])["grade"]
    assert {labels[row.query_id, row.passage_id] for row in sample.itertuples()} == {0}
    assert sample["inclusion_probability"].isna().all()


def test_an_uncertain_sheet_measures_the_report_too(tmp_path: Path) -> None:
    tables = stored()
    chances = np.random.default_rng(1).dirichlet(np.ones(4), QUERIES * PASSAGES)
    tables["labels"]["probabilities"] = list(chances)
    report = export(tmp_path, tables, size=60, design="uncertain", most_per_query=3)
    assert report["design"] == "uncertain"
    assert report["pairs"] == 60
    with (tmp_path / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    # How unsure the judge was is not for graders, but for the estimates.
    assert {row["inclusion_probability"] for row in rows} == {""}
    fill_in(tmp_path)
    grades, _ = take_back(tmp_path)
    assert grades.groupby("query_id").size().max() <= 3
    assert grades["inclusion_probability"].nunique() > 20
    benchmark = load_benchmark(tmp_path / "human_grades.parquet", DEFAULT_SCALE)
    splits = tables["labels"][["query_id", "passage_id"]].assign(split="test")
    pairs, _ = select_pairs(
        benchmark, tables["passages"], tables["queries"], tables["labels"], splits, lambda d: d
    )
    weights = benchmark_documents(pairs).set_index(["query_id", "document_id"])["weight"]
    for row in grades.itertuples():
        assert weights[row.query_id, row.passage_id] == pytest.approx(1 / row.inclusion_probability)


def test_an_earlier_sheet_can_still_be_imported(tmp_path: Path) -> None:
    export(tmp_path, size=20)
    (tmp_path / "sheet.csv").rename(tmp_path / "first.csv")
    export(tmp_path, size=20, seed=9)
    assert len(pd.read_parquet(tmp_path / "samples.parquet")) == 40
    (tmp_path / "first.csv").rename(tmp_path / "sheet.csv")
    fill_in(tmp_path)
    assert len(take_back(tmp_path)[0]) == 20


def test_a_sheet_that_is_being_filled_in_stays_and_nothing_counts_as_handed_out(
    tmp_path: Path,
) -> None:
    export(tmp_path, size=20)
    fill_in(tmp_path)
    with pytest.raises(DatasetError, match="another sheet is there"):
        export(tmp_path, size=21)
    assert len(pd.read_parquet(tmp_path / "samples.parquet")) == 20


def test_importing_before_exporting_names_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("row_id,grade\nx,1\n")
    with pytest.raises(UserError, match="--pipeline=export_sheet"):
        take_back(tmp_path)


def test_no_text_reaches_the_log_or_the_report(tmp_path: Path, caplog) -> None:
    caplog.set_level("DEBUG")
    report = export(tmp_path, size=20)
    fill_in(tmp_path, lambda row: "" if row["query"].endswith("1") else "1")
    _, counts = take_back(tmp_path)
    assert "question 1" not in caplog.text + str(report) + str(counts)
    assert "came back without a grade" in caplog.text


def test_the_configuration_states_every_parameter() -> None:
    written = yaml.safe_load((ROOT / "conf/base/hand_grading/parameters.yml").read_text())
    assert set(written["hand_grading"]) == set(HandGradingParameters.model_fields)
    for name, field in HandGradingParameters.model_fields.items():
        assert field.description, name
        value = written["hand_grading"][name]
        if "runtime_params" not in str(value):
            assert value == field.default
