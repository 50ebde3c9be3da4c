"""What a judge is, and how people name one: `KIND` or `KIND:MODEL`.

A new kind is one line of `KINDS` and the module with its class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale

if TYPE_CHECKING:
    import pandas as pd

    from relevance_distillery.llm.prices import Budget


@dataclass(frozen=True)
class Verdict:
    """A judge's answer for one pair: a grade, or a failure with its reason, never both.

    Attributes:
        request_hash: Key of the pair in the ledger, from `Judge.request_hashes`.
        probabilities: One probability a grade, lowest grade first; None when unknown.
        status: `ok`, or the kind of failure in one word (`missing`, `unparseable`, ...).
        reason: A failure's reason in one sentence, without document or query text.
        retryable: A later run may try the failure again.
        input_tokens, output_tokens: Read and written; 0 when not known.
        asked: False where the request was never sent: the budget was spent, a batch is still
            pending, the run was stopped. Such a failure is no attempt and is not stored.
        text: The answer's words where they are no grade: the ledger keeps them, so that a better
            parser costs nothing.
    """

    request_hash: str
    grade: int | None = None
    probabilities: tuple[float, ...] | None = None
    status: str = "ok"
    reason: str = ""
    retryable: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    asked: bool = True
    text: str = field(default="", repr=False)


class Judge(Protocol):
    """Labels pairs: it grades them itself (`Grading`), or is made of judges that do.

    Attributes:
        name: Written into the `judge` column of labels.
        model: The model behind it, with its revision where there is one.
        prompt_hash: Changes with anything in the instructions or settings; empty without any.

    A judge that is made of other judges (a cascade, a consensus) has a method `label`, with which
    `run_labeling` has it label pairs by those judges, each under its own key in the ledger. One
    that answers in words may have a method `reread`, which reads a kept answer again.
    """

    name: str
    model: str
    prompt_hash: str
    scale: GradeScale

    @property
    def budget(self) -> Budget | None:
        """What the judge may spend; None where it costs nothing."""

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        """One key in the ledger for each pair: a hash of everything that the judge sees and is."""
        ...


class Grading(Judge, Protocol):
    """A judge that grades pairs itself."""

    def grade(self, shards: Iterable[pd.DataFrame]) -> Iterator[list[Verdict]]:
        """Verdicts for all pairs, a few at a time, in any order, each pair once.

        Every list is committed before the next one is asked for, so a judge that pays
        for answers should yield each answer as soon as it has it.

        `shards` are tables with `PAIR_COLUMNS`, at most 1,024 rows each, joined when they are
        asked for. A judge reads ahead as far as it has requests in flight, over the borders of
        shards, and no further: memory stays flat.
        """
        ...


@dataclass(frozen=True)
class JudgeKind:
    """What is known about a kind without importing its class, which may load torch.

    Attributes:
        location: Module below `relevance_distillery.judges` and class, `MODULE:CLASS`.
        takes_model: Whether `:MODEL` may follow.
        from_corpus: It learns from the documents, so that only the stage `label` can prepare it.
        composite: It is made of other judges and cannot be part of another.
        on_workers: It computes its grades, so that several processes grade faster than one. Others
            look grades up, or ask a server, whose limits and costs one process keeps an eye on.
        several_prompts: The class, likewise, that asks in several wordings; empty for none.
    """

    location: str
    takes_model: bool = True
    from_corpus: bool = False
    composite: bool = False
    on_workers: bool = False
    several_prompts: str = ""


KINDS = {
    "embedded": JudgeKind(
        "embedding.embedded:EmbeddedJudge", takes_model=False, from_corpus=True, on_workers=True
    ),
    "recorded": JudgeKind("recorded:RecordedJudge"),
    "labeler": JudgeKind("labeler_judge:LabelerJudge", on_workers=True),
    "llm": JudgeKind(
        "prompted.llm:LLMJudge", several_prompts="composites.prompt_ensemble:PromptEnsemble"
    ),
    "transformers": JudgeKind("prompted.transformers_judge:TransformersJudge", on_workers=True),
    "cascade": JudgeKind("composites.cascade:CascadeJudge", takes_model=False, composite=True),
    "consensus": JudgeKind(
        "composites.consensus:ConsensusJudge", takes_model=False, composite=True
    ),
}
JUDGES = tuple(KINDS)  # the kinds of judge, as in `judge=KIND` and `judge=KIND:MODEL`


@dataclass(frozen=True)
class JudgeName:
    """A judge as people name it, `KIND` or `KIND:MODEL`; the model is empty for the kind's default.

    It may be a labeler's alias, version or folder, or a recorded judge's name.
    """

    kind: str
    model: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.model}" if self.model else self.kind


def parse_judge(name: str) -> JudgeName:
    """Split `KIND` or `KIND:MODEL`; the model may hold colons, as Ollama's do.

    UserError where there is no such kind, which the message lists, or it takes no model.
    """
    kind, colon, model = str(name).partition(":")
    if kind not in KINDS:
        raise UserError(
            f"There is no judge {name!r}: use one of {', '.join(JUDGES)}, or KIND:MODEL such as "
            "llm:NAME, labeler:champion."
        )
    if colon and not model:
        raise UserError(f"judge={name}: nothing follows the colon; write {kind} or {kind}:NAME.")
    if model and not KINDS[kind].takes_model:
        raise UserError(f"judge={name}: {kind} takes no model; write judge={kind}.")
    return JudgeName(kind, model)


def inner_judge(name: str, outer: str) -> JudgeName:
    """A judge named as part of `outer`; a bare name that is no kind is a recorded judge's.

    UserError where it is itself made of judges, or no judge.
    """
    if name.partition(":")[0] not in KINDS:
        return JudgeName("recorded", name)
    parsed = parse_judge(name)
    if KINDS[parsed.kind].composite:
        raise UserError(f"judge={outer}: {name} cannot be part of it, name the judges themselves")
    return parsed
