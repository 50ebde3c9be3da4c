"""The encoder's stages in int8, compiled by OpenVINO for processors: the extra `fast`.

Weights and states are quantised after training (static quantisation by NNCF, with SmoothQuant; Xiao
et al., 2023), from batches of texts that show which values occur.
"""

import contextlib
import io
import logging
import sys
import threading
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from relevance_distillery.encoders.batching import Tokens
from relevance_distillery.encoders.devices import Precision
from relevance_distillery.errors import UserError, import_extra
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
    openvino = _library("openvino")
    nncf = _library("nncf")
    # Its own set_log_level would also raise the level of handlers that others put there.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    inputs = [(batch["input_ids"], batch["attention_mask"]) for batch in texts]
    for name, stage in ((_LOWER, stages.lower_stage), (_UPPER, stages.upper_stage)):
        if stage is None:
            continue
        with torch.inference_mode(), _silent():
            following = [(stage(*some)[-1], some[1]) for some in inputs]
            graph = nncf.quantize(
                openvino.convert_model(stage, example_input=inputs[0]),
                nncf.Dataset([[one.numpy() for one in some] for some in inputs]),
                model_type=nncf.ModelType.TRANSFORMER,
                subset_size=len(inputs),
            )
            openvino.save_model(graph, folder / name)
        inputs = following


def load_int8_stages(folder: Path, levels: int, precision: Precision) -> Stages:
    """Compile what `write_int8_stages` wrote into a labeler's folder.

    Texts are compared at so many `levels`; `precision` is of what is not quantised.

    Raises:
        UserError: OpenVINO is not installed, or cannot compile the stages.
    """
    core = _library("openvino").Core()
    hints: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "NUM_STREAMS": torch.get_num_threads(),
        # A core reads a batch: see `side_by_side`. OpenVINO would take every core there is, also in
        # a process that was given one, as Ray's workers are.
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    try:
        lower = core.compile_model(folder / _LOWER, "CPU", hints)
        upper = None
        if (folder / _UPPER).is_file():
            upper = _CompiledStage(core.compile_model(folder / _UPPER, "CPU", hints))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-200:]
        raise UserError(
            f"labeler {folder}: OpenVINO cannot compile its int8 encoder ({reason}); use the "
            "version that it was made from, or quantize that again"
        ) from error
    # States of each level, their lengths, shape (texts, levels, tokens), their means, and states to
    # go on from.
    lower_levels = len(lower.outputs) - 3
    if lower.outputs[lower_levels].partial_shape[1].to_string() != str(lower_levels):
        raise UserError(
            f"labeler {folder}: its int8 encoder is of an earlier version of this software; "
            "quantize again the version that it was made from"
        )
    return Stages(levels - lower_levels, _CompiledStage(lower), upper)


class _CompiledStage:
    """Answers threads side by side; an answer lasts until its thread's next call.

    States of many layers are large: copying them takes a tenth as long as computing them.
    """

    def __init__(self, compiled: Any) -> None:
        self._compiled, self._of_thread = compiled, threading.local()

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        given = [one.numpy() for one in inputs]
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        found = self._of_thread.request.infer(given, share_inputs=True, share_outputs=True)
        return [torch.from_numpy(found[place]) for place in range(len(found))]


def _library(name: str) -> Any:
    # Both report their use to their makers, unless this package of theirs is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_extra(name)


@contextlib.contextmanager
def _silent() -> Generator[None]:
    """Without the libraries' progress bars, and torch's notes on what tracing fixes."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
