"""The benchmarks of GPUs run on a processor, with toy sizes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def gpu_labels(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("BENCHMARKS", "nowhere")
    before = set(sys.modules)
    yield importlib.import_module("gpu_labels")
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent == BENCHMARKS:
            del sys.modules[name]


def test_it_runs_small_and_prints_rates_ratios_and_costs(
    gpu_labels: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Whatever the clock says: a pass of every model takes as long as it has layers.
    timed: list[int] = []

    def seconds(labeler: Any, pairs: Any) -> float:
        timed.append(len(labeler.grade(pairs)))
        return 1.0 + labeler.model.backbone.config.num_hidden_layers

    monkeypatch.setattr(gpu_labels, "seconds_to_grade", seconds)
    asked = ["--small", "--pairs", "12", "--rounds", "2", "--batch", "5", "--gpu-price", "3.6"]
    monkeypatch.setattr(sys, "argv", ["gpu_labels.py", *asked])
    gpu_labels.main()
    said = capsys.readouterr().out
    assert timed == [12] * 6
    assert "toy sizes on a processor, whose speed means nothing" in said
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines()]
    cells = {row[0]: row[1:] for row in rows if len(row) == 7}
    # 12 pairs in 3 seconds, and in 81 at the teacher's 80 layers.
    assert cells["Phi-3.5-mini (3.8B)"] == [
        *("4.0", "240", "0.27", "27.0", "250.00"),
        "measured, bf16, 5 pairs at once",
    ]
    assert cells["Llama-3.1-70B"][1:] == [
        *("9", "0.01", "1.0", "6,750.00"),
        "estimated for 80 layers from 1 and 2",
    ]
    assert cells["published student"][1:4] == ["873", "1.00", "17.0"]
    assert cells["published teacher"][1:4] == ["51", "0.06", "1.0"]


def test_query_encoders_run_small_and_print_ratios(
    gpu_labels: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = importlib.import_module("gpu_query_encoders")
    asked = ["--small", "--queries", "20", "--batch", "6"]
    monkeypatch.setattr(sys, "argv", ["gpu_query_encoders.py", *asked])
    script.main()
    said = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines()]
    cells = {row[0]: row[1:] for row in rows if len(row) == 7}
    assert {"reference", "0.6B", "4 layers", "published reference"} < set(cells)
    assert cells["reference"][-2:] == ["1", "1"]
    for name in script.STUDENTS:
        assert all(float(cell.replace(",", "").rstrip("M")) > 0 for cell in cells[name])


def test_the_published_sizes_have_the_published_weights(gpu_labels: Any) -> None:
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    billions = {"Phi-3.5-mini (3.8B)": 3.7, "Qwen3-0.6B": 0.6, "Llama-3.1-70B": 69.5}
    for name, size in billions.items():
        kind, sizes = gpu_labels.CONFIGURATIONS[name]
        with torch.device("meta"):
            network = AutoModelForSequenceClassification.from_config(
                AutoConfig.for_model(kind, num_labels=4, **sizes)
            )
        assert sum(part.numel() for part in network.parameters()) / 1e9 == pytest.approx(size, 0.03)
    name, changes = importlib.import_module("gpu_query_encoders").STUDENTS["4 layers"]
    with torch.device("meta"):
        kind, sizes = gpu_labels.CONFIGURATIONS[name]
        network = AutoModel.from_config(AutoConfig.for_model(kind, **{**sizes, **changes}))
    assert sum(part.numel() for part in network.parameters()) / 1e6 == pytest.approx(190, 0.01)


def test_without_a_gpu_it_says_so(gpu_labels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_labels.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_labels.py"])
    with pytest.raises(SystemExit, match="there is no GPU; --small"):
        gpu_labels.main()
