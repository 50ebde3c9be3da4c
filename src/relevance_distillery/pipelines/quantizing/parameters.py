"""What can be turned about quantization, and why one would."""

from pydantic import Field

from relevance_distillery.strict import Seed, StrictModel


class QuantizingParameters(StrictModel):
    """How a labeler becomes one in int8."""

    labeler: str = Field("champion", coerce_numbers_to_str=True)
    """Which labeler: an alias, a version number or a folder."""
    texts: int = Field(300, ge=10)
    """Passages that show which values occur; more take longer."""
    workspace: str = "data/06_models/quantization"
    """Where the new labeler is put together."""
    registered_name: str = "relevance-labeler"
    """Name of the labeler in the registry."""
    seed: Seed = 20260121
    """Draws the passages."""
