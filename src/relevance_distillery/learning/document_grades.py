"""From grades of passages to the grade of a document, without flattering long documents.

The best of many passages is high by chance. How much is measured where there is nothing to
find: on passages of documents drawn at random for queries, the best expected grade grows with
ln(passages); that slope is taken off again.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from relevance_distillery.learning.labelled_pairs import join_texts

KEY = ["query_id", "document_id"]
_FEWEST_DOCUMENTS = 20
_MOST_PASSAGES = 32
_DOCUMENTS_A_QUERY = 8


def best_of_passages(
    passages: pd.DataFrame, columns: Sequence[str], carry: Sequence[str] = (), by: str | None = None
) -> pd.DataFrame:
    """Grade documents by their passages: a document has the best value of each column.

    A document with a passage that lacks the first column has no value at all: its best passage
    could be that one.

    Args:
        passages: Columns query_id, document_id, `columns` and `carry`; a row a passage.
        columns: Grades or scores, of which the highest counts.
        carry: Columns taken from the passage that is best by `by`, of equals the first.
        by: One of `columns`; None for the first.

    Returns:
        Columns query_id, document_id, `columns`, passages (how many) and `carry`, in order of
        first appearance.
    """
    groups = passages.groupby(KEY, sort=False)
    documents = groups[list(columns)].max()
    complete = groups[columns[0]].count() == groups.size()
    documents = documents.where(complete)
    documents["passages"] = groups.size()
    documents = documents.reset_index()
    if not carry:
        return documents
    ranked = passages.sort_values(
        by or columns[0], ascending=False, kind="stable", na_position="last"
    )
    best = ranked.drop_duplicates(KEY)[[*KEY, *carry]]
    return documents.merge(best, on=KEY, how="left", validate="one_to_one")


def correct_for_length(documents: pd.DataFrame, passages: pd.DataFrame, slope: float) -> None:
    """Take off in place what the number of passages alone gives a document.

    `documents` are from `best_of_passages`, `passages` have the same columns expected_grade and
    score, `slope` is from `fit_length_slope`. The score is lowered by the same share of its own
    spread as the expected grade.
    """
    logs = np.log(documents["passages"].to_numpy(dtype=np.float64))
    spread = passages["expected_grade"].std(ddof=0)
    ratio = float(passages["score"].std(ddof=0) / spread) if spread > 0 else 0.0
    documents["expected_grade"] = documents["expected_grade"] - slope * logs
    documents["score"] = documents["score"] - slope * ratio * logs


def unrelated_pairs(
    pairs: pd.DataFrame, queries: pd.DataFrame, passages: pd.DataFrame, most: int, seed: int
) -> pd.DataFrame:
    """Every passage of random documents, for random queries: pairs to fit the length slope on.

    Documents are drawn evenly over their lengths, so that long ones are among them. A query's own
    candidates are left out: they may well be relevant.

    `pairs` (columns query_id, document_id) are queries to draw from and their candidates, `queries`
    have query_id and text; about `most` passages are drawn.

    Returns:
        Columns query_id, passage_id, query, document_id and the passage's texts; no rows
        where every document is one passage, since then there is nothing to correct.
    """
    sizes = passages.groupby("document_id", sort=True)["passage_id"].size()
    sizes = sizes[sizes <= _MOST_PASSAGES]
    rows: list[tuple[str, str]] = []
    if sizes.nunique() >= 2 and most and len(pairs):
        rng = np.random.default_rng(seed)
        known: dict[str, set[str]] = {}
        for query, document in zip(pairs["query_id"], pairs["document_id"], strict=True):
            known.setdefault(query, set()).add(document)
        names = np.array(sorted(known), dtype=object)
        by_document = passages.groupby("document_id", sort=True)["passage_id"].agg(list).to_dict()
        by_size = {size: sorted(group.index) for size, group in sizes.groupby(sizes)}
        for query in rng.permutation(names).tolist() * 50:
            if len(rows) >= most:
                break
            for size in rng.choice(sorted(by_size), size=_DOCUMENTS_A_QUERY).tolist():
                document = by_size[size][int(rng.integers(len(by_size[size])))]
                if document not in known[query]:
                    known[query].add(document)
                    rows.extend((query, passage) for passage in by_document[document])
    table = pd.DataFrame(rows, columns=["query_id", "passage_id"], dtype=str)
    return join_texts(table, queries, passages)


def fit_length_slope(unrelated: pd.DataFrame) -> float:
    """How fast the best expected grade of `unrelated_pairs`' documents grows with their length.

    Returns:
        Slope over ln(passages), least squares, never negative; 0 where documents do not
        differ in length or are fewer than 20.
    """
    if unrelated.empty:
        return 0.0
    best = best_of_passages(unrelated, ["expected_grade"])
    logs = np.log(best["passages"].to_numpy(dtype=np.float64))
    if len(best) < _FEWEST_DOCUMENTS or np.ptp(logs) == 0:
        return 0.0
    slope = np.polyfit(logs, best["expected_grade"].to_numpy(dtype=np.float64), deg=1)[0]
    return round(max(float(slope), 0.0), 6)
