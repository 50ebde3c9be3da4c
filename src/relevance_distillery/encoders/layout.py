"""Folders in sentence-transformers' layout: modules that a text goes through one after another."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relevance_distillery.io.files import write_text

_PACKAGE = "sentence_transformers.models."
Module = tuple[str, str, Mapping[str, Any] | None]
"""Its folder (empty for the folder of the model itself), its class and its config.json, if any."""


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
