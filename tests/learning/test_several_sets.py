"""Samples of pairs that come from several sets: no set drowns the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.learning.labelled_pairs import LabelledPairs


def pairs_of(*sets: tuple[str, int, int]) -> LabelledPairs:
    """Sets of so many queries with so many pairs each, a third of them of a higher grade."""
    rows = [
        (f"{name}q{query}", f"{name}d{query}-{number}", number % 3 // 2 * 3)
        for name, queries, each in sets
        for query in range(queries)
        for number in range(each)
    ]
    table = pd.DataFrame(rows, columns=["query_id", "document_id", "grade"])
    positions = table.pop("grade").to_numpy(dtype=np.int64)
    return LabelledPairs(table, np.eye(4)[positions], positions)


def shares(drawn: LabelledPairs) -> dict[str, int]:
    return pd.Series(drawn.sets).value_counts().to_dict()


def test_shares_of_sets_grow_with_the_root_of_their_queries() -> None:
    everything = pairs_of(("large/", 64, 30), ("small/", 16, 30), ("single/", 1, 300))
    drawn = everything.sample(260, seed=1)
    # As 8 to 4 to 1; by the queries alone 205, 51 and 3, by the pairs alone 179, 45 and 28.
    assert shares(drawn) == {"large": 160, "small": 80, "single": 20}
    assert len(np.unique(drawn.queries)) > 70
    again = everything.sample(260, seed=1)
    pd.testing.assert_frame_equal(drawn.pairs, again.pairs)
    # What a set lacks goes to the others.
    assert shares(pairs_of(("large/", 64, 30), ("few/", 16, 1)).sample(260, seed=1)) == {
        "large": 244,
        "few": 16,
    }


def test_a_set_s_grades_keep_their_shares() -> None:
    everything = pairs_of(("a/", 20, 30), ("b/", 20, 30))
    drawn = everything.sample(300, seed=1)
    for name in "ab":
        own = drawn.positions[drawn.sets == name]
        assert (own == 3).mean() == pytest.approx(1 / 3, abs=0.08)


def test_ids_that_only_look_like_sets_are_drawn_as_ever() -> None:
    for sets in ((("", 40, 30),), (("alone/", 40, 30),)):
        everything = pairs_of(*sets)
        rows = np.sort(np.random.default_rng(7).permutation(1200)[:100])
        pd.testing.assert_frame_equal(
            everything.sample(100, seed=7).pairs, everything.take(rows).pairs
        )
    # Folders of a corpus are no sets: the queries' ids do not begin with them.
    folders = pairs_of(("a/", 20, 30), ("b/", 20, 30))
    folders.pairs["query_id"] = [f"r-{number}" for number in range(len(folders))]
    assert set(folders.sets) == {""}
