"""A graded set dealt into two halves by query: one to learn from, one to be tested on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd


def deal(source: Path, target: Path, seed: int = 0) -> None:
    """Write `target`/learn and `target`/test: all documents, half of the graded queries each.

    Args:
        source: A set in BEIR's layout.
        target: Replaced.
        seed: Decides which query goes where.
    """
    shutil.rmtree(target, ignore_errors=True)
    files = [
        path for room in ("qrels", "annotators", "judges") for path in (source / room).glob("*.tsv")
    ]
    tables = {path: pd.read_csv(path, sep="\t", dtype=str) for path in files}
    names = sorted(set(tables[source / "qrels" / "human.tsv"]["query-id"]))
    shuffled = np.random.default_rng(seed).permutation(np.array(names, dtype=object))
    half = len(shuffled) // 2
    for name, queries in (("learn", shuffled[:half]), ("test", shuffled[half:])):
        for path, rows in tables.items():
            place = target / name / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            rows[rows["query-id"].isin(set(queries))].to_csv(place, sep="\t", index=False)
        for file in ("corpus.jsonl.gz", "queries.jsonl.gz"):
            shutil.copy(source / file, target / name / file)
