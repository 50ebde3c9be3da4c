"""The model that is compressed: a retriever with its index, or any encoder with mean pooling."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from relevance_distillery.channels.dense import FIELDS
from relevance_distillery.encoders.base_model import (
    BUNDLED,
    fitting_length,
    load_encoder,
    read_config,
)
from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import json_digest
from relevance_distillery.io.files import only_folder
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.index import PassageIndex
from relevance_distillery.retriever.query_encoder import write_query_encoder
from relevance_distillery.retriever.searching import RetrieverShelf
from relevance_distillery.retriever.settings import RETRIEVER
from relevance_distillery.text.terms import passage_text

_PROMPTS = "config_sentence_transformers.json"


def open_reference(
    name: str,
    prompt: str | None,
    max_length: int,
    shelf: RetrieverShelf,
    passages: pd.DataFrame,
    folder: Path,
) -> tuple[Retriever, PassageIndex]:
    """The reference and the index of passages that it made.

    `name` is an alias, version or folder of a retriever, which has its index; or a model: bundled,
    a hub id with a `/`, or a folder. A model reads `max_length` tokens, and one of its prompts, by
    its name, before each query; its index of `passages` is kept in `folder`, see `index_of`.

    Raises:
        UserError: There is none, it pools otherwise, or has no such prompt.
    """
    path = Path(name).expanduser()
    if RETRIEVER.is_at(path) or not (name == BUNDLED or "/" in name or path.is_dir()):
        if prompt is not None:
            raise UserError(
                f"query_prompt={prompt}: a trained retriever has no prompts; leave it out"
            )
        return shelf.find(name)
    retriever = Retriever.untrained(name, max_length)
    if prompt is not None:
        retriever.prompt = _read_prompt(name, prompt)
    return retriever, index_of(retriever, passages, folder)


def index_of(retriever: Retriever, passages: pd.DataFrame, home: Path) -> PassageIndex:
    """The index of passages, in a folder of `home`; what is there of the same is not made anew."""
    texts = passage_text(passages, FIELDS)
    content = [retriever.fingerprint, passages["passage_id"].astype(str).tolist(), texts]
    folder = only_folder(home, json_digest(content, 8))
    if folder.is_dir():
        return PassageIndex.load(folder)
    return PassageIndex.build(retriever, passages, folder)


def write_reference(reference: Retriever, folder: Path) -> Path:
    """The reference as the uppermost rung: a query encoder's folder, its prompt among the facts."""
    network, tokenizer = load_encoder(reference.source)
    longest = fitting_length(int(reference.facts["max_length"]), network.config, tokenizer)
    facts = {
        "reference": {"name": reference.name, "fingerprint": reference.fingerprint},
        "max_length": longest, "rung": "reference", "prompt": reference.prompt,
    }  # fmt: skip
    write_query_encoder(folder, tokenizer, network, facts)
    return folder


def _read_prompt(name: str, prompt: str) -> str:
    known: dict[str, str] = read_config(name, _PROMPTS).get("prompts", {})
    if not known.get(prompt):
        has = ", ".join(one for one, text in known.items() if text) or "none"
        raise UserError(f"query_prompt={prompt}: {name} has no such prompt (it has: {has})")
    return known[prompt]
