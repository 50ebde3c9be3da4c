"""How fast query encoders are beside one another, and which of them to serve."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.retrieval import REFERENCE
from relevance_distillery.retriever.query_encoder import QueryEncoder

ENOUGH = 0.98
"""What is kept of the reference by the rung that is taken where nothing else is asked for."""
_BLOCK = 8


def measure_latency(
    encoders: Mapping[str, QueryEncoder], queries: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Time the encoders in turns, a few queries each, so that a slow minute is slow for all.

    The `reference` is among them; of queries two hundred are few.

    Returns:
        By name of single queries, tokenisation included, median_ms, p95_ms, p99_ms (of the clock)
        and processor_ms (of all cores, a mean); queries_per_second of all queries in one call; and
        speedup, the reference's median over this one's, and throughput, the same of rates.
    """
    clock: dict[str, list[float]] = {name: [] for name in encoders}
    processor, rates = dict.fromkeys(encoders, 0.0), dict.fromkeys(encoders, 0.0)
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        for name, encoder in encoders.items():
            encoder.encode_queries(block[-1:])  # wakes its threads and fills the caches
            used = time.process_time()
            for query in block:
                began = time.perf_counter()
                encoder.encode_queries([query])
                clock[name].append(1000.0 * (time.perf_counter() - began))
            processor[name] += 1000.0 * (time.process_time() - used)
    for name, encoder in 2 * list(encoders.items()):
        began = time.perf_counter()
        encoder.encode_queries(queries)
        rates[name] = max(rates[name], len(queries) / (time.perf_counter() - began))
    first = float(np.median(clock[REFERENCE]))
    found: dict[str, dict[str, float]] = {}
    for name, spent in clock.items():
        median, p95, p99 = np.percentile(spent, [50, 95, 99]).tolist()
        figures = {
            "median_ms": median, "p95_ms": p95, "p99_ms": p99,
            "processor_ms": processor[name] / len(queries), "queries_per_second": rates[name],
            "speedup": first / median, "throughput": rates[name] / rates[REFERENCE],
        }  # fmt: skip
        found[name] = {key: float(f"{value:.4g}") for key, value in figures.items()}
    return found


def choose_rung(
    kept: Mapping[str, float | None],
    latency: Mapping[str, Mapping[str, float]],
    max_latency_ms: float | None,
    min_kept: float | None,
) -> tuple[str, str]:
    """The rung to serve, and why.

    Args:
        kept: By rung the share of the reference's nDCG@10, or None.
        latency: As of `measure_latency`.
        max_latency_ms: With it the best of those whose median is at most so long.
        min_kept: With it, or with neither, the fastest of those that keep so much.

    Raises:
        UserError: None fits; the nearest one is named.
    """
    figures = {
        name: (share, latency[name]["median_ms"])
        for name, share in kept.items()
        if share is not None and name != REFERENCE
    }
    if not figures:
        raise UserError("compress_retriever: no query has a value of nDCG@10; give benchmark=DIR")

    def told(name: str) -> str:
        share, spent = figures[name]
        return f"{name} keeps {share:.1%} of nDCG@10 at {spent:.3g} ms"

    least = ENOUGH if min_kept is None and max_latency_ms is None else min_kept or 0.0
    longest = np.inf if max_latency_ms is None else max_latency_ms
    fitting = [
        name for name, (share, spent) in figures.items() if share >= least and spent <= longest
    ]
    best = max(fitting or figures, key=lambda name: figures[name][0])
    fastest = min(fitting or figures, key=lambda name: figures[name][1])
    if fitting and max_latency_ms is not None:
        return best, f"it keeps most of those of at most {max_latency_ms:g} ms"
    if fitting:
        return fastest, f"it is the fastest of those that keep {least:.1%} of nDCG@10"
    if min_kept is None and max_latency_ms is None:
        return best, f"it keeps most, though less than {least:.1%} of nDCG@10"
    raise UserError(
        f"compress_retriever: no rung has max_latency_ms={max_latency_ms}, min_kept={min_kept}: "
        f"{told(best)}, {told(fastest)}; ask for less, the rungs are kept for the next run"
    )
