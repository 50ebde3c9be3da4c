"""The kinds of judge, and how people name one: `KIND` or `KIND:MODEL`.

A new kind is one line of `KINDS` and the module with its class.
"""

from __future__ import annotations

from dataclasses import dataclass

from relevance_distillery.errors import UserError


@dataclass(frozen=True)
class JudgeKind:
    """What is known about a kind without importing its class, which may load torch.

    Attributes:
        location: Module below `relevance_distillery.judges` and class, `MODULE:CLASS`.
        takes_model: Whether a name may go on with `:MODEL`.
        from_corpus: It learns from the documents, so that only the stage `label` can prepare it.
        composite: It is made of other judges and cannot be part of another.
    """

    location: str
    takes_model: bool = True
    from_corpus: bool = False
    composite: bool = False


KINDS = {
    "embedded": JudgeKind("embedding.embedded:EmbeddedJudge", takes_model=False, from_corpus=True),
    "recorded": JudgeKind("recorded:RecordedJudge"),
    "labeler": JudgeKind("labeler_judge:LabelerJudge"),
    "llm": JudgeKind("prompted.llm:LLMJudge"),
    "transformers": JudgeKind("prompted.transformers_judge:TransformersJudge"),
    "cascade": JudgeKind("composites.cascade:CascadeJudge", takes_model=False, composite=True),
    "consensus": JudgeKind(
        "composites.consensus:ConsensusJudge", takes_model=False, composite=True
    ),
}
JUDGES = tuple(KINDS)
"""The kinds of judge, as in `judge=KIND` and `judge=KIND:MODEL`."""


@dataclass(frozen=True)
class JudgeName:
    """A judge as people name it.

    Attributes:
        kind: One of `JUDGES`.
        model: What follows the colon: a model, a labeler's alias, version or folder, a recorded
            judge's name; empty for the kind's default.
    """

    kind: str
    model: str = ""

    def __str__(self) -> str:
        """`KIND` or `KIND:MODEL`."""
        return f"{self.kind}:{self.model}" if self.model else self.kind


def parse_judge(name: str) -> JudgeName:
    """Split a judge's name.

    Args:
        name: `KIND` or `KIND:MODEL`; the model may hold colons, as Ollama's do.

    Raises:
        UserError: There is no such kind, or it takes no model; the message lists the kinds.
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
    """A judge named as part of another; a bare name that is no kind is a recorded judge's.

    Args:
        name: As typed in the list of the outer judge.
        outer: The outer judge, for the message.

    Raises:
        UserError: It is itself made of judges, or no judge.
    """
    if name.partition(":")[0] not in KINDS:
        return JudgeName("recorded", name)
    parsed = parse_judge(name)
    if KINDS[parsed.kind].composite:
        raise UserError(f"judge={outer}: {name} cannot be part of it, name the judges themselves")
    return parsed
