"""The labeler's network: a sequence classifier, pair features of the same encoder, a head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from relevance_distillery.encoders.batching import Tokens
from relevance_distillery.labeler.features import Encoded, pair_features
from relevance_distillery.labeler.head import GradeHead, couples_of, ordinal_loss, ranking_loss
from relevance_distillery.labeler.settings import Architecture


class PairModel(nn.Module):
    """A Hugging Face sequence classifier whose encoder also compares separately encoded texts.

    Args:
        backbone: A sequence classifier over the grades, plain or wrapped by peft.
        architecture: `cross_encoder` encodes query and passage jointly, `late_interaction`
            separately and compares them, `combined` does both with one encoder.
        grades: Number of grades.
        classifier_weight: Weight of the classifier's own cross-entropy in the loss, so that
            the plain Hugging Face model is of use without the head.
        ranking_weight: Weight of the pairwise loss within a query.
        head_hidden: Width of the head's small network; 0 for none.
        levels: Depths of the encoder at which texts are compared; 1 for the last layer alone.
        dropout: The backbone drops states while it is trained, as it was configured to.
    """

    # The Trainer would take the open arguments of `forward` for those of a summed loss.
    accepts_loss_kwargs = False

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
        self.backbone, self.architecture, self.levels = backbone, architecture, levels
        self.classifier_weight, self.ranking_weight = classifier_weight, ranking_weight
        self.dropout = dropout
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
    def encodes_jointly(self) -> bool:
        """Query and passage are one input."""
        return self.head.uses_classifier

    @property
    def encodes_separately(self) -> bool:
        """Query and passage are two inputs, whose token states are compared."""
        return self.head.uses_features

    def classify(self, joint: Tokens) -> Tensor:
        """The classifier's logits, shape (pairs, grades), float32."""
        return self.backbone(**joint).logits.float()

    def encode(self, texts: Tokens) -> Encoded:
        """Token states of queries or passages; `texts` has their special_tokens_mask too."""
        tokens = {key: value for key, value in texts.items() if key != "special_tokens_mask"}
        plain = getattr(self.backbone, "get_base_model", lambda: self.backbone)()
        output = plain.base_model(**tokens, output_hidden_states=self.levels > 1)
        layers = [output.last_hidden_state]
        if self.levels > 1:
            lower = output.hidden_states[:-1]
            # From below the last layer down to the embeddings, evenly.
            places = torch.linspace(len(lower) - 1, 0, self.levels - 1).round().long().tolist()
            layers += [lower[place] for place in places]
        attended = texts["attention_mask"]
        words = attended * (1 - texts["special_tokens_mask"])
        with torch.autocast(attended.device.type, enabled=False):
            return Encoded.of(torch.stack(layers, dim=1), texts["input_ids"], attended, words)

    def compare(self, queries: Encoded, passages: Encoded) -> Tensor:
        """Pair features of aligned rows, in float32 whatever the precision around."""
        with torch.autocast(queries.units.device.type, enabled=False):
            return pair_features(queries, passages, self.head.token_weights)

    def predict(
        self,
        joint: Tokens | None = None,
        queries: Tokens | None = None,
        passages: Tokens | None = None,
        query_index: Tensor | None = None,
        passage_index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Relevance scores of a batch, and the classifier's logits.

        Args:
            joint: Tokens of the pairs, where the architecture encodes them jointly.
            queries: Tokens of the batch's different queries.
            passages: Tokens of the batch's different passages.
            query_index: The query of each pair, a row of `queries`, shape (pairs,).
            passage_index: The passage of each pair, a row of `passages`, shape (pairs,).

        Returns:
            Shapes (pairs,) and (pairs, grades); no logits without `joint`.
        """
        logits = self.classify(joint) if joint is not None else None
        features = None
        if queries is not None:
            assert passages is not None
            assert query_index is not None
            assert passage_index is not None
            features = self.compare(
                self.encode(queries).select(query_index),
                self.encode(passages).select(passage_index),
            )
        with torch.autocast(self.head.linear.weight.device.type, enabled=False):
            return self.head(logits, features), logits

    def forward(
        self, targets: Tensor, weights: Tensor, groups: Tensor, **pairs: Any
    ) -> dict[str, Tensor]:
        """Loss and scores of a batch.

        Args:
            targets: The judge's probabilities of the grades, shape (pairs, grades).
            weights: Weight of each pair, shape (pairs,).
            groups: Number of each pair's query, shape (pairs,).
            **pairs: As for `predict`.
        """
        scores, logits = self.predict(**pairs)
        with torch.autocast(scores.device.type, enabled=False):
            loss = ordinal_loss(self.head.cumulative_logits(scores), targets, weights)
            if self.ranking_weight > 0:
                couples = couples_of(targets, groups)
                loss = loss + self.ranking_weight * ranking_loss(scores, couples)
            if logits is not None and self.classifier_weight > 0:
                losses = cross_entropy(logits, targets, reduction="none")
                share = (losses * weights).sum() / weights.sum().clamp(min=1e-6)
                loss = loss + self.classifier_weight * share
        return {"loss": loss, "scores": scores}
