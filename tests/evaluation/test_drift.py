from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.spatial.distance import jensenshannon

from relevance_distillery.evaluation.drift.comparisons import (
    COMPARISONS,
    DriftSettings,
    Limits,
    jensen_shannon,
    ratio,
    stability_index,
)
from relevance_distillery.evaluation.drift.drift_report import (
    BatchStatistics,
    compare,
    draw_without_drift,
    merge,
    not_known,
)
from relevance_distillery.labeler.profile import HeldOut, TrainingProfile
from relevance_distillery.labeler.tallies import FIELDS, Tally

SETTINGS = DriftSettings(resamples=500)
counts = st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(lambda c: sum(c) > 0)


@given(counts, counts)
def test_jensen_shannon_is_scipys(first: list[int], second: list[int]) -> None:
    ours = jensen_shannon(np.array(first, float), np.array(second, float))
    reference = jensenshannon(first, second, base=2) ** 2
    assert float(ours) == pytest.approx(0.0 if math.isnan(reference) else reference, abs=1e-9)
    assert -1e-12 <= float(ours) <= 1 + 1e-12


@given(counts, counts)
def test_the_stability_index_is_never_negative_and_symmetric(
    first: list[int], second: list[int]
) -> None:
    a, b = np.array(first, float), np.array(second, float)
    assert float(stability_index(a, b)) >= 0
    assert float(stability_index(a, b)) == pytest.approx(float(stability_index(b, a)))
    assert float(stability_index(a, a)) == 0


def test_the_stability_index_by_hand() -> None:
    value = stability_index(np.array([30.0, 70.0]), np.array([50.0, 50.0]))
    by_hand = (0.3 - 0.5) * math.log(0.3 / 0.5) + (0.7 - 0.5) * math.log(0.7 / 0.5)
    assert float(value) == pytest.approx(by_hand)
    # An empty bin counts half a per cent, however large the batch is.
    small = stability_index(np.array([0.0, 1e2]), np.array([5.0, 95.0]))
    large = stability_index(np.array([0.0, 1e9]), np.array([5.0, 95.0]))
    assert float(small) == pytest.approx(float(large))


def test_what_does_not_exist_is_no_number() -> None:
    assert math.isnan(float(stability_index(np.zeros(3), np.ones(3))))
    assert math.isnan(float(jensen_shannon(np.ones(3), np.zeros(3))))
    assert math.isnan(float(ratio(np.array(1.0), np.array(0.0))))


def _queries(rng: np.random.Generator, queries: int, each: int, **drift: float) -> Tally:
    """Tallies by query; queries differ, so that pairs of one are alike."""

    def spread(shares: list[float], concentration: float) -> np.ndarray:
        drawn = rng.dirichlet(np.array(shares) * concentration, size=queries)
        return np.array([rng.multinomial(each, row) for row in drawn], dtype=float)

    grades = spread([0.5, 0.2, 0.1, 0.2], 5 / (1 + drift.get("spread", 0)))
    if "grades" in drift:
        grades = spread([0.1, 0.2, 0.2, 0.5], 5)
    ten = spread([0.3, 0.2, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.1], 8)
    lengths = np.zeros((queries, 6))
    lengths[np.arange(queries), rng.choice(6, queries, p=[0.1, 0.4, 0.3, 0.1, 0.05, 0.05])] = each
    texts = spread([0.02, 0.05, 0.1, 0.4, 0.4, 0.02, 0.01], 20)
    words = np.full(queries, 100.0 * each)
    unknown = 0.06 + drift.get("unknown", 0.0) + 0.02 * rng.standard_normal(queries)
    confidence = 0.7 - drift.get("confidence", 0.0) + 0.05 * rng.standard_normal(queries)
    fields = np.full((queries, len(FIELDS)), float(each))
    fields[:, FIELDS.index("title")] *= 1 - drift.get("titles", 0.0)
    return {
        "pairs": np.full((queries, 1), float(each)),
        "grades": grades,
        "expected_grade": ten,
        "confidence": ten,
        "confidence_sum": np.clip(confidence, 0, 1)[:, None] * each,
        "read": np.full((queries, 1), float(each)),
        "query_tokens": lengths,
        "text_tokens": texts,
        "query_terms": np.column_stack([4.0 * np.ones(queries), rng.random(queries) < 0.2]) * each,
        "text_terms": np.column_stack(
            [
                words,
                np.clip(unknown, 0, 1) * words,
                (0.3 + 0.02 * rng.standard_normal(queries)) * words,
            ]
        ),
        "fields": fields,
        "truncated": rng.binomial(each, 0.1, queries)[:, None].astype(float),
    }


def _profile(queries: int = 100, each: int = 8, seed: int = 0) -> TrainingProfile:
    rows = _queries(np.random.default_rng(seed), queries, each)
    confidence = float(rows["confidence_sum"].sum() / rows["pairs"].sum())
    return TrainingProfile(
        key="00",
        taught_by=("embedded",),
        people=False,
        pairs=720,
        queries=290,
        taught_grades={},
        lengths={},
        vocabulary="",
        query_digests="",
        held_out=HeldOut(
            pairs=queries * each,
            queries=queries,
            accuracy=0.75,
            confidence=confidence,
            tallies={name: values.tolist() for name, values in rows.items()},
        ),
    )


def _batch(queries: int, each: int, seed: int, **drift: float) -> BatchStatistics:
    rows = _queries(np.random.default_rng(seed), queries, each, **drift)
    return BatchStatistics({name: values.sum(axis=0) for name, values in rows.items()}, queries)


PROFILE = _profile()


@pytest.mark.parametrize(("queries", "each"), [(25, 8), (200, 1), (1000, 8)])
def test_batches_like_training_are_seldom_called(queries: int, each: int) -> None:
    settings = DriftSettings()
    verdicts = [
        compare(_profile(seed=1000 + i), _batch(queries, each, i), settings, seed=i)["verdict"]
        for i in range(40)
    ]
    assert verdicts.count("ok") >= 35
    assert verdicts.count("distrust") <= 1


@pytest.mark.parametrize(
    ("name", "drift", "verdict"),
    [
        ("grades", {"grades": 1.0}, "watch"),
        ("confidence", {"confidence": 0.08}, "watch"),
        ("confidence", {"confidence": 0.2}, "distrust"),
        ("unknown_text_words", {"unknown": 0.12}, "watch"),
        ("unknown_text_words", {"unknown": 0.3}, "distrust"),
        ("fields", {"titles": 0.4}, "watch"),
        ("fields", {"titles": 1.0}, "distrust"),
    ],
)
def test_each_kind_of_drift_is_named(name: str, drift: dict[str, float], verdict: str) -> None:
    result = compare(PROFILE, _batch(500, 8, 7, **drift), SETTINGS, seed=1)
    assert result["comparisons"][name]["verdict"] == verdict
    assert [key for key, c in result["comparisons"].items() if c["verdict"] != "ok"] == [name]
    assert result["verdict"] == verdict
    assert result["line"].startswith(f"drift: {verdict}: ")
    assert result["comparisons"][name]["do"] in result["line"]
    assert json.dumps(result, allow_nan=False)


def test_less_unknown_and_more_confidence_is_no_drift() -> None:
    batch = _batch(500, 8, 7, unknown=-0.05, confidence=-0.2)
    assert compare(PROFILE, batch, SETTINGS, seed=1)["verdict"] == "ok"


def test_limits_decide() -> None:
    batch = _batch(500, 8, 7, unknown=0.12)
    lenient = SETTINGS.model_copy(update={"unknown_words": Limits(watch=0.5, distrust=0.6)})
    strict = SETTINGS.model_copy(update={"unknown_words": Limits(watch=0.02, distrust=0.05)})
    verdicts = [compare(PROFILE, batch, s, seed=1)["verdict"] for s in (lenient, SETTINGS, strict)]
    assert verdicts == ["ok", "watch", "distrust"]


def test_chance_is_wider_for_few_queries_than_for_many() -> None:
    few, many = (
        compare(PROFILE, _batch(queries, each, 3), SETTINGS, seed=1)["comparisons"]
        for queries, each in ((20, 50), (1000, 1))
    )
    for comparison in COMPARISONS:
        if comparison.name != "fields":
            assert few[comparison.name]["by_chance"] > many[comparison.name]["by_chance"]


def test_a_drawn_batch_has_no_more_pairs_and_no_more_queries() -> None:
    held_out = {n: np.array(rows, float) for n, rows in PROFILE.held_out.tallies.items()}
    for queries, each, drawn in ((200, 1, 25), (20, 50, 20)):
        batch, reference = draw_without_drift(held_out, queries, queries * each, 50, 0)
        assert batch["pairs"].ravel().tolist() == [drawn * 8.0] * 50
        assert reference["pairs"].ravel().tolist() == [800.0] * 50


def test_falling_confidence_predicts_falling_accuracy() -> None:
    accuracy = compare(PROFILE, _batch(500, 8, 7, confidence=0.08), SETTINGS, seed=1)["accuracy"]
    assert accuracy["held_out"] == 0.75
    fall = accuracy["held_out_confidence"] - accuracy["confidence"]
    assert accuracy["predicted"] == pytest.approx(0.75 - fall, abs=1e-5)
    assert fall == pytest.approx(0.08, abs=0.02)
    distrusted = compare(PROFILE, _batch(500, 8, 7, unknown=0.4), SETTINGS, seed=1)["accuracy"]
    assert distrusted["predicted"] is None
    assert "unlike training" in distrusted["reason"]


def test_lengths_and_mixes_alone_are_no_reason_for_distrust() -> None:
    batch = _batch(500, 8, 7)
    for name in ("grades", "expected_grade", "query_tokens", "text_tokens"):
        moved = batch.totals[name]
        moved[:] = [moved.sum(), *[0.0] * (len(moved) - 1)]
    result = compare(PROFILE, batch, SETTINGS, seed=1)
    found = {name for name, c in result["comparisons"].items() if c["verdict"] != "ok"}
    assert found == {"grades", "expected_grade", "query_tokens", "text_tokens"}
    assert result["verdict"] == "watch"
    assert all(result["comparisons"][name]["distrust"] is None for name in found)


def test_too_few_to_tell() -> None:
    for batch, profile, why in (
        (_batch(20, 5, 0), PROFILE, "100 graded pairs, at least 200"),
        (_batch(5, 100, 0), PROFILE, "5 queries, at least 10"),
        (_batch(50, 10, 0), _profile(queries=6), "6 held-out queries"),
        (BatchStatistics({}, 0), PROFILE, "0 graded pairs"),
    ):
        result = compare(profile, batch, SETTINGS, seed=0)
        assert result["verdict"] == "too few to tell"
        assert why in result["reason"]
        assert why in result["line"]
        assert result["comparisons"] == {}
        assert json.dumps(result, allow_nan=False)


def test_a_figure_that_does_not_exist_is_null_with_a_reason() -> None:
    batch = _batch(100, 8, 0)
    batch.totals["query_terms"][:] = 0
    result = compare(PROFILE, batch, SETTINGS, seed=0)
    compared = result["comparisons"]["unknown_query_words"]
    assert compared["value"] is None
    assert compared["batch"] is None
    assert compared["reason"] == "one side has none of it"
    assert json.dumps(result, allow_nan=False)


def test_nothing_to_compare_with_is_not_known() -> None:
    result = not_known("no profile")
    assert (result["verdict"], result["line"]) == ("not known", "drift: not known: no profile")


def _shard(hashes: list[int], grades: list[int]) -> dict[str, Any]:
    return {"tally": {"pairs": [sum(grades)], "grades": grades}, "queries": sorted(hashes)[:256]}


def test_shards_add_up_in_any_order() -> None:
    shards = [_shard([1, 2], [1, 0]), _shard([2, 3], [0, 5]), _shard([9], [2, 2])]
    forward, backward = merge(shards), merge(shards[::-1])
    assert forward.pairs == backward.pairs == 10
    assert forward.queries == backward.queries == 4
    assert forward.totals["grades"].tolist() == [3, 7]
    assert forward.read == 0


def test_queries_are_counted_in_bounded_memory() -> None:
    rng = np.random.default_rng(0)
    for many in (255, 2_000, 50_000):
        hashes = [int(h) for h in rng.integers(0, 2**64, many, dtype=np.uint64)]
        parts = [_shard(hashes[i::7], [1]) for i in range(7)]
        assert merge(parts).queries == pytest.approx(many, rel=0 if many < 256 else 0.2)


def test_limits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"distrust=0\.1 is below watch=0\.2"):
        Limits(watch=0.2, distrust=0.1)
