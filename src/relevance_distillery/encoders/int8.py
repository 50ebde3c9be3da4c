"""Networks in int8, compiled by OpenVINO for processors: the extra `fast`.

Weights and states are quantised after training (static quantisation by NNCF, with SmoothQuant; Xiao
et al., 2023), from batches of texts that show which values occur.
"""

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from relevance_distillery.errors import UserError


def write_int8(network: Any, inputs: Sequence[Sequence[Any]], file: Path) -> None:
    """Quantise a torch module and write it as an OpenVINO model, `file` (.xml) and its .bin.

    Inputs are tensors, fp32 or integers, on the CPU, of some three hundred texts like those that
    will be read. UserError where OpenVINO or NNCF is not installed.
    """
    import torch

    openvino, nncf = _library("openvino"), _library("nncf")
    # Its own set_log_level would also raise the level of handlers that others put there.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with torch.inference_mode(), _silent():
        graph = nncf.quantize(
            openvino.convert_model(network, example_input=tuple(inputs[0])),
            nncf.Dataset([[one.numpy() for one in some] for some in inputs]),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(inputs),
        )
        openvino.save_model(graph, file)


class CompiledNetwork:
    """Answers one call after the other: a request of OpenVINO's cannot be shared by threads."""

    def __init__(self, file: Path, precision: str = "f32") -> None:
        """Compile what `write_int8` wrote; `precision` is OpenVINO's, of what is not quantised.

        UserError where OpenVINO is not installed, RuntimeError where it cannot.
        """
        hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        compiled = _library("openvino").Core().compile_model(file, "CPU", hints)
        self.outputs = len(compiled.outputs)
        self._request, self._lock = compiled.create_infer_request(), Lock()

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """What the network gives."""
        with self._lock:
            found = self._request.infer(list(inputs), share_inputs=True)
            return [found[place] for place in range(len(found))]


def _library(name: str) -> Any:
    # Both report their use to their makers, unless this package of theirs is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return __import__(name)
    except ImportError as error:
        raise UserError(f"int8 needs {name}: pip install 'relevance-distillery[fast]'") from error


@contextlib.contextmanager
def _silent() -> Generator[None]:
    """Without the libraries' progress bars, and torch's notes on what tracing fixes."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
