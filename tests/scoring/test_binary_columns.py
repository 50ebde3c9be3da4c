"""Pairs whose text was stored without a type."""

from __future__ import annotations

import pandas as pd
import pytest

from relevance_distillery.errors import UserError
from relevance_distillery.scoring import pairs_file


def test_text_stored_as_plain_binary_is_refused(tmp_path):
    path = tmp_path / "pairs.parquet"
    pd.DataFrame({"query": [b"travel"], "text": ["Book early."]}).to_parquet(path)
    with pytest.raises(UserError, match="query is stored as plain binary"):
        pairs_file.PairsFile(path)
