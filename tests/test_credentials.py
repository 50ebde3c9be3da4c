"""A key is never a parameter, and is asked for before a run begins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from checkout import Project
from relevance_distillery.errors import UserError
from relevance_distillery.hooks.credentials import refuse_secrets

SECRET = "planted-secret-77aa10b3"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("openai_api_key", "abc"),
        ("api-key", "abc"),
        ("labeling.llm.token", "abc"),
        ("auth.password", 1234),
        ("Authorization", "Basic abc"),
        ("client_secret", "abc"),
        ("model", "sk-proj-abcdefgh12345678"),
        ("documents", f"folder/{SECRET}"),
        ("base_url", "https://user:pass@host/v1"),
        ("labeling.llm.extra_body", {"headers": [{"x-api-key": "abc"}]}),
        ("labeling.llm.extra_body", {"header": "Bearer abcdefghijkl"}),
    ],
)
def test_a_key_among_parameters_is_refused_without_repeating_it(name: str, value: Any) -> None:
    with pytest.raises(UserError, match="set OPENAI_API_KEY") as caught:
        refuse_secrets({"limit": 3, name: value}, "--params", (SECRET,))
    if isinstance(value, str) and len(value) > 3:
        assert value not in str(caught.value)
    assert name.split(".")[-1].split("_")[0] in str(caught.value)


@pytest.mark.parametrize(
    "parameters",
    [
        {"labeling": {"llm": {"max_output_tokens": 64, "tokens_per_minute": None}}},
        {"reporting.cost.characters_per_token": 4.0, "synthesis.passages.tokenizer": "bundled"},
        {"synthesis": {"styles": {"keyword": 0.3}}, "monkey": "business"},
        {"documents": "C:/in put/risk-assessment", "model": "ask-anything-13b-chat"},
        {"model": "gpt-4o-mini", "judge": "llm:qwen3:0.6b", "limit": 3, "api_key": None},
    ],
)
def test_what_only_sounds_like_a_key_is_let_through(parameters: dict[str, Any]) -> None:
    refuse_secrets(parameters, "--params", (SECRET,))


def kedro(project: Project, *arguments: str, **variables: str) -> Any:
    os.environ.pop("OPENAI_API_KEY", None)
    os.environ.pop("OPENAI_BASE_URL", None)
    os.environ.update(variables)
    try:
        return project.kedro("run", *arguments, check=False)
    finally:
        for name in variables:
            os.environ.pop(name, None)


def stored(project: Project) -> bytes:
    files = [path for path in project.path.rglob("*") if path.is_file() and not path.is_symlink()]
    own = [path for path in files if "credentials" not in path.name and "sample" not in path.parts]
    return b"".join(path.read_bytes() for path in own)


def test_a_run_with_a_key_in_its_parameters_leaves_no_trace_of_it(project: Project) -> None:
    (project.path / "mlflow.db").unlink()
    # An unknown key of a group is otherwise refused with its value in the message.
    done = kedro(project, "--pipeline=label", f"--params=labeling.llm.api_key={SECRET}")
    assert done.returncode == 1
    assert "Error: " in done.stdout
    assert "parameters are logged" in done.stdout
    assert SECRET not in done.stdout
    assert SECRET.encode() not in stored(project)
    assert not (project.path / "mlflow.db").exists()


def test_model_and_key_are_asked_for_before_the_first_node(project: Project) -> None:
    no_model = kedro(project, "--env=llm", "--params=limit=2")
    assert no_model.returncode == 1
    assert '--params="model=NAME"' in no_model.stdout
    no_key = kedro(project, "--env=llm", "--params=limit=2,model=tiny")
    assert no_key.returncode == 1
    assert "set OPENAI_API_KEY" in no_key.stdout
    assert "Traceback" not in no_model.stdout + no_key.stdout
    assert not (project.path / "data" / "02_intermediate").exists()


def test_credentials_of_kedro_are_used_and_a_wrong_entry_is_named(project: Project) -> None:
    file = project.path / "conf" / "local" / "credentials.yml"
    file.write_text(f"openai:\n  api_key: {SECRET}\n  base_url: http://127.0.0.1:9/v1\n")
    # The key is there, so the run comes as far as the missing documents.
    done = kedro(
        project, "--env=llm", "--pipeline=synthesize", "--params=model=tiny,documents=gone"
    )
    assert "set OPENAI_API_KEY" not in done.stdout
    assert "gone" in done.stdout
    assert SECRET not in done.stdout
    file.write_text(f"openai:\n  key: {SECRET}\n")
    done = kedro(project, "--env=llm", "--params=model=tiny")
    assert "must hold api_key" in done.stdout
    assert SECRET not in done.stdout


def test_credentials_files_are_never_committed() -> None:
    ignored = (Path(__file__).parents[1] / ".gitignore").read_text().splitlines()
    assert "conf/**/credentials*.yml" in ignored
