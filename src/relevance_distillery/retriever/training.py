"""One stage of training a retriever: batches of queries with their passages, validation, the best.

Texts that share a batch are read in parts of like length, and layers that do not learn are passed
once a text, so a step costs little more than what learns.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from relevance_distillery.encoders.batching import Row
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.errors import UserError
from relevance_distillery.io.progress import Progress
from relevance_distillery.retriever.buckets import NEGATIVES, POSITIVES
from relevance_distillery.retriever.losses import LOSSES, Block
from relevance_distillery.retriever.settings import RetrieverSettings
from relevance_distillery.retriever.towers import Towers

logger = logging.getLogger(__name__)

Weights = dict[str, torch.Tensor]


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
        tokenizer: Any,
        max_length: int,
        relevant: pd.DataFrame | None = None,
    ) -> Examples:
        """From columns query_id, passage_id, query, passage (texts), gain, relevant, bucket.

        `relevant` (query_id, passage_id) are pairs that are relevant besides these. Passages of
        one text are one.
        """
        query, queries = pd.factorize(pairs["query_id"])
        # A text that has two ids is one passage: by the other id it would be a negative.
        passage, passages = pd.factorize(pairs["passage"])
        asked = pairs.drop_duplicates("query_id")["query"].tolist()
        table = pairs[["gain", "relevant", "bucket"]].assign(query=query, passage=passage)
        rows = [tokenise(tokenizer, one, max_length) for one in (asked, passages.tolist())]
        number = dict(zip(pairs["passage_id"], passage.tolist(), strict=True))
        known: dict[int, set[int]] = {}
        for some in (pairs[pairs["relevant"]], pairs[:0] if relevant is None else relevant):
            places = pd.Index(queries).get_indexer(pd.Index(some["query_id"])).tolist()
            for place, one in zip(places, some["passage_id"], strict=True):
                known.setdefault(place, set()).add(number.get(one, -1))  # -1, unknown, is nobody's
        gains: dict[tuple[int, int], float] = {}
        for one, other, gain in table[["query", "passage", "gain"]].itertuples(index=False):
            gains[one, other] = max(gain, gains.get((one, other), gain))
        return cls(rows[0], rows[1], table.reset_index(drop=True), known, gains)

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


@dataclass
class StageResult:
    """What a stage left: the best weights, and how it went."""

    weights: Weights
    validation: float | None
    facts: dict[str, Any]


def run_stage(
    towers: Towers,
    stage: Stage,
    learn: Examples,
    validation: Examples,
    before: float | None,
    settings: RetrieverSettings,
) -> StageResult:
    """Train the network in place and leave the best weights in it, those before included.

    `before` is the validation nDCG@10 of the network as it is; without validation, None, the last
    weights are left. A stage for which no query has both a positive and a negative is skipped, and
    `facts` say so.

    Raises:
        UserError: The loss is not finite.
    """
    lists = learn.lists(stage)
    best = StageResult(weights_of(towers.network), before, {"name": stage.loss, "steps": 0})
    if not lists:
        reason = f"no query has pairs in {', '.join((*stage.positives, *stage.negatives))}"
        logger.warning("stage %s is skipped: %s", stage.loss, reason)
        best.facts |= {"skipped": reason, "validation": before}
        return best
    draw = random.Random(settings.seed)
    per_epoch = -(-len(lists) // settings.batch_queries)
    steps = stage.passes * min(settings.epochs * per_epoch, settings.max_steps)
    optimizer = torch.optim.AdamW(towers.parameters, lr=settings.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / max(0.1 * steps, 1.0), 1.0 - step / steps)
    )
    checks = {steps * part // settings.evaluations for part in range(1, settings.evaluations + 1)}
    pairs, seconds, history, losses = 0, 0.0, [], []
    with Progress(steps, f"training, {stage.loss}", "step") as progress:
        batches = _batches(lists, draw, settings)
        for step in range(1, steps + 1):
            started = time.perf_counter()
            chosen = next(batches)
            loss = LOSSES[stage.loss](_block(towers, learn, chosen, settings.temperature))
            if not torch.isfinite(loss):
                raise UserError(
                    f"train_retriever: the loss of stage {stage.loss} is not finite at step {step};"
                    " lower retrieving.training.learning_rate"
                )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(towers.parameters, 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
            pairs += sum(len(pos) + len(neg) for pos, neg in chosen.values())
            seconds += time.perf_counter() - started
            progress.advance()
            if step in checks:
                value = validate(towers, validation)
                history.append({"step": step, "validation": value, "loss": _mean(losses)})
                losses.clear()
                if best.validation is None or value is None:
                    continue
                if value > best.validation:
                    best.weights, best.validation = weights_of(towers.network), value
                    best.facts["best_step"] = step
    if best.validation is None:
        best.weights, best.facts["best_step"] = weights_of(towers.network), steps
    towers.network.load_state_dict(best.weights)
    best.facts |= {
        "steps": steps,
        "queries": len(lists),
        "pairs_per_second": round(pairs / seconds, 1),
        "history": history,
        "validation": best.validation,
    }
    logger.info(
        "stage %s: %d steps, %.1f pairs/s%s",
        stage.loss, steps, pairs / seconds,
        "" if before is None else f", validation nDCG@10 {before:.4f} to {best.validation:.4f}",
    )  # fmt: skip
    return best


def weights_of(network: Any) -> Weights:
    """A copy of a network's weights, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


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
    return _mean(values) if values else None


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


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 6)
