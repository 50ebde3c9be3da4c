"""The page of a retriever's training, from retrieval.json."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.retrieval import EMBARRASSING, PRIMARY, measure_rankings
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.hooks.headlines import MOST, headlines
from relevance_distillery.reporting.retrieval import write_page

HOSTILE = '<script>alert("x")</script>{{ 7 * 7 }}'
QUERIES, DOCUMENTS = 24, 15
NOISE = {
    "bm25": 4.0,
    "untrained": 2.0,
    "fusion": 2.0,
    "one_stage": 1.0,
    "no_token_similar": 0.5,
    "curriculum": 0.5,
    "listwise": 6.0,
    "retriever": 0.3,
}


def measured(
    systems: dict[str, float],
    human: bool = True,
    name: str = "chorus",
    reference: str | None = None,
) -> dict[str, Any]:
    """What `measure_rankings` says of rankings by grade and so much noise."""
    rng = np.random.default_rng(0)
    pairs = [(f"q{q}", f"d{d}") for q in range(QUERIES) for d in range(DOCUMENTS)]
    grades = pd.DataFrame(pairs, columns=["query_id", "document_id"])
    grades["grade"] = rng.choice([0, 0, 0, 1, 2, 3], len(pairs))
    rankings = {}
    for system, noise in systems.items():
        score = grades["grade"] + noise * rng.normal(size=len(pairs))
        rank = score.groupby(grades["query_id"]).rank(ascending=False).astype(int)
        rankings[system] = grades[["query_id", "document_id"]].assign(rank=rank)
    bands = {f"q{q}": ("head", "torso", "tail")[q % 3] for q in range(QUERIES)}
    facts = {"name": name, "human": human, "kind": "own_corpus"}
    options = Options(resamples=200, permutations=300)
    return measure_rankings(rankings, grades, DEFAULT_SCALE, facts, options, bands, reference)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return measured(NOISE)


def text_of(page: str) -> str:
    """What a reader sees, in one line."""
    body = re.sub(r"<[^>]+>", " ", page[page.index("<main") :])
    return re.sub(r"\s+", " ", html.unescape(body))


TRAINED: dict[str, Any] = {
    "buckets": {
        "easy_positive": {"pairs": 1200, "queries": 20, "false_negative_rate": None},
        "hard_negative": {
            "pairs": 90,
            "queries": 24,
            "false_negative_rate": 0.071,
            "examples": [{"query_id": "q1", "passage_id": "d3", "grade": 0}],
        },
    },
    "channels": {
        "overlap": {"10": {"bm25 dense": 0.13, "all": 0.1}, "100": {"bm25 dense": 0.2, "all": 0.15}}
    },
    "training": {
        "curriculum": {
            "stages": [
                {
                    "name": "bce",
                    "steps": 120,
                    "pairs_per_second": 210.4,
                    "validation": 0.411,
                    "skipped": None,
                },
                {"name": "triplet", "skipped": "no token-similar negatives"},
            ],
            "validation": 0.433,
            "alpha": 0.7,
        }
    },
    "registered": {
        "system": "curriculum", "reason": "its validation nDCG@10 is the best", "version": "3",
    },
}  # fmt: skip


def test_the_page_says_what_training_gained(found: dict[str, Any]) -> None:
    page = text_of(write_page(found | TRAINED))
    assert page.index("People graded 360 pairs of 24 queries of chorus") < page.index(
        "Did training"
    )
    assert "Yes, it ranks better." in page
    gain = found["differences"]["retriever"][PRIMARY]
    own = found["systems"]["retriever"][PRIMARY]["estimate"]
    assert f"{PRIMARY} of retriever is {own:.3f}" in page
    assert (
        f"+{gain['estimate']:.3f} (+{gain['low']:.3f} to +{gain['high']:.3f}) against the" in page
    )
    assert f"+{100 * gain['relative']:.1f} %" in page
    for other in ("bm25", "fusion"):
        apart = found["retriever_minus"][other][PRIMARY]["estimate"]
        assert re.search(rf"\+{apart:.3f} \([^)]*\) against {other}, p", page)
    assert "Registered as version 3: curriculum, since its validation nDCG@10 is the best." in page


def test_ingredients_losses_and_bands(found: dict[str, Any]) -> None:
    page = text_of(write_page(found))
    parts = page.partition("Where it did not help")
    assert "token-similar negatives curriculum − no_token_similar" in parts[0]
    assert re.search(r"curriculum − one_stage \+0\.\d+ .*? helped", parts[0])
    assert "one_channel" not in parts[0]
    assert f"{PRIMARY} of listwise is worse than that of the untrained encoder: −0." in parts[2]
    # BM25 was not trained.
    assert "of bm25 is worse" not in parts[2]
    for band in ("head", "torso", "tail"):
        assert f"{band} 8 queries" in parts[2]


def test_a_metric_that_became_worse_is_named() -> None:
    worse = measured({"untrained": 0.5, "retriever": 3.0})
    page = text_of(write_page(worse))
    assert "No, it ranks worse" in page
    assert f"{EMBARRASSING} of retriever is worse than that of the untrained encoder: +0." in page


def test_what_training_knows_is_on_the_page(found: dict[str, Any]) -> None:
    page = text_of(write_page(found | TRAINED))
    assert "easy_positive 1,200 20 –" in page
    assert "hard_negative 90 24 7 %" in page
    assert "first bm25 dense all 10 13 % 10 % 100 20 % 15 %" in page
    assert "curriculum bce 120 210 0.411" in page
    assert "curriculum triplet skipped: no token-similar negatives – – –" in page
    assert "weight of the trained encoder 0.70 0.433" in page
    assert "curriculum: bce 0.411" in page


def test_machine_grades_are_said_first_and_never_sound_sure() -> None:
    written = write_page(measured({"untrained": 3.0, "retriever": 0.2}, human=False))
    page = text_of(written)
    assert page.index("No people's grades: a machine graded") < page.index("Did training")
    assert "The machine believes: Yes" in page
    assert '<main class="care">' in written


def test_chance_is_called_chance() -> None:
    page = text_of(write_page(measured({"untrained": 2.0, "curriculum": 2.0})))
    assert "Not shown: the difference may be chance" in page
    assert "No trained encoder is worse than the untrained one beyond chance." in page


@pytest.mark.parametrize("system", ["untrained", "retriever", "my own"])
def test_one_system_only(system: str) -> None:
    page = text_of(write_page(measured({system: 1.0})))
    assert "Nothing can be said: nothing is compared with the untrained encoder" in page
    assert f"{PRIMARY} of {system} is 0." in page


def test_nothing_measurable_still_makes_a_page() -> None:
    grades = pd.DataFrame({"query_id": ["q"], "document_id": ["d"], "grade": [0]})
    ranks = pd.DataFrame({"query_id": ["q"], "document_id": ["x"], "rank": [1]})
    facts = {"name": "s", "human": True}
    found = measure_rankings({"untrained": ranks, "retriever": ranks}, grades, DEFAULT_SCALE, facts)
    page = text_of(write_page(found))
    assert "Nothing can be said" in page
    assert "1 queries: with fewer than 20" in page


def test_examples_are_named_by_their_ids(found: dict[str, Any]) -> None:
    page = write_page(found | TRAINED)
    assert "query q1 · passage d3" in page
    assert "It holds no text of documents or queries." in page


def test_names_are_escaped() -> None:
    found = measured({"untrained": 1.0, HOSTILE: 1.0, "curriculum": 1.0}, name=HOSTILE)
    found |= json.loads(json.dumps(TRAINED).replace("hard_negative", json.dumps(HOSTILE)[1:-1]))
    found["channels"]["overlap"]["10"] = {HOSTILE: 0.1}
    found["training"][HOSTILE] = {"stages": [{"name": HOSTILE, "skipped": HOSTILE}]}
    found["registered"] = dict.fromkeys(("system", "reason", "version"), HOSTILE)
    found["warnings"].append(HOSTILE)
    page = write_page(found)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 10
    assert HOSTILE in text_of(page)
    assert "http" not in page


def test_the_ladder_of_query_encoders() -> None:
    systems = {"reference": 0.3, "pruned": 0.5, "static": 1.0, "compressed": 0.5}
    found = measured(systems, reference="reference")
    found["recovered"]["compressed"] = found["recovered"]["pruned"]
    spent = {"p95_ms": 9.0, "p99_ms": 9.5, "processor_ms": 4.0, "queries_per_second": 100.0}
    medians = {"reference": 16.0, "pruned": 4.0, "static": 0.05, "compressed": 4.0}
    found["latency"] = {
        name: {**spent, "median_ms": median, "speedup": 16.0 / median, "throughput": 1.0}
        for name, median in medians.items()
    }
    found["compression"] = {"reference": HOSTILE, "rung": "pruned", "reason": "it is fastest"}
    page = write_page(found)
    text = text_of(page)
    kept = found["recovered"]["pruned"]
    assert f"pruned keeps {100 * kept[PRIMARY]['estimate']:.1f} % of {PRIMARY}, 4× as fast" in text
    assert "Served is pruned, since it is fastest." in text
    assert "320×" in text
    assert page.count('<circle class="mark') == 3
    assert page.count('<circle class="mark hollow"') == 2
    assert "<script" not in page
    assert headlines("retrieval", found)["retrieval.latency.compressed.speedup"] == 4.0
    # Beside a retriever that was trained before, the page still answers whether that helped.
    both = measured({**NOISE, **systems}, reference="reference") | {
        name: found[name] for name in ("recovered", "latency", "compression")
    }
    assert "Did training the retriever help?" in text_of(write_page(both))


def test_headlines_of_a_run(found: dict[str, Any]) -> None:
    logged = headlines("retrieval", found)
    for side in ("estimate", "low", "high"):
        for row in (
            "systems.retriever.nDCG_10",
            "differences.retriever.nDCG_10",
            "systems.retriever.embarrassing_10",
            "systems.retriever.removed",
        ):
            assert f"retrieval.{row}.{side}" in logged
    own = found["systems"]["untrained"][PRIMARY]["estimate"]
    assert logged["retrieval.systems.untrained.nDCG_10.estimate"] == own
    assert len(logged) <= MOST
