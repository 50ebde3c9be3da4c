"""One stage of training a retriever: batches of queries with their passages, validation, the best.

Texts that share a batch are read in parts of like length, and layers that do not learn are passed
once a text, so a step costs little more than what learns.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from relevance_distillery.encoders.batching import Row
from relevance_distillery.encoders.gradient_steps import take_steps
from relevance_distillery.retriever.buckets import NEGATIVES, POSITIVES
from relevance_distillery.retriever.losses import LOSSES, Block
from relevance_distillery.retriever.settings import RetrieverSettings
from relevance_distillery.retriever.towers import Towers

logger = logging.getLogger(__name__)

Read = Callable[[list[Any]], list[Row]]


@dataclass(frozen=True)
class Stage:
    """A loss, and the buckets that it learns from; `listwise` needs no positive."""

    loss: str
    positives: Sequence[str] = POSITIVES
    negatives: Sequence[str] = NEGATIVES
    passes: int = 1
    """How many stages it stands for, so that recipes take the same number of steps."""


@dataclass(frozen=True)
class Examples:
    """Graded pairs, ready to be learned from or to validate on.

    Attributes:
        queries, passages: Tokens of each.
        pairs: Columns query and passage (numbers), gain (0 to 1), relevant, bucket.
        relevant: By query the passages that are no negative of it, whoever brought them.
        gains: By query and passage the gain, where it is graded.
    """

    queries: list[Row]
    passages: list[Row]
    pairs: pd.DataFrame
    relevant: dict[int, set[int]]
    gains: dict[tuple[int, int], float]

    @classmethod
    def of(
        cls,
        pairs: pd.DataFrame,
        read: Read,
        relevant: pd.DataFrame | None = None,
        read_passages: Read | None = None,
    ) -> Examples:
        """From columns query_id, passage_id, query, passage (texts), gain, relevant, bucket.

        `read` makes tokens of texts; `relevant` (query_id, passage_id) are pairs that are relevant
        besides these. Passages of one text are one.
        """
        query, queries = pd.factorize(pairs["query_id"])
        # A text that has two ids is one passage: by the other id it would be a negative.
        passage, passages = pd.factorize(pairs["passage"])
        asked = pairs.drop_duplicates("query_id")["query"].tolist()
        table = pairs[["gain", "relevant", "bucket"]].assign(query=query, passage=passage)
        number = dict(zip(pairs["passage_id"], passage.tolist(), strict=True))
        known: dict[int, set[int]] = {}
        for some in (pairs[pairs["relevant"]], pairs[:0] if relevant is None else relevant):
            places = pd.Index(queries).get_indexer(pd.Index(some["query_id"])).tolist()
            for place, one in zip(places, some["passage_id"], strict=True):
                known.setdefault(place, set()).add(number.get(one, -1))  # -1, unknown, is nobody's
        gains: dict[tuple[int, int], float] = {}
        for one, other, gain in table[["query", "passage", "gain"]].itertuples(index=False):
            gains[one, other] = max(gain, gains.get((one, other), gain))
        rows = read(asked), (read_passages or read)(passages.tolist())
        return cls(*rows, table.reset_index(drop=True), known, gains)

    def lists(self, stage: Stage) -> dict[int, tuple[list[int], list[int]]]:
        """Positives and negatives of each query that has what the stage needs."""
        found: dict[int, tuple[list[int], list[int]]] = {}
        by_query = self.pairs.groupby("query")
        for query in range(len(self.queries)):
            rows = by_query.get_group(query)
            pos = rows.loc[rows["relevant"] & rows["bucket"].isin(stage.positives), "passage"]
            neg = rows.loc[~rows["relevant"] & rows["bucket"].isin(stage.negatives), "passage"]
            neg = neg[~neg.isin(self.relevant.get(query, set()))]
            if len(neg) and (len(pos) or stage.loss == "listwise"):
                found[query] = (pos.tolist(), neg.tolist())
        return found


def run_stage(
    towers: Towers,
    stage: Stage,
    learn: Examples,
    validation: Examples,
    before: float | None,
    settings: RetrieverSettings,
) -> dict[str, Any]:
    """Train the network in place and leave the best weights in it, those before included.

    `before` is the validation nDCG@10 of the network as it is; without validation, None, the last
    weights are left.

    Returns:
        How it went: name, steps, validation (of what is left) and more, or why the stage was
        skipped, since no query has both a positive and a negative.

    Raises:
        UserError: The loss is not finite.
    """
    lists = learn.lists(stage)
    if not lists:
        reason = f"no query has pairs in {', '.join((*stage.positives, *stage.negatives))}"
        logger.warning("stage %s is skipped: %s", stage.loss, reason)
        return {"name": stage.loss, "steps": 0, "skipped": reason, "validation": before}
    per_epoch = -(-len(lists) // settings.batch_queries)
    steps = stage.passes * min(settings.epochs * per_epoch, settings.max_steps)
    batches, sizes = _batches(lists, random.Random(settings.seed), settings), []

    def loss() -> torch.Tensor:
        chosen = next(batches)
        sizes.append(sum(len(pos) + len(neg) for pos, neg in chosen.values()))
        return LOSSES[stage.loss](_block(towers, learn, chosen, settings.temperature))

    seconds, found = take_steps(
        towers.network, towers.parameters, loss, lambda: validate(towers, validation), before,
        named=stage.loss, steps=steps, evaluations=settings.evaluations, warm_up=0.1, longest=1.0,
        lr=settings.learning_rate, weight_decay=0.01,
    )  # fmt: skip
    rate, after = round(sum(sizes) / seconds, 1), found["validation"]
    told = "" if before is None else f", validation nDCG@10 {before:.4f} to {after:.4f}"
    logger.info("stage %s: %d steps, %.1f pairs/s%s", stage.loss, steps, rate, told)
    return {"name": stage.loss, "queries": len(lists), "pairs_per_second": rate, **found}


@torch.no_grad()
def validate(towers: Towers, examples: Examples) -> float | None:
    """Mean nDCG@10 of queries with a relevant passage, each among its own pairs; None without."""
    if examples.pairs.empty:
        return None
    queries = towers.embed(examples.queries).float().cpu().numpy()
    passages = towers.embed(examples.passages).float().cpu().numpy()
    values: list[float] = []
    by_query = examples.pairs.groupby("query")
    for query, vector in enumerate(queries):
        rows = by_query.get_group(query)
        if not rows["relevant"].any():
            continue
        cosines = passages[rows["passage"].to_numpy()] @ vector
        gains = rows["gain"].to_numpy()[np.argsort(-cosines, kind="stable")][:10]
        ideal = np.sort(rows["gain"].to_numpy())[::-1][:10]
        discounts = 1.0 / np.log2(np.arange(2, 12))
        values.append(float(gains @ discounts[: len(gains)] / (ideal @ discounts[: len(ideal)])))
    return round(float(np.mean(values)), 6) if values else None


def _batches(
    lists: Mapping[int, tuple[list[int], list[int]]],
    draw: random.Random,
    settings: RetrieverSettings,
) -> Iterator[dict[int, tuple[list[int], list[int]]]]:
    """Queries in random order, again and again, each with a few of its passages."""
    waiting: list[int] = []
    size = min(settings.batch_queries, len(lists))
    while True:
        chosen: dict[int, tuple[list[int], list[int]]] = {}
        while len(chosen) < size:
            if not waiting:
                waiting = list(lists)
                draw.shuffle(waiting)
            query = waiting.pop()
            pos, neg = lists[query]
            some = draw.sample(pos, min(len(pos), settings.batch_passages // 2))
            rest = min(len(neg), settings.batch_passages - len(some))
            chosen[query] = (some, draw.sample(neg, rest))
        yield chosen


def _block(
    towers: Towers,
    examples: Examples,
    chosen: Mapping[int, tuple[list[int], list[int]]],
    temperature: float,
) -> Block:
    queries = list(chosen)
    passages = sorted({one for both in chosen.values() for part in both for one in part})
    column = {passage: place for place, passage in enumerate(passages)}
    shape = (len(queries), len(passages))
    positive, negative = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    foreign, gains = torch.ones(shape, dtype=torch.bool), torch.zeros(shape)
    for row, query in enumerate(queries):
        for passage, place in column.items():
            gains[row, place] = examples.gains.get((query, passage), 0.0)
            foreign[row, place] = passage not in examples.relevant.get(query, ())
        for mask, some in zip((positive, negative), chosen[query], strict=True):
            places = [column[one] for one in some]
            mask[row, places], foreign[row, places] = True, False
    vectors = towers.embed([examples.queries[one] for one in queries])
    cosines = vectors @ towers.embed([examples.passages[one] for one in passages]).T
    where = cosines.device
    return Block(
        cosines,
        gains.to(where),
        positive.to(where),
        negative.to(where),
        foreign.to(where),
        temperature,
    )
