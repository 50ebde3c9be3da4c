"""What Kedro does not have."""

from relevance_distillery.datasets.files import (
    FigureDataset,
    JSONFileDataset,
    TableDataset,
    TextFileDataset,
)

__all__ = ["FigureDataset", "JSONFileDataset", "TableDataset", "TextFileDataset"]
