"""Pairs of queries and passages in buckets, by where the channels disagree and what the grade is.

After Walmart's structured mining (arXiv 2606.23911). Its depths are made for a catalogue of
millions: on a smaller corpus all of them shrink alike, so that the deepest stays within a share of
the corpus, or every channel would return everything.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from relevance_distillery.channels.dense import FIELDS
from relevance_distillery.channels.registry import UNRANKED, query_rng
from relevance_distillery.grading import GradeScale
from relevance_distillery.strict import StrictModel
from relevance_distillery.text.terms import analyzer, passage_text

KEY = ["query_id", "passage_id"]
UNGRADED = "ungraded"
BUCKETS = (
    "easy_positive", "hard_positive", "other_positive",
    "hard_negative", "token_similar", "random", "other_negative",
)  # fmt: skip
"""`other_…`: graded, and in none of the paper's buckets."""

POSITIVES, NEGATIVES = BUCKETS[:3], BUCKETS[3:]
DENSE = "dense"
_SINGLE = "_single"
_BLOCK = 256


class BucketSettings(StrictModel):
    """How far down each channel is read, and how many pairs a query gives."""

    depth: int = Field(500, ge=1)
    """A passage below this rank counts as missed by a channel."""
    lexical_top: int = Field(50, ge=1)
    """Hard positives are among so many of a lexical channel, and missed by the dense one."""
    single_top: int = Field(100, ge=1)
    """Hard negatives are among so many of exactly one channel."""
    share_of_corpus: float = Field(0.02, gt=0, le=1)
    """`depth` is at most this share of the passages, and the other two shrink with it."""
    similarity: tuple[float, float] = (0.2, 0.6)
    """Cosine of TF-IDF between a query and a token-similar passage that no channel returned."""
    per_query: int = Field(40, ge=2)
    """Pairs of a query that are graded or taken into training."""
    token_similar: int = Field(6, ge=0)
    """Of them token-similar ones."""
    random: int = Field(6, ge=0)
    """Of them random ones."""

    def shrunk(self, passages: int) -> tuple[int, int, int]:
        """depth, lexical_top and single_top on a corpus of so many passages, at least 1 each."""
        factor = min(1.0, self.share_of_corpus * passages / self.depth)
        depths = (self.depth, self.lexical_top, self.single_top)
        depth, lexical, single = (max(1, math.ceil(factor * one)) for one in depths)
        return depth, lexical, single


def place_pairs(
    runs: pd.DataFrame,
    asked: Sequence[str],
    graded: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    settings: BucketSettings,
    language: str,
    seed: int,
) -> pd.DataFrame:
    """Every pair that a channel returned or somebody graded, and some that neither holds for.

    Args:
        runs: Schema `Runs`; of ranking channels.
        asked: Channels, also those that found nothing.
        graded: Columns query_id, passage_id; the pairs with a grade.
        queries: Columns query_id, text.
        passages: Schema `Passages`.
        settings: Depths, and how many token-similar and random passages are drawn.
        language: Of the stemmer that finds token-similar passages.
        seed: Of the draws, which are the same for a query whatever other queries there are.

    Returns:
        Columns query_id, passage_id, place and rank_CHANNEL (0: missed) of each channel. Places are
        all, lexical or some, with `_single` where the passage is near the top of exactly one
        channel; token_similar and random for what no channel returned.
    """
    depth, lexical_top, single_top = settings.shrunk(len(passages))
    channels = list(dict.fromkeys(runs["channel"]))
    found = runs[runs["rank"].between(UNRANKED + 1, depth)]
    ranks = found.pivot(index=KEY, columns="channel", values="rank")
    ranks = ranks.reindex(columns=channels).fillna(0).astype("int64")
    others = _not_returned(ranks.index, graded, queries, passages, settings, language, seed)
    table = pd.concat(
        [ranks.assign(place=_places(ranks, DENSE in asked, lexical_top, single_top)), others]
    )
    table[channels] = table[channels].fillna(0).astype("int64")
    table = table.rename(columns={name: f"rank_{name}" for name in channels})
    table.index = table.index.set_names(KEY)
    return table.reset_index()[[*KEY, "place", *(f"rank_{name}" for name in channels)]]


def _places(ranks: pd.DataFrame, dense: bool, lexical_top: int, single_top: int) -> np.ndarray:
    values = ranks.to_numpy()
    lexical = [name != DENSE for name in ranks.columns]
    near = ((values > 0) & (values <= lexical_top))[:, lexical].any(1)
    # Nothing is missed by a channel that nobody asked.
    in_dense = ranks[DENSE].to_numpy() > 0 if DENSE in ranks else np.full(len(ranks), not dense)
    everywhere = (values > 0).all(1) & (values.shape[1] > 1)
    kind = np.select([everywhere, near & ~in_dense], ["all", "lexical"], "some")
    single = ((values > 0) & (values <= single_top)).sum(1) == 1
    return np.char.add(kind, np.where(single, _SINGLE, ""))


def _not_returned(
    returned: Any,
    graded: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    settings: BucketSettings,
    language: str,
    seed: int,
) -> pd.DataFrame:
    """Pairs that no channel returned: all that are graded, and some drawn for every query.

    Index query_id and passage_id, column place: token_similar or random.
    """
    ids = passages["passage_id"].to_numpy(dtype=object)
    row_of = {name: row for row, name in enumerate(ids)}
    rows_of: dict[bool, dict[str, set[int]]] = {True: {}, False: {}}
    for known, pairs in ((True, returned), (False, graded[KEY].itertuples(index=False))):
        for query, passage in pairs:
            rows_of[known].setdefault(query, set()).add(row_of[passage])
    found: list[tuple[str, str, str]] = []
    for query, alike in _alike(queries, passages, settings.similarity, language):
        seen = rows_of[True].get(query, set())
        missed = sorted(rows_of[False].get(query, set()) - seen)
        found += [(query, ids[i], "token_similar" if i in alike else "random") for i in missed]
        seen = seen.union(missed)
        near = sorted(alike - seen)
        size = min(settings.token_similar, len(near))
        picked = query_rng(seed, query, "token_similar").permutation(len(near))[:size]
        found += [(query, ids[near[i]], "token_similar") for i in picked]
        tries = query_rng(seed, query, "random").integers(len(ids), size=4 * settings.random + 8)
        fresh = [i for i in dict.fromkeys(tries.tolist()) if i not in seen and i not in alike]
        found += [(query, ids[i], "random") for i in fresh[: settings.random]]
    return pd.DataFrame(found, columns=[*KEY, "place"], dtype="str").set_index(KEY)


def _alike(
    queries: pd.DataFrame, passages: pd.DataFrame, between: tuple[float, float], language: str
) -> Iterator[tuple[str, set[int]]]:
    """For every query the rows of passages whose TF-IDF cosine with it lies between two bounds."""
    # Takes a second, which a run that only names this pipeline can do without.
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = analyzer(language).terms
    vectors = TfidfVectorizer(analyzer=words, sublinear_tf=True, dtype=np.float32)
    try:
        corpus: Any = vectors.fit_transform(passage_text(passages, FIELDS))
    except ValueError:  # no passage has a word
        yield from ((query, set()) for query in queries["query_id"])
        return
    by_term = corpus.T.tocsr()
    for start in range(0, len(queries), _BLOCK):
        block = queries.iloc[start : start + _BLOCK]
        asked: Any = vectors.transform(block["text"])
        cosines = (asked @ by_term).tocsr()
        for place, query in enumerate(block["query_id"]):
            part = slice(cosines.indptr[place], cosines.indptr[place + 1])
            inside = (cosines.data[part] >= between[0]) & (cosines.data[part] <= between[1])
            yield query, set(cosines.indices[part][inside].tolist())


def choose_pairs(
    placed: pd.DataFrame, graded: pd.DataFrame, settings: BucketSettings, seed: int
) -> pd.DataFrame:
    """At most `per_query` pairs of every query, spread over the places; graded ones come first.

    `placed` is from `place_pairs`; `graded` has query_id, passage_id, grade. Of each query the
    pairs are taken in turns, one of each place and grade before a second of any.

    Returns:
        Rows of `placed` with the column grade, missing where nobody graded.
    """
    table = placed.merge(graded[[*KEY, "grade"]], on=KEY, how="left")
    # By hash, so that other queries and passages change nothing.
    key = f"{seed:016d}"[-16:]
    drawn = pd.util.hash_pandas_object(table[KEY].astype(object), index=False, hash_key=key)
    table["chance"] = drawn / 2.0**64 + table["grade"].isna()
    table = table.sort_values("chance", kind="stable")
    kind = table["grade"].fillna(-1)
    turn = table.groupby([table["query_id"], table["place"], kind], sort=False).cumcount()
    order = table.assign(turn=turn).sort_values(["turn", "chance"], kind="stable")
    # What costs nothing to know is taken before what has to be graded.
    order = order.sort_values("grade", key=lambda grade: grade.isna(), kind="stable")
    kept = order.groupby("query_id", sort=False).head(settings.per_query).index
    return table.loc[sorted(kept)].drop(columns="chance").reset_index(drop=True)


def bucket_of(places: Sequence[str], grades: np.ndarray, scale: GradeScale) -> np.ndarray:
    """The bucket of each pair by its place (see `place_pairs`) and grade."""
    place = np.asarray(places, dtype=str)
    relevant = grades >= scale.relevant_from
    conditions = [
        relevant & np.char.startswith(place, "all") & (grades == scale.values.max()),
        relevant & np.char.startswith(place, "lexical"),
        relevant,
        np.char.endswith(place, _SINGLE),
        place == "token_similar",
        place == "random",
    ]
    return np.select(conditions, list(BUCKETS[:6]), BUCKETS[6]).astype(object)
