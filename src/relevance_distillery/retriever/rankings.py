"""What each retriever finds for a benchmark's queries, and BM25 and their fusion beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.channels.dense import FIELDS, exact_top, run_table
from relevance_distillery.channels.fusion import reciprocal_rank_fusion
from relevance_distillery.encoders.base_model import load_encoder
from relevance_distillery.encoders.batching import by_length, pad
from relevance_distillery.encoders.devices import choose_device, to_device
from relevance_distillery.encoders.layers import (
    can_stop,
    first_states,
    further_states,
    layers_alike,
)
from relevance_distillery.encoders.sentence_encoder import mean_pooled
from relevance_distillery.encoders.tokenising import tokenise
from relevance_distillery.retriever.settings import RETRIEVER
from relevance_distillery.text.terms import passage_text

_BATCH = 32
_UNTRAINED, _BM25 = "untrained", "bm25"


@torch.inference_mode()
def encode_together(folders: Mapping[str, Path], texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Vectors of the same texts by several retrievers of one base model.

    What they share, the layers that none of them tuned, is computed once a text.

    Returns:
        By retriever shape (texts, width), float32, each row of length 1.
    """
    device = choose_device()
    loaded = {name: load_encoder(str(folder)) for name, folder in folders.items()}
    networks = {name: network.eval().to(device) for name, (network, _) in loaded.items()}
    first, tokenizer = next(iter(loaded.values()))
    facts = RETRIEVER.read(next(iter(folders.values())))
    layers = int(first.config.num_hidden_layers)
    shared = 0
    if can_stop(first):
        alike = (layers_alike(first, network) for network in networks.values())
        shared = min(layers - 1, *alike)
    width = int(first.config.hidden_size)
    found = {name: np.empty((len(texts), width), dtype=np.float32) for name in folders}
    rows = tokenise(tokenizer, list(texts), int(facts["max_length"]))
    for chosen in by_length([len(row["input_ids"]) for row in rows], _BATCH):
        batch = to_device(pad([rows[i] for i in chosen], tokenizer.pad_token_id), device)
        ids, attended = batch["input_ids"], batch["attention_mask"]
        start = first_states(first, ids, attended, shared)[-1] if shared else None
        for name, network in networks.items():
            if start is None:
                states = network(**batch).last_hidden_state
            else:
                states = further_states(network, start, attended, shared, layers)[-1]
            found[name][chosen] = mean_pooled(states, attended.unsqueeze(-1)).cpu().numpy()
    return found


def rank_systems(
    folders: Mapping[str, Path],
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    language: str,
    depth: int,
    registered: str,
) -> dict[str, pd.DataFrame]:
    """Rankings of documents: a document stands where its best passage does.

    Args:
        folders: Retrievers by name, `untrained` among them.
        queries: Columns query_id, text.
        passages: Schema `Passages`.
        language: Of BM25's stemmer.
        depth: Passages of a query that are ranked.
        registered: The retriever among them that is fused with BM25 as well.

    Returns:
        By system, `bm25`, `fusion` (of BM25 and the untrained one) and `retriever_fusion` among
        them: columns query_id, document_id, rank.
    """
    found = {_BM25: BM25Channel.build(passages, language).search(queries, depth)}
    vectors = encode_together(
        folders, [*queries["text"].astype(str), *passage_text(passages, FIELDS)]
    )
    ids = pd.Index(passages["passage_id"])
    for name, rows in vectors.items():
        best = exact_top(rows[len(queries) :], rows[: len(queries)], depth)
        found[name] = run_table(queries, ids, *best)
    for name, dense in (("fusion", _UNTRAINED), ("retriever_fusion", registered)):
        found[name] = reciprocal_rank_fusion([found[_BM25], found[dense]])
    documents = passages.set_index("passage_id")["document_id"]
    return {name: by_document(run, documents) for name, run in found.items()}


def by_document(run: pd.DataFrame, documents: pd.Series) -> pd.DataFrame:
    """A ranking of passages as one of documents (by passage id): query_id, document_id, rank."""
    named = run.assign(document_id=run["passage_id"].map(documents))
    best = named.sort_values(["query_id", "rank"], kind="stable")
    best = best.drop_duplicates(["query_id", "document_id"])
    rank = best.groupby("query_id", sort=False).cumcount() + 1
    return best[["query_id", "document_id"]].assign(rank=rank).reset_index(drop=True)
