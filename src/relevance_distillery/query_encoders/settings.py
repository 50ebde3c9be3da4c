"""What can be turned about compressing a query tower, and why one would."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from relevance_distillery.strict import Seed, StrictModel

Rung = Literal[
    "aligned", "aligned_refined", "pruned", "pruned_refined", "one_shot", "refined_only", "static",
    "static_refined",
]  # fmt: skip
Loss = Literal["l2", "cosine", "kl", "kernel"]


class StringSettings(StrictModel):
    """Unlabelled strings that stand for queries."""

    most: int = Field(50_000, ge=1)
    """Strings at most: more are better and take longer to encode."""
    spans: int = Field(16, ge=0)
    """Runs of words drawn from each passage."""
    longest_span: int = Field(12, ge=1)
    """Words of the longest: about as many as your longest usual query has."""
    asked: float = Field(0.3, ge=0, le=1)
    """Share of spans that get an opening: people ask in other words than documents tell."""
    openings: tuple[str, ...] = (
        "what is", "what are", "how to", "how do i", "how long does", "how much is", "who is",
        "when is", "where is", "why is", "which", "can i", "define",
    )  # fmt: skip
    """Openings, where no two queries begin with the same two words; in your users' language."""


class AlignmentSettings(StrictModel):
    """How a student learns to put queries where the reference puts them."""

    loss: Loss = "cosine"
    """l2 and cosine compare vectors, kl and kernel the similarities within a batch."""
    epochs: float = Field(3.0, gt=0)
    """Times that every string is seen."""
    batch_size: int = Field(128, ge=2)
    """Strings of a step."""
    learning_rate: float = Field(5e-4, gt=0)
    """Peak, after a short warm-up."""
    held_back: int = Field(1000, ge=2)
    """Strings that choose weights and layers; a tenth at most."""
    evaluations: int = Field(4, ge=1)
    """Times that these are looked at."""


class PruningSettings(StrictModel):
    """How a transformer becomes smaller, as shares of what it has."""

    half: float = Field(0.5, gt=0, le=1)
    """Layers kept by the rungs `aligned` and `refined_only`."""
    layers: float = Field(1 / 3, gt=0, le=1)
    """Layers kept by the rungs `pruned` and `one_shot`."""
    units: float = Field(1.0, gt=0, le=1)
    """Units kept of their feed-forward parts; fewer are faster and less alike the reference."""
    schedule: tuple[float, ...] = Field((0.2, 0.2, 0.6), min_length=1)
    """Cycles of cutting and aligning: the share of the steps after each cut."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if min(self.schedule) <= 0 or abs(sum(self.schedule) - 1) > 1e-6:
            raise ValueError("schedule takes shares above 0 that sum to 1")
        return self


class RefinementSettings(StrictModel):
    """Contrastive training of the query encoder alone, on graded pairs."""

    loss: Literal["mnrl", "listwise", "margin_mse"] = "mnrl"
    """As of training a retriever."""
    max_steps: int = Field(200, ge=1)
    """Steps at most."""
    epochs: int = Field(2, ge=1)
    """Times that every query is seen."""
    learning_rate: float = Field(3e-5, gt=0)
    """Peak; higher ones forget the alignment."""
    static_learning_rate: float = Field(1e-3, gt=0)
    """That of the table of token vectors."""
    validation_share: float = Field(0.2, gt=0, lt=1)
    """Queries held back to choose the best weights, those before refinement included."""


class LadderSettings(StrictModel):
    """Which rungs are made, and how."""

    rungs: tuple[Rung, ...] = Field(
        ("aligned", "pruned", "one_shot", "refined_only", "static"), min_length=1
    )
    """What is made and compared; those ending in `_refined` and `refined_only` need grades."""
    student: str | None = None
    """Another model with mean pooling to start the layers from; null for the reference's own."""
    alignment: AlignmentSettings = AlignmentSettings()
    """Of students with layers."""
    static: AlignmentSettings = AlignmentSettings(
        loss="l2", epochs=8.0, batch_size=512, learning_rate=3e-3, evaluations=8
    )
    """Of the table of token vectors."""
    matryoshka: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Sizes to which vectors may be cut, which are aligned too."""
    words: int = Field(20_000, ge=0)
    """Frequent words, split by the tokenizer, that get a vector of their own in the table."""
    pruning: PruningSettings = PruningSettings()
    """How layers and units are removed."""
    refinement: RefinementSettings = RefinementSettings()
    """What grades are used for."""
    seed: Seed = 0
    """Of the draws."""
