"""Labels a minute, and dollars a million, of labelers of real sizes by the project's inference.

    BENCHMARKS=/folder/of/the/sets python benchmarks/gpu_labels.py --gpu-price 3.673   # on a GPU
    python benchmarks/gpu_labels.py --small          # sizes of a toy on a processor: that it runs

Each model is built from its published configuration with random weights, since speed does not
depend on their values; nothing is downloaded. What is timed is `Labeler.grade`, from texts to
grades, on pairs of trec-dl20: models in turn, the median of the rounds. Tokens are those of the
bundled encoder unless --tokenizer names the model's own.

A 70B model in bf16 fills more than a GPU of 80 GB. Its time is estimated along a straight line
from those of two depths of it. It too reads a pair in one pass, which flatters it: a judge that
reads a prompt and writes its answer takes longer. The published figures are those of arXiv
2601.03211, from one secondary source.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from typing import Any

import pandas as pd
import torch
from graded_sets import read_set
from pages import BENCHMARKS
from transformers import AutoConfig, AutoModelForSequenceClassification

from relevance_distillery.encoders.base_model import load_tokenizer, quiet
from relevance_distillery.encoders.devices import prepare_inference
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.labeler.artifact import LabelerFacts
from relevance_distillery.labeler.calibration import midpoints
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.model import PairModel
from relevance_distillery.labeler.network import fresh_network, resolve_settings
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.labeler.template import InputTemplate

SET = "trec-dl20"
STUDENT, TEACHER = "Phi-3.5-mini (3.8B)", "Llama-3.1-70B"
PUBLISHED, PUBLISHED_RATIO = 873.0, 17.0
"""Requests a minute of the paper's student on one A100, and how often its teacher's."""
GPU_PRICE = 3.673
"""USD an hour of one A100 with 80 GB: Azure, NC24ads A100 v4, East US, pay as you go, 2026-11."""

_GROUPED = {"num_key_value_heads": 8}
_QWEN3 = {"vocab_size": 151_936, "head_dim": 128, **_GROUPED}


def _sizes(*sizes: int) -> dict[str, int]:
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    return dict(zip(names, sizes, strict=True))


CONFIGURATIONS: dict[str, tuple[str, dict[str, int]]] = {
    STUDENT: ("phi3", {"vocab_size": 32_064, **_sizes(3072, 8192, 32, 32)}),
    "Qwen3-0.6B": ("qwen3", {**_QWEN3, **_sizes(1024, 3072, 28, 16)}),
    "Qwen3-4B": ("qwen3", {**_QWEN3, **_sizes(2560, 9728, 36, 32)}),
    "Qwen3-8B": ("qwen3", {**_QWEN3, **_sizes(4096, 12_288, 36, 32)}),
    TEACHER: ("llama", {"vocab_size": 128_256, **_GROUPED, **_sizes(8192, 28_672, 80, 64)}),
}
"""The published sizes."""
BUNDLED = "bundled"
DEPTHS = (4, 12)
"""Layers of the teacher that are timed."""


def choose_machine(small: bool) -> tuple[str, str]:
    """The device, and what it is called; the processor for toys alone."""
    if small:
        return "cpu", "toy sizes on a processor, whose speed means nothing"
    if not torch.cuda.is_available():
        raise SystemExit("there is no GPU; --small shows on a processor that the script runs")
    return "cuda", torch.cuda.get_device_name()


def random_network(
    name: str, changes: dict[str, int], device: str, options: argparse.Namespace, kind: Any
) -> tuple[Any, Any]:
    """A model of `CONFIGURATIONS`, changed, with random weights in bf16, and a tokenizer."""
    model, sizes = CONFIGURATIONS[name]
    if options.small:
        sizes = {**sizes, **_sizes(64, 128, 2, 8), "head_dim": 8}
    tokenizer = load_tokenizer(options.tokenizer)
    # Decoders know no segments.
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    known = {"num_labels": SCALE.size, "pad_token_id": tokenizer.pad_token_id}
    config = AutoConfig.for_model(model, **known, **{**sizes, **changes})
    with torch.device(device), quiet():
        network = kind.from_config(
            config, dtype=torch.bfloat16, attn_implementation=options.attention
        )
    return network, tokenizer


def build(name: str, layers: int, options: argparse.Namespace) -> Labeler:
    """A labeler with random weights, ready to grade; `layers` of them, 0 for all."""
    device, precision = choose_machine(options.small)[0], "bf16"
    if name == BUNDLED:
        model, tokenizer, facts = fresh_network(resolve_settings(TrainingSettings()), SCALE)
    else:
        changes = {"num_hidden_layers": layers} if layers else {}
        network, tokenizer = random_network(
            name, changes, device, options, AutoModelForSequenceClassification
        )
        model = PairModel(network, "cross_encoder", SCALE.size)
        facts = LabelerFacts(
            base_model=name,
            architecture="cross_encoder",
            scale=SCALE,
            template=InputTemplate(
                max_length=options.tokens, query_label="Query: ", passage_label="\nDocument: "
            ),
            cut_points=tuple(midpoints(SCALE).tolist()),
        )
    prepare_inference(model.backbone, device, precision, facts.template.max_length)
    return Labeler(
        model, tokenizer, facts, device=device, precision=precision, batch_size=options.batch
    )


def real_pairs(count: int) -> pd.DataFrame:
    """A sample of the set's pairs; made-up ones, that only show that it runs, where it is not."""
    if (BENCHMARKS / SET).is_dir():
        texts = read_set(BENCHMARKS / SET, None).texts()
        return texts.sample(min(count, len(texts)), random_state=0).reset_index(drop=True)
    print(f"{BENCHMARKS / SET} is not there: made-up pairs, whose speed means nothing")
    rows = range(count)
    passages = [f"Desk {row} is booked in the office app. " * (1 + row % 9) for row in rows]
    return pd.DataFrame({"query": [f"book desk {row % 7}" for row in rows], "text": passages})


def seconds_to_grade(labeler: Labeler, pairs: pd.DataFrame) -> float:
    """Seconds from texts to grades, after a warm-up on the longest of them."""
    longest = pairs["text"].str.len().nlargest(2 * labeler.batch_size).index
    labeler.grade(pairs.loc[longest])
    started = time.perf_counter()
    labeler.grade(pairs)
    return time.perf_counter() - started


def at_depth(depth: int, seconds: dict[int, float]) -> float:
    """Seconds at `depth` layers on the straight line through those of two other depths."""
    (few, short), (many, long) = sorted(seconds.items())
    return short + (long - short) / (many - few) * (depth - few)


def row(name: str, per_second: float, teacher: float, price: float, remark: str) -> str:
    """A row of the table, by pairs a second of the model and of its teacher."""
    return (
        f"| {name} | {per_second:,.1f} | {60 * per_second:,.0f} | "
        f"{60 * per_second / PUBLISHED:.2f} | {per_second / teacher:.1f} | "
        f"{price / 3600 * 1e6 / per_second:,.2f} | {remark} |"
    )


def measure(options: argparse.Namespace, pairs: pd.DataFrame) -> tuple[dict[Any, float], Any]:
    """Median seconds of each (model, layers), and a remark on each."""
    depths = (1, 2) if options.small else DEPTHS
    models = [(name, 0) for name in options.models if name != TEACHER]
    models += [(TEACHER, layers) for layers in depths]
    seconds: dict[Any, list[float]] = {model: [] for model in models}
    remarks = {}
    for _ in range(options.rounds):
        for model in models:
            labeler = build(*model, options)
            seconds[model].append(seconds_to_grade(labeler, pairs))
            remarks[model] = f"measured, bf16, {labeler.batch_size} pairs at once"
            del labeler
            gc.collect()
            if torch.cuda.is_available():
                remarks[model] += f", {torch.cuda.max_memory_allocated() / 1e9:.0f} GB"
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
    return {model: statistics.median(found) for model, found in seconds.items()}, remarks


def main() -> None:
    """Measure every model in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=[STUDENT], help="also bundled, Qwen3-4B …")
    parser.add_argument("--small", action="store_true", help="toy sizes, on the processor")
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=192, help="longest pair")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gpu-price", type=float, default=GPU_PRICE, help="USD an hour")
    parser.add_argument("--tokenizer", default=BUNDLED, help="a folder or a hub id")
    parser.add_argument("--attention", default="sdpa", help="or flash_attention_2, if installed")
    options = parser.parse_args()
    _, machine = choose_machine(options.small)
    pairs = real_pairs(options.pairs)
    seconds, remarks = measure(options, pairs)
    layers = CONFIGURATIONS[TEACHER][1]["num_hidden_layers"]
    timed = {depth: found for (name, depth), found in seconds.items() if name == TEACHER}
    teacher = len(pairs) / at_depth(layers, timed)
    print(f"{machine}, {len(pairs):,} pairs, {options.attention}, ${options.gpu_price} an hour\n")
    print("| model | pairs/s | pairs/min | ÷ 873 | ÷ teacher | USD per million | |")
    print("|---|---|---|---|---|---|---|")
    price = options.gpu_price
    for model, found in seconds.items():
        if model[0] != TEACHER:
            print(row(model[0], len(pairs) / found, teacher, price, remarks[model]))
    estimate = f"estimated for {layers} layers from {' and '.join(map(str, timed))}"
    print(row(TEACHER, teacher, teacher, price, estimate))
    theirs = PUBLISHED / PUBLISHED_RATIO / 60
    for name, rate in (("student", PUBLISHED / 60), ("teacher", theirs)):
        print(row(f"published {name}", rate, theirs, price, "one A100, beside its own teacher"))


if __name__ == "__main__":
    main()
