"""Grades from files, and the judge that answers from them."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.collections.recorded_grades import (
    RecordedGrades,
    read_recorded_grades,
)
from relevance_distillery.errors import UserError
from relevance_distillery.grading import DEFAULT_SCALE, GradeScale
from relevance_distillery.judges.recorded import RecordedJudge
from relevance_distillery.judges.registry import restore_judge

BEIR = "query-id\tcorpus-id\tscore\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read_grade_file(path):
    return read_recorded_grades(str(path), None).grades


def pairs(*keys):
    table = pd.DataFrame({column: [""] * len(keys) for column in PAIR_COLUMNS})
    table[["query_id", "document_id"]] = list(keys)
    table["passage_id"] = table["document_id"]
    return table


def test_tsv_csv_and_parquet_read_the_same(tmp_path):
    rows = [("1", "a", 0), ("1", "b", 3)]
    write(tmp_path / "j.tsv", BEIR + "1\ta\t0\n1\tb\t3\n")
    write(tmp_path / "j.csv", "query_id,document_id,grade,note\n1,a,0,x\n1,b,3.0,y\n")
    pd.DataFrame(rows, columns=["query_id", "document_id", "grade"]).to_parquet(
        tmp_path / "j.parquet"
    )
    pd.read_csv(tmp_path / "j.tsv", sep="\t").to_csv(tmp_path / "j.tsv.gz", sep="\t", index=False)

    for name in ("j.tsv", "j.csv", "j.parquet", "j.tsv.gz"):
        table = read_grade_file(tmp_path / name)
        assert list(table.itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1\ta\tgood\n", r"row 2.*not a whole number"),
        ("1\ta\tinf\n", r"row 2.*not a whole number"),
        ("1\ta\t1\n\tb\t1\n", r"row 3: empty query id"),
        ("1\ta\t1\n2\t\t1\n", r"row 3: empty document id"),
    ],
)
def test_bad_rows_are_named(tmp_path, body, message):
    path = write(tmp_path / "j.tsv", BEIR + body)

    with pytest.raises(UserError, match=rf"j\.tsv, {message}"):
        read_grade_file(path)


def test_missing_columns_wrong_kinds_and_broken_files(tmp_path):
    with pytest.raises(UserError, match=r"needs the column document_id; has query-id"):
        read_grade_file(write(tmp_path / "a.tsv", "query-id\tscore\n1\t2\n"))
    with pytest.raises(UserError, match=r"has the kind|unknown kind|cells where TREC"):
        read_grade_file(write(tmp_path / "a.xlsx", "x"))
    (tmp_path / "b.tsv").write_bytes(b"query-id\tcorpus-id\tscore\n\xff\xfe\t1\t1\n")
    with pytest.raises(UserError, match="UTF-8"):
        read_grade_file(tmp_path / "b.tsv")
    with pytest.raises(UserError, match="is not a Parquet file"):
        read_grade_file(write(tmp_path / "c.parquet", "not parquet"))


def judge_of(path, **more):
    return RecordedJudge(read_recorded_grades(str(path), None, **more), DEFAULT_SCALE)


def answers(judge, *keys):
    return [(one.grade, one.probabilities) for one in next(judge.grade([pairs(*keys)]))]


def test_answers_that_differ_are_shares_of_grades_and_their_lower_median(tmp_path):
    votes = "1\ta\t0\n1\ta\t2\n1\tb\t1\n1\ta\t3\n1\tc\t2\n1\ta\t2\n1\tc\t3\n1\tb\t1\n"
    judge = judge_of(write(tmp_path / "j.tsv", BEIR + votes))
    assert answers(judge, ("1", "a"), ("1", "b"), ("1", "c"), ("1", "d")) == [
        (2, (0.25, 0.0, 0.5, 0.25)),
        (1, None),  # they agree, as a single grade would
        (2, (0.0, 0.0, 0.5, 0.5)),
        (None, None),
    ]
    # Annotators may miss pairs; one who graded a pair twice has two votes.
    rows = "1,a,ann,0\n1,a,ann,0\n1,a,bob,3\n1,b,bob,1\n1,b,ann,\n"
    judge = judge_of(write(tmp_path / "j.csv", "query_id,document_id,annotator,grade\n" + rows))
    a, b = answers(judge, ("1", "a"), ("1", "b"))
    assert a == (0, pytest.approx((2 / 3, 0, 0, 1 / 3), abs=1e-6))
    assert b == (1, None)


def test_a_mean_is_shared_by_its_neighbours_and_rounded_a_half_down(tmp_path):
    text = BEIR + "1\ta\t1.25\n1\tb\t2.0\n1\tc\t0.5\n1\td\t2.75\n1\te\t1\n1\te\t1.5\n"
    judge = judge_of(write(tmp_path / "j.tsv", text))
    found = answers(judge, *[("1", name) for name in "abcde"])
    assert found == [
        (1, (0.0, 0.75, 0.25, 0.0)),
        (2, None),
        (0, (0.5, 0.5, 0.0, 0.0)),
        (3, (0.0, 0.0, 0.25, 0.75)),
        (1, (0.0, 0.75, 0.25, 0.0)),
    ]
    write(tmp_path / "k.tsv", BEIR + "1\ta\t1.2\n")
    binary = GradeScale(grades=DEFAULT_SCALE.grades[::3], relevant_from=3)
    judge = RecordedJudge(read_recorded_grades(str(tmp_path / "k.tsv"), None), binary)
    assert answers(judge, ("1", "a")) == [(0, (0.6, 0.4))]


def test_soft_answers_are_kept_in_the_state_and_make_another_request(tmp_path):
    hashes = []
    for name, text in (("w", "1\ta\t1\n"), ("m", "1\ta\t1.25\n"), ("r", "1\ta\t1\n1\ta\t2\n")):
        path = write(tmp_path / name / "gpt.tsv", BEIR + text)
        judge = judge_of(path)
        again = restore_judge(None, json.loads(json.dumps(judge.to_state())), DEFAULT_SCALE)
        asked = pairs(("1", "a"))
        assert list(again.grade([asked])) == list(judge.grade([asked]))
        hashes += judge.request_hashes(asked)
    assert len(set(hashes)) == 3
    # Labels that were made before answers could differ are found again.
    assert hashes[0] == "4e0f6936d6d869f89d788cf3e8092e83"
    old = judge.to_state() | {"grades": {"1": {"a": 3}}}
    assert answers(restore_judge(None, old, DEFAULT_SCALE), ("1", "a")) == [(3, None)]


def sets(tmp_path, **files):
    """Folders whose judge `NAME` (of `SET_NAME`) has the given rows."""
    for name, body in files.items():
        folder, _, judge = name.partition("_")
        write(tmp_path / folder / "judges" / f"{judge}.tsv", BEIR + body)
    folders = dict.fromkeys(name.partition("_")[0] for name in files)
    return ";".join(str(tmp_path / folder) for folder in folders)


def test_one_judge_for_all_sets_or_one_a_set(tmp_path):
    places = sets(tmp_path, a_x="1\td\t0\n", b_x="1\td\t1\n", b_y="1\td\t2\n", c_y="1\td\t3\n")
    found = read_recorded_grades(places, "x;y;y")
    assert found.name == "x+y"
    assert found.grades["query_id"].tolist() == ["a/1", "b/1", "c/1"]
    assert found.grades["grade"].tolist() == [0, 2, 3]
    assert read_recorded_grades(places.rpartition(";")[0], "x").name == "x"
    with pytest.raises(UserError, match=r"judge=x;y names 2 judges for 3 sets: name one for all"):
        read_recorded_grades(places, "x;y")
    with pytest.raises(UserError, match=r"/c has no judge 'x'.*use one of y"):
        read_recorded_grades(places, "x")
    with pytest.raises(UserError, match=r"/a has no judge 'y'.*use one of x"):
        read_recorded_grades(places, "y;x;y")


def test_ids_in_several_files_are_those_of_the_documents(tmp_path):
    write(tmp_path / "may" / "llm.tsv", BEIR + "1\ta\t2\n1\tb\t1\n")
    write(tmp_path / "june" / "llm.tsv", BEIR + "1\tb\t3\n2\ta\t0\n")
    judge = judge_of(f"{tmp_path}/may/llm.tsv;{tmp_path}/june/llm.tsv")
    # Both files have an answer for the second pair.
    assert answers(judge, ("1", "a"), ("1", "b"), ("2", "a")) == [
        (2, None),
        (1, (0.0, 0.5, 0.0, 0.5)),
        (0, None),
    ]


def test_grades_of_another_scale_are_mapped_by_a_rule_or_refused(tmp_path):
    body = "1\ta\t0\n1\tb\t10\n1\tc\t2.5\n1\td\t10\n"
    places = sets(tmp_path, own_x="1\ta\t2\n1\tb\t3\n", other_x=body)
    with pytest.raises(UserError, match=r"rows 3, 5: .*'10' are not.*grade_map\.other\.GIVEN=OURS"):
        RecordedJudge(read_recorded_grades(places, "x"), DEFAULT_SCALE)

    rule = {"other": {"0": 0, "10": 3}}
    judge = RecordedJudge(read_recorded_grades(places, "x", rule), DEFAULT_SCALE)
    keys = [("own/1", "own/a"), *[("other/1", f"other/{name}") for name in "abc"]]
    assert answers(judge, *keys) == [
        (2, None),
        (0, None),
        (3, None),
        (1, (0.25, 0.75, 0.0, 0.0)),  # a quarter of the way from 0 to 10
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"third": {0: 0}}, r"grade_map\.third: there is no such set;.*one of own, other"),
        (
            {"other": 3},
            r"grade_map\.other: does not map numbers; write grade_map\.other\.",
        ),
        ({"other": {"no": 0}}, r"grade_map\.other: does not map numbers"),
        ({"other": {0: 0, 9: 3}}, r"x\.tsv, row 3: grade_map\.other maps 0, 9 and not .*'10'"),
        ({"other": {0: 0, 10: 7}}, r"grade_map\.other\.10=7: 7 is not on the scale"),
    ],
)
def test_a_wrong_rule_is_named(tmp_path, rule, message):
    places = sets(tmp_path, own_x="1\ta\t2\n", other_x="1\ta\t0\n1\tb\t10\n")
    with pytest.raises(UserError, match=message):
        RecordedJudge(read_recorded_grades(places, "x", rule), DEFAULT_SCALE)


def test_a_set_of_zeros_and_ones_beside_others_needs_a_rule(tmp_path):
    places = sets(tmp_path, own_x="1\ta\t2\n1\tb\t3\n", other_x="1\ta\t0\n1\tb\t1\n")
    message = r"other/judges/x\.tsv: has the grades 0 and 1 alone.*grade_map\.other\.1=OURS"
    with pytest.raises(UserError, match=message):
        RecordedJudge(read_recorded_grades(places, "x"), DEFAULT_SCALE)
    for ours in (1, 3):
        rule = {"other": {0: 0, 1: ours}}
        judge = RecordedJudge(read_recorded_grades(places, "x", rule), DEFAULT_SCALE)
        assert answers(judge, ("other/1", "other/b")) == [(ours, None)]
    # Alone, as ever.
    alone = read_recorded_grades(places.split(";")[1], "x")
    assert answers(RecordedJudge(alone, DEFAULT_SCALE), ("1", "b")) == [(1, None)]


def test_a_mean_outside_the_scale_is_named(tmp_path):
    path = write(tmp_path / "gpt.tsv", BEIR + "1\ta\t1.5\n1\tb\t3.25\n1\tc\t-0.5\n")
    message = r"gpt\.tsv, rows 3, 4: grades '3\.25', '-0\.5' are not on the scale"
    with pytest.raises(UserError, match=message):
        judge_of(path)


def test_folders_name_their_judges_and_prefix_their_ids(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name / "judges" / "gpt.tsv", BEIR + "1\ta\t1\n")
        write(tmp_path / name / "qrels" / "human.tsv", BEIR + "1\ta\t2\n")
    one, both = str(tmp_path / "one"), f"{tmp_path / 'one'}; {tmp_path / 'two'}"

    assert read_recorded_grades(one, "gpt").grades["query_id"].tolist() == ["1"]
    assert read_recorded_grades(one, "human").grades["grade"].tolist() == [2]
    found = read_recorded_grades(both, "gpt")
    assert found.name == "gpt"
    assert found.grades["document_id"].tolist() == ["one/a", "two/a"]
    with pytest.raises(UserError, match=r"no judge 'gtp'.*use one of gpt, human"):
        read_recorded_grades(one, "gtp")
    with pytest.raises(UserError, match="judge=NAME"):
        read_recorded_grades(one, None)
    with pytest.raises(UserError, match="no such file or folder"):
        read_recorded_grades(str(tmp_path / "none"), "gpt")


def test_the_judge_answers_what_it_knows_and_calls_the_rest_missing(tmp_path):
    path = write(tmp_path / "gpt.tsv", BEIR + "1\ta\t1\n1\tb\t3\n")
    judge = RecordedJudge(read_recorded_grades(str(path), None), DEFAULT_SCALE)
    asked = pairs(("1", "b"), ("1", "c"), ("2", "a"), ("1", "a"))
    verdicts = [verdict for batch in judge.grade([asked]) for verdict in batch]

    assert judge.name == "gpt"
    assert [verdict.grade for verdict in verdicts] == [3, None, None, 1]
    assert [verdict.status for verdict in verdicts] == ["ok", "missing", "missing", "ok"]
    assert [verdict.request_hash for verdict in verdicts] == judge.request_hashes(asked)
    assert len(set(judge.request_hashes(asked))) == 4


def test_a_mended_grade_is_another_request(tmp_path):
    judges = []
    for text in ("1\ta\t1\n", "1\ta\t2\n"):
        path = write(tmp_path / "gpt.tsv", BEIR + text)
        judges.append(RecordedJudge(read_recorded_grades(str(path), None), DEFAULT_SCALE))

    asked = pairs(("1", "a"))
    assert judges[0].request_hashes(asked) != judges[1].request_hashes(asked)


def test_the_state_is_json_and_makes_the_same_judge(tmp_path):
    path = write(tmp_path / "gpt.tsv", BEIR + "1\ta\t1\n1\tb\t3\n2\ta\t0\n")
    judge = RecordedJudge(read_recorded_grades(str(path), None), DEFAULT_SCALE)
    again = restore_judge(None, json.loads(json.dumps(judge.to_state())), DEFAULT_SCALE)
    asked = pairs(("1", "a"), ("2", "a"), ("9", "z"))

    assert str(tmp_path) not in json.dumps(judge.to_state())
    assert again.request_hashes(asked) == judge.request_hashes(asked)
    assert list(again.grade([asked])) == list(judge.grade([asked]))


def test_grades_outside_the_scale_and_no_grades_are_refused(tmp_path):
    path = write(tmp_path / "gpt.tsv", BEIR + "1\ta\t1\n1\tb\t7\n1\tc\t-1\n")
    message = r"gpt\.tsv, rows 3, 4: grades '7', '-1' are not on the scale \[0, 1, 2, 3\]"
    with pytest.raises(UserError, match=message):
        RecordedJudge(read_recorded_grades(str(path), None), DEFAULT_SCALE)
    table = pd.DataFrame({"query_id": ["1"], "document_id": ["b"], "grade": [7]})
    with pytest.raises(UserError, match=r"document 'b' the grade 7.*scale \[0, 1, 2, 3\]"):
        RecordedJudge(RecordedGrades("gpt", table), DEFAULT_SCALE)
    with pytest.raises(UserError, match="grades=FILE"):
        RecordedJudge(read_recorded_grades(None, None), DEFAULT_SCALE)
