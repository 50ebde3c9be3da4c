"""A labeler that was distilled before teaches again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tiny_models
from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale
from relevance_distillery.judges.registry import JudgeSources, prepare_judge, restore_judge
from relevance_distillery.labeler.distilling import distill
from relevance_distillery.labeler.inference import Labeler


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("labeler")
    settings = tiny_models.tiny_settings(tiny_models.encoder(base / "bert"), epochs=1)
    return distill(tiny_models.tiny_data(20), settings, DEFAULT_SCALE, base / "work")[0]


def pairs() -> pd.DataFrame:
    table = tiny_models.tiny_data(20).early.pairs.copy()
    for name in PAIR_COLUMNS:
        if name not in table:
            table[name] = ""
    return table.reset_index(drop=True)


def sources(scale: GradeScale = DEFAULT_SCALE) -> JudgeSources:
    return JudgeSources(scale)


def test_its_grades_and_probabilities_are_the_labelers(folder: Path) -> None:
    state = json.loads(json.dumps(prepare_judge(f"labeler:{folder}", sources()).to_state()))
    judge = restore_judge(None, state, DEFAULT_SCALE)
    table, labeler = pairs(), Labeler.load(folder)
    half = len(table) // 2
    shards = [table.iloc[:half], table.iloc[half:]]
    verdicts = [verdict for some in judge.grade(shards) for verdict in some]
    direct = labeler.grade(table)
    assert [v.grade for v in verdicts] == direct["grade"].tolist()
    assert np.allclose([v.probabilities for v in verdicts], direct["probabilities"].tolist())
    assert [v.request_hash for v in verdicts] == judge.request_hashes(table)
    assert labeler.digest in judge.model
    assert judge.budget is None


def test_what_the_labeler_reads_is_the_request(folder: Path) -> None:
    judge = prepare_judge(f"labeler:{folder}", sources())
    table = pairs()
    assert judge.request_hashes(table.assign(title="T")) != judge.request_hashes(table)
    assert judge.request_hashes(table.assign(is_seed=True)) == judge.request_hashes(table)


def test_a_labeler_that_is_gone_or_another_is_named(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    state = prepare_judge(f"labeler:{copy}", sources()).to_state()
    (copy / "labeler.json").write_text((copy / "labeler.json").read_text() + "\n")
    with pytest.raises(UserError, match="holds another labeler than when it was prepared"):
        restore_judge(None, state, DEFAULT_SCALE)
    shutil.rmtree(copy)
    with pytest.raises(UserError, match="is gone; run `kedro run --pipeline=label`"):
        restore_judge(None, state, DEFAULT_SCALE)


def test_inside_of_the_project_the_place_is_relative(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "data" / "labeler")
    monkeypatch.chdir(tmp_path)
    state = prepare_judge("labeler:data/labeler", sources()).to_state()
    assert state["folder"] == "data/labeler"
    assert restore_judge(None, state, DEFAULT_SCALE).name == "labeler:labeler"


def test_another_scale_is_refused(folder: Path) -> None:
    scale = GradeScale(
        grades=(Grade(value=0, name="no"), Grade(value=1, name="yes")), relevant_from=1
    )
    with pytest.raises(UserError, match="learned another grade scale"):
        prepare_judge(f"labeler:{folder}", sources(scale))
