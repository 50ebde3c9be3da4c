"""Milliseconds a query, and queries a second, of query encoders of real sizes on one GPU.

    BENCHMARKS=/folder/of/the/sets python benchmarks/gpu_query_encoders.py   # on a GPU
    python benchmarks/gpu_query_encoders.py --small      # sizes of a toy: that it runs

The reference has the sizes of Qwen3-Embedding-8B. Its students are those of the 0.6B model, whole,
and four of its layers with 768 feed-forward units each: with them it has the 190M parameters of
arXiv 2605.23572, which does not tell its widths. Weights are random and in bf16, as in gpu_labels.
What is timed, by `measure_latency`, goes from texts to vectors in the processor's memory, and all
models in turns: single queries, and all of them in batches. Queries are those of trec-dl20.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gpu_labels import BUNDLED, choose_machine, random_network, real_pairs
from pages import table
from transformers import AutoModel

from relevance_distillery.encoders.batching import Row, pad, read_by_length
from relevance_distillery.encoders.devices import prepare_inference, to_device
from relevance_distillery.encoders.sentence_encoder import mean_pooled
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.evaluation.retrieval import REFERENCE
from relevance_distillery.query_encoders.latency import measure_latency

STUDENTS: dict[str, tuple[str, dict[str, int]]] = {
    REFERENCE: ("Qwen3-8B", {}),
    "0.6B": ("Qwen3-0.6B", {}),
    "4 layers": ("Qwen3-0.6B", {"num_hidden_layers": 4, "intermediate_size": 768}),
}
"""By rung the published sizes, of `gpu_labels.CONFIGURATIONS`, and what is changed."""
PUBLISHED = [
    ["published reference", "8B", "186", "", "", "1", "1"],
    ["published 4 layers, one A100", "190M", "6.8", "", "> 6,800", "27", "20"],
]


class Encoder:
    """Vectors of queries by a network of random weights."""

    def __init__(self, rung: str, device: str, options: argparse.Namespace) -> None:
        """Build it where it runs."""
        name, changes = STUDENTS[rung]
        self.network, self.tokenizer = random_network(name, changes, device, options, AutoModel)
        prepare_inference(self.network.eval(), device, "bf16", options.tokens)
        self.size = sum(one.numel() for one in self.network.parameters())
        self.device, self.options = device, options

    @torch.inference_mode()
    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (queries, width), batches of queries alike in length after one another."""
        rows = tokenise(self.tokenizer, texts, self.options.tokens)
        return read_by_length(rows, self.options.batch, self._means).numpy()

    def _means(self, rows: list[Row]) -> torch.Tensor:
        batch = to_device(pad(rows, self.tokenizer.pad_token_id, multiple=1), self.device)
        states = self.network(**batch).last_hidden_state
        return mean_pooled(states, batch["attention_mask"].unsqueeze(-1)).cpu()


def main() -> None:
    """Measure all models in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="toy sizes, on the processor")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=256, help="queries at once for throughput")
    parser.add_argument("--tokens", type=int, default=64, help="longest query")
    parser.add_argument("--tokenizer", default=BUNDLED, help="a folder or a hub id")
    parser.add_argument("--attention", default="sdpa", help="or flash_attention_2, if installed")
    options = parser.parse_args()
    device, machine = choose_machine(options.small)
    queries = real_pairs(options.queries)["query"].tolist()
    encoders: dict[str, Any] = {name: Encoder(name, device, options) for name in STUDENTS}
    print(f"{machine}, {len(queries):,} queries, {options.attention}, {options.batch} at once\n")
    header = ["model", "parameters", "median ms", "p95 ms", "queries/s", "× faster", "× throughput"]
    rows = [
        [
            name, f"{encoders[name].size / 1e6:,.0f}M",
            *(f"{found[one]:,.3g}" for one in ("median_ms", "p95_ms")),
            f"{found['queries_per_second']:,.0f}",
            *(f"{found[one]:.3g}" for one in ("speedup", "throughput")),
        ]
        for name, found in measure_latency(encoders, queries).items()
    ]  # fmt: skip
    print(table(header, [*rows, *PUBLISHED]))


if __name__ == "__main__":
    main()
