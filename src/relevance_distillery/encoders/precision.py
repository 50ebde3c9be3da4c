"""Does this machine train faster in bf16? Measured once and remembered."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from relevance_distillery.io.atomic import write_text
from relevance_distillery.labeler.model import PairModel

Precision = Literal["fp32", "bf16"]
_GAIN = 1.15
_ROUNDS = 2


def choose_precision(model: PairModel, batch: Mapping[str, Any], memory: Path) -> Precision:
    """The faster of fp32 and bf16 autocast for training steps.

    Args:
        model: The network, on the device it will train on; its gradients are cleared again.
        batch: Arguments of its forward pass.
        memory: A JSON file with earlier answers, so that the same machine always gets the
            same one and two runs with one seed agree.
    """
    device = next(model.parameters()).device
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if device.type != "cpu":
        return "fp32"
    key = f"{_processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    known = _read(memory)
    if known.get(key) in ("fp32", "bf16"):
        return "bf16" if known[key] == "bf16" else "fp32"
    seconds = _measure(model, batch)
    chosen: Precision = "bf16" if seconds["fp32"] > _GAIN * seconds["bf16"] else "fp32"
    write_text(memory, json.dumps({**known, key: chosen}, indent=2) + "\n")
    return chosen


def _measure(model: PairModel, batch: Mapping[str, Any]) -> dict[str, float]:
    """Processor seconds of a training step in each precision, the best of a few rounds.

    Processor time, not the clock, and the two in turns: other work on the machine then slows
    neither the one nor the other.
    """
    best = {"fp32": float("inf"), "bf16": float("inf")}
    random_state = torch.get_rng_state()
    model.train()
    # The first round warms up caches and kernels.
    for number in range(_ROUNDS + 1):
        for name in best:
            start = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=name == "bf16"):
                loss = model(**batch)["loss"]
            loss.backward()
            spent = time.process_time() - start
            model.zero_grad(set_to_none=True)
            if number:
                best[name] = min(best[name], spent)
    torch.set_rng_state(random_state)
    return best


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
