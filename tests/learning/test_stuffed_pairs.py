from __future__ import annotations

import numpy as np

from relevance_distillery.learning.stuffed_pairs import sample_with_stuffed
from tiny_models import tiny_data


def test_a_share_of_the_sample_are_copies_with_the_query_inside_and_the_grade_kept() -> None:
    pairs = tiny_data().learn
    found = sample_with_stuffed(pairs, 100, 0.2, seed=0)
    assert len(found) == 100
    plain, copies = found.take(np.arange(80)), found.take(np.arange(80, 100))
    assert plain.pairs.equals(pairs.sample(80, seed=0).pairs)
    original = {
        (query, passage): (text, position)
        for query, passage, text, position in zip(
            plain.queries,
            plain.pairs["passage_id"],
            plain.pairs["text"],
            plain.positions,
            strict=True,
        )
    }
    for row, position in zip(copies.pairs.to_dict("records"), copies.positions, strict=True):
        text, grade = original[row["query_id"], row["passage_id"]]
        assert grade == position
        whole = f"{row['title']} {row['text']}"
        added = sorted(whole.replace(".", " ").split())
        for word in text.split():
            added.remove(word)
        assert set(added) == set(row["query"].split())
    assert len(set(copies.positions.tolist())) > 1
    assert (copies.pairs["title"] != "").any()
    assert (copies.pairs["title"] == "").any()


def test_copies_depend_on_the_seed_alone_and_none_are_made_of_a_share_of_zero() -> None:
    pairs = tiny_data().learn
    first, again, other = (sample_with_stuffed(pairs, 60, 0.5, seed) for seed in (1, 1, 2))
    assert first.pairs.equals(again.pairs)
    assert not first.pairs.equals(other.pairs)
    none = sample_with_stuffed(pairs, 60, 0.0, seed=1)
    assert none.pairs.equals(pairs.sample(60, seed=1).pairs)
    # More than there is: no pair is left out for a copy.
    everything = sample_with_stuffed(pairs, 10**9, 0.1, seed=1)
    assert len(everything) > len(pairs)
    assert everything.take(np.arange(len(pairs))).pairs.equals(pairs.pairs)
