"""What the page calls each judge, and in which colour it is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relevance_distillery.evaluation.agreement.metrics import PRIMARY

ROLES = ("student", "teacher", "base", "second_pass")

_LABELS = {
    "student": "student",
    "teacher": "teacher",
    "base": "untrained",
    "second_pass": "student, second pass",
    "second_pass_score": "student, second pass, expected grade",
    "student_expected": "student, expected grade",
    "student_score": "student, raw score",
    "teacher_expected": "teacher, expected grade",
    "base_similarity": "untrained, late interaction",
    "base_cosine": "untrained, cosine",
    "bm25": "BM25",
}

_TONES = 8


@dataclass(frozen=True)
class Judges:
    """The judges of one report.

    Attributes:
        main: Judges that give grades, the one that the report is about first.
        scores: Judges with scores only.
        has_student: The report is about a trained labeler; else about files of grades, whose
            names are the user's and are printed as they are.
    """

    main: tuple[str, ...]
    scores: tuple[str, ...]
    has_student: bool

    def label(self, name: str) -> str:
        """What the page calls a judge."""
        return _LABELS.get(name, name) if self.has_student else name

    def tone(self, name: str) -> str:
        """CSS class with the judge's colour."""
        if self.has_student and name in ROLES[:3]:
            return name
        return f"tone{self.main.index(name) % _TONES + 1}" if name in self.main else "base"

    @property
    def first(self) -> str:
        """The judge that the report is about; empty where nobody graded anything."""
        return self.main[0] if self.main else ""


@dataclass(frozen=True)
class Truth:
    """What the page calls the grades that judges are measured against.

    Attributes:
        noun: Who or what a judge agrees with.
        of: Before "grade" and "grades".
        short: In a narrow place.
    """

    noun: str
    of: str
    short: str


def truth_of(benchmark: Mapping[str, Any]) -> Truth:
    """People, but only where people graded."""
    if benchmark["human"]:
        return Truth("people", "people's", "people")
    return Truth("the reference grades", "the reference", "reference")


def judges_of(agreement: Mapping[str, Any]) -> Judges:
    """The judges of agreement.json: by role, or the best by the primary metric first."""
    judges = agreement["judges"]
    graded = [name for name, metrics in judges.items() if PRIMARY in metrics]
    has_student = bool(agreement["roles"])
    if has_student:
        main = [name for name in ROLES if name in graded]
    else:

        def descending(name: str) -> tuple[bool, float]:
            estimate = judges[name][PRIMARY]["estimate"]
            return estimate is None, -(estimate or 0.0)

        main = sorted(graded, key=descending)
    others = [name for name in judges if name not in main]
    return Judges(tuple(main), tuple(others), has_student)
