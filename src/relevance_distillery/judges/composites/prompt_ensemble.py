"""One language model asked about every pair in several wordings, as one judge.

Prompts that ask for the same thing in other words give answers whose mean wavers less than any of
them (prompt ensembling), and whose spread is a soft target.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Self

import numpy as np
import pandas as pd

from relevance_distillery.collections.pairs_to_grade import Pairs
from relevance_distillery.grading import GradeScale
from relevance_distillery.judges.composites.answers import KEY
from relevance_distillery.judges.composites.consensus import ConsensusJudge
from relevance_distillery.judges.composites.panel import Subset
from relevance_distillery.judges.labeling import Labeling
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.judges.prompted.llm import LLMJudge
from relevance_distillery.judges.prompted.pair_prompt import PairPrompt
from relevance_distillery.judges.registry import JudgeSources, State
from relevance_distillery.judges.settings import ConsensusSettings

logger = logging.getLogger(__name__)

BLOCK = 1024
"""Pairs that get all of their answers before the next are asked about, so that a cap that is
reached leaves whole labels."""


class PromptEnsemble(ConsensusJudge):
    """The mean of one model's grades, half-way to the lower one, by prompts of one meaning.

    A pair needs answers to more than half of the prompts. Each prompt's answer is in the ledger
    under the key that it has alone. Name, model and price are the model's own.
    """

    def __init__(self, judges: Sequence[LLMJudge], scale: GradeScale) -> None:
        """Take one judge a prompt, which share model, settings and budget."""
        least = len(judges) // 2 + 1
        super().__init__(judges, ConsensusSettings(method="mean", min_answers=least), scale)
        self._asked = tuple(judges)
        self.name, self.model = judges[0].name, judges[0].model
        self.names = [f"{self.name}, prompt {number}" for number in range(1, len(judges) + 1)]
        for judge, name in zip(judges[1:], self.names[1:], strict=True):
            judge.name = name  # the first goes by the name that it has alone

    @classmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Ask the prompt of `sources` and those beside it; UserError where there are too few."""
        assert sources.prompt is not None, "judges that read instructions need the grading prompt"
        first = LLMJudge.prepare(model, sources)
        others = [
            replace(sources, prompt=one).pair_prompt(redact=first.settings.redact)
            for one in sources.prompt.wordings(sources.settings.llm.prompts)[1:]
        ]
        return cls([first, *(first.asking(one) for one in others)], sources.scale)

    def to_state(self) -> State:
        """The state of the model's judge, with all of its prompts."""
        prompts = [judge.prompt.to_state() for judge in self._asked]
        return {**self._asked[0].to_state(), "prompts": prompts}

    @classmethod
    def restore(cls, state: State, sources: JudgeSources) -> Self:
        """The judge that wrote `state`."""
        first = LLMJudge.restore(state, sources)
        others = [PairPrompt.from_state(one, sources.scale) for one in state["prompts"][1:]]
        return cls([first, *(first.asking(one) for one in others)], sources.scale)

    def label(self, pairs: Pairs, ledger: Ledger, **options: Any) -> Labeling:
        """As `Panel.label`, a block of pairs after the other; with the Batch API all at once.

        The facts say of each prompt what became of the pairs and what their answers cost, and how
        many labels lack the answer to one.
        """
        for judge in self._asked:
            # Of all blocks, before the first could spend what a later one has spent.
            shards = (dict.fromkeys(judge.request_hashes(shard)) for shard in pairs.shards())
            judge.budget.charge(ledger.spent_before(chain.from_iterable(shards)))
        size = max(1, len(pairs)) if self._asked[0].settings.batch else BLOCK
        block_of, label = np.arange(len(pairs)) // size, super().label
        blocks = (Subset(pairs, block_of == block) for block in range(max(block_of, default=0) + 1))
        found = _joined([label(block, ledger, **options) for block in blocks])
        said = found.labels[KEY].merge(found.difficulty, on=KEY)["answers"]
        by_prompt = found.judge_labels.groupby("judge")
        labelled, usd = by_prompt.size(), by_prompt["cost_usd"].sum()
        prompts = [
            {
                "prompt": judge.prompt.name,
                "labelled": int(labelled.get(name, 0)),
                "failed": found.pairs - int(labelled.get(name, 0)),
                "cost_usd": float(usd.get(name, 0.0)),
            }
            for judge, name in zip(self._asked, self.names, strict=True)
        ]
        incomplete = int((said < len(prompts)).sum())
        if not options.get("quiet"):
            message = "judge %s: %d pairs labelled by the mean over %d prompts, %d of them by fewer"
            logger.info(message, self.name, len(found.labels), len(prompts), incomplete)
        return replace(found, facts={"prompts": prompts, "labelled_by_fewer_prompts": incomplete})


def _joined(parts: Sequence[Labeling]) -> Labeling:
    """The labelings of blocks of pairs as one; what several pairs share is paid by the first."""
    tables = ("labels", "failures", "judge_labels", "difficulty")
    sums = ("pairs", "from_ledger", "requests", "seconds", "cost_usd")
    found: dict[str, Any] = {
        name: pd.concat([getattr(part, name) for part in parts], ignore_index=True)
        for name in tables
    }
    labels, each = found["labels"], found["judge_labels"]
    again = labels["request_hash"].duplicated()
    copies = pd.MultiIndex.from_frame(labels.loc[again, KEY])
    columns = ["input_tokens", "output_tokens", "cost_usd"]
    each.loc[pd.MultiIndex.from_frame(each[KEY]).isin(copies), columns] = 0
    labels.loc[again, [*columns, "seconds"]] = 0
    found |= {name: sum(getattr(part, name) for part in parts) for name in sums}
    return Labeling(**found)
