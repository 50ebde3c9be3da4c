"""What Kedro does not have."""

from relevance_distillery.datasets.benchmark import BenchmarkDataset
from relevance_distillery.datasets.files import (
    FigureDataset,
    JSONFileDataset,
    SheetDataset,
    TableDataset,
    TextFileDataset,
)
from relevance_distillery.datasets.folders import BM25IndexDataset, FolderDataset
from relevance_distillery.datasets.handles import HandleDataset

__all__ = [
    "BM25IndexDataset",
    "BenchmarkDataset",
    "FigureDataset",
    "FolderDataset",
    "HandleDataset",
    "JSONFileDataset",
    "SheetDataset",
    "TableDataset",
    "TextFileDataset",
]
