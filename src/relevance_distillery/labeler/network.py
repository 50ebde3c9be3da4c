"""A fresh network on a base model, ready to be trained."""

import logging
from typing import Any, Literal

import torch
from torch import nn

from relevance_distillery.encoders.base_model import (
    COPY_AGAIN,
    fitting_length,
    is_decoder,
    load_tokenizer,
    public_name,
    quiet,
    readable,
    resolve_model,
)
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.labeler.artifact import LabelerFacts
from relevance_distillery.labeler.calibration import midpoints
from relevance_distillery.labeler.model import PairModel
from relevance_distillery.labeler.settings import Architecture, TrainingSettings
from relevance_distillery.labeler.template import InputTemplate

logger = logging.getLogger(__name__)


def resolve_settings(settings: TrainingSettings) -> TrainingSettings:
    """The settings with everything filled in that the base model and the recipe decide.

    Raises:
        UserError: The base model cannot be read, or does not do what is asked.
    """
    from transformers import AutoConfig

    source = resolve_model(settings.base_model)
    with readable(f"base model {settings.base_model}", source, COPY_AGAIN):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    tuning: Literal["full", "lora"] = "lora" if is_decoder(config) else "full"
    if settings.tuning != "auto":
        tuning = settings.tuning
    return settings.resolved(tuning, resolve_architecture(settings.architecture, config))


def fresh_network(
    settings: TrainingSettings, scale: GradeScale
) -> tuple[PairModel, Any, LabelerFacts]:
    """The network, its tokenizer and what is known of the labeler before training.

    The seed of the resolved settings decides the fresh classifier's weights.

    Raises:
        UserError: The base model cannot be read.
    """
    from transformers import set_seed

    tokenizer = load_tokenizer(settings.base_model)
    set_seed(settings.seed)
    backbone = load_backbone(settings.base_model, scale, tokenizer.pad_token_id)
    length = fitting_length(settings.max_length, backbone.config, tokenizer)
    if length < settings.max_length:
        logger.warning(
            "base model %s reads %d tokens, not max_length=%d: longer passages are cut there",
            public_name(settings.base_model),
            length,
            settings.max_length,
        )
    if settings.gradient_checkpointing:
        if not backbone.supports_gradient_checkpointing:
            raise UserError(
                f"gradient_checkpointing: {backbone.config.model_type} knows none; leave it false"
            )
        backbone.activation_checkpointing_enable()
    if settings.tuning == "lora":
        from peft import LoraConfig, TaskType, get_peft_model

        # Layers above the encoder are fresh: trained whole and saved, never adapted.
        fresh = [
            name
            for name, part in backbone.named_children()
            if name != backbone.base_model_prefix and any(True for _ in part.parameters())
        ]
        config = LoraConfig(
            task_type=TaskType.SEQ_CLS,
            target_modules="all-linear",
            exclude_modules=rf"({'|'.join(fresh)})(\..*)?",
            modules_to_save=fresh,
            r=settings.lora.rank,
            lora_alpha=settings.lora.alpha,
            lora_dropout=settings.lora.dropout,
        )
        backbone = get_peft_model(backbone, config)
    elif settings.tuned_layers is not None:
        freeze_lower_layers(backbone, settings.tuned_layers)
    model = PairModel(
        backbone,
        settings.architecture,
        scale.size,
        settings.classifier_weight,
        settings.ranking_weight,
        settings.head_hidden,
        settings.levels,
        settings.dropout,
    )
    facts = LabelerFacts(
        base_model=public_name(settings.base_model),
        architecture=settings.architecture,
        levels=settings.levels,
        scale=scale,
        template=InputTemplate.for_tokenizer(tokenizer, length, settings.max_query_tokens),
        decision=settings.decision,
        cut_points=tuple(midpoints(scale).tolist()),
    )
    return model, tokenizer, facts


def load_backbone(base_model: str, scale: GradeScale, pad_token_id: int) -> Any:
    """A fresh classifier over the grades on a base model; UserError where it cannot become one."""
    from transformers import AutoModelForSequenceClassification

    source = resolve_model(base_model)
    names = [grade.name for grade in scale.grades]
    with readable(f"base model {base_model}", source, COPY_AGAIN), quiet():
        backbone = AutoModelForSequenceClassification.from_pretrained(
            source,
            num_labels=scale.size,
            id2label=dict(enumerate(names)),
            label2id={name: i for i, name in enumerate(names)},
            trust_remote_code=False,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
        )
    # Without it a decoder cannot tell padding from the last token in a batch.
    backbone.config.pad_token_id = pad_token_id
    backbone.config.problem_type = "single_label_classification"
    return backbone


def resolve_architecture(architecture: Architecture, config: Any) -> Architecture:
    """`auto` becomes `late_interaction` for encoders and `cross_encoder` for decoders.

    Raises:
        UserError: A decoder is asked to compare separately encoded texts.
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
