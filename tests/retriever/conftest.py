from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import tiny_models
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.index import PassageIndex


@pytest.fixture(scope="session")
def passages() -> pd.DataFrame:
    return tiny_models.tables()[2]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.retriever(tmp_path_factory.mktemp("retriever"))


@pytest.fixture(scope="session")
def retriever(folder: Path) -> Retriever:
    return Retriever.load(folder)


@pytest.fixture(scope="session")
def index_folder(folder: Path, retriever: Retriever, passages: pd.DataFrame) -> Path:
    index = folder.with_name("retriever_index")
    PassageIndex.build(retriever, passages, index)
    return index
