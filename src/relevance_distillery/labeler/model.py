"""The labeler's network: a sequence classifier, pair features of the same encoder, a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from relevance_distillery.encoders.base_model import is_decoder, quiet, resolve_model
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.features import Encoded, pair_features
from relevance_distillery.labeler.head import GradeHead, couples_of, ordinal_loss, ranking_loss

Architecture = Literal["auto", "cross_encoder", "late_interaction", "combined"]
Tokens = dict[str, Tensor]


@dataclass(frozen=True)
class Prediction:
    """What the network says about a batch.

    Attributes:
        scores: Relevance scores, shape (pairs,).
        logits: The classifier's logits, shape (pairs, grades); None without a classifier pass.
    """

    scores: Tensor
    logits: Tensor | None


class PairModel(nn.Module):
    """A Hugging Face sequence classifier whose encoder also compares the texts read alone.

    Args:
        backbone: A sequence classifier over the grades, plain or wrapped by peft.
        architecture: `cross_encoder` reads the pair together, `late_interaction` compares
            query and passage read alone, `combined` does both with one encoder.
        grades: Number of grades.
        classifier_weight: Weight of the classifier's own cross-entropy in the loss, so that
            the plain Hugging Face model is of use without the head.
        ranking_weight: Weight of the pairwise loss within a query.
        head_hidden: Width of the head's small network; 0 for none.
        levels: Depths of the encoder at which texts are compared; 1 for the last layer alone.
        dropout: The backbone drops states while it is trained, as it was configured to.
    """

    def __init__(
        self,
        backbone: Any,
        architecture: Architecture,
        grades: int,
        classifier_weight: float = 0.5,
        ranking_weight: float = 0.0,
        head_hidden: int = 0,
        levels: int = 1,
        dropout: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = dropout
        self.architecture = architecture
        self.classifier_weight = classifier_weight
        self.ranking_weight = ranking_weight
        self.levels = levels
        self.head = GradeHead(
            grades,
            uses_classifier=architecture != "late_interaction",
            uses_features=architecture != "cross_encoder",
            vocabulary=int(backbone.config.vocab_size),
            hidden=head_hidden,
            levels=levels,
        )

    def train(self, mode: bool = True) -> PairModel:
        """Training mode; without `dropout` for the head and the adapters of LoRA alone."""
        super().train(mode)
        if not self.dropout:
            for name, part in self.backbone.named_modules():
                part.training = mode and "lora_dropout" in name
        return self

    @property
    def reads_together(self) -> bool:
        """Query and passage are read as one input."""
        return self.head.uses_classifier

    @property
    def reads_alone(self) -> bool:
        """Query and passage are read apart and compared."""
        return self.head.uses_features

    def classify(self, together: Tokens) -> Tensor:
        """The classifier's logits, shape (pairs, grades), float32."""
        return self.backbone(**together).logits.float()

    def encode(self, alone: Tokens) -> Encoded:
        """Token states of texts read alone; `alone` carries their special_tokens_mask too."""
        tokens = {key: value for key, value in alone.items() if key != "special_tokens_mask"}
        plain = getattr(self.backbone, "get_base_model", lambda: self.backbone)()
        output = plain.base_model(**tokens, output_hidden_states=self.levels > 1)
        layers = [output.last_hidden_state]
        if self.levels > 1:
            lower = output.hidden_states[:-1]
            # From below the last layer down to the embeddings, evenly.
            places = torch.linspace(len(lower) - 1, 0, self.levels - 1).round().long().tolist()
            layers += [lower[place] for place in places]
        attended = alone["attention_mask"]
        words = attended * (1 - alone["special_tokens_mask"])
        with torch.autocast(attended.device.type, enabled=False):
            return Encoded.of(torch.stack(layers, dim=1), alone["input_ids"], attended, words)

    def compare(self, queries: Encoded, passages: Encoded) -> Tensor:
        """Pair features of aligned rows, in float32 whatever the precision around."""
        with torch.autocast(queries.units.device.type, enabled=False):
            return pair_features(queries, passages, self.head.token_weights)

    def predict(
        self,
        together: Tokens | None = None,
        queries: Tokens | None = None,
        passages: Tokens | None = None,
        query_index: Tensor | None = None,
        passage_index: Tensor | None = None,
    ) -> Prediction:
        """Scores of a batch.

        Args:
            together: Tokens of the pairs, where the architecture reads them together.
            queries: Tokens of the batch's different queries.
            passages: Tokens of the batch's different passages.
            query_index: The query of each pair, a row of `queries`, shape (pairs,).
            passage_index: The passage of each pair, a row of `passages`, shape (pairs,).
        """
        logits = self.classify(together) if together is not None else None
        features = None
        if queries is not None:
            assert passages is not None
            assert query_index is not None
            assert passage_index is not None
            features = self.compare(
                self.encode(queries).select(query_index),
                self.encode(passages).select(passage_index),
            )
        device = (features if features is not None else logits).device.type  # type: ignore[union-attr]
        with torch.autocast(device, enabled=False):
            return Prediction(self.head(logits, features), logits)

    def forward(
        self,
        targets: Tensor,
        weights: Tensor,
        groups: Tensor,
        together: Tokens | None = None,
        queries: Tokens | None = None,
        passages: Tokens | None = None,
        query_index: Tensor | None = None,
        passage_index: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Loss and scores of a batch.

        Args:
            targets: The judge's probabilities of the grades, shape (pairs, grades).
            weights: Weight of each pair, shape (pairs,).
            groups: Number of each pair's query, shape (pairs,).
            together: This and the following as for `predict`.
            queries: Tokens of the different queries.
            passages: Tokens of the different passages.
            query_index: The query of each pair.
            passage_index: The passage of each pair.
        """
        prediction = self.predict(together, queries, passages, query_index, passage_index)
        with torch.autocast(prediction.scores.device.type, enabled=False):
            loss = ordinal_loss(self.head.cumulative_logits(prediction.scores), targets, weights)
            if self.ranking_weight > 0:
                loss = loss + self.ranking_weight * ranking_loss(
                    prediction.scores, couples_of(targets, groups)
                )
            if prediction.logits is not None and self.classifier_weight > 0:
                losses = cross_entropy(prediction.logits, targets, reduction="none")
                share = (losses * weights).sum() / weights.sum().clamp(min=1e-6)
                loss = loss + self.classifier_weight * share
        return {"loss": loss, "scores": prediction.scores}


def load_backbone(base_model: str, scale: GradeScale, pad_token_id: int) -> Any:
    """A fresh sequence classifier over the grades of `scale` on a base model.

    Raises:
        UserError: The base model does not exist or cannot become a classifier.
    """
    from transformers import AutoModelForSequenceClassification

    source = resolve_model(base_model)
    names = [grade.name for grade in scale.grades]
    try:
        with quiet():
            backbone = AutoModelForSequenceClassification.from_pretrained(
                source,
                num_labels=scale.size,
                id2label=dict(enumerate(names)),
                label2id={name: i for i, name in enumerate(names)},
                trust_remote_code=False,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
            )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"base model {base_model} cannot be read: {reason}") from error
    # Without it a decoder cannot tell padding from the last token in a batch.
    backbone.config.pad_token_id = pad_token_id
    backbone.config.problem_type = "single_label_classification"
    return backbone


def resolve_architecture(architecture: Architecture, config: Any) -> Architecture:
    """`auto` becomes `late_interaction` for encoders and `cross_encoder` for decoders.

    Raises:
        UserError: A decoder is asked to compare texts read alone.
    """
    decoder = is_decoder(config)
    if architecture == "auto":
        return "cross_encoder" if decoder else "late_interaction"
    if decoder and architecture != "cross_encoder":
        raise UserError(
            f"architecture {architecture}: {config.model_type} reads left to right, so its token "
            "states cannot be compared; use cross_encoder or auto"
        )
    return architecture


def freeze_lower_layers(backbone: Any, tuned: int) -> None:
    """Leave the embeddings and all layers but the top `tuned` as they are.

    A model with no more layers than that is tuned whole.
    """
    stacks = [part for part in backbone.modules() if isinstance(part, nn.ModuleList)]
    layers = max(stacks, key=len, default=nn.ModuleList())
    if len(layers) <= tuned:
        return
    embeddings = getattr(backbone.base_model, "embeddings", backbone.get_input_embeddings())
    for part in (embeddings, *layers[: len(layers) - tuned]):
        part.requires_grad_(False)
