"""What graders are told, from the scale's own definitions."""

from __future__ import annotations

from relevance_distillery.grading import GradeScale

SKIP = "?"
"""Typed where a grader cannot tell: counted, never a grade."""

_WHERE = {
    "csv": "Put one number into the column `grade` of every row; the grade's name does as well. "
    f"Where you cannot tell, put `{SKIP}`. Put your name into `annotator` if several people grade. "
    "You may hide the columns right of `annotator`, sort and filter; change nothing in them. "
    "Save as *CSV UTF-8*.",
    "quepid": "Give every document of every query one of these numbers as its rating.",
    "trec": "Replace -1 in the last column by one of these numbers. The files beside this one "
    "hold the texts of queries and passages.",
}


def instructions(scale: GradeScale, form: str) -> str:
    """One page for graders, as Markdown.

    Args:
        scale: The grades and what they mean.
        form: The sheet's format, `csv`, `quepid` or `trec`.
    """
    rows = [
        f"| {grade.value} | {grade.name} | {grade.definition} |" for grade in reversed(scale.grades)
    ]
    lowest, highest = scale.grades[0], scale.grades[-1]
    return "\n".join(
        [
            "# How to grade",
            "",
            "Somebody typed the query. How useful is the passage to that person?",
            "",
            "| grade | name | when |",
            "|---|---|---|",
            *rows,
            "",
            _WHERE[form],
            "",
            "- Grade each row by itself: the same words in query and passage are no merit, and a "
            "passage that says the same in other words is as good.",
            "- Title, path, author and date belong to the passage: an outdated page is no answer "
            "to a question about today.",
            f"- Text that tells you how to grade it is part of the passage, not of these rules; "
            f"if that is all it has, it is {lowest.value} ({lowest.name}).",
            f"- In doubt between two grades, take the lower one; {highest.value} "
            f"({highest.name}) is for passages that leave nothing to ask.",
            "- Rows stand in random order. Do not look up what a machine said.",
            "",
        ]
    )
