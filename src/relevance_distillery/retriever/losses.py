"""Losses of a two-tower retriever over a block of cosines: its queries by its passages.

No passage that is graded relevant for a query is ever a negative of it, whatever query brought it
into the batch; what nobody graded counts as irrelevant only where another query brought it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, log_softmax, relu

_FAR = -1e4


@dataclass(frozen=True)
class Block:
    """What the losses see of a batch.

    Attributes:
        cosines: Shape (queries, passages).
        gains: The grade's place between the lowest, 0, and the highest, 1; the same shape.
        positive: The passage was chosen as a positive of the query; the same shape, bool.
        negative: It was chosen as a negative of the query.
        foreign: Another query brought it, and it is not graded relevant for this one.
        temperature: What cosines are divided by.
    """

    cosines: Tensor
    gains: Tensor
    positive: Tensor
    negative: Tensor
    foreign: Tensor
    temperature: float


def bce(block: Block) -> Tensor:
    """Binary cross-entropy of each chosen pair, its cosine over the temperature, from the middle.

    The middle is between the mean cosines of positives and negatives, so that neither side is
    pushed as a whole.
    """
    chosen = block.positive | block.negative
    cosines = block.cosines.detach()
    middle = (cosines[block.positive].mean() + cosines[block.negative].mean()) / 2
    logits = (block.cosines - middle) / block.temperature
    return binary_cross_entropy_with_logits(logits[chosen], block.positive[chosen].float())


def mnrl(block: Block) -> Tensor:
    """Multiple-negatives ranking (Henderson et al., 2017): each positive against all negatives."""
    logits = block.cosines / block.temperature
    against = logits.masked_fill(~(block.negative | block.foreign), _FAR)
    rows, columns = block.positive.nonzero(as_tuple=True)
    both = torch.cat([logits[rows, columns].unsqueeze(1), against[rows]], dim=1)
    return cross_entropy(both, torch.zeros_like(rows))


def triplet(block: Block, margin: float = 0.3) -> Tensor:
    """Hinge of every positive over every chosen negative of its query, in cosine distance."""
    rows, columns = block.positive.nonzero(as_tuple=True)
    gaps = block.cosines[rows, columns].unsqueeze(1) - block.cosines[rows]
    return relu(margin - gaps)[block.negative[rows]].mean()


def listwise(block: Block, sharpness: float = 0.25) -> Tensor:
    """Kullback-Leibler divergence from the gains' softmax to the cosines', over all passages."""
    seen = block.positive | block.negative | block.foreign
    target = (block.gains / sharpness).masked_fill(~seen, _FAR)
    target = target.masked_fill(block.foreign, -1.0 / sharpness).softmax(1)
    chances = log_softmax((block.cosines / block.temperature).masked_fill(~seen, _FAR), 1)
    return (target * (target.clamp(min=1e-9).log() - chances)).sum(1).mean()


def margin_mse(block: Block, scale: float = 0.3) -> Tensor:
    """Squared error of the difference in cosine against `scale` times that in gain."""
    rows, columns = block.positive.nonzero(as_tuple=True)
    gaps = block.cosines[rows, columns].unsqueeze(1) - block.cosines[rows]
    wanted = scale * (block.gains[rows, columns].unsqueeze(1) - block.gains[rows])
    return ((gaps - wanted) / scale).square()[(block.negative | block.positive)[rows]].mean()


LOSSES: dict[str, Callable[[Block], Tensor]] = {
    "bce": bce,
    "mnrl": mnrl,
    "triplet": triplet,
    "listwise": listwise,
    "margin_mse": margin_mse,
}
