"""What judges are prepared from: each kind takes the few things that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from relevance_distillery.collections.recorded_grades import RecordedGrades, read_recorded_grades
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.prompted.pair_prompt import (
    PairPrompt,
    read_examples,
    refuse_benchmark,
)
from relevance_distillery.judges.settings import JudgeSettings
from relevance_distillery.llm.prompts import Prompt


@dataclass(frozen=True)
class JudgeSources:
    """Settings, tables and files.

    Attributes:
        scale: The grades to give.
        settings: Settings of all kinds of judge.
        passages, queries: Schemas `Passages` and `Queries`; None where there are none, as when
            a file of pairs is graded.
        recorded: Grades of the recorded judge that is configured.
        prompt: The grading prompt.
        benchmark_queries: Texts of the benchmark's queries, which no few-shot example may ask.
    """

    scale: GradeScale
    settings: JudgeSettings = field(default_factory=JudgeSettings)
    passages: pd.DataFrame | None = None
    queries: pd.DataFrame | None = None
    recorded: RecordedGrades | None = None
    prompt: Prompt | None = None
    benchmark_queries: Sequence[str] = ()

    def corpus(self, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Passages and queries, for the judge `name`.

        Raises:
            UserError: There are none here.
        """
        if self.passages is None or self.queries is None:
            raise UserError(
                f"judge={name} learns from your documents: run `kedro run --pipeline=label "
                f'--params="judge={name}"` first'
            )
        return self.passages, self.queries

    def recorded_grades(self, name: str) -> RecordedGrades:
        """Grades of a recorded judge: `name`, or the configured one where it is empty.

        Raises:
            UserError: There are no files of grades, or they have no such judge.
        """
        found = self.recorded or read_recorded_grades(None, None)
        if not name or name == found.name:
            return found
        return read_recorded_grades(found.locations, name)

    def pair_prompt(self, *, redact: str | None = None) -> PairPrompt:
        """The grading prompt with scale, examples and redaction.

        Raises:
            UserError: The prompt or an example is wrong, or an example is the benchmark's.
        """
        assert self.prompt is not None, "judges that read instructions need the grading prompt"
        examples = []
        if self.settings.llm.examples:
            examples = read_examples(Path(self.settings.llm.examples).expanduser(), self.scale)
            refuse_benchmark(examples, self.benchmark_queries, self.settings.language)
        return PairPrompt(self.prompt, self.scale, examples, redact)
