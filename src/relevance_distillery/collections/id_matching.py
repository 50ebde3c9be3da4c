"""Ids that people, judges and engines wrote, under the names that queries and documents have."""

import logging
import re
import unicodedata
from collections.abc import Iterable

import pandas as pd

_DECIMALS = re.compile(r"([+-]?\d+)\.0*")
_OTHER = {
    "query_id": ("text", "queries were matched by their texts"),
    "document_id": ("path", "documents were matched by their paths"),
}
"""The column that names the same as an id does, and what to say where it did."""

logger = logging.getLogger(__name__)


def composed(name: str) -> str:
    """An id with single blanks and whole letters: a Mac's file names take `é` apart."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def normalised(name: str) -> str:
    """An id without what tables do to numbers, and composed: `7.0`, ` 7` and `007` are `7`."""
    text = composed(name)
    whole = _DECIMALS.fullmatch(text)
    text = whole.group(1) if whole else text
    return (text.lstrip("0") or "0") if text.isdigit() else text


_READINGS = (
    (str, ""),
    (composed, "ids were matched whether letters such as é are one sign or two"),
    (normalised, "ids were matched as numbers: decimals and leading zeros do not count"),
)


def with_known_ids(table: pd.DataFrame, **known: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A table with its ids as they are known, and what was done to match them.

    Ids are compared as they are. Only where more rows name something known under another reading
    is that reading taken, for a whole column: texts of queries and paths of documents, letters
    composed and decomposed, numbers without decimals and leading zeros. None is taken by which
    two ids would become one.

    Args:
        table: Columns of the names of `known`.
        known: `query_id` (a table with that column and perhaps text) or `document_id` (perhaps
            path): the ids that are known, a row for each other name that one has.
    """
    notes: list[str] = []
    for column, source in known.items():
        ids, said = _known(table[column], source, column)
        table, notes = table.assign(**{column: ids}), notes + said
    return table, list(dict.fromkeys(notes))


def _known(ids: pd.Series, source: pd.DataFrame, column: str) -> tuple[pd.Series, list[str]]:
    known, distinct = set(source[column]), ids.unique()
    best, most, notes = ids, int(ids.isin(known).sum()), list[str]()
    if most == len(ids):
        return best, notes
    by, by_note = _OTHER[column]
    others: dict[str, str] = {}
    if by in source:
        once = source[[by, column]].dropna().drop_duplicates().drop_duplicates(by, keep=False)
        others = dict(zip(once[by], once[column], strict=True))
        others.pop("", None)
    for read, note in _READINGS:
        own = {read(name): name for name in known}
        names = {read(other): name for other, name in others.items()} | own
        keys = {name: key for name in distinct if (key := read(name)) in names}
        found = ids.map(lambda name: names[keys[name]] if name in keys else name)  # noqa: B023
        count = int(found.isin(known).sum())
        if count > most and len(own) == len(known) and found.nunique() == len(distinct):
            best, most = found.astype(ids.dtype), count
            by_other = not own.keys() >= set(keys.values())
            notes = [said for said in (by_note * by_other, note) if said]
    return best, notes


def as_named(corpus: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """A corpus (columns document_id, perhaps path) with the ids that others gave its documents."""
    wanted = pd.DataFrame({"document_id": sorted(set(names))}, dtype=str)
    documents = corpus.filter(items=["document_id", "path"]).drop_duplicates("document_id")
    found, notes = with_known_ids(wanted, document_id=documents)
    for note in notes:
        logger.info("documents: %s", note)
    given = dict(zip(found["document_id"], wanted["document_id"], strict=True))
    ids = corpus["document_id"].map(lambda name: given.get(name, name))
    return corpus.assign(document_id=ids) if notes else corpus
