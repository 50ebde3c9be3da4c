"""What it would take to have an LLM write queries."""

from __future__ import annotations

import pandas as pd

from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.llm.requests import ChatRequest
from relevance_distillery.llm.settings import Endpoint
from relevance_distillery.llm.tokens import TokenCounter
from relevance_distillery.planning.stage import Sent, StagePlan, count_requests
from relevance_distillery.synthesizers.llm import COMPLETION_KIND, LLMSynthesizer
from relevance_distillery.synthesizers.llm_requests import shortest_answer
from relevance_distillery.synthesizers.settings import STYLES


def plan_synthesizer(
    writer: LLMSynthesizer,
    seeds: pd.DataFrame,
    per_passage: int,
    seed: int,
    ledger: Ledger,
    *,
    withheld: int = 0,
    latency_seconds: float = 1.5,
) -> StagePlan:
    """Plan the writing of queries; sends nothing and needs no key.

    Every request is rendered: there are few, one a passage.

    Args:
        writer: Who would write.
        seeds: The passages that queries would be written for.
        per_passage: Queries for each.
        seed: Of styles and personas.
        ledger: Whose answers need no call.
        withheld: Passages that patterns keep here.
        latency_seconds: Assumed time of one answer.
    """
    counter = TokenCounter.for_model(writer.model)
    tasks = list(writer.requests.tasks(seeds, per_passage, seed))
    keys = [writer.requests.key(task) for task in tasks]
    # A look into a ledger that is not there would make one.
    exists = ledger.path.exists()
    answers = ledger.completions(keys) if exists else {}
    billed, counted = 0, 0

    def compare(request: ChatRequest) -> None:
        nonlocal billed, counted
        entry = answers[request.key]
        if entry.input_tokens > 0:
            billed += entry.input_tokens
            counted += request.n_input_tokens

    first = ~pd.Series(keys, dtype="str").duplicated().to_numpy()
    known = pd.Series([key in answers for key in keys], dtype=bool).to_numpy()
    old, new = seeds[known & first], seeds[~known & first]
    count_requests(writer.requests.requests(old, per_passage, seed), compare)
    calls, tokens = count_requests(writer.requests.requests(new, per_passage, seed))
    counter = counter.corrected(billed, counted)
    usual = ledger.observed_tokens(writer.model, COMPLETION_KIND) if exists else None
    return StagePlan(
        stage="synthesis",
        who=writer.name,
        model=writer.model,
        prompt_hash=writer.prompt_hash,
        host=Endpoint.from_environment().host,
        units=len(seeds),
        answered=int((known & first).sum()),
        answered_input_tokens=sum(entry.input_tokens for entry in answers.values()),
        withheld=withheld,
        sent=Sent(
            requests=calls,
            counted=calls,
            input_tokens=tokens * counter.factor,
            documents=int(new["document_id"].nunique()),
            passages=len(new),
            complete=True,
        ),
        settings=writer.settings,
        price=writer.price,
        counter=counter,
        shortest_answer=counter.count(shortest_answer(list(STYLES))),
        usual_answer=None if usual is None else usual.output_mean,
        latency_seconds=latency_seconds,
    )
