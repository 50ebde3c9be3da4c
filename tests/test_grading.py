from __future__ import annotations

import pytest
from pydantic import ValidationError

from relevance_distillery.grading import DEFAULT_SCALE, Grade, GradeScale


def test_positions_follow_the_order_of_a_sparse_scale() -> None:
    scale = GradeScale(
        grades=(Grade(value=0, name="no"), Grade(value=5, name="some"), Grade(value=9, name="yes")),
        relevant_from=5,
    )
    assert scale.positions([9, 0, 5]).tolist() == [2, 0, 1]
    assert scale.positions([]).tolist() == []


def test_a_stranger_is_named() -> None:
    with pytest.raises(ValueError, match=r"grades 7 are not on the scale \[0, 1, 2, 3\]"):
        DEFAULT_SCALE.positions([1, 7])


@pytest.mark.parametrize(
    ("values", "relevant_from"), [((1, 0), 1), ((0, 0), 0), ((0, 1), 0), ((0, 1), 2)]
)
def test_a_scale_that_cannot_work_is_refused(values: tuple[int, ...], relevant_from: int) -> None:
    with pytest.raises(ValidationError):
        GradeScale(
            grades=tuple(Grade(value=value, name=str(value)) for value in values),
            relevant_from=relevant_from,
        )


def test_the_digest_changes_with_a_definition() -> None:
    grades = (*DEFAULT_SCALE.grades[:3], Grade(value=3, name="perfectly relevant"))
    assert GradeScale(grades=grades, relevant_from=2).digest != DEFAULT_SCALE.digest
