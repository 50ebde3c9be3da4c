"""The labeler's stages in int8, see `encoders.int8`."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from relevance_distillery.encoders.batching import Tokens
from relevance_distillery.encoders.devices import Precision
from relevance_distillery.encoders.int8 import CompiledNetwork, write_int8
from relevance_distillery.errors import UserError
from relevance_distillery.labeler.stages import Stages

_LOWER, _UPPER = "lower.xml", "upper.xml"
_HINTS = {"fp32": "f32", "bf16": "bf16"}


def write_int8_stages(stages: Stages, texts: Sequence[Tokens], folder: Path) -> None:
    """Quantise stages and write each as an OpenVINO model.

    Stages are as `torch_stages` gives them, fp32, on the CPU; texts, batches of some three hundred
    like those that will be read. In `folder` are then `lower.xml`, `upper.xml` and their `.bin`.

    Raises:
        UserError: OpenVINO or NNCF is not installed.
    """
    inputs = [(batch["input_ids"], batch["attention_mask"]) for batch in texts]
    for name, stage in ((_LOWER, stages.lower_stage), (_UPPER, stages.upper_stage)):
        if stage is None:
            continue
        with torch.inference_mode():
            following = [(stage(*some)[-1], some[1]) for some in inputs]
        write_int8(stage, inputs, folder / name)
        inputs = following


def load_int8_stages(folder: Path, levels: int, precision: Precision) -> Stages:
    """Compile what `write_int8_stages` wrote into a labeler's folder.

    Texts are compared at so many `levels`; `precision` is of what is not quantised.

    Raises:
        UserError: OpenVINO is not installed, or cannot compile the stages.
    """
    files = (folder / _LOWER, folder / _UPPER)
    try:
        networks = [CompiledNetwork(one, _HINTS[precision]) for one in files if one.is_file()]
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-200:]
        raise UserError(
            f"labeler {folder}: OpenVINO cannot compile its int8 encoder ({reason}); use the "
            "version that it was made from, or quantize that again"
        ) from error
    lower, *upper = [_CompiledStage(one) for one in networks]
    # Units of each level, pooled states and states to go on from.
    return Stages(levels - (networks[0].outputs - 2), lower, upper[0] if upper else None)


class _CompiledStage:
    def __init__(self, network: CompiledNetwork) -> None:
        self._network = network

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        return [torch.from_numpy(one) for one in self._network(*(one.numpy() for one in inputs))]
