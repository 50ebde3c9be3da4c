"""A judge's name: `KIND` or `KIND:MODEL`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from relevance_distillery.errors import UserError

JUDGES = (
    "embedded",
    "recorded",
    "labeler",
    "llm",
    "transformers",
    "cascade",
    "consensus",
)
"""The kinds of judge, as in `judge=KIND` and `judge=KIND:MODEL`."""

_WITHOUT_MODEL = ("embedded", "cascade", "consensus")


@dataclass(frozen=True)
class JudgeName:
    """A judge as people name it.

    Attributes:
        kind: One of `JUDGES`.
        model: What stands after the colon: a model, a labeler's alias, version or folder, a
            recorded judge's name; empty for the kind's default.
    """

    kind: str
    model: str = ""

    def __str__(self) -> str:
        """`KIND` or `KIND:MODEL`."""
        return f"{self.kind}:{self.model}" if self.model else self.kind


def parse_judge(name: str) -> JudgeName:
    """Take a judge's name apart.

    Args:
        name: `KIND` or `KIND:MODEL`; the model may hold colons, as Ollama's do.

    Raises:
        UserError: There is no such kind, or it takes no model; the message lists the kinds.
    """
    kind, colon, model = str(name).partition(":")
    if kind not in JUDGES:
        raise UserError(
            f"There is no judge {name!r}: use one of {', '.join(JUDGES)}, or KIND:MODEL such as "
            "llm:NAME, labeler:champion."
        )
    if colon and not model:
        raise UserError(f"judge={name}: nothing follows the colon; write {kind} or {kind}:NAME.")
    if model and kind in _WITHOUT_MODEL:
        raise UserError(f"judge={name}: {kind} takes no model; write judge={kind}.")
    return JudgeName(kind, model)


def check_judge(name: str) -> None:
    """Refuse an unknown judge.

    Raises:
        UserError: As `parse_judge`.
    """
    parse_judge(name)


def _known(name: str) -> str:
    try:
        check_judge(name)
    except UserError as error:
        raise ValueError(str(error)) from error
    return name


# Asked for again where it is used; as a type, a wrong one fails before any node.
JudgeParameter = Annotated[str, AfterValidator(_known)]
"""The type of a parameter that names a judge."""
