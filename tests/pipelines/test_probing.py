"""Probing through Kedro, with judges that run in process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from relevance_distillery.collections.benchmark import Benchmark, held_out, load_benchmark
from relevance_distillery.datasets import JSONFileDataset
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.pipelines.probing.nodes import probe_graders
from relevance_distillery.pipelines.probing.parameters import ProbingParameters
from relevance_distillery.pipelines.probing.pipeline import create_pipeline
from relevance_distillery.scoring.graders import JudgeGrader

ROOT = Path(__file__).parents[2]
HOSTILE = ROOT / "data" / "01_raw" / "sample" / "hostile.yml"


class NaiveJudge:
    """Grades 3 whatever contains its own query, else 0, through the ledger as any judge."""

    name, model, prompt_hash, budget = "naive", "naive", "", None
    scale = DEFAULT_SCALE

    def __init__(self) -> None:
        self.asked = 0

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        return [f"{hash((row.query, row.title, row.text)):x}" for row in pairs.itertuples()]

    def grade(self, shards):
        for shard in shards:
            self.asked += len(shard)
            yield [
                Verdict(key, grade=3 if row.query in row.text else 0)
                for key, row in zip(self.request_hashes(shard), shard.itertuples(), strict=True)
            ]


class DeafGrader:
    """A student that reads no text at all."""

    name = "deaf"

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"grade": 0, "expected_grade": 0.0}, index=pairs.index)


class Shelf:
    """Both by name."""

    def __init__(self, folder: Path) -> None:
        self.judge = NaiveJudge()
        self.found: dict[str, Any] = {
            "naive": JudgeGrader(self.judge, Ledger(folder / "ledger.sqlite")),
            "champion": DeafGrader(),
            "llm:any": DeafGrader(),
        }

    def find(self, name: str):
        return self.found[name]


def passages() -> pd.DataFrame:
    blank = {name: "" for name in ("heading", "path", "author", "modified")}
    return pd.DataFrame(
        {
            "passage_id": [f"d{n}#0" for n in range(12)],
            "document_id": [f"d{n}" for n in range(12)],
            "title": "Title",
            "text": [f"Passage {n} about cranes." for n in range(12)],
            **blank,
        }
    )


def benchmark(folder: Path) -> Benchmark:
    lines = "".join(f"berth {n},d{n},{0 if n else 3}\n" for n in range(6))
    (folder / "judged.csv").write_text("query,document_id,grade\n" + lines)
    return load_benchmark(folder / "judged.csv", DEFAULT_SCALE)


def run(folder: Path, shelf: Shelf | None = None, attacks: Any = None, **options):
    pairs = [(f"q{q}", f"d{p}#0") for q in range(8) for p in range(12)]
    labels = pd.DataFrame(pairs, columns=["query_id", "passage_id"]).assign(grade=0)
    teacher = options.pop("teacher", "embedded")
    catalog = DataCatalog(
        {
            "labels": MemoryDataset(labels),
            "queries": MemoryDataset(
                pd.DataFrame({"query_id": [f"q{q}" for q in range(8)], "text": "pager rota"})
            ),
            "passages": MemoryDataset(passages()),
            "benchmark": MemoryDataset(benchmark(folder)),
            "hostile_attacks": MemoryDataset(
                attacks or yaml.safe_load(HOSTILE.read_text(encoding="utf-8"))
            ),
            "graders": MemoryDataset(shelf or Shelf(folder), copy_mode="assign"),
            "params:probing": MemoryDataset(
                ProbingParameters(**({"pairs": 16, "resamples": 100} | options))
            ),
            "recorded_grades": MemoryDataset("not needed"),
            "grading_prompt": MemoryDataset("not needed"),
            "params:labeling": MemoryDataset({"judge": teacher}),
            "params:scale": MemoryDataset(DEFAULT_SCALE),
            "robustness": JSONFileDataset(filepath=str(folder / "robustness.json")),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)
    return catalog.load("robustness")


def test_the_judge_that_believes_stuffed_words_is_told_from_the_one_that_does_not(
    tmp_path: Path, caplog
) -> None:
    caplog.set_level("INFO")
    found = run(tmp_path, judge="naive;champion")
    fooled, deaf = found["judges"]["naive"], found["judges"]["champion"]
    assert fooled["attacks"]["query_once@end"]["raised"]["estimate"] == 1
    assert fooled["attacks"]["ignore_the_above@end"]["raised"]["estimate"] == 0
    assert fooled["overall"]["raised"]["estimate"] > deaf["overall"]["raised"]["estimate"] == 0
    assert found["pairs"] == {"benchmark": 5, "labels": 11}
    assert "query_once@end" in caplog.text
    assert "cranes" not in caplog.text


def test_every_answer_of_a_judge_is_in_the_ledger(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first = run(tmp_path, shelf, judge="naive")
    asked = shelf.judge.asked
    assert asked > 100
    assert run(tmp_path, shelf, judge="naive") == first
    assert shelf.judge.asked == asked


def test_the_champion_is_probed_and_an_llm_teacher_as_well(tmp_path: Path) -> None:
    assert list(run(tmp_path)["judges"]) == ["champion"]
    assert list(run(tmp_path, teacher="llm:any")["judges"]) == ["champion", "llm:any"]


def test_what_cannot_be_probed_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no label has the lowest grade"):
        run_without_benchmark(Shelf(tmp_path))
    with pytest.raises(UserError, match=r"the file of attacks: attacks\.0\.kind: .*correct it"):
        run(tmp_path, attacks={"attacks": [{"name": "a", "kind": "magic", "text": "x"}]})


def run_without_benchmark(shelf: Shelf) -> None:
    labels = pd.DataFrame({"query_id": ["q"], "passage_id": ["d0#0"], "grade": [2]})
    probe_graders(
        labels,
        pd.DataFrame({"query_id": ["q"], "text": ["x"]}),
        passages(),
        held_out(DEFAULT_SCALE),
        yaml.safe_load(HOSTILE.read_text(encoding="utf-8")),
        shelf,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        ProbingParameters(),
        {"judge": "embedded"},
        DEFAULT_SCALE,
    )


def test_recorded_grades_cannot_be_probed(tmp_path: Path) -> None:
    class Recorded(DeafGrader):
        def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame(
                {"grade": None, "expected_grade": None, "failure": "missing: not graded"},
                index=pairs.index,
            )

    shelf = Shelf(tmp_path)
    shelf.found["naive"] = Recorded()
    with pytest.raises(UserError, match="recorded grades know no other texts"):
        run(tmp_path, shelf, judge="naive")


def test_the_configuration_states_every_parameter_and_the_model_explains_it() -> None:
    written = yaml.safe_load((ROOT / "conf/base/probing/parameters.yml").read_text())["probing"]
    assert set(written) == set(ProbingParameters.model_fields)
    for name, field in ProbingParameters.model_fields.items():
        assert field.description, name
        if "runtime_params" not in str(written[name]):
            assert written[name] == field.default
