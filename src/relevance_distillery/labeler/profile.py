"""What a labeler was trained on, in numbers and hashes, so that a batch can be compared with it.

profile.json stands in the labeler's folder. It holds no text: histograms, counts, keyed hashes of
the words of training and digests of its queries. Whoever holds the file can test whether a word or
a query that they guess was among them; it is as confidential as the weights.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from relevance_distillery.errors import UserError
from relevance_distillery.io.atomic import write_text
from relevance_distillery.learning.splits import normalised

PROFILE_FILE = "profile.json"
PROFILE_FORMAT = 1
PEOPLE = ("human", "human_grades")
"""Names of recorded judges that are people: the one of a train set, and imported sheets."""

_DIGEST_BYTES = 8


class HeldOut(BaseModel):
    """The labeler on pairs that it did not learn from.

    Early stopping chose among checkpoints by some of them and the calibrators were fitted on
    the others, so accuracy is a little flattering.

    Attributes:
        pairs, queries: How many.
        accuracy: Share of the teacher's grades that the labeler gave too.
        confidence: Mean confidence of the grades that it gave.
        tallies: A row a query, see `observing`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: int
    queries: int
    accuracy: float
    confidence: float
    tallies: dict[str, list[list[int | float]]]


class TrainingProfile(BaseModel):
    """What training looked like.

    Attributes:
        format: Version of this layout.
        key: Of the hashes and digests, hexadecimal.
        taught_by: Judges whose grades were learned.
        people: Whether people are among them, as far as the judges' names say so.
        pairs, queries: How many were learned from.
        taught_grades: Share of each grade among the pairs that were learned.
        lengths: Tokens of the queries and passages learned: 5 %, 25 %, 50 %, 75 %, 95 %.
        vocabulary: Hashes of their words, see `vocabulary`.
        query_digests: Of every query whose labels were used: learning, early stopping,
            calibration; base64 of sorted eight-byte digests.
        held_out: What to compare with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = PROFILE_FORMAT
    key: str
    taught_by: tuple[str, ...]
    people: bool
    pairs: int
    queries: int
    taught_grades: dict[str, float]
    lengths: dict[str, tuple[int, ...]]
    vocabulary: str
    query_digests: str
    held_out: HeldOut

    def trained_on(self, query_texts: Sequence[str]) -> NDArray[np.bool_]:
        """Whether labels of each query were used to make the labeler, shape (queries,).

        Queries are compared as `splits.normalised` writes them: by wording, not by meaning.
        """
        known = _split(base64.b64decode(self.query_digests))
        asked = query_digests(query_texts, bytes.fromhex(self.key))
        return np.isin(asked, known)


def query_digests(texts: Iterable[str], key: bytes) -> NDArray[np.uint64]:
    """Keyed eight-byte digests (BLAKE2b) of normalised query texts, shape (queries,)."""
    return _split(
        b"".join(
            hashlib.blake2b(normalised(text).encode(), digest_size=_DIGEST_BYTES, key=key).digest()
            for text in texts
        )
    )


def pack_digests(digests: NDArray[np.uint64]) -> str:
    """Base64 of different digests, sorted."""
    return base64.b64encode(np.unique(digests).astype("<u8").tobytes()).decode()


def write_profile(folder: Path, profile: TrainingProfile) -> None:
    """Write profile.json, replacing it whole."""
    write_text(folder / PROFILE_FILE, profile.model_dump_json() + "\n")


def read_profile(folder: Path) -> TrainingProfile | None:
    """Read profile.json; None where an older version made the labeler.

    Raises:
        UserError: The file is damaged, or of another format.
    """
    path = folder / PROFILE_FILE
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read; distill again") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != PROFILE_FORMAT:
        raise UserError(f"{path} has format {found}, this version reads {PROFILE_FORMAT}")
    try:
        return TrainingProfile.model_validate(content)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"{path}: {where} is wrong; distill again") from error


def _split(digests: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
