from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tiny_models
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.distilling import DistillationData, distill
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.profile import (
    PROFILE_FILE,
    TrainingProfile,
    read_profile,
    write_profile,
)
from relevance_distillery.labeler.tallies import (
    FIELDS,
    PairReader,
    Vocabulary,
    pack_hashes,
    tally_grades,
)
from tiny_models import tiny_data, tiny_settings


@pytest.fixture(scope="module")
def profile(artifact: Path) -> TrainingProfile:
    return read_profile(artifact)


def test_it_is_read_as_it_was_written(profile: TrainingProfile, tmp_path: Path) -> None:
    write_profile(tmp_path, profile)
    assert read_profile(tmp_path) == profile
    assert (tmp_path / PROFILE_FILE).stat().st_size < 1_000_000


def test_it_counts_the_pairs_of_training(profile: TrainingProfile, labeler: Labeler) -> None:
    data = tiny_data()
    assert (profile.pairs, profile.queries) == (len(data.learn), 24)
    share = float((data.learn.positions == 3).mean())
    assert profile.taught_grades["3"] == pytest.approx(share, abs=1e-6)
    assert profile.lengths["query_tokens"] == (3, 3, 3, 3, 3)
    held_out = data.early.followed_by(data.calibrate)
    assert profile.held_out.pairs == len(held_out)
    assert profile.held_out.queries == held_out.pairs["query_id"].nunique()
    # The labeler's own grades, and how often the teacher's are the same.
    graded = labeler.grade(held_out.pairs)
    correct = DEFAULT_SCALE.positions(graded["grade"]) == held_out.positions
    assert profile.held_out.accuracy == pytest.approx(correct.mean(), abs=1e-6)
    assert profile.held_out.confidence == pytest.approx(graded["confidence"].mean(), abs=1e-6)
    tallies = {name: np.array(rows) for name, rows in profile.held_out.tallies.items()}
    counts = np.bincount(DEFAULT_SCALE.positions(graded["grade"]), minlength=4)
    assert tallies["grades"].sum(axis=0).tolist() == counts.tolist()
    assert tallies["pairs"].sum() == tallies["read"].sum() == len(held_out)


def test_no_word_of_training_can_be_read_in_it(artifact: Path) -> None:
    content = (artifact / PROFILE_FILE).read_text()
    words = {word.strip('",:[]{}') for word in content.replace(",", " ").split()}
    assert not words & set(tiny_models.WORDS)
    assert not [query for query in tiny_data().queries["text"] if query in content]


def test_it_knows_the_queries_whose_labels_were_used(profile: TrainingProfile) -> None:
    data = tiny_data()
    used = [part.pairs["query"].iloc[0] for part in (data.learn, data.early, data.calibrate)]
    asked = [*used, f"  {used[0].upper()} ", "w1 w2 w3 w4", ""]
    assert profile.trained_on(asked).tolist() == [True, True, True, True, False, False]
    assert profile.trained_on([]).tolist() == []


def test_people_are_known_by_the_names_of_judges(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_encoder, epochs=1)
    data = tiny_data()
    for names, people in ((("embedded",), False), (("embedded", "human"), True)):
        taught = DistillationData(
            data.learn, data.early, data.calibrate, data.queries, data.passages, names
        )
        folder, _ = distill(taught, settings, DEFAULT_SCALE, tmp_path)
        found = read_profile(folder)
        assert (found.taught_by, found.people) == (names, people)


def test_same_data_same_profile(artifact: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tiny_encoder, architecture="combined")
    again, _ = distill(tiny_data(), settings, DEFAULT_SCALE, tmp_path)
    assert (again / PROFILE_FILE).read_bytes() == (artifact / PROFILE_FILE).read_bytes()


def test_a_labeler_without_a_profile_grades_as_before(artifact: Path, tmp_path: Path) -> None:
    without = tmp_path / "labeler"
    shutil.copytree(artifact, without)
    (without / PROFILE_FILE).unlink()
    old, new = Labeler.load(without), Labeler.load(artifact)
    with pytest.raises(UserError, match="no training profile; distill again"):
        read_profile(without)
    assert old.digest != new.digest
    pairs = tiny_data().early.pairs
    assert old.grade(pairs).equals(new.grade(pairs))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read; distill again"),
        ('{"format": 99}', "has format 99, this version reads 1"),
        ("[]", "has format None"),
        ('{"format": 1, "key": "00"}', "Field required; distill again"),
    ],
)
def test_a_damaged_profile_is_one_line_and_grading_goes_on(
    content: str, message: str, artifact: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "labeler"
    shutil.copytree(artifact, damaged)
    (damaged / PROFILE_FILE).write_text(content)
    labeler = Labeler.load(damaged)
    assert len(labeler.grade(tiny_data().early.pairs))
    with pytest.raises(UserError, match=message) as raised:
        read_profile(labeler.folder)
    assert "\n" not in str(raised.value)


def test_a_vocabulary_keeps_words_of_two_texts_and_counts_the_others() -> None:
    vocabulary = Vocabulary.of(["the travel policy", "the policy of Ann", "The leave policy"])
    assert len(vocabulary.hashes) == 2
    words, unknown, common = vocabulary.counts(["The POLICY, the rule", "Ann", "", "leave it"])
    assert words.tolist() == [4, 1, 0, 2]
    assert unknown.tolist() == [1, 1, 0, 2]
    assert common.tolist() == [3, 0, 0, 0]
    again = Vocabulary.from_text(vocabulary.key.hex(), pack_hashes(vocabulary.hashes))
    assert [int(count[0]) for count in again.counts(["the rule"])] == [2, 1, 1]
    assert len(Vocabulary.of(["a b c", "a b c"], most=2).hashes) == 2
    assert Vocabulary.of([]).counts(["a"])[1].tolist() == [1]


def test_vocabularies_of_different_texts_cannot_be_joined() -> None:
    first, second = Vocabulary.of(["a", "a b"]), Vocabulary.of(["a", "a c"])
    assert first.hashes.tolist() != second.hashes.tolist()


def test_texts_are_counted_as_the_labeler_reads_them(labeler: Labeler) -> None:
    import pandas as pd

    reader = PairReader(labeler, Vocabulary.of(["w1 w2 w3", "w1 w2 w3"]))
    pairs = pd.DataFrame(
        {
            "query": ["w1 w2", "w1 w2", " ".join(["w1"] * 9)],
            "text": ["w3 w4", " ".join(["w3"] * 70), "w1"],
            "title": ["", "w9", None],
        }
    )
    tally = reader.tally(pairs)
    assert tally["query_terms"].tolist() == [[2, 0], [2, 0], [9, 0]]
    assert tally["text_terms"].tolist() == [[2, 1, 1], [71, 1, 70], [1, 0, 1]]
    # 64 tokens fit, 8 of them a query's.
    assert tally["truncated"].ravel().tolist() == [0, 1, 1]
    assert tally["query_tokens"].argmax(axis=1).tolist() == [0, 0, 3]
    assert tally["text_tokens"].argmax(axis=1).tolist() == [0, 3, 0]
    assert tally["fields"][:, FIELDS.index("title")].tolist() == [0, 1, 0]
    assert tally["fields"][:, FIELDS.index("text")].tolist() == [1, 1, 1]
    assert reader.tally(pairs[:0])["read"].shape == (0, 1)


def test_rows_without_a_grade_are_not_counted() -> None:
    import pandas as pd

    graded = pd.DataFrame(
        {
            "grade": pd.array([3, None, 0], dtype="Int64"),
            "expected_grade": [3.0, np.nan, 0.31],
            "confidence": [1.0, np.nan, 0.25],
        }
    )
    tally = tally_grades(graded, DEFAULT_SCALE)
    assert tally["grades"].sum(axis=0).tolist() == [1, 0, 0, 1]
    assert tally["expected_grade"].argmax(axis=1).tolist() == [9, 1]
    assert tally["confidence"].argmax(axis=1).tolist() == [9, 2]
    assert float(tally["confidence_sum"].sum()) == 1.25
    assert json.dumps({name: rows.sum(axis=0).tolist() for name, rows in tally.items()})
