"""How much of what one channel finds another finds too."""

import logging
from itertools import combinations

import numpy as np
import pandas as pd

logger = logging.getLogger(__name__)


def channel_overlap(
    runs: pd.DataFrame, depth: int, depths: tuple[int, ...] = (10, 100, 500)
) -> dict[str, dict[str, float]]:
    """Jaccard of the passages among the first few of rankings (schema `Runs`), mean over queries.

    Of some depths, up to `depth`; for every pair of channels (`bm25, dense`) and for `all`. Queries
    that none of them answers do not count. Empty for a single channel; else logged.
    """
    channels, names = pd.factorize(runs["channel"])
    if len(names) < 2:
        return {}
    queries, passages = pd.factorize(runs["query_id"])[0], pd.factorize(runs["passage_id"])[0]
    width = int(passages.max(initial=0)) + 1
    keys, pair_of = np.unique(queries.astype(np.int64) * width + passages, return_inverse=True)

    def jaccard(has: np.ndarray) -> float:
        either, both = (np.bincount(keys[some] // width) for some in (has.any(0), has.all(0)))
        shared = np.pad(both, (0, either.size - both.size))[either > 0] / either[either > 0]
        return round(float(shared.mean()), 4) if shared.size else 0.0

    found: dict[str, dict[str, float]] = {}
    for first in (first for first in depths if first <= depth):
        inside = runs["rank"].to_numpy() <= first
        has = np.zeros((len(names), keys.size), dtype=bool)
        has[channels[inside], pair_of[inside]] = True
        pairs = combinations(range(len(names)), 2)
        shares = {f"{names[one]}, {names[two]}": jaccard(has[[one, two]]) for one, two in pairs}
        found[str(first)] = shares | {"all": jaccard(has)}
    if found:
        logger.info("overlap of rankings (Jaccard of the first N passages): %s", found)
    return found
