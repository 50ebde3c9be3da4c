"""The base of everything that a user configures, and of the JSON files of a labeler."""

from types import UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from relevance_distillery.errors import UserError

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What every library that draws takes as its start."""

_LARGEST = 2**53
"""Beyond it numbers of tables are no longer exact."""


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys and says which ones it knows."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, values: Any) -> Any:
        if isinstance(values, dict):
            unknown = sorted(str(key) for key in values if key not in cls.model_fields)
            if unknown:
                raise ValueError(
                    f"{', '.join(unknown)} is not a known key; known: "
                    f"{', '.join(sorted(cls.model_fields))}"
                )
            for name, value in values.items():
                _check_number(name, value, cls.model_fields[name].annotation)
        return values

    @classmethod
    def read(cls, content: Any, named: str, advice: str = "") -> Self:
        """The model of what a file or a group of parameters holds; UserError with its first fault.

        The message begins with what is `named`, and the advice ends it.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = [".".join(map(str, first["loc"]))] if first["loc"] else []
            raise UserError(": ".join([named, *where, first["msg"]]) + advice) from error


class Intervals(StrictModel):
    """How figures over queries get their uncertainty."""

    resamples: int = Field(1000, ge=100)
    """Resamples of queries for each interval."""
    permutations: int = Field(2000, ge=100)
    """Random swaps for each p-value; 1 / (permutations + 1) is the smallest."""
    confidence: float = Field(0.95, gt=0.5, lt=1.0)
    """Nominal coverage of the intervals."""
    seed: Seed = 0
    """Of all that is drawn."""


def _check_number(name: str, value: Any, kind: Any) -> None:
    """Refuse a switch for a number, which Pydantic would take for 1, and what no table holds."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if isinstance(value, bool) and {int, float} & set(kinds) and bool not in kinds:
        raise ValueError(f"{name} takes a number, not {str(value).lower()}")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"{name} takes no number as large as this; at most {_LARGEST}")
