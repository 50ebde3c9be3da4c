"""Parameters of the report: its settings, as the pipeline reads them."""

from relevance_distillery.reporting.settings import ReportingParameters

__all__ = ["ReportingParameters"]
