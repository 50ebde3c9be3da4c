"""What is written down about tables and results instead of their content."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pandas as pd

_LONGEST = 250
"""Characters that MLflow takes as the name of a metric."""


def flat_numbers(tree: dict[str, Any], prefix: str) -> dict[str, float]:
    """Every number of a nested dictionary under its dotted path.

    Args:
        tree: Dictionaries within dictionaries; lists and texts are passed over.
        prefix: First part of every name.

    Returns:
        For example `{"agreement.judges.student.kappa.estimate": 0.41}`.
    """
    found: dict[str, float] = {}
    for key, value in tree.items():
        name = re.sub(r"[^\w./ -]", "_", f"{prefix}.{key}")[:_LONGEST]
        if isinstance(value, dict):
            found.update(flat_numbers(value, name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
    return found


def table_digest(table: pd.DataFrame) -> str:
    """A digest of a table's content, the same for the same rows in the same order.

    Args:
        table: Any table; lists in cells are compared by their text.

    Returns:
        Sixteen hexadecimal digits.
    """
    plain = table.copy()
    for column in plain.select_dtypes(object):
        plain[column] = plain[column].map(str)
    hashes = pd.util.hash_pandas_object(plain, index=False).to_numpy()
    digest = hashlib.blake2b(hashes.tobytes(), digest_size=8)
    digest.update(",".join(map(str, table.columns)).encode())
    return digest.hexdigest()
