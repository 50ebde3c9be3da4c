"""The labeler's network: a sequence classifier, pair features of the same encoder, a head.

The head is proportional odds (McCullagh, 1980): P(grade > k) = sigmoid(score - cut_k), with
ordered cut points, so that the grades share one direction and a rare grade borrows from others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, softplus

from relevance_distillery.encoders.batching import Tokens
from relevance_distillery.encoders.layers import (
    FrozenLayers,
    can_stop,
    frozen_layers,
    further_states,
)
from relevance_distillery.labeler.features import (
    FEATURES,
    SIMILARITY,
    Encoded,
    compared_layers,
    feature_count,
    pair_features,
    summarise,
)
from relevance_distillery.labeler.settings import Architecture

_SMALLEST_GAP = 1e-2
_RIDGE = 1e-3


class PairModel(nn.Module):
    """A Hugging Face sequence classifier whose encoder also compares separately encoded texts.

    The backbone is a sequence classifier over the grades, plain or wrapped by peft. The
    architecture `cross_encoder` encodes query and passage jointly, `late_interaction` separately
    and compares them, `combined` does both with one encoder. Settings as in `TrainingSettings`.
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
        self.frozen: FrozenLayers | None = None
        """What reads the lower layers where several networks have them in common."""
        self.encodes_jointly = architecture != "late_interaction"
        """Query and passage are one input."""
        self.encodes_separately = architecture != "cross_encoder"
        """Query and passage are two inputs, whose token states are compared."""
        self.head = GradeHead(
            grades,
            uses_classifier=self.encodes_jointly,
            uses_features=self.encodes_separately,
            vocabulary=int(backbone.config.vocab_size),
            hidden=head_hidden,
            levels=levels,
        )

    def train(self, mode: bool = True) -> Self:
        """Training mode; without `dropout` for the head and the adapters of LoRA alone."""
        super().train(mode)
        if not self.dropout:
            for name, part in self.backbone.named_modules():
                # Layers that compute their states anew do so in training mode alone.
                again = getattr(part, "gradient_checkpointing", False)
                part.training = mode and ("lora_dropout" in name or again)
        return self

    @property
    def base(self) -> Any:
        """The base model without any output layer."""
        plain = getattr(self.backbone, "get_base_model", lambda: self.backbone)()
        return plain.base_model

    @property
    def can_share_layers(self) -> bool:
        """True where `lower_layers` can read for it."""
        return self.encodes_separately and not self.dropout and can_stop(self.base)

    def lower_layers(self, layers: int, precision: str) -> FrozenLayers:
        """What reads its first `layers` layers, for `frozen` of every network that has these."""
        compared = compared_layers(int(self.base.config.num_hidden_layers), self.levels)
        kept = sorted({layers, *(layer for layer in compared if layer <= layers)})
        return frozen_layers(self.base, layers, kept, precision)

    def classify(self, joint: Tokens) -> Tensor:
        """The classifier's logits, shape (pairs, grades), float32."""
        return self.backbone(**joint).logits.float()

    def encode(self, texts: Tokens) -> Encoded:
        """Token states of queries or passages; `texts` has their special_tokens_mask too."""
        if self.frozen is not None:
            done, layers = self.frozen.layers, int(self.base.config.num_hidden_layers)
            by_layer = self.frozen.states(texts["input_ids"], texts["attention_mask"])
            upper = further_states(self.base, by_layer[done], texts["attention_mask"], done, layers)
            by_layer.update(enumerate(upper, start=done + 1))
            states = [by_layer[layer] for layer in compared_layers(layers, self.levels)]
        else:
            tokens = {key: value for key, value in texts.items() if key != "special_tokens_mask"}
            output = self.base(**tokens, output_hidden_states=self.levels > 1)
            states = [output.last_hidden_state]
            if self.levels > 1:
                places = compared_layers(len(output.hidden_states) - 1, self.levels)
                states += [output.hidden_states[place] for place in places[1:]]
        return Encoded.of(states, *summarise(states, texts["attention_mask"]), texts)

    def compare(self, queries: Encoded, passages: Encoded) -> Tensor:
        """Pair features of aligned rows, without autocast."""
        with torch.autocast(queries.ids.device.type, enabled=False):
            return pair_features(queries, passages, self.head.token_weights)

    def predict(
        self,
        joint: Tokens | None = None,
        queries: Tokens | None = None,
        passages: Tokens | None = None,
        query_index: Tensor | None = None,
        passage_index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Relevance scores of a batch, shape (pairs,), and the classifier's logits.

        `joint` has tokens of the pairs, where the architecture encodes them jointly; without them
        there are no logits, shape (pairs, grades). `queries` and `passages` have tokens of the
        batch's different ones, and the indices a row of them for each pair, shape (pairs,).
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
        """Loss and scores of a batch of pairs, given as for `predict`.

        `targets` are the judge's probabilities of the grades, shape (pairs, grades), `groups` the
        numbers of the pairs' queries, shape (pairs,), as `weights`.
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


class GradeHead(nn.Module):
    """One relevance score, from the classifier's logits or pair features, and cut points on it.

    `vocabulary` is the size of the token weights that the features use, `hidden` the width of a
    small network beside the linear part, 0 for none.
    """

    mean: Tensor
    deviation: Tensor
    token_weights: Tensor

    def __init__(
        self,
        grades: int,
        uses_classifier: bool,
        uses_features: bool,
        vocabulary: int = 0,
        hidden: int = 0,
        levels: int = 1,
    ) -> None:
        super().__init__()
        self.grades = grades
        self.uses_classifier, self.uses_features = uses_classifier, uses_features
        features = feature_count(levels) if uses_features else 0
        width = (grades if uses_classifier else 0) + features
        self.linear = nn.Linear(width, 1, bias=False)
        self.residual = (
            nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, 1))
            if hidden
            else None
        )
        self.first_cut = nn.Parameter(torch.zeros(1))
        self.gaps = nn.Parameter(torch.ones(grades - 2))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("token_weights", torch.ones(vocabulary if uses_features else 0))
        self._start_from_similarity()

    def forward(self, logits: Tensor | None, features: Tensor | None) -> Tensor:
        """Relevance scores, shape (pairs,): higher is more relevant."""
        parts = []
        if self.uses_classifier:
            assert logits is not None
            logits = logits.float()
            parts.append(logits - logits.mean(-1, keepdim=True))
        if self.uses_features:
            assert features is not None
            parts.append((features - self.mean) / self.deviation)
        inputs = torch.cat(parts, dim=-1)
        scores = self.linear(inputs)
        if self.residual is not None:
            scores = scores + self.residual(inputs)
        return scores.squeeze(-1)

    @property
    def cuts(self) -> Tensor:
        """Ordered cut points, shape (grades - 1,)."""
        steps = softplus(self.gaps) + _SMALLEST_GAP
        return torch.cat([self.first_cut, self.first_cut + steps.cumsum(0)])

    def cumulative_logits(self, scores: Tensor) -> Tensor:
        """Logits of P(grade > k), shape (pairs, grades - 1)."""
        return scores.unsqueeze(-1) - self.cuts

    def probabilities(self, scores: Tensor) -> Tensor:
        """One probability a grade, lowest first, shape (pairs, grades)."""
        above = torch.sigmoid(self.cumulative_logits(scores))
        one, none = torch.ones_like(above[:, :1]), torch.zeros_like(above[:, :1])
        return torch.cat([one, above], -1) - torch.cat([above, none], -1)

    @torch.no_grad()
    def standardise(self, features: Tensor) -> None:
        """Take mean and deviation of the features from the untrained encoder's."""
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0, unbiased=False).clamp(min=1e-3))

    @torch.no_grad()
    def place_cuts(self, scores: Tensor, shares: Sequence[float]) -> None:
        """Put the cut points where they split scores, shape (pairs,), as the labels are split.

        `shares` are those of the grades among the labels, lowest first.
        """
        below = scores.new_tensor(shares, dtype=torch.float32).cumsum(0)[:-1].clamp(0.02, 0.98)
        cuts = torch.quantile(scores.float(), below)
        self.first_cut.copy_(cuts[:1])
        steps = (cuts.diff() - _SMALLEST_GAP).clamp(min=0.05)
        # The inverse of softplus.
        self.gaps.copy_(steps + torch.log(-torch.expm1(-steps)))

    def fit_features(
        self,
        features: Tensor,
        targets: Tensor,
        weights: Tensor,
        groups: Tensor,
        ridge: float,
        ranking_weight: float,
    ) -> None:
        """Fit the features' part and the cut points to the loss of training, with a ridge penalty.

        Tuning starts where the features of the untrained encoder end: a head that is still
        wrong would bend the encoder to its errors (Kumar et al., 2022). Features have shape
        (pairs, features), the rest is as in `PairModel.forward`.
        """
        couples = couples_of(targets, groups)
        inputs = (features - self.mean) / self.deviation
        start = self.linear.weight.detach()[0, -inputs.shape[1] :].clone().requires_grad_()
        parameters = [start, self.first_cut, self.gaps]
        optimizer = torch.optim.LBFGS(parameters, max_iter=200, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            scores = inputs @ start
            loss = ordinal_loss(self.cumulative_logits(scores), targets, weights)
            loss = loss + ranking_weight * ranking_loss(scores, couples)
            # A grade that never occurs would push its cut point to infinity.
            loss = loss + ridge * (start**2).sum() + _RIDGE * (self.gaps**2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        with torch.no_grad():
            self.linear.weight[0, -inputs.shape[1] :] = start
        optimizer.zero_grad()

    @torch.no_grad()
    def _start_from_similarity(self) -> None:
        # The first score is the encoder's own similarity, which ranks better than a fresh
        # classifier; the classifier joins with a weight that lets gradients through.
        positions = torch.arange(self.grades).float()
        positions = positions - positions.mean()
        start = torch.zeros(self.linear.in_features)
        if self.uses_classifier:
            start[: self.grades] = positions * (0.02 if self.uses_features else 1.0)
        if self.uses_features:
            offset = self.grades if self.uses_classifier else 0
            for name in SIMILARITY:
                start[offset + FEATURES.index(name)] = 1.0
        self.linear.weight.copy_(start.unsqueeze(0))
        if self.residual is not None:
            last = self.residual[-1]
            assert isinstance(last, nn.Linear)
            last.weight.zero_()
            last.bias.zero_()


def ordinal_loss(cumulative_logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of P(grade > k) against the judge's, summed over k, mean over pairs.

    Logits have shape (pairs, grades - 1), the judge's probabilities (pairs, grades), weights
    (pairs,).
    """
    above = targets.flip(-1).cumsum(-1).flip(-1)[:, 1:].clamp(0.0, 1.0)
    losses = binary_cross_entropy_with_logits(cumulative_logits, above, reduction="none").sum(-1)
    return (losses * weights).sum() / weights.sum().clamp(min=1e-6)


@dataclass(frozen=True)
class Couples:
    """Couples of passages of one query that have different grades: the rows of both.

    A couple's weight is how many grades lie between, as a share of its query's; shapes (couples,).
    """

    better: Tensor
    worse: Tensor
    weights: Tensor


def couples_of(targets: Tensor, groups: Tensor) -> Couples:
    """All couples among some pairs; `groups` are the numbers of their queries, shape (pairs,)."""
    grades = targets @ torch.arange(targets.shape[1], dtype=targets.dtype, device=targets.device)
    apart = (grades.unsqueeze(1) - grades.unsqueeze(0)).clamp(min=0.0)
    apart = apart * (groups.unsqueeze(1) == groups.unsqueeze(0))
    better, worse = apart.nonzero(as_tuple=True)
    apart = apart[better, worse]
    query = groups.unique(return_inverse=True)[1][better]
    of_query = torch.zeros(len(groups), dtype=apart.dtype, device=apart.device)
    of_query = of_query.index_add(0, query, apart)
    return Couples(better, worse, apart / of_query[query])


def ranking_loss(scores: Tensor, couples: Couples) -> Tensor:
    """Of two passages of a query the better one should score higher (RankNet; Burges et al., 2005).

    Mean over couples of a query, each weighed by how many grades lie between, and over queries,
    as pairwise accuracy is; 0 where there are no couples.
    """
    losses = softplus(scores[couples.worse] - scores[couples.better])
    return (losses * couples.weights).sum() / couples.weights.sum().clamp(min=1e-6)
