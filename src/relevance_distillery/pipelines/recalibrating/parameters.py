"""What can be turned about recalibration, and why one would."""

from pydantic import Field

from relevance_distillery.strict import Seed, StrictModel


class RecalibratingParameters(StrictModel):
    """How a labeler is fitted to another collection."""

    labeler: str = Field("champion", coerce_numbers_to_str=True)
    """Which labeler: an alias, a version number or a folder."""
    prior: str | float | tuple[float, ...] | None = None
    """Instead of people's grades: the share of each grade that you expect, lowest first, separated
    by `;`; goes with `pairs`."""
    prior_pairs: float = Field(30.0, gt=0)
    """How many grades the labeler as it is weighs as much as; less where the collection is known to
    be another one."""
    most_pairs: int = Field(5000, ge=1)
    """With `prior`: so many rows of `pairs` are drawn and scored."""
    workspace: str = "data/06_models/recalibration"
    """Where the new labeler is put together."""
    registered_name: str = "relevance-labeler"
    """Name of the labeler in the registry."""
    seed: Seed = 20260121
    """Deals queries into folds, and draws from `pairs`."""
