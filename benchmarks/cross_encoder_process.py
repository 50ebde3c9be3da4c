"""sentence-transformers' CrossEncoder in a process of its own, as `performance.py` times it.

    python benchmarks/cross_encoder_process.py WAY MODEL WORKSPACE

The first line of stdout is `ready`, or `missing NAME` with the package that the way needs. Then
each line of stdin is JSON: `pairs`, a Parquet file with the columns query and text, and where the
way is `training` also label, `check`, a file of pairs to grade afterwards, and `grades`, how many
there are. The answer is JSON with `seconds`; scores lie beside the file of the pairs as `.npy`,
shape (pairs, grades).
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CALIBRATION = "calibration"
"""Folder beside the workspace with train.jsonl, texts for a static quantisation."""

PLAIN, TRAINING = "plain", "training"

Respond = Callable[[dict[str, Any]], float]


@dataclass(frozen=True)
class Way:
    """How a CrossEncoder is run.

    Attributes:
        title: On the page.
        needs: A module that is not in requirements.lock; empty where all are.
        package: What brings it.
    """

    title: str
    needs: str = ""
    package: str = ""

    @property
    def stack(self) -> str:
        """The folder of extra packages that this way runs with; empty where it needs none."""
        return self.package.partition("[")[2].rstrip("]")

    @property
    def missing(self) -> bool:
        """Whether the module cannot be found in this process."""
        try:
            return bool(self.needs) and importlib.util.find_spec(self.needs) is None
        except ModuleNotFoundError:
            return True


WAYS = {
    PLAIN: Way("`CrossEncoder.predict`, as it loads"),
    "bf16": Way("the same, weights in bf16"),
    "openvino": Way("the same, OpenVINO", "optimum.intel", "sentence-transformers[openvino]"),
    "openvino-int8": Way(
        "the same, OpenVINO int8", "optimum.intel", "sentence-transformers[openvino]"
    ),
    "onnx-int8": Way("the same, ONNX int8", "optimum.onnxruntime", "sentence-transformers[onnx]"),
    TRAINING: Way("`CrossEncoderTrainer`", "datasets", "sentence-transformers[train]"),
}


def predictor(way: str, model: str, workspace: Path) -> Respond:
    """A function that grades the pairs of a request; its seconds."""
    encoder = load(way, model, workspace)

    def respond(request: dict[str, Any]) -> float:
        pairs = _pairs(request["pairs"])
        started = time.perf_counter()
        scores = encoder.predict(pairs)
        seconds = time.perf_counter() - started
        np.save(Path(request["pairs"]).with_suffix(".npy"), scores)
        return seconds

    return respond


def load(way: str, model: str, workspace: Path) -> Any:
    """The model by the library's own means, exported and quantised where the way says so."""
    from sentence_transformers import (
        CrossEncoder,
        export_dynamic_quantized_onnx_model,
        export_static_quantized_openvino_model,
    )

    if way == PLAIN:
        return CrossEncoder(model, device="cpu")
    if way == "bf16":
        return CrossEncoder(model, device="cpu", model_kwargs={"dtype": "bfloat16"})
    backend: Any = way.partition("-")[0]
    exported = CrossEncoder(model, device="cpu", backend=backend, model_kwargs={"export": True})
    if way == "openvino":
        return exported
    exported.save_pretrained(str(workspace))
    if backend == "openvino":
        texts = workspace.with_name(CALIBRATION)
        export_static_quantized_openvino_model(
            exported, None, str(workspace), str(texts), "default", "train", "text"
        )
        name = "openvino/openvino_model_qint8_quantized.xml"
    else:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        kind: Any = "avx512_vnni" if "avx512_vnni" in flags else "avx2"
        export_dynamic_quantized_onnx_model(exported, kind, str(workspace))
        name = f"onnx/model_qint8_{kind}.onnx"
    return CrossEncoder(
        str(workspace), device="cpu", backend=backend, model_kwargs={"file_name": name}
    )


def trainer(model: str, workspace: Path) -> Respond:
    """A function that learns the pairs of a request and grades others; seconds of learning.

    Defaults but for one epoch, no checkpoint and no reports. Seconds run from the texts to the
    last step.
    """
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import (
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
    )

    from datasets import Dataset

    def respond(request: dict[str, Any]) -> float:
        pairs = pd.read_parquet(request["pairs"])[["query", "text", "label"]]
        encoder = CrossEncoder(model, num_labels=request["grades"], device="cpu")
        started = time.perf_counter()
        arguments = CrossEncoderTrainingArguments(
            output_dir=str(workspace / "trainer"),
            num_train_epochs=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        table = Dataset.from_pandas(pairs, preserve_index=False)
        CrossEncoderTrainer(model=encoder, args=arguments, train_dataset=table).train()
        seconds = time.perf_counter() - started
        scores = encoder.predict(_pairs(request["check"]))
        np.save(Path(request["pairs"]).with_suffix(".npy"), scores)
        return seconds

    return respond


def _pairs(file: str) -> list[list[str]]:
    return pd.read_parquet(file)[["query", "text"]].to_numpy().tolist()


def main() -> None:
    """Answers until stdin ends."""
    way, model, workspace = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if WAYS[way].missing:
        print("missing", WAYS[way].package, file=answers)
        return
    respond = trainer(model, workspace) if way == TRAINING else predictor(way, model, workspace)
    print("ready", file=answers)
    for line in sys.stdin:
        print(json.dumps({"seconds": respond(json.loads(line))}), file=answers)


if __name__ == "__main__":
    main()
