"""What a labeler was trained on, in numbers and hashes, so that a batch can be compared with it.

profile.json lies in the labeler's folder. It holds no text: histograms, counts, keyed hashes of
the words of training and digests of its queries. With the file one can test whether a guessed word
or query was among them; it is as confidential as the weights.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relevance_distillery.errors import UserError
from relevance_distillery.io.files import write_text
from relevance_distillery.labeler.artifact import read_versioned
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.tallies import (
    PairReader,
    Tally,
    Vocabulary,
    by_group,
    keyed_hashes,
    pack_hashes,
    tally_grades,
    unpack_hashes,
)
from relevance_distillery.learning.labelled_pairs import LabelledPairs
from relevance_distillery.strict import StrictModel
from relevance_distillery.text.words import normalised

PROFILE_FILE = "profile.json"
PROFILE_FORMAT = 1
PEOPLE = ("human", "human_grades")
"""Names of recorded judges that are people: the one of a train set, and imported sheets."""

_DIGEST_BYTES = 8
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST_LENGTHS = 20_000
_MOST_HELD_OUT_QUERIES = 1000


class HeldOut(StrictModel):
    """The labeler on pairs that it did not learn from.

    Early stopping chose among checkpoints by some of them and the calibrators were fitted on
    the others, so accuracy is a little flattering.
    """

    pairs: int
    queries: int
    accuracy: float
    """Share of the teacher's grades that the labeler gave too."""
    confidence: float
    """Mean confidence of the grades that it gave."""
    tallies: dict[str, list[list[int | float]]]
    """A row a query, see `tallies`."""


class TrainingProfile(StrictModel):
    """What training looked like; `pairs` and `queries` are those that were learned from."""

    format: int = PROFILE_FORMAT
    key: str
    """Of the hashes and digests, hexadecimal."""
    taught_by: tuple[str, ...]
    """Judges whose grades were learned."""
    people: bool
    """Whether people are among them, as far as the judges' names say so."""
    pairs: int
    queries: int
    taught_grades: dict[str, float]
    """Share of each grade among the pairs that were learned."""
    lengths: dict[str, tuple[int, ...]]
    """Tokens of the queries and passages learned: 5 %, 25 %, 50 %, 75 %, 95 %."""
    vocabulary: str
    """Hashes of their words, see `tallies.Vocabulary`."""
    query_digests: str
    """Of every query whose labels were used: learning, early stopping, calibration; base64 of
    sorted eight-byte digests."""
    held_out: HeldOut

    def trained_on(self, query_texts: Sequence[str]) -> NDArray[np.bool_]:
        """Whether labels of each query were used to make the labeler, shape (queries,).

        Queries are compared as `words.normalised` writes them: by wording, not by meaning.
        """
        asked = keyed_hashes(map(normalised, query_texts), bytes.fromhex(self.key), _DIGEST_BYTES)
        return np.isin(asked, unpack_hashes(self.query_digests, _DIGEST_BYTES))


def make_profile(
    labeler: Labeler,
    learned: LabelledPairs,
    held_out: LabelledPairs,
    graded: pd.DataFrame,
    used_queries: Sequence[str],
    taught_by: Sequence[str],
    seed: int,
) -> TrainingProfile:
    """Profile a calibrated labeler; the same for the same labeler and data.

    It learned from `learned` and `graded` the pairs of early stopping and calibration, `held_out`;
    `used_queries` are texts of all queries whose labels were used, `taught_by` the judges' names.
    The seed draws held-out queries where there are more than a thousand.
    """
    template, scale = labeler.facts.template, labeler.scale
    queries, passages = template.render(learned.pairs)
    queries, passages = list(dict.fromkeys(queries)), list(dict.fromkeys(passages))
    vocabulary = Vocabulary.of([*queries, *passages])
    reader = PairReader(labeler, vocabulary)
    digests = keyed_hashes(map(normalised, used_queries), vocabulary.key, _DIGEST_BYTES)
    correct = scale.positions(graded["grade"].to_numpy()) == held_out.positions
    shares = np.bincount(learned.positions, minlength=scale.size) / max(len(learned), 1)
    return TrainingProfile(
        key=vocabulary.key.hex(),
        taught_by=tuple(sorted(set(taught_by))),
        people=any(
            part in PEOPLE
            for name in taught_by
            for part in (name.partition(":")[2] or name).split("+")
        ),
        pairs=len(learned),
        queries=int(learned.pairs["query_id"].nunique()),
        taught_grades={
            str(grade.value): round(float(share), 6)
            for grade, share in zip(scale.grades, shares, strict=True)
        },
        lengths={
            "query_tokens": _quantiles(reader, queries),
            "text_tokens": _quantiles(reader, passages),
        },
        vocabulary=pack_hashes(vocabulary.hashes),
        query_digests=pack_hashes(np.unique(digests)),
        held_out=HeldOut(
            pairs=len(held_out),
            queries=int(held_out.pairs["query_id"].nunique()),
            accuracy=round(float(correct.mean()), 6),
            confidence=round(float(graded["confidence"].mean()), 6),
            tallies=_by_query(reader, labeler, held_out, graded, seed),
        ),
    )


def write_profile(folder: Path, profile: TrainingProfile) -> None:
    """Write profile.json, replacing it whole."""
    write_text(folder / PROFILE_FILE, profile.model_dump_json() + "\n")


def read_profile(folder: Path | None) -> TrainingProfile:
    """Read a labeler's profile.json; UserError where missing, damaged or of another format."""
    missing = "the labeler has no training profile; distill again"
    if folder is None:
        raise UserError(missing)
    return read_versioned(folder / PROFILE_FILE, TrainingProfile, missing)


def _by_query(
    reader: PairReader, labeler: Labeler, pairs: LabelledPairs, graded: pd.DataFrame, seed: int
) -> dict[str, list[list[int | float]]]:
    names = np.unique(pairs.queries.astype(str))
    kept = np.random.default_rng(seed).permutation(len(names))[:_MOST_HELD_OUT_QUERIES]
    chosen = np.flatnonzero(np.isin(pairs.queries.astype(str), names[kept]))
    tally: Tally = {
        **tally_grades(graded.iloc[chosen], labeler.scale),
        **reader.tally(pairs.pairs.iloc[chosen]),
    }
    rows = by_group(tally, pairs.queries[chosen].astype(str).tolist())
    return {name: _plain(values) for name, values in rows.items()}


def _plain(values: np.ndarray) -> list[list[int | float]]:
    """Lists of numbers, rounded; whole ones as integers, which halves the file."""
    rounded = np.round(values, 4)
    whole = bool((rounded == np.floor(rounded)).all())
    listed: list[list[int | float]] = (rounded.astype(np.int64) if whole else rounded).tolist()
    return listed


def _quantiles(reader: PairReader, texts: Sequence[str]) -> tuple[int, ...]:
    lengths = reader.lengths(texts[:_MOST_LENGTHS])
    if not len(lengths):
        return ()
    return tuple(int(value) for value in np.quantile(lengths, _QUANTILES, method="lower"))
