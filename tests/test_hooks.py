from __future__ import annotations

from pathlib import Path

import pandas as pd

from relevance_distillery.hooks import flat_numbers, known_parameters, table_digest

ROOT = Path(__file__).parents[1]


def test_known_parameters_are_read_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "parameters.yml").write_text(
        "mining:\n  depth: ${runtime_params:depth, ${globals:depth}}\n  k: 3\n"
    )
    assert known_parameters(tmp_path) == ({"depth"}, {"mining"})


def test_the_parameters_of_the_design_are_known() -> None:
    names, groups = known_parameters(ROOT / "conf")
    assert {
        "documents",
        "queries",
        "human_judgments",
        "benchmark",
        "train_set",
        "judge",
        "limit",
        "pairs",
        "scored",
        "base_model",
        "promotion",
        "recipe",
    } <= names
    assert "synthesis" in groups


def test_only_numbers_become_metrics() -> None:
    tree = {"judges": {"student": {"kappa": {"estimate": 0.4, "low": None}}}, "human": False}
    assert flat_numbers(tree, "agreement") == {"agreement.judges.student.kappa.estimate": 0.4}


def test_a_digest_follows_content_and_order() -> None:
    table = pd.DataFrame({"a": [1, 2], "p": [[0.5, 0.5], None]})
    assert table_digest(table) == table_digest(table.copy())
    assert table_digest(table) != table_digest(table.iloc[::-1])
    assert table_digest(table) != table_digest(table.rename(columns={"a": "b"}))
