"""What can be turned about recalibration, and why one would."""

from __future__ import annotations

from pydantic import Field

from relevance_distillery.strict import Seed, StrictModel


class RecalibratingParameters(StrictModel):
    """How a labeler is fitted to another collection."""

    labeler: str = Field(
        default="champion",
        coerce_numbers_to_str=True,
        description="which labeler: an alias, a version number or a folder",
    )
    prior: str | float | tuple[float, ...] | None = Field(
        default=None,
        description="instead of people's grades: the share of each grade that you expect in the "
        "collection, lowest grade first, separated by `;`; goes with `pairs`",
    )
    prior_pairs: float = Field(
        default=30.0,
        gt=0,
        description="how many grades the labeler as it is weighs as much as; more where few "
        "grades must not move it, less where the collection is known to be another one",
    )
    most_pairs: int = Field(
        default=5000, ge=1, description="with `prior`: so many rows of `pairs` are drawn and scored"
    )
    workspace: str = Field(
        default="data/06_models/recalibration",
        description="where the new labeler is put together before the catalog takes it over",
    )
    registered_name: str = Field(
        default="relevance-labeler", description="name of the labeler in the registry"
    )
    seed: Seed = Field(
        default=20260121, description="deals queries into folds, and draws from `pairs`"
    )
