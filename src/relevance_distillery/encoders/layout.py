"""Folders in sentence-transformers' layout, with a file of facts of our own beside the modules."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relevance_distillery.encoders.base_model import quiet, readable
from relevance_distillery.errors import UserError
from relevance_distillery.io.files import replacing, write_text

_PACKAGE = "sentence_transformers.models."
_FORMAT = 1
_PROJECTION = "2_Dense"
_WEIGHTS = "model.safetensors"

Module = tuple[str, str, Mapping[str, Any] | None]
"""Its folder (empty for the folder of the model itself), its class and its config.json, if any."""


def write_transformer(
    folder: Path,
    network: Any,
    tokenizer: Any,
    facts_file: str,
    facts: Mapping[str, Any],
    projection: np.ndarray | None = None,
) -> None:
    """Write a transformer whose vectors are means of token states, whole or not at all.

    Args:
        folder: Replaced where it is there; `SentenceTransformer(folder)` reads it too.
        network: A transformers model, on the CPU.
        tokenizer: Of transformers.
        facts_file: Where the facts go.
        facts: max_length in tokens, and what else is worth keeping.
        projection: Shape (width, width of the network): what means are multiplied by.
    """
    hidden = int(network.config.hidden_size)
    pooling = {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True}
    modules: list[Module] = [("", "Transformer", None), ("1_Pooling", "Pooling", pooling)]
    if projection is not None:
        dense = {
            "in_features": hidden, "out_features": len(projection), "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        }  # fmt: skip
        modules.append((_PROJECTION, "Dense", dense))
    modules.append((f"{len(modules)}_Normalize", "Normalize", None))
    length = {"max_seq_length": int(facts["max_length"])}
    with replacing(folder) as partial:
        partial.mkdir()
        with quiet():
            network.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        write_layout(partial, modules, {"sentence_bert_config.json": length, facts_file: facts})
        if projection is not None:
            save_arrays(partial / _PROJECTION, {"linear.weight": projection})


def read_projection(folder: Path) -> np.ndarray | None:
    """What `write_transformer` was given, None where that was none."""
    module = folder / _PROJECTION
    return read_array(module, "linear.weight") if module.is_dir() else None


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A module's weights, as float32."""
    from safetensors.numpy import save_file

    whole = {name: np.ascontiguousarray(one, dtype=np.float32) for name, one in arrays.items()}
    save_file(whole, folder / _WEIGHTS, metadata={"format": "pt"})


def read_array(folder: Path, name: str) -> np.ndarray:
    """One of a module's weights."""
    from safetensors.numpy import load_file

    return load_file(folder / _WEIGHTS)[name]


def write_layout(folder: Path, modules: Sequence[Module], files: Mapping[str, Any]) -> None:
    """Write modules.json, the modules' folders and other JSON files; weights are the caller's."""
    listed = [
        {"idx": place, "name": str(place), "path": path, "type": _PACKAGE + kind}
        for place, (path, kind, _) in enumerate(modules)
    ]
    configs = {f"{path}/config.json": config for path, _, config in modules if config is not None}
    for path, _, _ in modules:
        (folder / path).mkdir(exist_ok=True)
    for name, content in {"modules.json": listed, **configs, **files}.items():
        write_text(folder / name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder: what it is called, its file of facts, and the command that makes one."""

    name: str
    file: str
    command: str

    def stamped(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Facts as they are written, with the format that `read` knows."""
        return {"format": _FORMAT, **facts}

    def is_at(self, folder: Path) -> bool:
        """True where the folder holds one."""
        return (folder / self.file).is_file()

    def read(self, folder: Path) -> dict[str, Any]:
        """The facts of a folder; UserError where it holds none, or one of another format."""
        if not self.is_at(folder):
            raise UserError(f"{folder}: no {self.name}; run {self.command}")
        with self.readable(folder):
            facts: dict[str, Any] = json.loads((folder / self.file).read_text(encoding="utf-8"))
            if facts["format"] != _FORMAT:
                raise ValueError(f"format {facts['format']} instead of {_FORMAT}")
        return facts

    def readable(self, folder: Path) -> AbstractContextManager[None]:
        """A UserError for whatever goes wrong with the folder inside, see `readable`."""
        again = f"copy it again, or run {self.command}"
        return readable(f"{self.name} {folder.name}", folder, again)
