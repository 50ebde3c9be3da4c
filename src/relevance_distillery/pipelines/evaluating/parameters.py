"""What can be turned about evaluating search engines, and why one would."""

from pydantic import Field

from relevance_distillery.strict import Intervals


class EvaluatingParameters(Intervals):
    """How search engines are evaluated."""

    judge: str | None = None
    """Who grades what people did not: the champion unless `grades` names files; another labeler or
    judge as in scoring, or `none`."""
    depth: int = Field(10, ge=1)
    """Documents of each ranking that are pooled and graded; deeper measures see ungraded ones."""
    measures: list[str] = Field(
        ["nDCG@10", "AP(rel=R)", "P(rel=R)@10", "RR(rel=R)@10"], min_length=1
    )
    """Names of ir_measures, the first one decides; `rel=R` is the grade from which a document
    counts as relevant."""
    grade_judged: bool = True
    """The machine also grades what people graded outside the pool, so that both know the same
    relevant documents; off saves answers."""
    permutations: int = Field(2000, ge=100)
    """Random swaps for each p-value; more are made where many systems need them."""
