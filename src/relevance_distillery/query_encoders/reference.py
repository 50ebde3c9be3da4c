"""The model that is compressed: a retriever with its index, or any encoder with mean pooling."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from relevance_distillery.encoders.base_model import BUNDLED, readable, resolve_model
from relevance_distillery.errors import UserError
from relevance_distillery.retriever.encoder import FACTS_FILE, Retriever
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.retriever.searching import RetrieverShelf

_PROMPTS = "config_sentence_transformers.json"


class Prompted(Retriever):
    """A retriever that reads a prompt before each query; its students need none."""

    prompt = ""

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (queries, width), float32, each row of length 1."""
        return super().encode_queries([self.prompt + text for text in texts])


def open_reference(
    name: str,
    prompt: str | None,
    max_length: int,
    shelf: RetrieverShelf,
    passages: pd.DataFrame,
    folder: Path,
) -> tuple[Retriever, PassageIndex]:
    """The reference and the index of passages that it made.

    Args:
        name: A retriever's alias, version or folder, which has its index; or a model: `bundled`,
            a hub id with a `/`, or a folder. Its index goes to `folder`, unless it is there.
        prompt: Name of one of the model's prompts, put before each query.
        max_length: Tokens that a model reads.
        shelf: Retrievers.
        passages: Schema `Passages`.
        folder: For the index of a model.

    Raises:
        UserError: There is none, it pools otherwise, or has no such prompt.
    """
    path = Path(name).expanduser()
    if (path / FACTS_FILE).is_file() or not (name == BUNDLED or "/" in name or path.is_dir()):
        if prompt is not None:
            raise UserError(
                f"query_prompt={prompt}: a trained retriever has no prompts; leave it out"
            )
        return shelf.find(name)
    retriever = Prompted.untrained(name, max_length)
    if prompt is not None:
        retriever.prompt = _read_prompt(name, prompt)
    ids = passages["passage_id"].astype(str)
    try:
        found = PassageIndex.load(folder)
        found.require(retriever)
        if found.passage_ids.equals(pd.Index(ids)):
            return retriever, found
    except UserError:
        pass
    return retriever, PassageIndex.build(retriever, passages, folder)


def _read_prompt(name: str, prompt: str) -> str:
    file = Path(resolve_model(name)) / _PROMPTS
    known: dict[str, str] = {}
    if file.is_file():
        with readable(f"model {name}", file.parent, "copy or download it again"):
            known = json.loads(file.read_text(encoding="utf-8")).get("prompts", {})
    if not known.get(prompt):
        has = ", ".join(one for one, text in known.items() if text) or "none"
        raise UserError(f"query_prompt={prompt}: {name} has no such prompt (it has: {has})")
    return known[prompt]
