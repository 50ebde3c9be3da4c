"""The page: every shape of results, nothing invented or hostile, no text where none may be."""

from __future__ import annotations

import copy
import html
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relevance_distillery.evaluation.agreement.measurement import Options, measure
from relevance_distillery.evaluation.agreement.metrics import METRICS
from relevance_distillery.evaluation.disagreements import pick
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.reporting.charts import (
    linear_axis,
    linear_ticks,
    log_axis,
    log_ticks,
    place_labels,
)
from relevance_distillery.reporting.comparisons import differences
from relevance_distillery.reporting.figures import draw_figures, known_prices
from relevance_distillery.reporting.formats import listed, shorten
from relevance_distillery.reporting.report import grades_report, labeler_report

HOSTILE = "<script>alert(1)</script>"
SECRET = "zebrafish"
OPTIONS = Options(resamples=100, permutations=100, slice_pairs=10)
FACTS = {"name": "house", "human": True, "kind": "own_corpus", "digest": "f00d"}
PROMOTION: dict[str, Any] = {
    "name": "relevance-labeler",
    "version": "1",
    "promoted": True,
    "champion": "1",
    "reason": "there was no champion",
    "margin": 0.03,
}
GRADING: dict[str, Any] = {
    "student": {
        "digest": "f00d",
        "base_model": "bundled",
        "architecture": "combined",
        "precision": "fp32",
        "device": "cpu",
        "length_slope": 0.0,
    },
    "teacher": {"name": "big", "left_out": "", "failures": {"missing": 2}},
    "base": {"model": "bundled", "calibrated_on": 16},
}
COST: dict[str, Any] = {
    "judges": {
        "student": {
            "usd_per_1000_labels": 0.0002,
            "measured_usd_per_1000_labels": 0.0002,
            "list_usd_per_1000_labels": None,
            "usd_basis": "measured",
            "pairs_per_second": 150.0,
            "speed_basis": "measured",
            "runs": [140.0, 150.0, 160.0],
        },
        "teacher": {
            "usd_per_1000_labels": 1.2,
            "measured_usd_per_1000_labels": None,
            "list_usd_per_1000_labels": 1.2,
            "usd_basis": "list price",
            "pairs_per_second": None,
            "speed_basis": "not known",
            "runs": [],
        },
    },
    "cost_ratio": 6000.0,
    "break_even": {"labels": 4000, "reason": "so it is"},
    "assumptions": [{"name": "machine", "value": 0.1, "unit": "USD", "source": "assumed"}],
}


def grades(queries: int = 24, documents: int = 10, **noise: Any) -> pd.DataFrame:
    """People's grades, and judges that err by so much."""
    rng = np.random.default_rng(7)
    human = rng.integers(0, 4, queries * documents)
    table = pd.DataFrame(
        {
            "query_id": np.repeat([f"q{n}" for n in range(queries)], documents),
            "document_id": [f"d{n}" for n in range(queries * documents)],
            "human": human,
            "query_words": np.repeat(rng.integers(1, 8, queries), documents),
            "passages": rng.integers(1, 8, human.size),
            "folder": rng.choice(["sales", "legal"], human.size),
        }
    )
    for name, spread in noise.items():
        given = np.clip(np.rint(human + rng.normal(0, spread, human.size)), 0, 3).astype(int)
        table[f"{name}_grade"] = pd.array(given, dtype="Int64")
    return table


def texts(table: pd.DataFrame) -> pd.DataFrame:
    return table[["query_id", "document_id"]].assign(
        query=f"where is the {SECRET}", title=f"About {SECRET}", text=f"A {SECRET} swims here."
    )


def raters(table: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    parts = []
    for name in ("anna", "ben", "eve"):
        given = np.clip(np.rint(table["human"] + rng.normal(0, 0.6, len(table))), 0, 3)
        parts.append(
            table[["query_id", "document_id"]].assign(annotator=name, grade=given.astype(int))
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def student() -> dict[str, Any]:
    """Everything that a report of a trained labeler may hold, measured."""
    table = grades(student=0.6, teacher=0.8, base=2.0)
    sure = np.full((len(table), 4), 0.1)
    sure[np.arange(len(table)), table["student_grade"].astype(int)] = 0.7
    table["student_probabilities"] = sure.tolist()
    table["bm25"] = table["human"] + np.random.default_rng(0).normal(0, 2, len(table))
    agreement = measure(table, SCALE, FACTS, raters(table), OPTIONS)
    return {"agreement": agreement, "examples": pick(table, texts(table), ["student"], SCALE)}


@pytest.fixture(scope="module")
def judged() -> dict[str, Any]:
    """A report on three files of grades."""
    table = grades(24, 10, **{"alpha-70b": 1.5, "beta": 0.5, "gamma": 0.5})
    agreement = measure(table, SCALE, FACTS, None, OPTIONS, roles={})
    agreement["sources"] = {
        "beta": {"pairs_in_file": 250, "matched": 240, "missing": 0, "unknown": 10, "notes": ["x"]}
    }
    found = pick(table, texts(table), ["alpha-70b", "beta", "gamma"], SCALE)
    return {"agreement": agreement, "examples": found}


def student_page(given: dict[str, Any], cost: dict[str, Any] | None = None) -> tuple[str, str]:
    return labeler_report(
        agreement=given["agreement"],
        cost=cost or COST,
        benchmark={"name": "house", "digest": "f00d", "skipped": {"gone: 1": ["d99"]}},
        grading=GRADING,
        disagreements=given["examples"],
        promotion=PROMOTION,
        labeling={"labelled": 64, "failures": {"refused": 3}},
        exclusions={"reasons": {"benchmark_query": {"pairs": 5, "queries": 1}}},
        training={"seconds": 3.0},
    )


def grades_page(given: dict[str, Any], cost: dict[str, Any] | None = None) -> tuple[str, str]:
    return grades_report(
        agreement=given["agreement"],
        cost=cost or {"judges": {}, "assumptions": []},
        benchmark={"name": "house", "digest": "f00d", "skipped": {}},
        disagreements=given["examples"],
    )


def text_of(page: str) -> str:
    """What a person reads, from the first line on."""
    return html.unescape(re.sub(r"<[^>]+>", "", page[page.index("<main") :])).strip()


def headings(page: str) -> list[str]:
    return [html.unescape(text).strip() for text in re.findall(r"<h2[^>]*>(.*?)</h2>", page)]


def check(page: str) -> None:
    """What holds of every page."""
    assert not re.search(r"src=|href=(?!\"#)|@import|url\(|<script|https?://", page)
    links, ids = re.findall(r'href="#(\w+)"', page), re.findall(r'\bid="(\w+)"', page)
    assert set(links) <= set(ids)
    assert len(ids) == len(set(ids))
    assert links[-1] == "appendix"
    body = re.sub(r"<style.*?</style>", "", page, flags=re.S)
    assert not {"nan", "null", "undefined", "inf"} & set(text_of(page).lower().split())
    assert not re.search(r"\bNone\b(?! of them)|\bnan\b|\bNaN\b", body)
    assert body.count("<footer>") == 1


def test_a_full_report_has_every_part(student: dict[str, Any]) -> None:
    page, _ = student_page(student)
    check(page)
    assert headings(page) == [
        "Is the difference real?",
        "Where the grades fall",
        "How cheap",
        "Where judge and people differ",
        "What was left out",
        "Appendix",
        "How good, by every metric",
        "Every difference",
        "People and judges on one scale",
        "As a ranking",
        "Where the grades of the others fall",
        "At each threshold",
        "Where it is good and where not",
        "Is it as right as it is sure?",
        "How many human grades do I need?",
        "Every assumption about cost",
        "Where it comes from",
        "Words",
    ]
    said = text_of(page)
    for part in (
        "By folder",
        "By people's grade",
        "Brier of relevant",
        "anna",
    ):
        assert part in said, part


def test_a_second_pass_stands_beside_the_first() -> None:
    table = grades(student=0.8, teacher=0.8, base=2.0, second_pass=0.5)
    agreement = measure(table, SCALE, FACTS, None, OPTIONS)
    page, _ = student_page({"agreement": agreement, "examples": []})
    check(page)
    assert "student, second pass" in text_of(page)
    apart = next(row for row in agreement["comparisons"] if row["second"] == "second_pass")
    assert apart["first"] == "student"
    assert apart["metrics"]["quadratic_kappa"]["high"] < 0


def test_the_answer_comes_first(student: dict[str, Any]) -> None:
    said = text_of(student_page(student)[0])
    assert said.startswith(
        "Measured against people's grades: 240 pairs of 24 queries, benchmark “house”."
    )
    assert said.index("May I use this labeler?") < said.index("quadratic κ") < 600


def test_files_of_grades_are_ranked_by_name(judged: dict[str, Any]) -> None:
    page, _ = grades_page(judged)
    check(page)
    said = text_of(page)
    assert "Which judge agrees with people best?" in said
    assert re.search(r"best\?\s*(beta|gamma)\.", said)
    assert "not told apart from" in said
    for absent in ("student", "teacher", "untrained", "labeler", "Break-even"):
        assert not re.search(rf"\b{absent}\b", said), absent
    assert "Every couple, quadratic κ" in said
    assert "The files of grades" in headings(page)


def test_one_file_is_a_question_of_its_own() -> None:
    table = grades(only=0.9)
    agreement = measure(table, SCALE, FACTS, None, OPTIONS, roles={})
    page, _ = grades_page({"agreement": agreement, "examples": []})
    check(page)
    said = text_of(page)
    assert "Does only agree with people?" in said
    assert "Substantially." in said or "Moderately." in said
    assert "Is the difference real?" not in said


def test_files_named_like_our_roles_keep_their_names() -> None:
    table = grades(teacher=0.5, base=0.9)
    agreement = measure(table, SCALE, FACTS, None, OPTIONS, roles={})
    said = text_of(grades_page({"agreement": agreement, "examples": []})[0])
    assert "teacher − base" in said
    assert "untrained" not in said


def test_several_benchmarks_stand_in_a_table_and_the_first_decides(
    student: dict[str, Any], judged: dict[str, Any]
) -> None:
    for results, write in ((student, student_page), (judged, grades_page)):
        agreement = copy.deepcopy(results["agreement"])
        other = copy.deepcopy(agreement)
        other["benchmark"] |= {"name": "elsewhere", "human": False}
        agreement["other_benchmarks"] = [other]
        page, _ = write({"agreement": agreement, "examples": []})
        check(page)
        said = text_of(page)
        assert said.startswith("Measured against people's grades")
        table = said[said.index("Every benchmark") :]
        assert table.index("decides; people's grades") < table.index("no grades by people")
        assert table.index("house") < table.index("elsewhere")


@pytest.mark.parametrize("roles", [None, {}])
@pytest.mark.parametrize(
    "table",
    [
        grades(student=0.0, teacher=0.0).assign(human=2, student_grade=2, teacher_grade=2),
        grades(queries=1, student=0.5, teacher=0.5),
        grades(queries=1, documents=1, student=0.5),
        grades(student=0.5).assign(student_grade=pd.array([pd.NA] * 240, dtype="Int64")),
        grades(),
    ],
    ids=["one grade", "one query", "one pair", "nothing graded", "no judge"],
)
def test_what_is_not_defined_has_its_reason(
    table: pd.DataFrame, roles: dict[str, str] | None
) -> None:
    agreement = measure(table, SCALE, FACTS, None, OPTIONS, roles=roles)
    write = student_page if agreement["roles"] else grades_page
    page, without = write({"agreement": agreement, "examples": []})
    check(page)
    check(without)
    for figure in draw_figures(agreement, {"judges": {}}):
        assert "NaN" not in figure.to_json()
    for row in agreement["not_defined"]:
        assert row["reason"] in text_of(page)
    student = agreement["judges"].get("student")
    if student is None or student["quadratic_kappa"]["estimate"] is None:
        assert "No answer yet." in text_of(page)


def test_raters_without_common_pairs_are_named() -> None:
    table = grades(student=0.5)
    apart = raters(table)
    half = table["document_id"].iloc[: len(table) // 2]
    first = (apart["annotator"] == "anna") & apart["document_id"].isin(half)
    second = (apart["annotator"] == "ben") & ~apart["document_id"].isin(half)
    agreement = measure(table, SCALE, FACTS, apart[first | second], OPTIONS)
    page, _ = student_page({"agreement": agreement, "examples": []})
    check(page)
    assert "Left out: anna and ben (raters who graded no pair in common)." in text_of(page)


def test_hostile_names_and_texts_are_escaped() -> None:
    table = grades(24, 10, **{HOSTILE: 0.6, "{{ 7 * 7 }}": 0.9})
    table["folder"] = np.where(table["human"] > 1, HOSTILE, "\" onmouseover=x '")
    pairs = texts(table).assign(
        query=f"{HOSTILE} {SECRET}", title=HOSTILE, text=f"</blockquote>{HOSTILE} {SECRET}"
    )
    people = raters(table).replace({"anna": HOSTILE})
    agreement = measure(table, SCALE, FACTS | {"name": HOSTILE}, people, OPTIONS, roles={})
    counts = dict.fromkeys(("pairs_in_file", "matched", "missing", "unknown"), 1)
    agreement["sources"] = {HOSTILE: counts | {"notes": [HOSTILE]}}
    agreement["notes"].append(HOSTILE)
    priced = {
        "usd_per_1000_labels": 1.0,
        "measured_usd_per_1000_labels": None,
        "list_usd_per_1000_labels": 1.0,
        "usd_basis": HOSTILE,
        "pairs_per_second": 3.0,
        "speed_basis": HOSTILE,
    }
    cost = {
        "judges": {HOSTILE: priced},
        "assumptions": [{"name": HOSTILE, "value": 1, "unit": HOSTILE, "source": HOSTILE}],
    }
    examples = pick(table, pairs, [HOSTILE], SCALE)
    page, _ = grades_page({"agreement": agreement, "examples": examples}, cost)
    check(page)
    assert "<script" not in page
    assert page.count("<blockquote>") == page.count("</blockquote>") == len(examples)
    assert not re.search(r"<[^>]*\sonmouseover", page)
    assert "{{ 7 * 7 }}" in page


def test_examples_are_marked_and_stay_out_of_the_other_page(student: dict[str, Any]) -> None:
    page, without = student_page(student)
    assert len(student["examples"]) == 12
    assert page.count("<article>") == without.count("<article>") == 12
    assert f"<mark>{SECRET}</mark>" in page
    assert SECRET not in without
    assert "<mark>" not in without
    assert "It quotes queries and documents" in page
    assert "It holds no text of documents or queries." in without
    for one in student["examples"]:
        assert one["document_id"] in without


def test_a_page_without_examples_says_that_it_holds_no_text(student: dict[str, Any]) -> None:
    page, _ = student_page(student | {"examples": []})
    assert "It holds no text of documents or queries." in page
    assert SECRET not in page


def test_ids_alone_are_no_text(judged: dict[str, Any]) -> None:
    bare = [one | {"query": [], "title": [], "excerpt": []} for one in judged["examples"]]
    page, _ = grades_page(judged | {"examples": bare})
    assert "It holds no text of documents or queries." in page
    assert page.count("<article>") == len(bare)


def test_measured_and_list_prices_look_different(student: dict[str, Any]) -> None:
    page, _ = student_page(student)
    drawing = page[page.index("agreement against dollars") :]
    drawing = drawing[: drawing.index("</svg>")]
    assert drawing.count('class="mark"') == 1
    assert drawing.count('class="mark hollow"') == 1
    assert "paid for its teacher labels and its training after 4,000 labels" in text_of(page)


def test_both_prices_of_one_judge_are_shown(student: dict[str, Any]) -> None:
    cost = copy.deepcopy(COST)
    cost["judges"]["teacher"] |= {
        "measured_usd_per_1000_labels": 0.7,
        "list_usd_per_1000_labels": 1.2,
        "usd_basis": "measured",
    }
    assert known_prices(cost, "teacher") == [(0.7, True), (1.2, False)]
    said = text_of(student_page(student, cost)[0])
    assert "$0.70" in said
    assert "$1.20" in said


def test_a_price_of_nothing_is_not_drawn_but_said(student: dict[str, Any]) -> None:
    cost = copy.deepcopy(COST)
    cost["judges"]["teacher"] |= {
        "usd_per_1000_labels": 0.0,
        "measured_usd_per_1000_labels": 0.0,
        "list_usd_per_1000_labels": None,
        "usd_basis": "measured",
    }
    cost["break_even"] = {"labels": None, "reason": "it saves nothing"}
    said = text_of(student_page(student, cost)[0])
    assert "teacher: costs nothing" in said
    assert "Break-even: never, because it saves nothing." in said


def test_small_slices_say_why(student: dict[str, Any]) -> None:
    agreement = copy.deepcopy(student["agreement"])
    entry = agreement["slices"]["folder"][0]
    entry |= {"small": True, "why": "7 queries, fewer than 10"}
    page, _ = student_page({"agreement": agreement, "examples": []})
    assert re.search(
        rf'<tr class="small-slice"><th>{entry["value"]}<small[^>]*>7 queries, fewer than 10', page
    )


def test_figures_follow_the_judges(student: dict[str, Any], judged: dict[str, Any]) -> None:
    drawn = draw_figures(student["agreement"], COST)
    assert len(drawn) == 5
    assert [len(figure.data) for figure in drawn] == [3, 1, 4, 2, 2]
    assert [trace.marker.symbol for trace in drawn[3].data] == ["circle", "circle-open"]
    assert drawn[3].data[0].error_y.array is not None
    others = draw_figures(judged["agreement"], {"judges": {}})
    assert [trace.name for trace in others[0].data][-1] == "alpha-70b"
    assert [len(figure.data) for figure in others] == [3, 1, 4, 0, 1]
    for figure in (*drawn, *others):
        json.loads(figure.to_json(), parse_constant=pytest.fail)


def test_a_difference_can_be_read_the_other_way_round(judged: dict[str, Any]) -> None:
    agreement = judged["agreement"]
    there = differences(agreement, "alpha-70b", "beta")
    back = differences(agreement, "beta", "alpha-70b")
    assert there["quadratic_kappa"]["conclusion"] == "inferior"
    assert back["quadratic_kappa"]["conclusion"] == "superior"
    assert back["mean_absolute_error"]["conclusion"] == "superior"
    assert back["bias"]["conclusion"] is None
    for name in METRICS:
        assert back[name]["estimate"] == -there[name]["estimate"]
        assert back[name]["low"] == -there[name]["high"]
    assert differences(agreement, "beta", "nobody") == {}


@given(st.lists(st.floats(-1e3, 1e3), max_size=5))
def test_linear_axes_hold_their_values(values: list[float]) -> None:
    axis = linear_axis(values, 0.0, 100.0)
    places = [axis.at(value) for value in values]
    assert all(0.0 <= place <= 100.0 for place in places)
    assert axis.low <= min(values, default=0.0) + 1e-6
    assert axis.high >= max(values, default=0.0) - 1e-6
    assert 2 <= len(linear_ticks(axis)) <= 12
    assert sorted(places) == [axis.at(value) for value in sorted(values)]


@given(st.lists(st.floats(1e-8, 1e6), min_size=1, max_size=5))
def test_logarithmic_axes_hold_their_values(values: list[float]) -> None:
    axis = log_axis(values, 0.0, 100.0)
    ticks = log_ticks(axis)
    assert 1 <= len(ticks) <= 7
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    assert all(0.0 < axis.at(value) < 100.0 for value in values)


def test_labels_stand_at_their_own_points() -> None:
    """Two close points, as student and a teacher that is nearly as cheap."""
    marks: list[dict[str, Any]] = [
        {"x": 200.0, "y": 150.0, "name": "teacher"},
        {"x": 240.0, "y": 130.0, "name": "student"},
        {"x": 430.0, "y": 130.0, "name": "at the edge"},
    ]
    place_labels(marks, (48.0, 440.0))
    assert [mark["anchor"] for mark in marks] == ["end", "start", "end"]
    for mark in marks:
        assert abs(mark["label_y"] - mark["y"]) <= 15.0
        apart = [abs(mark["label_x"] - o["x"]) + abs(mark["label_y"] - o["y"]) for o in marks]
        assert min(apart) == apart[marks.index(mark)]


def test_many_labels_at_one_point_do_not_cover_each_other() -> None:
    marks: list[dict[str, Any]] = [{"x": 200.0, "y": 100.0, "name": f"judge {n}"} for n in range(6)]
    place_labels(marks, (48.0, 440.0))
    assert len({(mark["anchor"], mark["label_y"]) for mark in marks}) == 6


def test_people_are_named_only_where_people_graded() -> None:
    table = grades(24, 10, student=0.6, teacher=0.8, base=2.0)
    facts = FACTS | {"human": False, "kind": "same_corpus", "name": "judgments"}
    agreement = measure(table, SCALE, facts, None, OPTIONS)
    page, _ = student_page(
        {"agreement": agreement, "examples": pick(table, texts(table), ["student"], SCALE)}
    )
    check(page)
    said = text_of(page)
    assert "Where judge and the reference grades differ" in headings(page)
    assert "Works on the sample; not tested on your data." in said
    for honest in ("No grades by people", "Have people grade some of your own pairs"):
        said = said.replace(honest, "")
    assert not re.search(r"\b(people|human|person)", said.replace("no person gave it", ""))
    names = [trace.name for trace in draw_figures(agreement, COST)[2].data]
    assert names[0] == "reference"


def test_how_many_is_a_number(student: dict[str, Any]) -> None:
    gone = "judgments of documents that are not in the corpus: 1435"
    skipped = {
        gone: [*(f"d{n}" for n in range(50)), "and 1385 more"],
        "queries without a text": [*(f"q{n}" for n in range(50)), "and 7 more"],
        "runs of blanks": ["x"],
    }
    page, _ = labeler_report(
        **{
            "agreement": student["agreement"],
            "cost": COST,
            "benchmark": {"name": "house", "digest": "f00d", "skipped": skipped},
            "grading": GRADING,
            "disagreements": [],
            "promotion": PROMOTION,
            "labeling": {"labelled": 64, "failures": {"refused": 3}},
            "exclusions": {"reasons": {"benchmark_query": {"pairs": 5, "queries": 1}}},
            "training": {"seconds": 3.0},
        }
    )
    table = page[page.index('id="left"') : page.index('id="appendix"')]
    found = re.findall(r'<td class="number">(.*?)</td>', table)
    assert found[:3] == ["1,435", "57", "1"]
    assert all(re.match(r"[\d,]+\b", one) for one in found)
    assert "not in the corpus: d0, d1, d2, d3, d4, …</td>" in table


def test_too_few_queries_prove_nothing_anywhere() -> None:
    table = grades(9, 20, student=0.3, teacher=1.5, base=2.5)
    agreement = measure(table, SCALE, FACTS, None, OPTIONS)
    page, _ = student_page({"agreement": agreement, "examples": []})
    check(page)
    said = text_of(page)
    assert "Too few queries to tell." in said
    assert "That is no proof that it is good enough." in said
    assert "9 queries are too few to tell judges apart." in said
    assert not re.search(r'class="(better|worse)"|agrees better than', page)


def test_examples_show_no_marks_of_markdown() -> None:
    table = grades(24, 10, student=1.5)
    pairs = texts(table).assign(
        title="**Rooms** and `desks`",
        text="# Booking\n\nIs it **at\n10:00**? See [the list](https://x.example/a_b) & "
        "<b>ask</b>.\n\n"
        "- [ ] bring *snake_case*\n\n| Step | Date |\n|---|---|\n| Freeze | 29 May |\n",
    )
    examples = pick(table, pairs, ["student"], SCALE)
    assert "".join(text for text, _ in examples[0]["title"]) == "Rooms and desks"
    assert "".join(text for text, _ in examples[0]["excerpt"]) == (
        "Booking Is it at 10:00? See the list & ask. • bring snake_case Step · Date Freeze · 29 May"
    )
    agreement = measure(table, SCALE, FACTS, None, OPTIONS)
    page, _ = student_page({"agreement": agreement, "examples": examples})
    check(page)
    assert "See the list & ask. • bring" in text_of(page)


def test_the_threshold_table_names_each_cell_for_a_narrow_screen(student: dict[str, Any]) -> None:
    page, _ = student_page(student)
    table = page[page.index('<table class="cards">') :]
    cells = re.findall(r'<td data-column="(.*?)"', table[: table.index("</table>")])
    assert cells[:7] == ["hits by judge", "by people", "κ", "precision", "recall", "F1", "accuracy"]
    assert len(cells) == 7 * 3 * 3


def test_names_and_lists_in_words() -> None:
    assert shorten("short", 10) == "short"
    assert len(shorten("a-very-long-name-of-a-judge", 12)) == 12
    assert [listed(list(names)) for names in ("a", "ab", "abc", "abcde")] == [
        "a",
        "a and b",
        "a, b and c",
        "a, b and 3 more",
    ]
