"""Which rows of a judge's file speak of which judged pair, when ids differ in type or kind."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.judgments import KEY
from relevance_distillery.errors import UserError

_DECIMALS = re.compile(r"([+-]?\d+)\.0*")


class NothingInCommonError(UserError):
    """A file speaks of no pair of a benchmark."""


def matched(path: Path, rows: pd.DataFrame, benchmark: Benchmark) -> tuple[pd.DataFrame, list[str]]:
    """The rows that speak of judged pairs, under the benchmark's ids.

    Ids are compared as they are. Only where more rows find their pair under another reading is
    that reading taken, for the whole file: numbers without decimals and leading zeros (7.0 and
    007 are 7), passages instead of documents, query texts instead of ids.

    Args:
        path: For messages.
        rows: Columns document_id and query_id, or their stand-ins passage_id and query, text.
        benchmark: The judged pairs.

    Returns:
        The rows with the benchmark's query_id and document_id, and row, their place in `rows`;
        and what was done to match them.

    Raises:
        NothingInCommonError: No row speaks of a judged pair.
    """
    judged = benchmark.judgments[KEY]
    keys = ["query_key", "document_key"]
    best, notes = rows.iloc[:0], list[str]()
    for read in (str, normalised):
        truth = judged.assign(
            query_key=judged["query_id"].map(read), document_key=judged["document_id"].map(read)
        )
        if read is normalised and (len(best) == len(rows) or truth.duplicated(keys).any()):
            break
        for queries, query_note in _queries(rows, benchmark):
            for column in ("document_id", "passage_id"):
                if column not in rows:
                    continue
                keyed = rows.drop(columns=KEY, errors="ignore").assign(
                    query_key=queries.map(read), document_key=rows[column].map(read), row=rows.index
                )
                found = keyed.merge(truth, on=keys, how="inner").drop(columns=keys)
                if len(found) > len(best):
                    best, notes = found, [query_note] if query_note else []
                    if column == "passage_id" and "document_id" in rows:
                        notes.append("passages were matched, by the column passage_id")
                    if read is normalised:
                        notes.append(
                            "ids were matched as numbers: decimals and leading zeros do not count"
                        )
    if best.empty:
        raise NothingInCommonError(_nothing(path, rows, benchmark))
    return best.reset_index(drop=True), notes


def normalised(name: str) -> str:
    """An id without what tables do to numbers: `7.0`, ` 7` and `007` are `7`."""
    text = name.strip()
    whole = _DECIMALS.fullmatch(text)
    text = whole.group(1) if whole else text
    return (text.lstrip("0") or "0") if text.isdigit() else text


def _queries(rows: pd.DataFrame, benchmark: Benchmark) -> list[tuple[pd.Series, str]]:
    """What the file says of each row's query: its id, and the id of the query of that text."""
    found = []
    if "query_id" in rows and (rows["query_id"] != "").any():
        found.append((rows["query_id"], ""))
    if "query" in rows:
        asked = benchmark.queries[benchmark.queries["text"] != ""]
        known = asked.drop_duplicates("text", keep=False).set_index("text")["query_id"]
        by_text = rows["query"].map(known).fillna(rows["query"]).astype(str)
        note = "queries were matched by their texts" if (by_text != rows["query"]).any() else ""
        found.append((by_text, note))
    return found


def _nothing(path: Path, rows: pd.DataFrame, benchmark: Benchmark) -> str:
    """One line on what is known of a file that has no pair in common with the benchmark."""
    judged = benchmark.judgments
    queries = documents = 0
    if "query_id" in rows:
        queries = int(rows["query_id"].isin(judged["query_id"]).sum())
    if "document_id" in rows:
        documents = int(rows["document_id"].isin(judged["document_id"]).sum())
    return (
        f"{path}: none of its {len(rows)} rows speaks of one of the {len(judged)} judged pairs "
        f"of benchmark {benchmark.name} ({queries} rows name a known query, {documents} a known "
        "document); check that the ids are the benchmark's"
    )
