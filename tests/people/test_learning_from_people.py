"""People's grades of passages as a recorded judge, from which a labeler learns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from relevance_distillery.channels.bm25 import BM25Channel
from relevance_distillery.channels.registry import ChannelSources, search_channels
from relevance_distillery.collections.pairs_to_grade import build_pairs
from relevance_distillery.collections.recorded_grades import read_recorded_grades
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.judges.labeling import run_labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.recorded import RecordedJudge


def test_each_passage_gets_its_own_grade_and_no_other(stored, tmp_path: Path) -> None:
    split = stored.passages.iloc[[0, 0, 1]].reset_index(drop=True)
    split["passage_id"] = ["guide/page 0.md#0", "guide/page 0.md#1", "guide/page 1.md#0"]
    # Both passages of one document, graded differently; one of them by two people.
    rows = [
        ("q000", "guide/page 0.md#0", "guide/page 0.md", "ann", 3),
        ("q000", "guide/page 0.md#0", "guide/page 0.md", "bob", 1),
        ("q000", "guide/page 0.md#1", "guide/page 0.md", "ann", 0),
        ("q001", "guide/page 1.md#0", "guide/page 1.md", "ann", 2),
    ]
    columns = ["query_id", "passage_id", "document_id", "annotator", "grade"]
    file = tmp_path / "human_grades.parquet"
    pd.DataFrame(rows, columns=columns).to_parquet(file, index=False)
    recorded = read_recorded_grades(str(file), None)
    sources = ChannelSources(
        split, BM25Channel.build(split), recorded.grades, depth=1, random_passages=0, seed=0
    )
    pairs, _ = search_channels(stored.queries, sources, ["recorded"])
    judge = RecordedJudge(recorded, SCALE)
    asked = build_pairs(pairs, stored.queries, split)
    found = run_labeling(asked, judge, Ledger(tmp_path / "ledger.sqlite"))
    labels, failures = found.labels, found.failures
    assert failures.empty
    assert labels.set_index(["query_id", "passage_id"])["grade"].to_dict() == {
        ("q000", "guide/page 0.md#0"): 1,
        ("q000", "guide/page 0.md#1"): 0,
        ("q001", "guide/page 1.md#0"): 2,
    }
