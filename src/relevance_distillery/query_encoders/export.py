"""A transformer among query encoders in int8, for processors: ONNX Runtime, the extra `fast`.

Weights are quantised by channel, states as they come, so no texts have to show which values occur.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from relevance_distillery.encoders.base_model import load_encoder
from relevance_distillery.encoders.layers import can_stop, first_states
from relevance_distillery.encoders.sentence_encoder import mean_pooled
from relevance_distillery.errors import UserError, import_extra
from relevance_distillery.io.digests import folder_digest
from relevance_distillery.io.files import replacing
from relevance_distillery.retriever.query_encoder import INT8_FILE, TOKENIZER_FILE
from relevance_distillery.retriever.settings import QUERY_ENCODER

logger = logging.getLogger(__name__)


def export_ladder(rungs: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Export every transformer among the rungs; those that cannot be are logged and left out."""
    found = {}
    for name, source in rungs.items():
        if QUERY_ENCODER.read(source)["kind"] == "transformer":
            try:
                found[f"{name}_int8"] = export_int8(source, folder / name)
            except UserError as error:
                logger.warning("rung %s is not exported: %s", name, error)
    return found


class _Means(nn.Module):
    """What is compiled: tokens to the means of their states, scaled to length 1."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self._layers = network, int(network.config.num_hidden_layers)

    def forward(self, input_ids: Tensor, attended: Tensor) -> Tensor:
        states = first_states(self.network, input_ids, attended, self._layers)[-1]
        return mean_pooled(states, attended.unsqueeze(-1))


def export_int8(source: Path, folder: Path) -> Path:
    """Copy a query encoder's folder and add its network in int8, whole or not at all.

    `SentenceTransformer(folder)` still reads the network as it was; the rung's name gets `_int8`.
    What was exported before is kept.

    Raises:
        UserError: The network is no relative of BERT's, its tokenizer is no fast one, or ONNX or
            its runtime is not installed.
        OSError: The folder cannot be written.
    """
    facts, digest = QUERY_ENCODER.read(source), folder_digest(source)
    if QUERY_ENCODER.is_at(folder) and QUERY_ENCODER.read(folder).get("exported_from") == digest:
        return folder
    import_extra("onnx")
    quantization = import_extra("onnxruntime.quantization")
    network, _ = load_encoder(str(source))
    if not (can_stop(network) and (source / TOKENIZER_FILE).is_file()):
        raise UserError(
            f"query encoder {facts['rung']}: int8 is for BERT and its relatives with a fast "
            f"tokenizer, not for {network.config.model_type}; set compressing.int8=false"
        )
    ids = torch.ones((1, 8), dtype=torch.long)
    names = {"input_ids": {0: "texts", 1: "tokens"}, "attention_mask": {0: "texts", 1: "tokens"}}
    with replacing(folder) as partial:
        shutil.copytree(source, partial)
        file, plain = partial / INT8_FILE, partial / "fp32.onnx"
        # The exporter warns of what tracing fixes, and that there will be another one.
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Means(network.eval()), (ids, torch.ones_like(ids)), str(plain), dynamo=False,
                input_names=list(names), output_names=["means"],
                dynamic_axes={**names, "means": {0: "texts"}},
            )  # fmt: skip
        # Seven bits of eight: without VNNI sums of products overflow otherwise.
        quantization.quantize_dynamic(
            plain, file, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True
        )
        plain.unlink()
        named = facts | {"int8": True, "exported_from": digest, "rung": f"{facts['rung']}_int8"}
        (partial / QUERY_ENCODER.file).write_text(
            json.dumps(named, indent=2, ensure_ascii=False) + "\n"
        )
    return folder
