"""What happens around a run: checks before it, tracking of it, its closing lines."""

from relevance_distillery.hooks.benchmark_memory import BenchmarkMemoryHooks
from relevance_distillery.hooks.checks import CleanStartHooks, known_parameters
from relevance_distillery.hooks.closing import ClosingLinesHooks
from relevance_distillery.hooks.digests import flat_numbers, table_digest
from relevance_distillery.hooks.tracking import TrackingHooks, check_server

__all__ = [
    "BenchmarkMemoryHooks",
    "CleanStartHooks",
    "ClosingLinesHooks",
    "TrackingHooks",
    "check_server",
    "flat_numbers",
    "known_parameters",
    "table_digest",
]
