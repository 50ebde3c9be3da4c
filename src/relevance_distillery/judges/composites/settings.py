"""What can be set about judges that are made of other judges."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from relevance_distillery.errors import UserError
from relevance_distillery.strict import StrictModel

Target = Literal["accuracy", "cost", "agreement"]
Method = Literal["vote", "mean", "dawid_skene"]
MapKind = Literal["none", "single", "per_class"]

ENOUGH_EXAMPLES = 50
"""A grade that people gave less often than this takes the map of all grades together."""


class CascadeSettings(StrictModel):
    """Which judges a cascade asks, and how its thresholds are chosen."""

    judges: str | None = Field(
        None,
        description="The judges in the order in which they are asked, cheapest first, separated "
        "by `;`; the pipeline cascade fits them.",
    )
    fitted: str | None = Field(
        None,
        description="The fitted cascade that judge=cascade uses, as the pipeline cascade wrote "
        "it; of a versioned file the newest.",
    )
    target: Target = Field(
        "agreement",
        description="agreement (quadratic kappa) or accuracy: the cheapest thresholds that reach "
        "`value`; cost: those that agree best among all that cost at most `value`.",
    )
    value: float | None = Field(
        None,
        description="The target: a kappa, a share, or a cost in units of the last judge's. Null "
        "for the last judge's own figure, or half of its cost.",
    )
    map: MapKind = Field(
        "per_class",
        description="Map of a judge that gives probabilities: one isotonic function a grade, a "
        "single one for all, or none, to compare.",
    )
    decision: Literal["auto", "own", "posterior"] = Field(
        "auto",
        description="Grade of a pair that leaves: the judge's own, or the most probable one by "
        "the calibrator; auto chooses for each judge on the graded set.",
    )
    folds: int = Field(
        5, ge=2, description="Folds of queries for every choice; more is steadier and slower."
    )
    enough_examples: int = Field(
        ENOUGH_EXAMPLES,
        ge=2,
        description="A grade that people gave less often takes the map of all grades.",
    )


class ConsensusSettings(StrictModel):
    """How several judges become one."""

    judges: str | None = Field(
        None, description="The judges that judge=consensus asks, at least two, separated by `;`."
    )
    method: Method = Field(
        "vote",
        description="vote: the grade that most gave, among equals the last judge's; mean: of "
        "the grades, to the nearest grade; dawid_skene: weighs judges by how they agree.",
    )
    min_answers: int = Field(
        2, ge=1, description="A pair that fewer judges graded fails; more is stricter."
    )


def judge_names(judges: str | None, where: str) -> tuple[str, ...]:
    """The names in a list that is separated by `;`.

    Args:
        judges: As typed.
        where: The judge that needs them, for the message.

    Raises:
        UserError: Fewer than two, or one of them twice.
    """
    names = tuple(name.strip() for name in str(judges or "").split(";") if name.strip())
    if len(names) < 2:
        raise UserError(
            f'{where} needs at least two judges: --params="judges=FIRST;SECOND;LAST", in a cascade '
            "the cheapest first"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{where}: judge {twice[0]} is named twice in judges; name it once")
    return names
