"""From people's grades of a new collection to the passages that a labeler must score."""

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.benchmark_pairs import Split, select_pairs
from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.systems.text_sources import TextSources
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.profile import read_profile
from relevance_distillery.schemas import Passages, Queries, empty

logger = logging.getLogger(__name__)

_NOTHING_TRAINED = pd.DataFrame(columns=["query_id", "passage_id", "split"])


def judged_pairs(
    judgments: Benchmark,
    labeler: Labeler,
    texts: TextSources,
    stored_queries: pd.DataFrame,
    stored_passages: pd.DataFrame,
    split: Split,
    reading: Mapping[str, Any],
) -> pd.DataFrame:
    """Every passage of every graded document, as `collections.benchmark_pairs.select_pairs`.

    A column by_people says who graded it.

    Raises:
        UserError: The scales differ, or none of the graded documents is known.
    """
    theirs, ours = judgments.scale.values.tolist(), labeler.scale.values.tolist()
    if theirs != ours:
        raise UserError(
            f"human_judgments: its grades are {theirs} and the labeler's {ours}; grade on the "
            "labeler's scale, or distill a labeler on this one"
        )
    passages = stored_passages
    if texts.documents:
        wanted = judgments.judged_documents()
        passages = texts.passages(judgments, stored_passages, wanted, split, **reading)
    passages = passages if len(passages) else empty(Passages)
    queries = stored_queries if len(stored_queries) else empty(Queries)
    tables = []
    for one in judgments.everything:
        if one.documents is None and passages.empty:
            raise UserError(
                f"{one.name}: none of its judged documents is known; give the documents too: "
                '--params="human_judgments=PATH,documents=PATH"'
            )
        pairs, facts = select_pairs(one, passages, queries, pd.DataFrame(), _NOTHING_TRAINED, split)
        for reason in facts["skipped"]:
            logger.warning("%s: %s", one.name, reason)
        names = [f"{one.name}/{name}" for name in pairs["query_id"]]
        tables.append(pairs.assign(query_id=names, by_people=one.human))
    chosen = pd.concat(tables, ignore_index=True)
    if "weight" in chosen:
        # Benchmarks that are no samples count each pair as one.
        chosen["weight"] = chosen["weight"].fillna(1.0)
    asked = chosen["query"].unique().tolist()
    known = int(read_profile(labeler.folder).trained_on(asked).sum())
    if known:
        logger.warning(
            "%d of the %d graded queries were used to train the labeler, which grades them better "
            "than others: grades of queries that it was not trained on calibrate more honestly",
            known,
            len(asked),
        )
    return chosen
