from __future__ import annotations

import pandas as pd
import pytest

COLUMNS = ["document_id", "title", "text", "path", "author", "modified", "metadata"]


@pytest.fixture
def table():
    """Documents from rows that name some columns; the others are empty."""

    def build(*rows: dict[str, str]) -> pd.DataFrame:
        blank = dict.fromkeys(COLUMNS, "")
        return pd.DataFrame([{**blank, **row} for row in rows], columns=COLUMNS)

    return build
