"""The mining pipeline on a small corpus, through Kedro."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from pydantic import ValidationError

from relevance_distillery.channels.candidates import Band
from relevance_distillery.channels.dense import DenseSettings
from relevance_distillery.channels.expansion import ExpansionSettings
from relevance_distillery.collections.system_runs import read_runs
from relevance_distillery.datasets import (
    BM25IndexDataset,
    HandleDataset,
    TableDataset,
    TextFileDataset,
)
from relevance_distillery.executors.execution import LOCAL
from relevance_distillery.judges.recorded import recorded_grades_of
from relevance_distillery.pipelines.mining.parameters import (
    BM25Parameters,
    MiningParameters,
)
from relevance_distillery.pipelines.mining.pipeline import create_pipeline
from relevance_distillery.schemas import Candidates, Runs

ROOT = Path(__file__).parents[2]


def passages(size: int = 30) -> pd.DataFrame:
    blank = {column: [""] * size for column in ("title", "heading", "path", "author", "modified")}
    return pd.DataFrame(
        {
            "passage_id": [f"d{n}" for n in range(size)],
            "document_id": [f"d{n}" for n in range(size)],
            "text": [f"handbook page{n} " + "word " * n for n in range(size)],
            **blank,
        }
    )


def queries() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "query_id": ["q0", "q1"],
            "text": ["handbook page3", "handbook"],
            "passage_id": ["d3", ""],
            "frequency": [1, 5],
            "style": ["keyword", "real"],
            "generator": ["test", "log"],
            "prompt_hash": ["", ""],
        }
    )


def run(
    tmp_path: Path, grades: Path | None = None, runs: Path | None = None, **parameters: object
) -> dict:
    catalog = DataCatalog(
        {
            "queries": MemoryDataset(queries()),
            "passages": MemoryDataset(passages()),
            "bm25_index": BM25IndexDataset(filepath=tmp_path / "index"),
            "recorded_grades": HandleDataset(
                handle=recorded_grades_of, filepath=grades and str(grades)
            ),
            "engine_runs": HandleDataset(
                handle=read_runs, locations=runs and str(runs), optional=True
            ),
            "expansion_dictionary": TextFileDataset(filepath=str(tmp_path / "dictionary.txt")),
            "params:mining": MemoryDataset(MiningParameters(seed=1, **parameters)),
            "params:execution": MemoryDataset(LOCAL),
            "channel_runs": TableDataset(filepath=str(tmp_path / "channel_runs.parquet")),
            "channel_report": MemoryDataset(),
            "candidates": MemoryDataset(),
            "mining_report": MemoryDataset(),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    return {name: catalog.load(name) for name in ("channel_runs", "candidates", "mining_report")}


def test_every_query_gets_candidates_from_every_band_and_its_seed(tmp_path):
    found = run(tmp_path)
    candidates = Candidates.validate(found["candidates"])
    runs = Runs.validate(found["channel_runs"])
    assert runs[runs["query_id"] == "q1"].groupby("channel").size().to_dict() == {
        "bm25": 30,
        "random": 2,
    }

    ranked = candidates[candidates["channel"] == "bm25"]
    assert ranked[ranked["query_id"] == "q1"]["rank"].between(1, 5).sum() == 4
    assert ranked[ranked["query_id"] == "q1"]["rank"].between(21, 100).sum() == 2
    assert candidates[candidates["is_seed"]][
        ["query_id", "passage_id", "rank"]
    ].to_numpy().tolist() == [["q0", "d3", 1]]
    assert found["mining_report"]["queries"] == 2
    assert found["mining_report"]["pairs"] == len(candidates)


def test_the_same_seed_gives_the_same_table_with_a_new_or_an_old_index(tmp_path):
    first, second = run(tmp_path), run(tmp_path)
    other = run(tmp_path / "elsewhere")

    pd.testing.assert_frame_equal(first["candidates"], second["candidates"])
    pd.testing.assert_frame_equal(first["candidates"], other["candidates"])


def test_the_defaults_mine_what_they_always_did(tmp_path):
    found = run(tmp_path)
    tables = [found[name].round({"score": 4}) for name in ("channel_runs", "candidates")]
    said = [*(table.to_csv(index=False) for table in tables), json.dumps(found["mining_report"])]

    # Labels that were paid for are found again by these pairs.
    assert hashlib.sha256("".join(said).encode()).hexdigest()[:16] == "0e55f168f6af40b5"


def test_the_defaults_load_no_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path; import test_mining; "
        f"test_mining.run(Path({str(tmp_path)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)


def test_every_channel_and_an_engine_of_the_user_give_candidates(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "live.run").write_text("q0 Q0 d7 1 9 x\nq1 Q0 d8 1 9 x\n")
    synonyms = tmp_path / "synonyms.txt"
    synonyms.write_text("page3 => page4\n")

    found = run(
        tmp_path,
        runs=tmp_path / "runs",
        channels=("bm25", "dense", "expansion", "random"),
        dense=DenseSettings(max_length=8),
        expansion=ExpansionSettings(synonyms=str(synonyms)),
    )

    runs = found["channel_runs"]
    ranked = ["bm25", "dense", "expansion", "run_live"]
    assert runs["channel"].unique().tolist() == [*ranked[:3], "random", "run_live"]
    expanded = runs[(runs["channel"] == "expansion") & (runs["query_id"] == "q0")]
    assert expanded["passage_id"].head(2).tolist() == ["d3", "d4"]
    report = found["mining_report"]
    assert set(ranked) <= set(report["candidates"])
    assert report["queries_expanded"] == 1
    assert set(report["overlap"]["10"]) >= {"bm25, dense", "expansion, run_live", "all"}
    assert (tmp_path / "dictionary.txt").read_text().startswith("# Learned")


def test_recorded_pairs_are_mined(tmp_path):
    grades = tmp_path / "judge.tsv"
    grades.write_text("query-id\tcorpus-id\tscore\nq1\td9\t2\nq1\tnone\t1\n")
    found = run(tmp_path, grades, channels=("recorded",))

    assert found["candidates"][["query_id", "passage_id", "channel"]].to_numpy().tolist() == [
        ["q0", "d3", "seed"],
        ["q1", "d9", "recorded"],
    ]
    assert found["mining_report"]["recorded_unknown_documents"] == 1


@pytest.mark.parametrize(
    "bands",
    [
        [(5, 1, 2)],
        [(1, 5, 2), (5, 9, 2)],
        [(6, 9, 2), (1, 5, 2)],
        [(101, 200, 2)],
    ],
)
def test_bands_that_make_no_sense_are_refused(bands):
    with pytest.raises(ValidationError):
        BM25Parameters(bands=tuple(Band(first=a, last=b, take=c) for a, b, c in bands), depth=100)


def test_unknown_parameters_and_channels_are_refused():
    with pytest.raises(ValidationError, match="chanels"):
        MiningParameters(seed=1, chanels=["bm25"])
    with pytest.raises(ValidationError, match="recorded"):
        MiningParameters(seed=1, channels=["ann"])


def test_the_configuration_states_every_parameter_and_the_model_explains_it():
    written = yaml.safe_load((ROOT / "conf/base/mining/parameters.yml").read_text())["mining"]

    assert set(written) == set(MiningParameters.model_fields)
    assert set(written["bm25"]) == set(BM25Parameters.model_fields)
    assert set(written["dense"]) == set(DenseSettings.model_fields)
    assert set(written["expansion"]) == set(ExpansionSettings.model_fields)
    for model in (MiningParameters, BM25Parameters, Band, DenseSettings, ExpansionSettings):
        for name, field in model.model_fields.items():
            assert field.description, name
