"""The labeling pipeline on a small corpus, through Kedro."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from pydantic import ValidationError

from relevance_distillery.collections.benchmark import held_out
from relevance_distillery.datasets import HandleDataset, JSONFileDataset, TableDataset
from relevance_distillery.errors import UserError
from relevance_distillery.executors.execution import LOCAL
from relevance_distillery.grading import DEFAULT_SCALE, GradeScale
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.recorded import recorded_grades_of
from relevance_distillery.judges.settings import EmbeddedSettings
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.labeling.pipeline import create_pipeline
from relevance_distillery.schemas import Failures, Labels

ROOT = Path(__file__).parents[2]
PROMPT = ROOT / "conf" / "base" / "labeling" / "prompts" / "grade.jinja2"
WORDS = ("tulips", "invoices", "firewalls", "holidays", "printers", "salaries")


def passages() -> pd.DataFrame:
    blank = {column: [""] * len(WORDS) for column in ("heading", "path", "author", "modified")}
    return pd.DataFrame(
        {
            "passage_id": [f"{word}#0" for word in WORDS],
            "document_id": list(WORDS),
            "title": [f"All about {word}" for word in WORDS],
            "text": [f"This page explains {word} and who looks after {word}." for word in WORDS],
            **blank,
        }
    )


def queries() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "query_id": [f"q-{word}" for word in WORDS],
            "text": [f"who looks after {word}" for word in WORDS],
            "passage_id": [f"{word}#0" for word in WORDS],
        }
    )


def candidates() -> pd.DataFrame:
    return queries()[["query_id"]].merge(passages()[["passage_id"]], how="cross")


def stored(folder: Path) -> dict[str, TableDataset | JSONFileDataset]:
    return {
        "labels": TableDataset(filepath=str(folder / "labels.parquet")),
        "failures": TableDataset(filepath=str(folder / "failures.parquet")),
        "labeling_report": JSONFileDataset(filepath=str(folder / "labeling_report.json")),
    }


def run(folder: Path, grades: Path | None = None, pairs: pd.DataFrame | None = None, **options):
    parameters = LabelingParameters(seed=1, embedded=EmbeddedSettings(sample=40), **options)
    catalog = DataCatalog(
        {
            "candidates": MemoryDataset(candidates() if pairs is None else pairs),
            "queries": MemoryDataset(queries()),
            "passages": MemoryDataset(passages()),
            "recorded_grades": HandleDataset(
                handle=recorded_grades_of, filepath=grades and str(grades)
            ),
            "grading_prompt": HandleDataset(
                handle=Prompt.read,
                path=str(PROMPT),
                requires=["query", "document.text", "scale"],
                allows=["document", "examples"],
            ),
            "benchmark": MemoryDataset(held_out(DEFAULT_SCALE)),
            "graded_labels": MemoryDataset(copy_mode="assign"),
            "judge_state": JSONFileDataset(filepath=str(folder / "judge_state.json")),
            "synthesis_report": MemoryDataset({}),
            "stored_plan": MemoryDataset({}),
            "label_ledger": HandleDataset(handle=Ledger, path=folder / "ledger.sqlite"),
            "params:labeling": MemoryDataset(parameters),
            "params:scale": MemoryDataset(DEFAULT_SCALE),
            "params:execution": MemoryDataset(LOCAL),
            **stored(folder),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    return {name: dataset.load() for name, dataset in stored(folder).items()}


def test_the_embedded_judge_labels_every_candidate(tmp_path):
    found = run(tmp_path)
    labels = Labels.validate(found["labels"])
    seeds = labels["query_id"].str[2:] + "#0" == labels["passage_id"]

    assert len(labels) == len(candidates())
    assert labels[seeds]["grade"].min() > labels[~seeds]["grade"].mean()
    assert Failures.validate(found["failures"]).empty
    report = json.loads(json.dumps(found["labeling_report"]))
    assert report["labelled"] == report["newly_judged"] == 36
    assert sum(report["grades"].values()) == 36


def test_a_second_run_only_looks_up(tmp_path):
    first, second = run(tmp_path), run(tmp_path)

    assert second["labeling_report"]["from_ledger"] == 36
    assert second["labeling_report"]["newly_judged"] == 0
    pd.testing.assert_frame_equal(first["labels"], second["labels"])


def test_the_same_seed_gives_the_same_labels_in_another_ledger(tmp_path):
    first, second = run(tmp_path / "one"), run(tmp_path / "two")
    measured = ["seconds", "created_at"]

    pd.testing.assert_frame_equal(
        first["labels"].drop(columns=measured), second["labels"].drop(columns=measured)
    )


def test_labels_survive_their_parquet_file(tmp_path):
    labels = run(tmp_path)["labels"]
    labels.to_parquet(tmp_path / "labels.parquet", index=False)
    again = Labels.validate(pd.read_parquet(tmp_path / "labels.parquet"))

    assert [list(p) for p in again["probabilities"]] == [list(p) for p in labels["probabilities"]]


def grade_file(path: Path, body: str) -> Path:
    path.write_text("query-id\tcorpus-id\tscore\n" + body)
    return path


def test_a_recorded_judge_labels_what_it_graded_and_lists_the_rest(tmp_path, caplog):
    grades = grade_file(tmp_path / "gpt.tsv", "q-tulips\ttulips\t3\nq-tulips\tinvoices\t0\n")
    found = run(tmp_path, grades, judge="recorded")

    assert found["labels"]["grade"].tolist() == [3, 0]
    assert set(found["labels"]["judge"]) == {"gpt"}
    assert found["labels"]["probabilities"].isna().all()
    assert len(found["failures"]) == 34
    assert set(found["failures"]["status"]) == {"missing"}
    assert found["labeling_report"]["failures"] == {"missing": 34}
    assert "34 of 36 pairs got no label (34 missing)" in caplog.text


def test_a_run_without_any_label_fails(tmp_path):
    grades = grade_file(tmp_path / "gpt.tsv", "other\tother\t3\n")

    with pytest.raises(UserError, match="gpt labelled none of 36 pairs"):
        run(tmp_path, grades, judge="recorded")


def test_the_failures_of_a_run_without_any_label_are_written_and_older_labels_stay(tmp_path):
    grades = grade_file(tmp_path / "gpt.tsv", "q-tulips\ttulips\t3\n")
    run(tmp_path, grades, judge="recorded")
    grade_file(grades, "other\tother\t3\n")

    with pytest.raises(UserError, match="labelled none"):
        run(tmp_path, grades, judge="recorded")
    assert len(stored(tmp_path)["labels"].load()) == 1
    assert len(stored(tmp_path)["failures"].load()) == 36


def test_no_candidates_name_the_stage_to_run(tmp_path):
    with pytest.raises(UserError, match="--pipeline=mine"):
        run(tmp_path, pairs=candidates().iloc[:0])


def test_an_unknown_judge_and_parameter_are_refused(tmp_path):
    with pytest.raises(ValidationError, match="no judge 'oracle': use one of embedded"):
        run(tmp_path, judge="oracle")
    with pytest.raises(ValidationError, match="no stemmer for language='klingon'"):
        LabelingParameters(seed=1, language="klingon")
    with pytest.raises(ValidationError, match="jugde"):
        LabelingParameters(seed=1, jugde="embedded")


def test_no_text_reaches_the_ledger_or_the_log(tmp_path, caplog):
    caplog.set_level("DEBUG")
    run(tmp_path)

    stored = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.sqlite*"))
    assert b"looks after" not in stored
    assert "looks after" not in caplog.text


def test_the_configuration_states_every_parameter_and_the_model_explains_it():
    written = yaml.safe_load((ROOT / "conf/base/labeling/parameters.yml").read_text())

    assert set(written["labeling"]) == set(LabelingParameters.model_fields)
    assert EmbeddedSettings.model_validate(written["labeling"]["embedded"]) == EmbeddedSettings()
    shared = yaml.safe_load((ROOT / "conf" / "base" / "globals.yml").read_text(encoding="utf-8"))
    assert GradeScale.model_validate(shared["scale"]) == DEFAULT_SCALE
    for model in (LabelingParameters, EmbeddedSettings):
        for name, field in model.model_fields.items():
            assert field.description, name
