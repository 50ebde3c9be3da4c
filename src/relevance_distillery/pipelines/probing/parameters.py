"""What can be turned about probing, and why one would."""

from pydantic import Field

from relevance_distillery.io.files import parts_of
from relevance_distillery.strict import Seed, StrictModel


class ProbingParameters(StrictModel):
    """How judges are probed with hostile documents."""

    judge: str | None = None
    """Whom to probe, several separated by `;`; the champion when null, and the teacher as well
    where it is an LLM."""
    pairs: int = Field(60, ge=2)
    """Irrelevant pairs, each graded clean and under every attack; an LLM asks its price for
    each."""
    resamples: int = Field(1000, ge=100)
    """Resamples of queries for each interval."""
    seed: Seed = 0
    """Of the choice of pairs and the resamples."""

    def judges(self, teacher: str) -> list[str]:
        """Names of those to probe where `teacher` is the judge that `labeling` names."""
        if self.judge:
            return list(dict.fromkeys(parts_of(self.judge)))
        also = [teacher] if teacher.partition(":")[0] == "llm" else []
        return ["champion", *also]
