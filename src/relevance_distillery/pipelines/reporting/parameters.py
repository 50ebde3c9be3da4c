"""Parameters of the report: its settings, as the pipeline reads them."""

from __future__ import annotations

from relevance_distillery.reporting.settings import ReportingParameters

__all__ = ["ReportingParameters"]
