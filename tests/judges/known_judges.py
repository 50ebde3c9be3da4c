"""Judges of known accuracy over pairs of known truth, for tests of what combines judges."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import PAIR_COLUMNS
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.ledger.ledger import Ledger

SIZE = DEFAULT_SCALE.size


def pairs_of(truths: np.ndarray, queries: int = 20) -> pd.DataFrame:
    """Pairs whose text holds their true grade."""
    table = pd.DataFrame({column: [""] * len(truths) for column in PAIR_COLUMNS})
    table["query_id"] = [f"q{number % queries}" for number in range(len(truths))]
    table["passage_id"] = table["document_id"] = [f"d{number}" for number in range(len(truths))]
    table["query"] = table["query_id"]
    table["text"] = [f"{truth} {number}" for number, truth in enumerate(truths)]
    return table


def truths_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(SIZE, size=count, p=[0.55, 0.2, 0.15, 0.1])


def answer(name: str, text: str, accuracy: float) -> int:
    """The grade that a judge of this accuracy gives to this text, always the same."""
    seed = int.from_bytes(hashlib.blake2b(f"{name}|{text}".encode(), digest_size=8).digest())
    rng = np.random.default_rng(seed)
    truth = int(text.split()[0])
    if rng.random() < accuracy:
        return truth
    return int(rng.choice([grade for grade in range(SIZE) if grade != truth]))


class KnownJudge:
    """Right with a known probability; may fail on some pairs, and may be killed.

    Attributes:
        asked: Texts that it was asked about, in order.
    """

    prompt_hash, scale, budget = "", DEFAULT_SCALE, None

    def __init__(
        self, name, accuracy, usd=0.0, fails=(), status="refused", sure=False, dies_after=None
    ) -> None:
        self.name, self.model = name, f"model of {name}"
        self._accuracy, self._usd, self._sure = accuracy, usd, sure
        self._fails, self._status, self._dies_after = set(fails), status, dies_after
        self.asked: list[str] = []

    def request_hashes(self, pairs):
        return [f"{self.name}|{text}" for text in pairs["text"]]

    def grade(self, shards):
        for shard in shards:
            found = []
            for text in shard["text"]:
                if self._dies_after is not None and len(self.asked) == self._dies_after:
                    yield found
                    raise KeyboardInterrupt
                found.append(self._verdict(text))
            yield found

    def _verdict(self, text):
        request = f"{self.name}|{text}"
        if text in self._fails:
            waits = self._status in ("budget", "pending")
            if not waits:
                self.asked.append(text)
            reason = "it did not work"
            return Verdict(request, status=self._status, reason=reason, asked=not waits)
        self.asked.append(text)
        grade = answer(self.name, text, self._accuracy)
        return Verdict(
            request,
            grade=grade,
            probabilities=self._probabilities(grade, text) if self._sure else None,
            cost_usd=self._usd,
            input_tokens=10,
            output_tokens=1,
        )

    def _probabilities(self, grade, text):
        """More certain where it is right, as a useful judge would be, and far too certain."""
        right = grade == int(text.split()[0])
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())
        own = np.random.default_rng(seed).uniform(0.85, 1.0) if right else 0.8
        shares = [(1 - own) / (SIZE - 1)] * SIZE
        shares[grade] = own
        return tuple(shares)


def counts(ledger: Ledger) -> dict[str, int]:
    """How many answers and how many open failures a ledger holds."""
    with ledger.transaction() as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("verdicts", "failures")
        }
