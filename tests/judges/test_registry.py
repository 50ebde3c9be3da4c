"""Judges by name."""

from __future__ import annotations

import pandas as pd
import pytest
from pydantic import ValidationError

from relevance_distillery.collections.recorded_grades import read_recorded_grades
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import JudgeName, parse_judge
from relevance_distillery.judges.registry import (
    JudgeSources,
    is_prepared,
    prepare_judge,
    restore_judge,
)
from relevance_distillery.judges.settings import ConsensusSettings, JudgeSettings
from relevance_distillery.pipelines.labeling.parameters import LabelingParameters
from relevance_distillery.pipelines.mining.parameters import MiningParameters


def test_a_name_is_kind_and_model_and_the_model_may_hold_colons() -> None:
    assert parse_judge("llm") == JudgeName("llm")
    assert parse_judge("llm:qwen3:0.6b") == JudgeName("llm", "qwen3:0.6b")
    assert str(parse_judge("labeler:champion")) == "labeler:champion"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("oracle", "no judge 'oracle': use one of embedded, recorded, labeler, llm"),
        ("gpt-4o", "no judge 'gpt-4o'.*llm:NAME"),
        ("embedded:big", "takes no model"),
        ("llm:", "nothing follows the colon"),
    ],
)
def test_a_wrong_name_says_what_there_is(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_judge(name)
    with pytest.raises(ValidationError, match=message):
        LabelingParameters(seed=1, judge=name)


def test_a_language_without_stemmer_is_refused_by_both_stages() -> None:
    for model in (LabelingParameters, MiningParameters):
        with pytest.raises(ValidationError, match="no stemmer for language='klingon'"):
            model(seed=1, language="klingon")


@pytest.fixture
def recorded(tmp_path) -> JudgeSources:
    (tmp_path / "judges").mkdir()
    for name, grade in (("small", 1), ("big", 3)):
        (tmp_path / "judges" / f"{name}.tsv").write_text(
            f"query-id\tcorpus-id\tscore\nq\ta\t{grade}\n"
        )
    grades = read_recorded_grades(str(tmp_path), "small")
    return JudgeSources(scale=DEFAULT_SCALE, recorded=grades)


def grade(judge) -> int | None:
    pair = pd.DataFrame({"query_id": ["q"], "document_id": ["a"], "passage_id": ["a#0"]})
    return next(judge.grade([pair]))[0].grade


def test_several_recorded_judges_of_a_folder_go_by_name(recorded: JudgeSources) -> None:
    for name, expected in (("recorded", 1), ("recorded:small", 1), ("recorded:big", 3)):
        assert grade(prepare_judge(name, recorded)) == expected
        state = prepare_judge(name, recorded).to_state()
        assert grade(restore_judge(name, state, DEFAULT_SCALE)) == expected
    with pytest.raises(UserError, match=r"no judge 'middle'.*use one of big, small"):
        prepare_judge("recorded:middle", recorded)


def test_a_stored_judge_is_restored_only_under_its_own_name(recorded: JudgeSources) -> None:
    stored = prepare_judge("recorded:big", recorded).to_state()
    assert grade(restore_judge("recorded:big", stored, DEFAULT_SCALE)) == 3
    assert is_prepared(parse_judge("recorded"), stored)
    assert not is_prepared(parse_judge("recorded:small"), stored)
    with pytest.raises(UserError, match="was not prepared, the stored judge is 'recorded:big'"):
        restore_judge("recorded:small", stored, DEFAULT_SCALE)


def test_a_judge_that_learns_from_documents_needs_its_stage() -> None:
    with pytest.raises(UserError, match="learns from your documents: run `kedro run"):
        prepare_judge("embedded", JudgeSources(scale=DEFAULT_SCALE))


def test_a_mistyped_judge_of_a_consensus_is_named_before_any_is_prepared() -> None:
    nobody = ConsensusSettings(judges="embedded;nope")
    with pytest.raises(UserError, match=r"judge=consensus: nope is none of embedded, recorded"):
        # Preparing the embedded judge would fail first: there are no documents.
        prepare_judge("consensus", JudgeSources(DEFAULT_SCALE, JudgeSettings(consensus=nobody)))
