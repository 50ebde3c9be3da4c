"""Fewer layers and feed-forward units: first go those that held-back strings miss least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import prune_linear_layer

from relevance_distillery.errors import UserError
from relevance_distillery.query_encoders.students import TransformerStudent
from relevance_distillery.query_encoders.targets import Targets

_STRINGS = 500


def kept_of(count: int, share: float, named: str) -> int:
    """A share of layers or units as a number; UserError for less than one half of one."""
    kept = round(count * share)
    if kept < 1:
        raise UserError(
            f"compress_retriever: {share:g} of {count} is less than one; raise "
            f"compressing.ladder.pruning.{named}"
        )
    return kept


def layers_of(network: Any) -> nn.ModuleList:
    """A transformers model's layers; UserError where they are not one list."""
    count = int(network.config.num_hidden_layers)
    for module in network.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise UserError(
        f"compress_retriever: the layers of a {network.config.model_type} model cannot be told "
        "apart; leave static alone in compressing.ladder.rungs"
    )


def cut_layers(student: TransformerStudent, keep: int, targets: Targets) -> dict[str, Any]:
    """Remove layers in place, one at a time, that whose absence costs least, until `keep` are left.

    Returns:
        layers kept and removed, numbered as they were, the removed in order; `Targets.agreement`
        before and after.
    """
    network, held = student.network, _few(targets)
    layers = layers_of(network)
    rows = student.rows(held.held_strings)
    every = list(layers)
    kept, removed, before = list(range(len(every))), [], held.agreement(student, rows)
    after = before
    while len(kept) > keep:
        values = {}
        for layer in kept:
            _put(network, layers, every, [one for one in kept if one != layer])
            values[layer] = held.agreement(student, rows)
        layer = max(kept, key=values.__getitem__)
        kept.remove(layer)
        removed.append(layer)
        after = values[layer]
    types = getattr(network.config, "layer_types", None)
    if types:
        network.config.layer_types = [types[layer] for layer in kept]
    _put(network, layers, every, kept)
    return {
        "layers": kept, "removed": removed, "before": round(before, 5), "after": round(after, 5),
    }  # fmt: skip


def cut_units(student: TransformerStudent, keep: int, targets: Targets) -> dict[str, Any]:
    """Remove units of every layer's feed-forward part in place until `keep` are left.

    A unit counts by its mean absolute activation times the length of what it is multiplied with.

    Returns:
        units kept in each layer, of how many; agreement as of `cut_layers`.

    Raises:
        UserError: The units cannot be told from the layers' other parts.
    """
    network, held = student.network, _few(targets)
    rows = student.rows(held.held_strings)
    count, width = int(getattr(network.config, "intermediate_size", 0)), network.config.hidden_size
    layers = layers_of(network)
    above = [
        [one for one in layer.modules() if isinstance(one, nn.Linear) and one.in_features == count]
        for layer in layers
    ]
    if count == width or any(len(one) != 1 for one in above):
        raise UserError(
            f"compress_retriever: the feed-forward units of a {network.config.model_type} model "
            "cannot be told apart; set compressing.ladder.pruning.units to 1"
        )
    sums = [torch.zeros(count) for _ in above]

    def watch(place: int) -> Any:
        def add(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            sums[place] += given[0].detach().float().abs().flatten(0, -2).sum(0).cpu()

        return add

    hooks = [one[0].register_forward_pre_hook(watch(place)) for place, one in enumerate(above)]
    before = held.agreement(student, rows)
    for hook in hooks:
        hook.remove()
    for layer, (down,), total in zip(layers, above, sums, strict=True):
        worth = total * down.weight.detach().float().norm(dim=0).cpu()
        best: Any = worth.topk(keep).indices.sort().values
        for name, one in list(layer.named_modules()):
            if one is down:
                layer.set_submodule(name, prune_linear_layer(one, best, dim=1))
            elif isinstance(one, nn.Linear) and one.out_features == count:
                layer.set_submodule(name, prune_linear_layer(one, best))
    network.config.intermediate_size = keep
    after = held.agreement(student, rows)
    return {"units": keep, "of": count, "before": round(before, 5), "after": round(after, 5)}


def _put(
    network: Any, layers: nn.ModuleList, every: Sequence[nn.Module], kept: Sequence[int]
) -> None:
    del layers[:]
    layers.extend([every[layer] for layer in kept])
    network.config.num_hidden_layers = len(kept)


def _few(targets: Targets) -> Targets:
    strings, vectors = targets.held_strings[:_STRINGS], targets.held_vectors[:_STRINGS]
    return replace(targets, held_strings=strings, held_vectors=vectors)
