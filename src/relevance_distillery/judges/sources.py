"""What judges are prepared from: each kind takes the few things that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from relevance_distillery.collections.recorded_grades import RecordedGrades, read_recorded_grades
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.composites.cascade_settings import CascadeSettings
from relevance_distillery.judges.composites.consensus import ConsensusSettings
from relevance_distillery.judges.embedding.embedded import EmbeddedSettings
from relevance_distillery.judges.prompted.examples import read_examples, refuse_benchmark
from relevance_distillery.judges.prompted.llm import LLMJudgeSettings
from relevance_distillery.judges.prompted.rendering import PairPrompt
from relevance_distillery.judges.prompted.transformers_settings import TransformersSettings
from relevance_distillery.llm.prices import Price
from relevance_distillery.llm.prompts import Prompt


@dataclass(frozen=True)
class JudgeSources:
    """Tables, files and settings.

    Attributes:
        scale: The grades to give.
        passages, queries: Schemas `Passages` and `Queries`; None where there are none, as when
            a file of pairs is graded.
        recorded: Grades of the recorded judge that is configured.
        prompt: The grading prompt.
        benchmark_queries: Texts of the benchmark's queries, which no example may ask.
        find_labeler: From an alias, a version or a folder to a labeler's folder.
        embedded, llm, transformers, cascade, consensus: Settings of the judges of that kind.
        prices: What tokens cost, by model.
        language: For stemming.
        seed: Of whatever is drawn at random.
    """

    scale: GradeScale
    passages: pd.DataFrame | None = None
    queries: pd.DataFrame | None = None
    recorded: RecordedGrades | None = None
    prompt: Prompt | None = None
    benchmark_queries: Sequence[str] = ()
    find_labeler: Callable[[str], Path] | None = None
    embedded: EmbeddedSettings = field(default_factory=EmbeddedSettings)
    llm: LLMJudgeSettings = field(default_factory=LLMJudgeSettings)
    transformers: TransformersSettings = field(default_factory=TransformersSettings)
    cascade: CascadeSettings = field(default_factory=CascadeSettings)
    consensus: ConsensusSettings = field(default_factory=ConsensusSettings)
    prices: Mapping[str, Price] = field(default_factory=dict)
    language: str = "english"
    seed: int = 0

    def corpus(self, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Passages and queries.

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
        if self.llm.examples:
            examples = read_examples(Path(self.llm.examples).expanduser(), self.scale)
            refuse_benchmark(examples, self.benchmark_queries, self.language)
        return PairPrompt(self.prompt, self.scale, examples, redact)

    def labeler(self, which: str) -> Path:
        """The folder of a labeler.

        Raises:
            UserError: There is no such labeler.
        """
        assert self.find_labeler is not None, "whoever prepares a labeler can find one"
        return self.find_labeler(which)
