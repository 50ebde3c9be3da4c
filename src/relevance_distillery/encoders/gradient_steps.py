"""Training in place; the weights that do best on held-back data are left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from relevance_distillery.errors import UserError
from relevance_distillery.io.progress import Progress

Weights = dict[str, Tensor]


def take_steps(
    network: nn.Module,
    parameters: Sequence[nn.Parameter],
    loss_of: Callable[[], Tensor],
    validate: Callable[[], float | None],
    before: float | None,
    *,
    named: str,
    steps: int,
    evaluations: int,
    warm_up: float,
    longest: float | None = None,
    **adamw: Any,
) -> tuple[float, dict[str, Any]]:
    """Train `parameters` of a network by AdamW with options `adamw`, a batch a step.

    The rate rises over a share `warm_up` of the steps and falls to 0; gradients longer than
    `longest` are shortened. `before` is what `validate` says of the network as it is, and more is
    better; where there is nothing to validate by, None, the last weights are left.

    Returns:
        Seconds without validation, and steps, validation and best_step (None for `before`) of what
        is left, and history: at every validation step, validation and loss, a mean.

    Raises:
        UserError: The loss, which is `named`, is not finite.
    """
    best, best_step, weights = before, None, weights_of(network)
    optimizer = torch.optim.AdamW(parameters, **adamw)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / max(warm_up * steps, 1.0), 1.0 - step / steps)
    )
    checks = {steps * part // evaluations for part in range(1, evaluations + 1)}
    seconds, history, losses = 0.0, [], []
    with Progress(steps, f"training, {named}", "step") as progress:
        for step in range(1, steps + 1):
            started = time.perf_counter()
            loss = loss_of()
            if not torch.isfinite(loss):
                raise UserError(
                    f"the loss {named} is not finite at step {step}; lower its learning_rate"
                )
            optimizer.zero_grad()
            loss.backward()
            if longest is not None:
                nn.utils.clip_grad_norm_(parameters, longest)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
            seconds += time.perf_counter() - started
            progress.advance()
            if step in checks:
                value, mean = validate(), round(sum(losses) / len(losses), 6)
                history.append({"step": step, "validation": value, "loss": mean})
                losses.clear()
                if best is None or (value is not None and value > best):
                    best = best if best is None else value
                    best_step, weights = step, weights_of(network)
    network.load_state_dict(weights)
    facts = {"steps": steps, "validation": best, "best_step": best_step, "history": history}
    return seconds, facts


def weights_of(network: Any) -> Weights:
    """A copy of a network's weights, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
