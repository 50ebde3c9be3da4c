"""Pairs with nothing to find: documents drawn at random for queries of the calibration split."""

from __future__ import annotations

import numpy as np
import pandas as pd

from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.learning.labelled_pairs import LabelledPairs, join_texts

_MOST_PASSAGES = 32
_DOCUMENTS_A_QUERY = 8


def null_pairs(
    calibrate: LabelledPairs,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    settings: TrainingSettings,
) -> pd.DataFrame:
    """Every passage of random documents, for random queries of the calibration split.

    Documents are drawn evenly over their lengths, so that long ones are there at all. Those
    among the query's own candidates are left out: they may well be relevant.

    Args:
        calibrate: Labelled pairs of the calibration split.
        queries: Columns query_id, text.
        passages: The passages table.
        settings: `max_null_pairs` and the seed.

    Returns:
        Columns query_id, passage_id, query, document_id and the passage's texts; no rows
        where every document is one passage, since then there is nothing to correct.
    """
    sizes = passages.groupby("document_id", sort=True)["passage_id"].size()
    sizes = sizes[sizes <= _MOST_PASSAGES]
    nothing = join_texts(
        pd.DataFrame({"query_id": [], "passage_id": []}, dtype=str), queries, passages
    )
    if sizes.nunique() < 2 or not settings.max_null_pairs or len(calibrate) == 0:
        return nothing
    rng = np.random.default_rng(settings.seed)
    known: dict[str, set[str]] = {}
    pairs = calibrate.pairs
    for query, document in zip(pairs["query_id"], pairs["document_id"], strict=True):
        known.setdefault(query, set()).add(document)
    names = np.array(sorted(known), dtype=object)
    by_document = passages.groupby("document_id", sort=True)["passage_id"].agg(list).to_dict()
    by_size = {size: sorted(group.index) for size, group in sizes.groupby(sizes)}
    rows: list[tuple[str, str]] = []
    for query in rng.permutation(names).tolist() * 50:
        if len(rows) >= settings.max_null_pairs:
            break
        for size in rng.choice(sorted(by_size), size=_DOCUMENTS_A_QUERY).tolist():
            document = by_size[size][int(rng.integers(len(by_size[size])))]
            if document not in known[query]:
                known[query].add(document)
                rows.extend((query, passage) for passage in by_document[document])
    return join_texts(pd.DataFrame(rows, columns=["query_id", "passage_id"]), queries, passages)
