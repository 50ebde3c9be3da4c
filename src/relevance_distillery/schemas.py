"""The tables that cross from one pipeline into the next, bound in the catalog by `validator:`."""

from typing import ClassVar

import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

STYLES = ("known_item", "keyword", "question", "metadata", "short", "acronym", "real")
"""Kinds of query; `real` are people's own queries from a log."""


class _Table(pa.DataFrameModel):
    class Config:
        strict = True
        coerce = True


class _PairTable(_Table):
    query_id: Series[str]
    passage_id: Series[str]


class Documents(_Table):
    """What was read, one row a document; everything but the id and the text may be empty."""

    document_id: Series[str] = pa.Field(unique=True, str_length={"min_value": 1})
    title: Series[str]
    text: Series[str]
    path: Series[str]
    author: Series[str]
    modified: Series[str]
    metadata: Series[str]

    @pa.dataframe_check(error="a document needs a title or a text")
    def not_empty(cls, table: pd.DataFrame) -> pd.Series:  # noqa: N805
        """True for rows with a title or a text."""
        return (table["title"].str.strip() != "") | (table["text"].str.strip() != "")


class Passages(_Table):
    """Documents split to fit the labeler: the unit that is mined and graded."""

    passage_id: Series[str] = pa.Field(unique=True, str_length={"min_value": 1})
    document_id: Series[str]
    title: Series[str]
    heading: Series[str]
    text: Series[str]
    path: Series[str]
    author: Series[str]
    modified: Series[str]


class Queries(_Table):
    """Queries and where they come from; `passage_id` is the seed, empty for a real query."""

    query_id: Series[str] = pa.Field(unique=True, str_length={"min_value": 1})
    text: Series[str] = pa.Field(str_length={"min_value": 1})
    passage_id: Series[str]
    frequency: Series[int] = pa.Field(ge=1)
    style: Series[str] = pa.Field(isin=STYLES)
    generator: Series[str]
    prompt_hash: Series[str]


class Runs(_PairTable):
    """What each retrieval channel returned for a query, from rank 1; 0 where it does not rank."""

    channel: Series[str]
    rank: Series[int] = pa.Field(ge=0)
    score: Series[float]

    class Config:
        unique: ClassVar[list[str]] = ["query_id", "passage_id", "channel"]


class Candidates(Runs):
    """Pairs to grade: one row for each channel that returned the passage for the query."""

    is_seed: Series[bool]


class Failures(_PairTable):
    """Pairs that got no grade, and why."""

    judge: Series[str]
    status: Series[str]
    reason: Series[str]
    attempts: Series[int]


class JudgeLabels(_PairTable):
    """What each judge of a cascade or consensus said about each pair, side by side."""

    judge: Series[str]
    model: Series[str]
    grade: Series[int]
    probabilities: Series[object] = pa.Field(nullable=True)
    input_tokens: Series[int]
    output_tokens: Series[int]
    cost_usd: Series[float]

    class Config:
        unique: ClassVar[list[str]] = ["query_id", "passage_id", "judge"]


class Labels(JudgeLabels):
    """One grade by one judge for one pair, with what it cost and what it was asked."""

    request_hash: Series[str]
    prompt_hash: Series[str]
    scale_hash: Series[str]
    seconds: Series[float]
    created_at: Series[str]


class Difficulty(_PairTable):
    """How far judges disagree about a pair: entropy of their votes and spread in grades."""

    answers: Series[int] = pa.Field(ge=0)
    entropy: Series[float] = pa.Field(ge=0, le=1.000001)
    spread: Series[int] = pa.Field(ge=0)

    class Config:
        unique: ClassVar[list[str]] = ["query_id", "passage_id"]


class HumanJudgments(_Table):
    """Grades of documents; `annotator` is empty for a consensus."""

    query_id: Series[str]
    document_id: Series[str]
    annotator: Series[str]
    grade: Series[int]

    class Config:
        unique: ClassVar[list[str]] = ["query_id", "document_id", "annotator"]


DESIGNS = ("random", "stratified", "uncertain", "active")
"""How pairs for people are chosen; active ones have no inclusion probability."""


class _ForPeople(_PairTable):
    document_id: Series[str]
    query: Series[str]
    style: Series[str]
    text_digest: Series[str]
    design: Series[str] = pa.Field(isin=DESIGNS)
    unit: Series[str] = pa.Field(isin=("pair", "query"))
    inclusion_probability: Series[float] = pa.Field(gt=0, le=1, nullable=True)


class GradingSamples(_ForPeople):
    """Rows that were handed out to people, one for each pair of each sample."""

    row_id: Series[str] = pa.Field(unique=True)
    sample_id: Series[str]
    stratum: Series[str]


class HumanGrades(_ForPeople):
    """Grades that people gave to passages; `annotator` is empty where nobody is named."""

    annotator: Series[str]
    grade: Series[int]

    class Config:
        unique: ClassVar[list[str]] = ["query_id", "passage_id", "annotator"]


class Splits(_PairTable):
    """Which labelled pair serves what; a group of queries is never divided."""

    split: Series[str] = pa.Field(isin=("train", "early_stopping", "calibration", "test"))
    group: Series[str]


def empty(model: type[_Table]) -> pd.DataFrame:
    """A table of `model` without rows, with its columns and types."""
    return model.validate(pd.DataFrame({name: [] for name in model.to_schema().columns}))
