"""Parameters of the cascading pipeline."""

from relevance_distillery.judges.settings import MeasurementSettings


class CascadingParameters(MeasurementSettings):
    """How a cascade is priced and measured; its judges are set under labeling.cascade."""
