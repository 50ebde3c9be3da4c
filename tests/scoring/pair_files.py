"""Files of pairs for tests, and what grades them without a model."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def pair_rows(size: int) -> list[dict[str, Any]]:
    return [
        {
            "query_id": f"q{i // 3}",
            "query": f'query {i}, "quoted"\nand é',
            "document_id": f"d{i}",
            "text": "=x" * (1 + i % 7),
            "other": i,
        }
        for i in range(size)
    ]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    name = path.name
    if name.endswith(".parquet"):
        # Row groups that do not fit shards.
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000)
        return path
    with (gzip.open if name.endswith(".gz") else open)(path, "wt", encoding="utf-8") as stream:
        if ".csv" in name:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        else:
            stream.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    if path.name.endswith(".parquet"):
        return pq.read_table(path).to_pylist()
    with (gzip.open if path.name.endswith(".gz") else open)(path, "rt", encoding="utf-8") as stream:
        if ".csv" in path.name:
            return list(csv.DictReader(stream))
        return [json.loads(line) for line in stream]
