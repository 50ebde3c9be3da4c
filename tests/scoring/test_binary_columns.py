"""Pairs whose text was stored without a type."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relevance_distillery.errors import UserError
from relevance_distillery.scoring import pairs_file


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.large_binary(), pa.binary(6), pa.dictionary(pa.int32(), pa.binary())]
)
def test_text_stored_as_plain_binary_is_refused(tmp_path, kind):
    path = tmp_path / "pairs.parquet"
    query = pa.array([b"travel"], pa.binary()).cast(kind)
    pq.write_table(pa.table({"query": query, "text": ["Book early."]}), path)
    with pytest.raises(UserError, match="query is stored as plain binary"):
        pairs_file.PairsFile(path)
