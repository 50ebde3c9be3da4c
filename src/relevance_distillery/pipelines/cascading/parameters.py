"""Parameters of the cascading pipeline."""

from __future__ import annotations

from relevance_distillery.judges.settings import MeasurementSettings


class CascadingParameters(MeasurementSettings):
    """How a cascade is priced and measured; its judges are set under labeling.cascade."""
