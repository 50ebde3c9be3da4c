"""What Kedro does not have."""

from relevance_distillery.datasets.benchmark import BenchmarkDataset
from relevance_distillery.datasets.files import (
    FigureDataset,
    JSONFileDataset,
    SheetDataset,
    TableDataset,
    TextFileDataset,
)
from relevance_distillery.datasets.folders import BM25IndexDataset, LabelerDataset
from relevance_distillery.datasets.handles import HandleDataset

__all__ = [
    "BM25IndexDataset",
    "BenchmarkDataset",
    "FigureDataset",
    "HandleDataset",
    "JSONFileDataset",
    "LabelerDataset",
    "SheetDataset",
    "TableDataset",
    "TextFileDataset",
]
