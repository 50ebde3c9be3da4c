"""What is typed after `--params` arrives as it was typed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import click
import pytest
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from checkout import ROOT
from relevance_distillery.executors.execution import ExecutionParameters
from relevance_distillery.judges.settings import CascadeSettings, LLMJudgeSettings
from relevance_distillery.pipelines.mining.parameters import MiningParameters
from relevance_distillery.pipelines.synthesis.parameters import SynthesisParameters
from relevance_distillery.typed_parameters import NUMBERS, read_parameters


def _model_of(group: str) -> type[BaseModel]:
    module = import_module(f"relevance_distillery.pipelines.{group}.parameters")
    found: type[BaseModel] = getattr(module, f"{group.title().replace('_', '')}Parameters")
    return found


MODELS = {
    path.parent.name: _model_of(path.parent.name)
    for path in (ROOT / "src/relevance_distillery/pipelines").glob("*/parameters.py")
} | {"execution": ExecutionParameters}


def _parts(kind: Any) -> Iterator[Any]:
    """The plain types in an annotation."""
    inner = get_args(kind)
    if not inner and isinstance(kind, type):
        yield kind
    for one in inner:
        yield from _parts(one)


def _numbers(model: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str]]:
    """Every field that takes a number, in the model and in those within."""
    for name, field in model.model_fields.items():
        parts = set(_parts(field.annotation))
        if parts & {int, float}:
            yield model, name
        for part in parts:
            if issubclass(part, BaseModel):
                yield from _numbers(part)


def _short_names_of_numbers(model: type[BaseModel], written: dict) -> Iterator[str]:
    for name, value in written.items():
        parts = set(_parts(model.model_fields[name].annotation))
        if isinstance(value, dict):
            for part in parts:
                if issubclass(part, BaseModel):
                    yield from _short_names_of_numbers(part, value)
        elif parts & {int, float, bool} and str(value).startswith("${runtime_params:"):
            yield value.removeprefix("${runtime_params:").partition(",")[0]


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


def test_numbers_are_those_that_the_settings_take() -> None:
    found = set()
    for group, model in MODELS.items():
        written = yaml.safe_load((ROOT / f"conf/base/{group}/parameters.yml").read_text())
        found |= set(_short_names_of_numbers(model, written[group]))
    assert found == NUMBERS


@pytest.mark.parametrize("group", sorted(MODELS))
def test_every_number_has_a_bound(group: str) -> None:
    for model, name in _numbers(MODELS[group]):
        # The shares of `prior` are checked where the labeler's grades are known.
        if name != "prior":
            field = model.model_fields[name]
            takes = TypeAdapter(Annotated[field.annotation, field])
            wrong = {"short": -1} if get_origin(field.annotation) is dict else -(10**9)
            with pytest.raises(ValidationError):
                model(**{name: wrong}) if isinstance(wrong, dict) else takes.validate_python(wrong)


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (LLMJudgeSettings, {"seed": -1}, "greater than or equal to 0"),
        (CascadeSettings, {"value": -0.1}, "greater than or equal to 0"),
        (CascadeSettings, {"value": 1.2}, "no agreement is above 1"),
        (CascadeSettings, {"value": 80, "target": "accuracy"}, "no accuracy is above 1"),
    ],
)
def test_a_number_out_of_its_bounds_is_refused(model: Any, given: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        model(**given)


def test_a_cost_may_be_above_that_of_the_last_judge() -> None:
    assert CascadeSettings(value=1.2, target="cost").value == 1.2


@pytest.mark.parametrize("value", [True, -1, 2**32, 10**30, float("nan"), float("inf"), "1e99"])
def test_a_seed_that_no_library_takes_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        MiningParameters(seed=value)


@pytest.mark.parametrize("value", [True, False, 0, 10**30])
def test_a_limit_is_a_number_of_documents(value: object) -> None:
    with pytest.raises(ValidationError):
        SynthesisParameters(limit=value)
