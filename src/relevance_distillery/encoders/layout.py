"""Folders in sentence-transformers' layout, with a file of facts of our own beside the modules."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relevance_distillery.encoders.base_model import COPY_AGAIN, readable
from relevance_distillery.errors import UserError
from relevance_distillery.io.files import write_text

_PACKAGE = "sentence_transformers.models."
Module = tuple[str, str, Mapping[str, Any] | None]
"""Its folder (empty for the folder of the model itself), its class and its config.json, if any."""


def mean_pooling(network: Any) -> list[Module]:
    """The modules of a transformers model whose vectors are means of token states."""
    width = {"word_embedding_dimension": int(network.config.hidden_size)}
    pooling = {**width, "pooling_mode_mean_tokens": True}
    return [("", "Transformer", None), ("1_Pooling", "Pooling", pooling)]


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


def read_layout_facts(
    path: Path, kind: str, known: int, command: str, again: str
) -> dict[str, Any]:
    """The file of facts of a folder that holds a `kind`, in the format `known`.

    UserError where there is none, which names the `command` that makes one, where it is damaged, or
    of another format, which says what to do `again`.
    """
    folder = path.parent
    if not path.is_file():
        raise UserError(f"{folder}: no {kind}; run {command}")
    with readable(f"{kind} {folder.name}", folder, COPY_AGAIN):
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != known:
            raise UserError(f"{path}: format {facts['format']} instead of {known}; {again} again")
    return facts
