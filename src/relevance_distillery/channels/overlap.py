"""How much of what one channel finds another finds too."""

import logging
from functools import reduce
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
    names = runs["channel"].unique().tolist()
    queries, passages = pd.factorize(runs["query_id"])[0], pd.factorize(runs["passage_id"])[0]
    width = int(passages.max(initial=0)) + 1
    keys = queries.astype(np.int64) * width + passages

    def jaccard(sets: list[np.ndarray]) -> float:
        both, either = reduce(np.intersect1d, sets), reduce(np.union1d, sets)
        sizes = np.bincount(either // width)
        shared = np.bincount(both // width, minlength=sizes.size)
        return round(float((shared / np.maximum(sizes, 1)).sum() / max((sizes > 0).sum(), 1)), 4)

    found: dict[str, dict[str, float]] = {}
    for first in (first for first in depths if first <= depth and len(names) > 1):
        inside = (runs["rank"] <= first).to_numpy()
        sets = {name: keys[inside & (runs["channel"] == name).to_numpy()] for name in names}
        pairs = combinations(names, 2)
        shares = {f"{one}, {two}": jaccard([sets[one], sets[two]]) for one, two in pairs}
        found[str(first)] = shares | {"all": jaccard(list(sets.values()))}
    if found:
        logger.info("overlap of rankings (Jaccard of the first N passages): %s", found)
    return found
