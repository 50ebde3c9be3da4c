"""The grade scale: what a grade means, in which order, and what counts as relevant."""

import hashlib
import json
from functools import cached_property
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from relevance_distillery.strict import StrictModel


class Grade(StrictModel):
    """One grade of a scale."""

    value: int
    """The number written in qrels files."""
    name: str
    """What people call it."""
    definition: str = ""
    """When it is given; judges and annotators read this sentence."""


class GradeScale(StrictModel):
    """Ordered relevance grades."""

    grades: tuple[Grade, ...] = Field(min_length=2)
    """The grades, lowest first, values strictly increasing."""
    relevant_from: int
    """A document counts as relevant from this grade on."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        values = [grade.value for grade in self.grades]
        if values != sorted(set(values)):
            raise ValueError(f"grade values must increase strictly, got {values}")
        if self.relevant_from not in values[1:]:
            raise ValueError(
                f"relevant_from={self.relevant_from} must be one of {values[1:]}, "
                "so that both relevant and irrelevant grades exist"
            )
        return self

    @cached_property
    def values(self) -> np.ndarray:
        """Grade values, lowest first, shape (grades,), dtype int64."""
        return np.array([grade.value for grade in self.grades], dtype=np.int64)

    @property
    def size(self) -> int:
        """How many grades there are."""
        return len(self.grades)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with any part of the scale."""
        canonical = json.dumps(self.model_dump(), sort_keys=True)
        return hashlib.blake2b(canonical.encode(), digest_size=6).hexdigest()

    def positions(self, grades: Any) -> np.ndarray:
        """The position of each grade on the scale, 0 for the lowest; int64.

        `grades` are values, and have shape (n,) as the result; ValueError lists those that are
        not on the scale.
        """
        array = np.asarray(grades)
        if array.size == 0:
            return np.zeros(0, dtype=np.int64)
        found = np.isin(array, self.values)
        if not found.all():
            unknown = sorted({str(grade) for grade in array[~found].tolist()})[:5]
            raise ValueError(
                f"grades {', '.join(unknown)} are not on the scale {self.values.tolist()}"
            )
        return np.searchsorted(self.values, array).astype(np.int64)


DEFAULT_SCALE = GradeScale(
    grades=(
        Grade(
            value=0, name="irrelevant", definition="The document has nothing to do with the query."
        ),
        Grade(
            value=1,
            name="related",
            definition="The document is on the topic but does not answer the query.",
        ),
        Grade(
            value=2,
            name="relevant",
            definition="The document answers the query in part, or among other things.",
        ),
        Grade(
            value=3,
            name="perfectly relevant",
            definition="The document is what the searcher wanted and answers the query fully.",
        ),
    ),
    relevant_from=2,
)
