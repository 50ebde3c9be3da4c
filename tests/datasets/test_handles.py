"""Domain objects as read-only catalog entries."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name

import pytest
import yaml
from kedro.io import DatasetError

from relevance_distillery.collections.system_runs import read_runs
from relevance_distillery.datasets import HandleDataset
from relevance_distillery.errors import UserError
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.recorded import recorded_grades_of

CONF = Path(__file__).parents[2] / "conf"


def test_every_handle_of_the_catalogs_can_be_called():
    named = {
        entry["handle"]
        for file in CONF.rglob("catalog*.yml")
        for entry in (yaml.safe_load(file.read_text()) or {}).values()
        if isinstance(entry, dict) and "handle" in entry
    }
    assert len(named) > 5
    assert all(callable(resolve_name(name)) for name in named)


def test_the_ledger_is_a_handle(tmp_path):
    dataset = HandleDataset(
        handle="relevance_distillery.judges.ledger.ledger.Ledger", path=tmp_path / "ledger.sqlite"
    )

    assert dataset.exists()
    assert not (tmp_path / "ledger.sqlite").exists()
    assert isinstance(dataset.load(), Ledger)
    assert dataset.load().answered(["unknown"]) == set()
    assert "judges.ledger.ledger.Ledger" in str(dataset)
    with pytest.raises(DatasetError, match="handle"):
        dataset.save(object())


def test_what_is_missing_is_said_by_the_handle():
    with pytest.raises(
        DatasetError, match=r'no runs were given; pass --params="runs=DIR"'
    ) as error:
        HandleDataset(handle=read_runs, locations=None).load()
    assert isinstance(error.value.__cause__, UserError)


def test_recorded_grades_are_empty_without_a_file(tmp_path):
    assert recorded_grades_of().grades.empty
    path = tmp_path / "mine.tsv"
    path.write_text("query-id\tcorpus-id\tscore\n1\ta\t2\n")

    found = recorded_grades_of(str(path))
    assert (found.name, found.grades["grade"].tolist()) == ("mine", [2])
    assert recorded_grades_of(str(path), "cascade").grades.empty
