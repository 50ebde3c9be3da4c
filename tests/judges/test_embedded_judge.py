"""The embedded judge: its signals, its rule for thresholds, its answers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from relevance_distillery.collections.pairs_to_grade import build_pairs
from relevance_distillery.encoders.sentence_encoder import sentence_encoder
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale
from relevance_distillery.judges.embedding.anchors import (
    choose_thresholds,
    grade_probabilities,
    median_position,
    noise_scale,
    random_pairs,
    seed_pairs,
)
from relevance_distillery.judges.embedding.coverage import TermStatistics, nearest_known
from relevance_distillery.judges.embedding.embedded import EmbeddedJudge
from relevance_distillery.judges.registry import JudgeSources, prepare_judge, restore_judge
from relevance_distillery.judges.settings import EmbeddedSettings

TOPICS = {
    "vacation": "Employees take twenty five days of annual leave, agreed with their manager.",
    "laptop": "A broken laptop is replaced by the service desk within two working days.",
    "invoice": "Supplier invoices are paid thirty days after the purchase order was matched.",
    "firewall": "The firewall blocks inbound traffic unless a rule was approved by security.",
    "hiring": "Interview panels score each candidate and decide within a week.",
    "database": "The database is backed up every night and restored in a drill each quarter.",
    "parking": "Parking spaces behind the warehouse are given out by lot every spring.",
    "payroll": "Salaries are transferred on the last working day of the month.",
    "printer": "Printers on every floor release a job when a badge is held to the reader.",
    "training": "Each person may spend a yearly budget on courses and conferences.",
    "kitchen": "The kitchen offers a vegetarian meal and a soup at noon.",
    "release": "A release is deployed on Tuesday after the tests have passed.",
}
QUESTIONS = ["{} rules", "how does {} work"]


@pytest.fixture(scope="module")
def passages():
    rows = [
        {
            "passage_id": f"{topic}#0",
            "document_id": topic,
            "title": f"{topic.capitalize()} guide",
            "heading": "",
            "text": text,
            "path": f"office/{topic}.md",
            "author": "Mara Lindqvist" if topic == "printer" else "Jo Reyes",
            "modified": "2025-02-01",
        }
        for topic, text in TOPICS.items()
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def queries():
    rows = [
        (f"{topic}-{n}", question.format(topic), f"{topic}#0")
        for topic in TOPICS
        for n, question in enumerate(QUESTIONS)
    ]
    return pd.DataFrame(rows, columns=["query_id", "text", "passage_id"])


SETTINGS = EmbeddedSettings(sample=60)


@pytest.fixture(scope="module")
def judge(passages, queries):
    return EmbeddedJudge.fit(passages, queries, DEFAULT_SCALE, SETTINGS, seed=1)


def all_pairs(queries, passages):
    return build_pairs(
        queries[["query_id"]].merge(passages[["passage_id"]], how="cross"), queries, passages
    )


def verdicts(judge, pairs):
    return [verdict for batch in judge.grade([pairs]) for verdict in batch]


def test_seeds_get_higher_grades_than_other_passages(judge, queries, passages):
    pairs = all_pairs(queries.iloc[::6], passages)
    grades = pd.Series([verdict.grade for verdict in verdicts(judge, pairs)])

    assert grades[pairs["is_seed"]].min() >= 2
    assert (grades[~pairs["is_seed"]] == 0).mean() > 0.8


def test_unseeded_queries_are_graded_by_text_alone(judge, queries, passages):
    seeded = all_pairs(queries.iloc[:1], passages)
    unseeded = seeded.assign(is_seed=False, in_seed_document=False)
    difference = judge.scores(seeded) - judge.scores(unseeded)

    assert difference[seeded["is_seed"]] == pytest.approx(SETTINGS.seed_passage_bonus)
    assert difference[~seeded["is_seed"]] == pytest.approx(0)
    assert np.argmax(judge.scores(unseeded)) == seeded["is_seed"].to_numpy().argmax()


def test_the_author_and_the_path_count(judge, passages):
    asked = pd.DataFrame({"query_id": ["q"], "text": ["Lindqvist"], "passage_id": [""]})
    scores = judge.scores(all_pairs(asked, passages))

    assert passages["document_id"][int(np.argmax(scores))] == "printer"


def test_probabilities_fit_the_grades(judge, queries, passages):
    for verdict in verdicts(judge, all_pairs(queries.iloc[:2], passages)):
        chances = np.array(verdict.probabilities)
        assert chances.sum() == pytest.approx(1, abs=1e-9)
        assert (chances >= 0).all()
        # The grade is the median of the distribution.
        assert chances[verdict.grade :].sum() >= 0.5 - 1e-9
        assert chances[verdict.grade + 1 :].sum() < 0.5


def test_grades_do_not_depend_on_company_or_order(judge, queries, passages):
    pairs = all_pairs(queries.iloc[:4], passages)
    together = verdicts(judge, pairs)
    alone = [verdicts(judge, pairs.iloc[[row]])[0] for row in reversed(range(len(pairs)))][::-1]

    for one, other in zip(together, alone, strict=True):
        assert (one.request_hash, one.grade) == (other.request_hash, other.grade)
        assert one.probabilities == pytest.approx(other.probabilities, abs=2e-4)


def test_the_state_is_json_and_makes_the_same_judge(judge, queries, passages):
    state = json.loads(json.dumps(judge.to_state()))
    again = restore_judge("embedded", state, DEFAULT_SCALE)
    pairs = all_pairs(queries.iloc[:2], passages)

    assert again.prompt_hash == judge.prompt_hash
    assert again.request_hashes(pairs) == judge.request_hashes(pairs)
    assert [v.grade for v in verdicts(again, pairs)] == [v.grade for v in verdicts(judge, pairs)]


def test_fitting_is_reproducible(judge, queries, passages):
    again = EmbeddedJudge.fit(passages, queries, DEFAULT_SCALE, SETTINGS, seed=1)
    other = EmbeddedJudge.fit(passages, queries, DEFAULT_SCALE, SETTINGS, seed=2)

    assert again.prompt_hash == judge.prompt_hash
    assert other.prompt_hash != judge.prompt_hash


@pytest.mark.parametrize(
    "column", ["query", "title", "heading", "text", "path", "author", "modified"]
)
def test_requests_differ_with_everything_that_is_seen(judge, queries, passages, column):
    pair = all_pairs(queries.iloc[:1], passages).iloc[:1]

    assert judge.request_hashes(pair) != judge.request_hashes(pair.assign(**{column: "other"}))
    assert judge.request_hashes(pair) != judge.request_hashes(pair.assign(is_seed=False))
    assert judge.request_hashes(pair) == judge.request_hashes(pair.assign(query_id="other"))


@pytest.mark.parametrize(
    ("values", "relevant_from"),
    [((0, 1), 1), ((0, 1, 2), 2), ((0, 1, 2, 3, 4), 2), ((1, 2, 5, 9), 9)],
)
def test_any_scale_gets_increasing_thresholds(values, relevant_from):
    scale = GradeScale(
        grades=tuple(Grade(value=value, name=str(value)) for value in values),
        relevant_from=relevant_from,
    )
    rng = np.random.default_rng(0)
    shares = {"related": 0.99, "relevant": 0.25, "perfect": 0.75}
    for seeds in (rng.normal(1, 0.3, 500), rng.normal(-1, 0.3, 500)):
        thresholds = choose_thresholds(rng.normal(-1, 0.3, 500), seeds, scale, **shares)
        assert thresholds.shape == (len(values) - 1,)
        assert (np.diff(thresholds) > 0).all()


def test_thresholds_are_the_documented_quantiles():
    random, seeds = np.linspace(-1, 0, 101), np.linspace(1, 2, 101)
    thresholds = choose_thresholds(
        random, seeds, DEFAULT_SCALE, related=0.9, relevant=0.25, perfect=0.75
    )
    assert thresholds == pytest.approx([-0.1, 1.25, 1.75])


def test_the_error_of_two_measurements_is_recovered():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200_000)
    first, second = (truth + rng.normal(scale=0.4, size=truth.size) for _ in range(2))

    deviation = noise_scale(first, second, (1, 1)) * np.pi / np.sqrt(3)
    assert deviation == pytest.approx(np.std((first + second) / 2 - truth), rel=0.02)


def test_a_score_on_a_threshold_is_even_odds():
    chances = grade_probabilities(np.array([-9.0, 0.0, 9.0]), np.array([-1.0, 0.0, 1.0]), 0.2)

    assert chances[1, 2:].sum() == pytest.approx(0.5)
    assert median_position(chances).tolist() == [0, 2, 3]


def test_coverage_weighs_rare_terms_and_corrects_misspelt_ones():
    terms = TermStatistics.count(["common policy"] * 9 + ["common zanzibar"], "en")
    held = frozenset({"common", "zanzibar"})

    assert terms.coverage("common zanzibar", held) == 1
    assert terms.coverage("zanzibar policy", held) > 0.8
    assert terms.coverage("common policy", held) < 0.5
    assert terms.coverage("zanzbiar", held) == 1
    assert terms.coverage("", held) == terms.coverage("?!", held) == 0


def test_only_unknown_words_without_digits_are_corrected():
    known = {"polici": 5, "polic": 2, "2024": 3}

    assert nearest_known("polci", known) == "polici"
    assert nearest_known("polici", known) is None
    assert nearest_known("2023", known) is None
    assert nearest_known("pol", known) is None
    assert nearest_known("unrelated", known) is None


def test_passages_lend_queries_where_there_are_no_seeds(passages, queries):
    rng = np.random.default_rng(0)
    log = queries.assign(passage_id="")
    pairs, pseudo = seed_pairs(log, passages, 100, rng)

    assert pseudo
    assert pairs["query"].tolist() == passages["title"].tolist()
    assert (pairs["title"] == "").all()
    fitted = EmbeddedJudge.fit(passages, log, DEFAULT_SCALE, SETTINGS, seed=1)
    assert fitted.facts["pseudo_queries"]


def test_titles_alone_lend_half_of_their_words(passages, queries):
    products = passages.assign(title="red wireless office mouse", text="")
    pairs, _ = seed_pairs(queries.iloc[:0], products, 100, np.random.default_rng(0))

    assert set(pairs["query"]) == {"red wireless"}
    assert set(pairs["text"]) == {"red wireless office mouse"}


def test_random_pairs_leave_out_the_seed_document(passages, queries):
    seeds, _ = seed_pairs(queries, passages, 100, np.random.default_rng(0))
    pairs = random_pairs(seeds, passages, 500, np.random.default_rng(0))

    asked = pairs["query_id"].str.split("-").str[0]
    assert (asked != pairs["document_id"]).all()
    assert len(pairs) > 400


def test_what_cannot_be_fitted_is_said_in_one_line(passages, queries):
    def fit(table, asked=queries, **settings):
        EmbeddedJudge.fit(table, asked, DEFAULT_SCALE, EmbeddedSettings(**settings))

    with pytest.raises(UserError, match="at least two documents"):
        fit(passages.iloc[:1])
    with pytest.raises(UserError, match="no text"):
        fit(passages.assign(text="", title=""), queries.iloc[:0])
    with pytest.raises(UserError, match="both 0"):
        fit(passages, cosine_weight=0, coverage_weight=0)
    with pytest.raises(UserError, match="relevant_quantile"):
        fit(passages, relevant_quantile=0.9, perfect_quantile=0.5)


def test_vectors_are_unit_length_and_close_to_those_in_another_batch():
    encoder = sentence_encoder("bundled")
    texts = ["a", "a much longer text about something else entirely", "a", ""]
    vectors = encoder.encode(texts)
    encoder._cache.clear()
    alone = np.vstack([encoder.encode([text]) for text in texts])

    assert vectors.shape == (4, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.abs(vectors - alone).max() < 1e-5
    assert encoder.encode([]).shape == (0, 384)


def test_unknown_and_foreign_judges_are_refused(judge, passages, queries):
    state = judge.to_state()
    with pytest.raises(UserError, match=r"no judge 'oracle': use one of embedded, recorded"):
        restore_judge("oracle", state, DEFAULT_SCALE)
    with pytest.raises(UserError, match=r"judge=recorded was not prepared.*--pipeline=label"):
        restore_judge("recorded", state, DEFAULT_SCALE)
    with pytest.raises(UserError, match="another grade scale"):
        restore_judge("embedded", state | {"scale_hash": "x"}, DEFAULT_SCALE)
    with pytest.raises(UserError, match="prepared with the encoder"):
        restore_judge(None, state | {"model": "bundled@000000000000"}, DEFAULT_SCALE)
    with pytest.raises(UserError, match="no judge 'oracle'"):
        prepare_judge("oracle", JudgeSources(scale=DEFAULT_SCALE))
