"""A use for the plain folder of a labeler that only compares texts read alone.

Others load the folder as an ordinary sequence classifier, without the head, and read query and
passage together. Training never did, so its output layer is fitted afterwards, on the states of
the finished encoder: multinomial logistic regression, the encoder stays as it is. It is a weak
labeler beside the head's; `architecture=combined` trains both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from relevance_distillery.encoders.batching import by_length, pad
from relevance_distillery.labeler.model import PairModel
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.labeler.template import InputTemplate
from relevance_distillery.learning.labelled_pairs import LabelledPairs

_MOST_PAIRS = 400
_RIDGE = 1e-2


def fit_plain_classifier(
    model: PairModel,
    tokenizer: Any,
    template: InputTemplate,
    learn: LabelledPairs,
    settings: TrainingSettings,
) -> None:
    """Fit the classifier's output layer in place; on the CPU.

    Args:
        model: The finished network.
        tokenizer: Its tokenizer.
        template: How pairs become inputs.
        learn: Labelled pairs; an even sample of them is read.
        settings: The seed.
    """
    layer = _output_layer(model)
    pairs = learn.even_sample(_MOST_PAIRS, settings.seed)
    rows = template.encode(tokenizer, *template.render(pairs.pairs))
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    order: list[int] = []
    model.eval()
    try:
        with torch.inference_mode():
            for chosen in by_length([len(row["input_ids"]) for row in rows], 32):
                model.classify(pad([rows[i] for i in chosen], tokenizer.pad_token_id))
                order += chosen
    finally:
        hook.remove()
    states = torch.cat([one.flatten(0, -2) for one in seen]).float().clone()
    targets = torch.tensor(pairs.targets[order], dtype=torch.float32)
    weight = torch.zeros_like(layer.weight, dtype=torch.float32).requires_grad_()
    bias = torch.zeros(layer.out_features).requires_grad_()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(states @ weight.T + bias, targets) + _RIDGE * (weight**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(bias)


def _output_layer(model: PairModel) -> nn.Linear:
    """The last linear layer over the grades."""
    layers = [
        part
        for part in model.backbone.modules()
        if isinstance(part, nn.Linear) and part.out_features == model.head.grades
    ]
    return layers[-1]
