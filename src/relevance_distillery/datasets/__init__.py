"""What Kedro does not have."""

from relevance_distillery.datasets.files import (
    FigureDataset,
    JSONFileDataset,
    TableDataset,
    TextFileDataset,
)
from relevance_distillery.datasets.prompt import PromptDataset

__all__ = [
    "FigureDataset",
    "JSONFileDataset",
    "PromptDataset",
    "TableDataset",
    "TextFileDataset",
]
