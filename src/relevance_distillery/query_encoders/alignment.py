"""Alignment: a student learns to put strings where the reference does (arXiv 2605.23572).

No grade is needed. Similarities are those of a student's vectors with the reference's, since that
is how they are served: a student that agreed with itself alone could not search the index.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, kl_div, normalize

from relevance_distillery.encoders.gradient_steps import take_steps
from relevance_distillery.query_encoders.settings import AlignmentSettings
from relevance_distillery.query_encoders.students import Student
from relevance_distillery.query_encoders.targets import Targets

logger = logging.getLogger(__name__)

Loss = Callable[[Tensor, Tensor], Tensor]

_TEMPERATURE = 0.05
_WARM_UP = 0.05
_POOL = 16  # batches that are sorted by length together


def l2(made: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance, lengths included, which the student learns too."""
    return (made - wanted).square().sum(1).mean()


def cosine(made: Tensor, wanted: Tensor) -> Tensor:
    """One minus the cosine: half the squared distance of vectors of length 1."""
    return 1 - cosine_similarity(made, wanted).mean()


def kl(made: Tensor, wanted: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the similarities with the batch's other strings."""
    itself = torch.eye(len(made), dtype=torch.bool, device=made.device)
    logits, target = (
        (one @ wanted.T / _TEMPERATURE).masked_fill(itself, -1e4).log_softmax(1)
        for one in (normalize(made), wanted)
    )
    return kl_div(logits, target, reduction="batchmean", log_target=True)


def kernel(made: Tensor, wanted: Tensor) -> Tensor:
    """One minus the centred alignment of similarities with the batch (Kornblith et al., 2019)."""
    ours, theirs = (
        products - products.mean(0) - products.mean(1, keepdim=True) + products.mean()
        for products in (normalize(made) @ wanted.T, wanted @ wanted.T)
    )
    return 1 - cosine_similarity(ours.flatten(), theirs.flatten(), dim=0)


LOSSES: dict[str, Loss] = {
    "l2": l2, "cosine": cosine, "kl": kl, "kernel": kernel,
}  # fmt: skip
"""Of vectors made and wanted, shape (strings, width); the wanted ones have length 1."""


def cut_to(sizes: Sequence[int], loss: Loss) -> Loss:
    """The mean of a loss over whole vectors and their first numbers (Kusupati et al., 2022).

    Both sides are divided by the length of what is wanted, so that it has length 1 at every size.
    """

    def mean(made: Tensor, wanted: Tensor) -> Tensor:
        total = loss(made, wanted)
        for size in sizes:
            length = wanted[:, :size].norm(dim=1, keepdim=True).clamp(min=1e-6)
            total = total + loss(made[:, :size] / length, wanted[:, :size] / length)
        return total / (1 + len(sizes))

    return mean


def align(
    student: Student,
    targets: Targets,
    settings: AlignmentSettings,
    seed: int,
    share: float = 1.0,
    sizes: Sequence[int] = (),
) -> dict[str, Any]:
    """Train in place; the weights that agree most on held-back strings are left.

    `share` is of the epochs: a cycle of several takes its part; for `sizes` see `cut_to`.

    Returns:
        loss, steps, strings, strings_per_second, and before and after, the agreements.

    Raises:
        UserError: The loss is not finite.
    """
    rows, held = student.rows(targets.strings), student.rows(targets.held_strings)
    steps = max(1, round(share * settings.epochs * len(rows) / settings.batch_size))
    with torch.no_grad():  # lengths that l2 need not learn first
        student.scale.fill_(1.0)  # as it is read from a folder, to the last bit
        made = student.vectors(held)
        student.scale.mul_((made * targets.held_vectors).sum() / made.square().sum())
    before = targets.agreement(student, held)
    batches = _batches([len(one["input_ids"]) for one in rows], settings, seed)

    def loss() -> Tensor:
        chosen = next(batches)
        made = student([rows[i] for i in chosen])
        return cut_to(sizes, LOSSES[settings.loss])(made, targets.vectors[chosen].to(made.device))

    seconds, found = take_steps(
        student, list(student.parameters()), loss, lambda: targets.agreement(student, held), before,
        named=settings.loss, steps=steps, evaluations=settings.evaluations, warm_up=_WARM_UP,
        lr=settings.learning_rate, weight_decay=0.0, fused=True,
    )  # fmt: skip
    after = float(found["validation"])
    logger.info("aligned by %s: agreement %.4f to %.4f", settings.loss, before, after)
    return {
        "loss": settings.loss,
        "steps": steps,
        "strings": len(rows),
        "strings_per_second": round(steps * settings.batch_size / seconds, 1),
        "before": round(before, 5),
        "after": round(after, 5),
    }


def _batches(lengths: Sequence[int], settings: AlignmentSettings, seed: int) -> Iterator[list[int]]:
    """Whole batches in random order, again and again, their strings about alike in length."""
    draw, size = random.Random(seed), settings.batch_size
    while True:
        order = list(range(len(lengths)))
        draw.shuffle(order)
        batches: list[list[int]] = []
        for start in range(0, len(order), size * _POOL):
            pool = sorted(order[start : start + size * _POOL], key=lengths.__getitem__)
            batches += [pool[at : at + size] for at in range(0, len(pool) - size + 1, size)]
        draw.shuffle(batches)
        yield from batches
