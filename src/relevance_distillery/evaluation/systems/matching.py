"""Whether ids of runs are those of the corpus, when they differ in type."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from relevance_distillery.collections.identifiers import normalised
from relevance_distillery.evaluation.systems.runs import Runs


def match_ids(runs: Runs, queries: Iterable[str], documents: Iterable[str]) -> tuple[Runs, bool]:
    """Runs with the ids that are known.

    Ids are compared as text. Only where more rows name something known when decimals and leading
    zeros do not count (7.0 and 007 are 7) are they read like that, for the whole column.

    Args:
        runs: The systems' rankings.
        queries: Known query ids.
        documents: Known document ids; none where it is not known which there are.

    Returns:
        The runs, and whether ids were read as numbers.
    """
    ranked = runs.ranked.copy()
    changed = False
    for column, known in (("query_id", set(queries)), ("document_id", set(documents))):
        read = _read_as_numbers(ranked[column], known)
        if read is not None:
            ranked[column] = read
            changed = True
    return (Runs(ranked, runs.systems, runs.facts), True) if changed else (runs, False)


def _read_as_numbers(ids: pd.Series, known: set[str]) -> pd.Series | None:
    """The ids under their known names; None where that finds no more, or two would be one."""
    plain = ids.isin(known)
    if not known or plain.all():
        return None
    by_number: dict[str, str] = {}
    for name in sorted(known):
        if by_number.setdefault(normalised(name), name) != name:
            return None
    distinct = {name: normalised(name) for name in ids.unique()}
    if len(set(distinct.values())) < len(distinct):
        return None
    found = ids.map({name: by_number.get(key) for name, key in distinct.items()})
    if found.notna().sum() <= plain.sum():
        return None
    return found.where(found.notna(), ids).astype(ids.dtype)
