"""What a user can turn about training a labeler, with a reason for each."""

from typing import Any, Literal, Self

from pydantic import Field

from relevance_distillery.strict import Seed, StrictModel

Architecture = Literal["auto", "cross_encoder", "late_interaction", "combined"]
Decision = Literal["cut_points", "argmax"]
Recipe = Literal["small", "full"]

_RECIPES: dict[str, dict[str, Any]] = {
    # Five minutes on two cores for everything, of which training may take two.
    "small": {
        "max_train_pairs": 600,
        "max_head_pairs": 2000,
        "max_evaluation_pairs": 160,
        "max_calibration_pairs": 900,
        "max_null_pairs": 160,
        "epochs": 1.0,
        "evaluations_per_epoch": 2,
        "folds": 2,
        "tuned_layers": 2,
    },
    "full": {
        "max_train_pairs": 10**9,
        "max_head_pairs": 10_000,
        "max_evaluation_pairs": 2000,
        "max_calibration_pairs": 20_000,
        "max_null_pairs": 2000,
        "epochs": 1.0,
        "evaluations_per_epoch": 2,
        "folds": 3,
        "tuned_layers": 6,
    },
}
_LEARNING_RATES = {"full": 5e-5, "lora": 2e-4}
# Encoded separately, passages of a query share its states, so that many fit in a batch.
_BATCHES: dict[bool, dict[str, int]] = {
    True: {"batch_size": 24, "gradient_accumulation": 1},
    False: {"batch_size": 8, "gradient_accumulation": 2},
}


class LoraSettings(StrictModel):
    """Low-rank adaptation (Hu et al., 2021) of every linear layer."""

    rank: int = Field(16, ge=1)
    """Higher: more capacity, slower, more memory."""
    alpha: int = Field(32, ge=1)
    """Scale of the update; twice the rank is usual."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """Raise it where few labels overfit."""


class TrainingSettings(StrictModel):
    """How a labeler is trained; what is null comes from the recipe."""

    base_model: str = "bundled"
    """`bundled`, a Hugging Face id or a local folder; a larger model grades better and slower."""
    architecture: Architecture = "auto"
    """`cross_encoder` reads query and passage jointly, `late_interaction` compares their tokens,
    `combined` does both in twice the time; `auto` is late_interaction for encoders, cross_encoder
    for decoders."""
    tuning: Literal["auto", "full", "lora"] = "auto"
    """`full` changes all weights, `lora` a few per cent; `auto` is full for encoders, lora for
    decoders."""
    recipe: Recipe = "small"
    """`small` trains on a sample within two minutes on two cores; `full` uses every pair."""
    folds: int | None = Field(None, ge=1, le=10)
    """One model a fold learns from the other folds' queries; weights are averaged and every query
    serves calibration. 1 calibrates on the split `calibration` alone: cheaper, and as good with
    many queries."""
    tuned_layers: int | None = Field(None, ge=1)
    """Layers from the top that full tuning changes; fewer train faster, forget less and need fewer
    labels."""
    max_train_pairs: int | None = Field(None, ge=10)
    """Pairs a fold learns from; more train better and longer."""
    max_head_pairs: int | None = Field(None, ge=10)
    """Pairs that all folds' heads start from; each is read once, so more are cheap."""
    max_evaluation_pairs: int | None = Field(None, ge=10)
    """Pairs of the early-stopping split graded each time."""
    max_calibration_pairs: int | None = Field(None, ge=10)
    """More pairs calibrate better; each is graded once."""
    max_null_pairs: int | None = Field(None, ge=0)
    """Random passages that show how length alone raises a document's grade; 0 corrects nothing."""
    epochs: float | None = Field(None, gt=0)
    """How often each pair is seen."""
    evaluations_per_epoch: int | None = Field(None, ge=1)
    """More often stops earlier and costs time."""
    patience: int = Field(3, ge=1)
    """Evaluations without a better kappa before training stops."""
    batch_size: int | None = Field(None, ge=2)
    """Pairs read at once, of one query where it has enough; memory limits it."""
    gradient_accumulation: int | None = Field(None, ge=1)
    """Batches a step, for large batches in little memory."""
    gradient_checkpointing: bool = False
    """Compute states anew for the gradient: less memory, a third slower."""
    learning_rate: float | None = Field(None, gt=0)
    """Lower it where the loss jumps (5e-5 full, 2e-4 LoRA)."""
    head_learning_rate: float = Field(5e-3, gt=0)
    """The head is new and small, so it learns faster."""
    head_start: Literal["fitted", "similarity"] = "fitted"
    """`fitted`: the best linear head on the untrained encoder's features; `similarity`: the sum of
    cosine and MaxSim."""
    head_ridge: float = Field(0.02, ge=0)
    """Ridge penalty of the fitted head; raise it where queries are few."""
    levels: int = Field(6, ge=1)
    """Depths at which texts are compared, from the last layer down to the embeddings; 1 is the last
    layer alone."""
    head_hidden: int = Field(0, ge=0)
    """Width of a small network beside the linear head; 0 for none."""
    ranking_weight: float = Field(1.0, ge=0)
    """Of the pairwise loss: of two passages of a query the better should score higher."""
    dropout: bool = False
    """Drop states as in pretraining; one gentle epoch gains nothing from it, and it takes a third
    of the time."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of steps of rising rate."""
    weight_decay: float = Field(0.01, ge=0)
    """Raise it where it overfits."""
    stuffed_share: float = Field(0.15, ge=0, le=0.5)
    """Share of the training pairs that are copies with stuffed query words and the same grade;
    more are fooled less and grade worse."""
    class_balance: float = Field(0.5, ge=0, le=1)
    """0 weighs pairs alike, 1 grades alike."""
    classifier_weight: float = Field(0.5, ge=0)
    """Share of the loss for the plain classifier, which loads without the head."""
    max_length: int = Field(192, ge=16)
    """Tokens of query and passage; longer reads more, slower."""
    max_query_tokens: int = Field(48, ge=4)
    """A longer query is cut to leave room for the passage."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto` takes bf16 where the processor multiplies it in hardware: a GPU, or a CPU with AMX or
    AVX-512-BF16."""
    decision: Decision = "cut_points"
    """`cut_points` gives each grade as often as the judge did; `argmax` takes the most probable
    grade."""
    early_exit: float = Field(0.0, ge=0, lt=1)
    """Above 0, pairs that the lower layers show to be irrelevant are read no further; at most this
    share of them would get a higher grade. A fifth faster or more, ranks worse."""
    lora: LoraSettings = LoraSettings()
    seed: Seed = 0
    """Another seed, another labeler of the same kind."""

    def resolved(self, tuning: Literal["full", "lora"], architecture: Architecture) -> Self:
        """The same settings with the recipe's values where nothing was given."""
        values = self.model_dump()
        recipe = {
            **_RECIPES[self.recipe],
            **_BATCHES[architecture == "late_interaction"],
            "learning_rate": _LEARNING_RATES[tuning],
        }
        for name, value in recipe.items():
            if values[name] is None:
                values[name] = value
        values |= {"tuning": tuning, "architecture": architecture}
        return self.model_validate(values)
