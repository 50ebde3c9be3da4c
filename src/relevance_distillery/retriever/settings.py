"""What can be turned about training a retriever, and why one would."""

import math
from typing import Literal

from pydantic import Field

from relevance_distillery.encoders.layout import FolderKind
from relevance_distillery.strict import Seed, StrictModel

RecipeName = Literal[
    "curriculum", "no_token_similar", "one_stage", "one_channel", "listwise", "margin_mse"
]

TRAIN = "kedro run --pipeline=train_retriever"
COMPRESS = "kedro run --pipeline=compress_retriever"
RETRIEVER = FolderKind("retriever", "retriever.json", TRAIN)
QUERY_ENCODER = FolderKind("query encoder", "query_encoder.json", COMPRESS)
INDEX = FolderKind("index of passages", "index.json", TRAIN)

_FEWEST_VALIDATION = 30


class RetrieverSettings(StrictModel):
    """How each stage is trained."""

    base_model: str = "bundled"
    """The encoder to start from: a name, a folder or a hub id with mean pooling."""
    recipes: tuple[RecipeName, ...] = Field(
        ("listwise", "curriculum", "one_stage", "one_channel", "no_token_similar"), min_length=1
    )
    """What is trained and compared; validation chooses what is registered, without it the first."""
    tuned_layers: int | None = Field(2, ge=1)
    """Upper layers that learn, null for all: fewer are faster, and forget less."""
    max_length: int = Field(192, ge=8)
    """Tokens of a passage that are read."""
    epochs: int = Field(2, ge=1)
    """Times that every query is seen in a stage."""
    max_steps: int = Field(100, ge=1)
    """Steps of a stage at most."""
    evaluations: int = Field(3, ge=1)
    """Validations in a stage; the best weights are kept."""
    batch_queries: int = Field(24, ge=1)
    """Queries of a batch: the passages of one are negatives of the others."""
    batch_passages: int = Field(4, ge=2)
    """Passages of each query in a batch, half of them positives at most."""
    learning_rate: float = Field(1e-4, gt=0)
    """Peak, after a warm-up over a tenth of the steps."""
    temperature: float = Field(0.05, gt=0)
    """What cosines are divided by."""
    validation_share: float = Field(0.2, gt=0, lt=1)
    """Queries that are held back to choose stages, recipe and interpolation."""
    max_validation_pairs: int = Field(5000, ge=1)
    """Pairs of these that are ranked in a validation."""
    interpolation: tuple[float, ...] = (0.5, 0.75)
    """Shares of trained weights, the rest untrained (WiSE-FT), that are tried beside 1; without
    validation the first is taken."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 where the processor or GPU multiplies it."""
    seed: Seed
    """Of the draws."""

    @property
    def fewest_queries(self) -> int:
        """With fewer none is held back: chance would choose."""
        return math.ceil(_FEWEST_VALIDATION / self.validation_share)
