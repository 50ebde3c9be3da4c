"""What is typed after `--params` arrives as it was typed."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from pydantic import ValidationError

from checkout import ROOT
from relevance_distillery.hooks.checks import known_parameters
from relevance_distillery.pipelines.mining.parameters import MiningParameters
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.typed_parameters import NUMBERS, read_parameters


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ("document=Project #1", {"document": "Project #1"}),
        ("documents=scratch/Project #1", {"documents": "scratch/Project #1"}),
        ("document=0012", {"document": "0012"}),
        ("document=12:30", {"document": "12:30"}),
        ("document=*", {"document": "*"}),
        ("document=2024", {"document": "2024"}),
        ("document=null", {"document": "null"}),
        ("document=a=b", {"document": "a=b"}),
        ("model=@host/model", {"model": "@host/model"}),
        ("language=no", {"language": "no"}),
        ("synthesis.language=no", {"synthesis": {"language": "no"}}),
        ("labeling.llm.model=@host/x", {"labeling": {"llm": {"model": "@host/x"}}}),
        ("columns.grade=0012", {"columns": {"grade": "0012"}}),
        ("grade_columns.grade=Rater One", {"grade_columns": {"grade": "Rater One"}}),
        ("limit=12, seed=3", {"limit": 12, "seed": 3}),
        ("retry_failures=true", {"retry_failures": True}),
        ("prior=.5;.5", {"prior": ".5;.5"}),
        ("mining.depth=50", {"mining": {"depth": 50}}),
        ("labeling.llm.seed=null", {"labeling": {"llm": {"seed": None}}}),
        ("mining.channels=[bm25]", {"mining": {"channels": ["bm25"]}}),
        ("documents='my docs'", {"documents": "my docs"}),
        ("", {}),
    ],
)
def test_texts_stay_as_typed_and_numbers_are_numbers(typed: str, given: dict) -> None:
    assert read_parameters(typed) == given


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("limit=", "limit= has no value"),
        ("documents=,limit=3", "documents= has no value"),
        ("limit", "'limit' is not NAME=VALUE"),
        ("=3", "'=3' is not NAME=VALUE"),
        ("[x=3", r"\[x cannot be set"),
    ],
)
def test_what_is_no_name_and_value_is_refused(typed: str, said: str) -> None:
    with pytest.raises(click.ClickException, match=said):
        read_parameters(typed)


def test_the_home_folder_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_parameters("documents=~/a;~/b") == {"documents": f"{tmp_path}/a;{tmp_path}/b"}


def test_numbers_are_parameters_of_the_configuration() -> None:
    assert known_parameters(ROOT / "conf")[0] >= NUMBERS


@pytest.mark.parametrize("value", [True, -1, 2**32, 10**30, float("nan"), float("inf"), "1e99"])
def test_a_seed_that_no_library_takes_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        MiningParameters(seed=value)


@pytest.mark.parametrize("value", [True, False, 0, 10**30])
def test_a_limit_is_a_number_of_documents(value: object) -> None:
    with pytest.raises(ValidationError):
        SynthesisParameters(limit=value)
