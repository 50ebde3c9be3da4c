"""What a row of the ledger holds, and how verdicts become rows and rows verdicts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from relevance_distillery.judges.base import Judge, Verdict


class Source(NamedTuple):
    """Whose text a request carried, so that a document can be found and forgotten.

    Attributes:
        query_id: The first query that was asked so.
        document_id: The first document that was asked about so.
    """

    query_id: str = ""
    document_id: str = ""


@dataclass(frozen=True)
class Entry:
    """What the ledger knows about one request.

    Attributes:
        verdict: The answer, or the last failure; tokens, cost and seconds of a failure are
            summed over its attempts.
        created_at: When it was written, ISO 8601 in UTC.
        attempts: How often the request was tried without success; 0 for an answer.
    """

    verdict: Verdict
    created_at: str
    attempts: int = 0


@dataclass(frozen=True)
class Completion:
    """A text that a language model wrote, kept so that it is paid for once.

    Attributes:
        request_hash: Hash of everything that the model saw and was told.
        kind: What it was asked for, such as `queries`.
        model: Who wrote it.
        prompt_hash: Of the instructions.
        document_id: The document that it was written from.
        text: What it wrote.
        input_tokens, output_tokens: Read and written; 0 when not known.
        cost_usd: What it cost.
        created_at: When it was stored; the ledger's clock where it is empty.
    """

    request_hash: str
    kind: str
    model: str
    prompt_hash: str
    document_id: str
    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    created_at: str = ""


@dataclass(frozen=True)
class ObservedTokens:
    """Tokens of the answers that a model gave so far.

    Attributes:
        requests: How many answers this is known from.
        input_mean: Tokens read for one answer.
        output_mean: Tokens written for one answer.
        output_low, output_high: 5th and 95th percentile of the tokens written.
    """

    requests: int
    input_mean: float
    output_mean: float
    output_low: int
    output_high: int


ANSWER_COLUMNS = (
    "request_hash, grade, probabilities, input_tokens, output_tokens, cost_usd, seconds, created_at"
)
FAILURE_COLUMNS = (
    "request_hash, status, reason, retryable, input_tokens, output_tokens, cost_usd, seconds,"
    " updated_at, attempts"
)
COMPLETION_COLUMNS = (
    "request_hash, kind, model, prompt_hash, document_id, text, input_tokens, output_tokens,"
    " cost_usd, created_at"
)
INSERT_ANSWER = (
    "INSERT OR IGNORE INTO verdicts (request_hash, judge, model, prompt_hash, scale_hash, grade,"
    " probabilities, input_tokens, output_tokens, cost_usd, seconds, created_at, query_id,"
    " document_id) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,"
    # What failed attempts had cost would be lost with the failure that the answer replaces.
    " ?10 + coalesce((SELECT cost_usd FROM failures WHERE request_hash = ?1), 0),"
    " ?11,?12,?13,?14)"
)
INSERT_FAILURE = (
    "INSERT INTO failures (request_hash, judge, model, status, reason, retryable, input_tokens,"
    " output_tokens, cost_usd, seconds, updated_at, query_id, document_id, attempts)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,1)"
    " ON CONFLICT (request_hash) DO UPDATE SET status = excluded.status,"
    " reason = excluded.reason, retryable = excluded.retryable, attempts = attempts + 1,"
    " input_tokens = input_tokens + excluded.input_tokens,"
    " output_tokens = output_tokens + excluded.output_tokens,"
    " cost_usd = cost_usd + excluded.cost_usd, seconds = seconds + excluded.seconds,"
    " updated_at = excluded.updated_at"
)
INSERT_COMPLETION = (
    f"INSERT OR IGNORE INTO completions ({COMPLETION_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)"
)


def answer(row: Sequence[Any]) -> Entry:
    """The entry of a row with `ANSWER_COLUMNS`."""
    verdict = Verdict(
        request_hash=row[0],
        grade=row[1],
        probabilities=None if row[2] is None else tuple(json.loads(row[2])),
        input_tokens=row[3],
        output_tokens=row[4],
        cost_usd=row[5],
        seconds=row[6],
    )
    return Entry(verdict, created_at=row[7])


def failure(row: Sequence[Any]) -> Entry:
    """The entry of a row with `FAILURE_COLUMNS`."""
    verdict = Verdict(
        request_hash=row[0],
        status=row[1],
        reason=row[2],
        retryable=bool(row[3]),
        input_tokens=row[4],
        output_tokens=row[5],
        cost_usd=row[6],
        seconds=row[7],
    )
    return Entry(verdict, created_at=row[8], attempts=row[9])


def answer_row(judge: Judge, verdict: Verdict, source: Source, now: str) -> tuple[Any, ...]:
    """Values for `INSERT_ANSWER`."""
    probabilities = None
    if verdict.probabilities is not None:
        probabilities = json.dumps([float(p) for p in verdict.probabilities])
    return (
        verdict.request_hash,
        judge.name,
        judge.model,
        judge.prompt_hash,
        judge.scale.digest,
        int(verdict.grade or 0),
        probabilities,
        verdict.input_tokens,
        verdict.output_tokens,
        verdict.cost_usd,
        verdict.seconds,
        now,
        *source,
    )


def failure_row(judge: Judge, verdict: Verdict, source: Source, now: str) -> tuple[Any, ...]:
    """Values for `INSERT_FAILURE`."""
    return (
        verdict.request_hash,
        judge.name,
        judge.model,
        verdict.status,
        verdict.reason,
        int(verdict.retryable),
        verdict.input_tokens,
        verdict.output_tokens,
        verdict.cost_usd,
        verdict.seconds,
        now,
        *source,
    )


def completion_row(completion: Completion, now: str) -> tuple[Any, ...]:
    """Values for `INSERT_COMPLETION`."""
    return (
        completion.request_hash,
        completion.kind,
        completion.model,
        completion.prompt_hash,
        completion.document_id,
        completion.text,
        completion.input_tokens,
        completion.output_tokens,
        completion.cost_usd,
        completion.created_at or now,
    )
