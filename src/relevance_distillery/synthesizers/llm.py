"""A language model that writes queries: one request a passage, several styles at once.

The styles are those of the extractive synthesizer, so that both can be compared and mixed
with a query log alike. Every answer is kept in the ledger: nothing is paid for twice, and a
run that was killed continues with the first passage that had no answer.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.ledger.schema import Completion
from relevance_distillery.judges.progress import PaidProgress
from relevance_distillery.judges.prompted.llm import chat_runner, public_model
from relevance_distillery.llm.prices import Budget, Price
from relevance_distillery.llm.requests import ChatRequest
from relevance_distillery.llm.settings import Endpoint
from relevance_distillery.synthesizers.base import digest, hashed, misspell, query_table
from relevance_distillery.synthesizers.llm_requests import QueryRequests, QueryTask, parse_answer

logger = logging.getLogger(__name__)

COMPLETION_KIND = "queries"  # `kind` in the ledger; a final failure has its status behind a `:`


class LLMSynthesizer:
    """Asks a model for the queries of each seed passage; see `docs/how-to/llm-teacher.md`.

    `prompt_hash` changes with anything in the instructions or settings; `report` has what `write`
    did, in numbers.
    """

    def __init__(
        self,
        requests: QueryRequests,
        ledger: Ledger,
        *,
        typo_share: float = 0.0,
        price: Price | None = None,
        endpoint: Endpoint | None = None,
    ) -> None:
        """Nothing is sent and no key is needed before `write`.

        Without a price costs are 0; without an endpoint the environment names it.
        """
        self.model = requests.model
        self.name = f"llm:{public_model(self.model)}"
        self.prompt_hash = digest(requests.prompt_hash, typo_share)
        self.report: dict[str, Any] = {}
        self.requests, self.settings, self.price = requests, requests.settings, price
        self._ledger, self._typo_share, self._endpoint = ledger, typo_share, endpoint

    def write(self, seeds: pd.DataFrame, per_passage: int, seed: int) -> pd.DataFrame:
        """A `queries` table, at most `per_passage` for each of `seeds`, rows of `passages`.

        UserError where there were passages and not one query was written, another run uses the
        ledger, or the server refuses key or model.
        """
        tasks = list(self.requests.tasks(seeds, per_passage, seed))
        keys = [self.requests.key(task) for task in tasks]
        with self._ledger.lock():
            known = self._ledger.completions(keys)
            budget = Budget(self.settings.max_cost_usd)
            budget.charge(self._ledger.spent(dict.fromkeys(keys)))
            before = budget.spent_usd
            # Passages that read the same are asked once.
            first: dict[str, int] = {}
            for place, key in enumerate(keys):
                if key not in known:
                    first.setdefault(key, place)
            documents = {key: tasks[place].row["document_id"] for key, place in first.items()}
            requests = self.requests.requests(seeds.iloc[list(first.values())], per_passage, seed)
            unstored = self._ask(requests, documents, budget) if first else {}
        answers = self._ledger.completions(keys)
        table, failed, dropped = self._queries(tasks, keys, answers, unstored, seed)
        self.report = {
            "model": self.name.partition(":")[2],
            "passages": len(seeds),
            "from_ledger": sum(key in known for key in keys),
            "newly_asked": len(first),
            "failed": dict(sorted(failed.items())),
            "dropped": dict(sorted(dropped.items())),
            "queries": len(table),
            "input_tokens": sum(answer.input_tokens for answer in answers.values()),
            "output_tokens": sum(answer.output_tokens for answer in answers.values()),
            "cost_usd": budget.spent_usd,
            "cost_usd_this_run": budget.spent_usd - before,
            "price_known": self.price is not None,
        }
        listed = ", ".join(f"{count} {status}" for status, count in sorted(failed.items()))
        if failed and table.empty:
            advice = "see docs/pipelines/synthesis.md"
            if set(failed) == {"pending"}:
                advice = "run again to collect the batch"
            raise UserError(f"{self.name} wrote no query ({listed}); {advice}")
        if failed:
            logger.warning(
                "%d passages got no queries by %s (%s)", failed.total(), self.name, listed
            )
        return table

    def _ask(
        self, requests: Iterator[ChatRequest], documents: Mapping[str, str], budget: Budget
    ) -> dict[str, str]:
        """Send requests and commit what comes; statuses of what may be asked again.

        `documents` has the document of each by its key.
        """
        unstored: dict[str, str] = {}
        asker = (f"queries by {self.name}", self.prompt_hash, self._ledger)
        runner = chat_runner(asker, self.settings, self.price, budget, self._endpoint)
        total, doing = len(documents), f"synthesizer {self.name}"
        with PaidProgress(total, doing, budget, "passage") as progress:
            for results in runner.run(requests):
                completions = []
                for result in results:
                    if result.retryable or not result.asked:
                        unstored[result.key] = result.status
                        continue
                    # Asking again would not change these: they are kept with what they cost.
                    good = result.status == "ok" and result.text is not None
                    completions.append(
                        Completion(
                            request_hash=result.key,
                            kind=COMPLETION_KIND if good else f"{COMPLETION_KIND}:{result.status}",
                            model=self.model,
                            prompt_hash=self.prompt_hash,
                            document_id=documents[result.key],
                            text=result.text or "",
                            input_tokens=result.input_tokens,
                            output_tokens=result.output_tokens,
                            cost_usd=result.cost_usd,
                        )
                    )
                self._ledger.record_completions(completions)
                progress.pay(results)
        return unstored

    def _queries(
        self,
        tasks: Sequence[QueryTask],
        keys: Sequence[str],
        answers: Mapping[str, Completion],
        unstored: Mapping[str, str],
        seed: int,
    ) -> tuple[pd.DataFrame, Counter[str], Counter[str]]:
        """The queries table; passages without queries by status; dropped queries by reason."""
        rows: list[tuple[str, str, str, int, str, str, str]] = []
        failed: Counter[str] = Counter()
        dropped: Counter[str] = Counter()
        for task, key in zip(tasks, keys, strict=True):
            completion = answers.get(key)
            if completion is None:
                failed[unstored.get(key, "unanswered")] += 1
                continue
            if completion.kind != COMPLETION_KIND:
                failed[completion.kind.partition(":")[2]] += 1
                continue
            answer = parse_answer(completion.text, task.styles, len(task.styles))
            dropped.update(answer.dropped)
            if answer.reason:
                failed[f"unparseable: {answer.reason}"] += 1
            passage_id = task.row["passage_id"]
            for style, text in answer.queries:
                query_id = f"q-{digest(self.name, passage_id, style, text)}"
                rng = np.random.default_rng(hashed(seed, "typo", query_id))
                if rng.random() < self._typo_share:
                    text = misspell(text, rng)
                rows.append((query_id, text, passage_id, 1, style, self.name, self.prompt_hash))
        return query_table(rows), failed, dropped
