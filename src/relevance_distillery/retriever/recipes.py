"""Recipes: which stages follow one another, what each ingredient is worth, which one wins.

The curriculum is Walmart's (arXiv 2606.23911): binary cross-entropy on what is easy, ranking on
what the channels disagree about, triplets on what only looks alike. The others are alternatives to
it, or it without an ingredient. Weights are interpolated with the untrained ones (WiSE-FT,
Wortsman et al., 2022) where that ranks the held-back queries better.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.torch import load_file, save_file

from relevance_distillery.encoders.base_model import fitting_length, load_encoder
from relevance_distillery.encoders.devices import choose_device, choose_precision
from relevance_distillery.encoders.gradient_steps import Weights, weights_of
from relevance_distillery.encoders.sentence_encoder import weights_hash
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import json_digest
from relevance_distillery.io.files import only_folder, write_text
from relevance_distillery.learning.splits import deal_groups
from relevance_distillery.retriever.buckets import BUCKETS, UNGRADED
from relevance_distillery.retriever.encoder import check_pooling, write_retriever
from relevance_distillery.retriever.settings import RetrieverSettings
from relevance_distillery.retriever.towers import Towers
from relevance_distillery.retriever.training import Examples, Stage, run_stage, validate
from relevance_distillery.text.words import normalised

logger = logging.getLogger(__name__)

UNTRAINED = "untrained"
_BCE = Stage("bce", ("easy_positive",), ("random",))
_RANKING = Stage("mnrl", ("hard_positive", "other_positive"), ("hard_negative", "other_negative"))
_TRIPLET = Stage("triplet", negatives=("token_similar",))
RECIPES: dict[str, tuple[Stage, ...]] = {
    "curriculum": (_BCE, _RANKING, _TRIPLET),
    "listwise": (Stage("listwise", passes=3),),
    "margin_mse": (Stage("margin_mse", passes=3),),
    "one_stage": (Stage("mnrl", passes=3),),
    "one_channel": (_BCE, _RANKING, _TRIPLET),
    "no_token_similar": (_BCE, _RANKING),
}
ABLATIONS = ("one_channel", "no_token_similar")
"""What shows an ingredient's worth and is never registered."""

_ONE_CHANNEL = "bm25"
_FEWEST_QUERIES = 10


@dataclass(frozen=True)
class Trained:
    """What training left.

    Attributes:
        folders: By recipe a retriever's folder, in the workspace.
        best: The recipe that ranks held-back queries best, or `untrained`; the first recipe where
            there are too few queries to hold any back.
        facts: By recipe its stages, validation nDCG@10 (None without) and alpha, the share of
            trained weights.
        held_back: Ids of the queries that chose.
    """

    folders: dict[str, Path]
    best: str
    facts: dict[str, Any]
    held_back: list[str]


def train_recipes(
    pairs: pd.DataFrame,
    settings: RetrieverSettings,
    workspace: Path,
    relevant: pd.DataFrame | None = None,
) -> Trained:
    """Train every recipe that is asked for, from the same base and the same pairs.

    Finished stages and recipes are kept in a folder of the workspace that is named by everything
    that decides them: a killed run goes on behind the last finished stage.

    Args:
        pairs: Columns query_id, passage_id, query, passage (texts), gain (0 to 1), relevant,
            bucket, rank_bm25.
        settings: How stages are trained.
        workspace: A folder of its own; that of other pairs or settings is removed.
        relevant: Columns query_id, passage_id: all that is graded relevant, also what was not
            chosen, so that nothing of it is a negative of its query in a batch.

    Raises:
        UserError: Fewer than ten queries with a relevant passage, a base model that does not pool
            by means, or a loss that is not finite.
    """
    asked = pairs.loc[pairs["relevant"], "query_id"].nunique()
    if asked < _FEWEST_QUERIES:
        raise UserError(
            f"train_retriever: {asked} queries have a relevant passage, at least {_FEWEST_QUERIES} "
            "are needed; grade more, or lower scale.relevant_from"
        )
    check_pooling(settings.base_model)
    network, tokenizer = load_encoder(settings.base_model)
    length = fitting_length(settings.max_length, network.config, tokenizer)
    read = partial(tokenise, tokenizer, limit=length)
    device = choose_device()
    auto = settings.precision == "auto"
    precision = choose_precision(device) if auto else settings.precision
    base = weights_of(network)
    folder = _folder([pairs, relevant], settings, [precision, weights_hash(network)], workspace)
    towers = Towers(network.eval(), tokenizer, settings.tuned_layers, device, precision)
    held_back = hold_back(pairs, settings)
    kept = pairs["query_id"].isin(held_back)
    validation = Examples.of(_at_most(pairs[kept], settings), read)
    before = validate(towers, validation)
    logger.info(
        "training a retriever on %d pairs of %d queries, choosing on %d others%s",
        (~kept).sum(), pairs.loc[~kept, "query_id"].nunique(), len(held_back),
        "" if before is None else f"; untrained: nDCG@10 {before:.4f}",
    )  # fmt: skip
    facts: dict[str, Any] = {UNTRAINED: {"stages": [], "validation": before}}
    folders: dict[str, Path] = {}

    def keep(name: str, **about: Any) -> None:
        folders[name] = folder / name
        if not folders[name].is_dir():
            own = {"base_model": settings.base_model, "max_length": length, **about}
            write_retriever(network, tokenizer, folders[name], own)

    for recipe in settings.recipes:
        learn, channels = pairs[~kept], "all_channels"
        if recipe == "one_channel":
            learn, channels = of_one_channel(learn), recipe
        examples = Examples.of(learn, read, relevant)
        network.load_state_dict(base)
        given = RECIPES[recipe], examples, validation, before, settings
        stages = run_stages(towers, *given, folder / "stages" / channels)
        facts[recipe] = {"stages": stages}
        facts[recipe] |= _interpolate(towers, stages, base, validation, settings)
        keep(recipe, tuned_layers=settings.tuned_layers, training=facts[recipe])
    network.load_state_dict(base)
    keep(UNTRAINED, training={})
    rivals = [UNTRAINED, *(name for name in settings.recipes if name not in ABLATIONS)]
    best = rivals[-1] if len(rivals) == 1 else rivals[1]
    if before is not None:
        best = max(rivals, key=lambda name: facts[name]["validation"])
    return Trained(folders, best, facts, sorted(held_back))


def run_stages(
    towers: Towers,
    stages: Sequence[Stage],
    learn: Examples,
    validation: Examples,
    before: float | None,
    settings: RetrieverSettings,
    folder: Path,
) -> list[dict[str, Any]]:
    """Run stages from one another's best weights, which are left in the network.

    Arguments as of `run_stage`, which gives the facts of each; a stage that the folder keeps is
    not run again.
    """
    found: list[dict[str, Any]] = []
    for stage in stages:
        folder /= f"{stage.loss}-{json_digest([stage.positives, stage.negatives], 3)}"
        facts_file, weights_file = folder / "facts.json", folder / "weights.safetensors"
        if facts_file.is_file():
            facts = json.loads(facts_file.read_text(encoding="utf-8"))
            towers.network.load_state_dict(load_file(weights_file))
            logger.info("stage %s was finished before", stage.loss)
        else:
            facts = run_stage(towers, stage, learn, validation, before, settings)
            folder.mkdir(parents=True, exist_ok=True)
            save_file(weights_of(towers.network), weights_file)
            write_text(facts_file, json.dumps(facts))
        before = facts["validation"]
        found.append(facts)
    return found


def of_one_channel(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs as they were if BM25 were the only channel: what it missed is not there.

    Nothing can be missed by one channel and returned by another, so buckets follow from grades.
    """
    column = f"rank_{_ONE_CHANNEL}"
    drawn = pairs["bucket"].isin(("token_similar", "random"))
    returned = pairs[column] > 0 if column in pairs else drawn
    kept = pairs[returned | drawn]
    same = kept["bucket"].isin(("token_similar", "random", UNGRADED))
    kinds = [same, kept["relevant"] & (kept["gain"] == 1.0), kept["relevant"]]
    bucket = np.select(kinds, [kept["bucket"], BUCKETS[0], BUCKETS[1]], BUCKETS[3])
    return kept.assign(bucket=bucket)


def _interpolate(
    towers: Towers,
    stages: Sequence[Mapping[str, Any]],
    base: Weights,
    validation: Examples,
    settings: RetrieverSettings,
) -> dict[str, Any]:
    """Leave the share of trained weights that ranks best: alpha, with its validation nDCG@10.

    Without validation it is the first: what nobody checked goes half the way (Wortsman et al.).
    """
    trained = weights_of(towers.network)
    alpha, best, chosen = 1.0, stages[-1]["validation"], trained
    for share in settings.interpolation if any(one.get("best_step") for one in stages) else ():
        mixed = {
            name: value + (trained[name] - value) * share if value.is_floating_point() else value
            for name, value in base.items()
        }
        towers.network.load_state_dict(mixed)
        found = validate(towers, validation)
        if found is None or found > best:
            alpha, best, chosen = share, found, mixed
        if found is None:
            break
    towers.network.load_state_dict(chosen)
    return {"validation": best, "alpha": alpha}


def hold_back(pairs: pd.DataFrame, settings: RetrieverSettings) -> set[str]:
    """Queries that train nothing; those of one wording stay together, and of few none is."""
    asked = pairs.drop_duplicates("query_id")
    share = settings.validation_share
    if len(asked) < settings.fewest_queries:
        return set()
    part = deal_groups(asked["query"].map(normalised).tolist(), [1 - share, share], settings.seed)
    return set(asked["query_id"].to_numpy()[part == 1])


def _at_most(pairs: pd.DataFrame, settings: RetrieverSettings) -> pd.DataFrame:
    """Whole queries while their pairs are fewer than `max_validation_pairs`."""
    sizes = pairs.groupby("query_id", sort=False)["passage_id"].size().cumsum()
    few = sizes[sizes <= max(settings.max_validation_pairs, sizes.min() if len(sizes) else 0)]
    return pairs[pairs["query_id"].isin(few.index)]


def _folder(
    tables: Sequence[pd.DataFrame | None],
    settings: RetrieverSettings,
    more: Sequence[str],
    workspace: Path,
) -> Path:
    """The folder of these pairs and settings; those of others are removed."""
    rows = [
        [] if one is None else pd.util.hash_pandas_object(one, index=False).to_numpy().tolist()
        for one in tables
    ]
    plain = settings.model_dump(mode="json", exclude={"recipes"})
    return only_folder(workspace, json_digest([rows, plain, *more], 8))
