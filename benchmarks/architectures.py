"""Pairs a second, and dollars per thousand labels, of labelers of real sizes.

Each architecture is built from its published configuration with random weights, since speed does
not depend on their values; the bundled encoder has its own. All grade the same batches of token
ids as sequence classifiers, one forward pass a pair: after a warm-up, in turn, the median of the
rounds. Nothing is downloaded.

    python benchmarks/architectures.py --usd-per-hour 3.5                # all of them, on a GPU
    python benchmarks/architectures.py --models bundled --batch 32       # on a processor
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from relevance_distillery.encoders.base_model import quiet, resolve_model

GRADES = 4
QWEN3 = {"vocab_size": 151_936, "head_dim": 128, "num_key_value_heads": 8}
CONFIGURATIONS: dict[str, tuple[str, dict[str, int]]] = {
    "Phi-3.5-mini (3.8B)": ("phi3", {}),
    "Qwen3-0.6B": (
        "qwen3",
        {
            **QWEN3,
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
        },
    ),
    "Qwen3-4B": (
        "qwen3",
        {
            **QWEN3,
            "hidden_size": 2560,
            "intermediate_size": 9728,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
        },
    ),
    "Qwen3-8B": (
        "qwen3",
        {
            **QWEN3,
            "hidden_size": 4096,
            "intermediate_size": 12_288,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
        },
    ),
}
"""The published sizes; Phi-3.5-mini's are the defaults of its configuration class."""


def build(name: str, device: str, dtype: torch.dtype) -> Any:
    """A classifier over the grades, ready to infer."""
    with quiet():
        if name == "bundled":
            model = AutoModelForSequenceClassification.from_pretrained(
                resolve_model("bundled"), num_labels=GRADES, dtype=dtype
            )
        else:
            kind, sizes = CONFIGURATIONS[name]
            config = AutoConfig.for_model(kind, num_labels=GRADES, pad_token_id=0, **sizes)
            with torch.device(device):
                model = AutoModelForSequenceClassification.from_config(config, dtype=dtype)
    return model.eval().to(device)


@torch.inference_mode()
def pairs_per_second(
    model: Any, batch: int, tokens: int, batches: int, device: str
) -> tuple[float, float]:
    """Speed of one round, and gigabytes of the device in use."""
    ids = torch.randint(5, model.config.vocab_size, (batch, tokens), device=device)
    mask = torch.ones_like(ids)
    for timed in (False, True):
        start = time.perf_counter()
        for _ in range(batches if timed else 2):
            model(input_ids=ids, attention_mask=mask)
        if device == "cuda":
            torch.cuda.synchronize()
    memory = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else 0.0
    return batches * batch / (time.perf_counter() - start), memory


def main() -> None:
    """Measure every model in turn, round by round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["bundled", *CONFIGURATIONS])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=192, help="of a pair")
    parser.add_argument("--batches", type=int, default=8, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--usd-per-hour", type=float, default=0.1)
    parser.add_argument("--peer", default=None, help="the row that ratios refer to")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    machine = torch.cuda.get_device_name() if device == "cuda" else "processor"
    speeds: dict[str, list[float]] = {name: [] for name in options.models}
    memory: dict[str, float] = {}
    for _ in range(options.rounds):
        for name in options.models:
            model = build(name, device, torch.bfloat16)
            speed, memory[name] = pairs_per_second(
                model, options.batch, options.tokens, options.batches, device
            )
            speeds[name].append(speed)
            del model
            gc.collect()
            if device == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
    peer = statistics.median(speeds[options.peer or options.models[-1]])
    print(f"{machine}, bf16, batches of {options.batch} pairs of {options.tokens} tokens")
    print("| model | pairs/s | ratio | USD per 1,000 labels | device memory, GB |")
    print("|---|---|---|---|---|")
    for name, rounds in speeds.items():
        speed = statistics.median(rounds)
        dollars = options.usd_per_hour / 3.6 / speed
        print(
            f"| {name} | {speed:,.1f} | {speed / peer:.2f} | {dollars:.5f} | {memory[name]:.1f} |"
        )


if __name__ == "__main__":
    main()
