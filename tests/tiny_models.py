"""Random models of a few thousand weights with real architectures, and words that teach them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from relevance_distillery.encoders.base_model import resolve_model
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.distilling import DistillationData, distill
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.learning.labelled_pairs import labelled_pairs
from relevance_distillery.learning.splits import split_pairs

WORDS = [f"w{i}" for i in range(60)]


def encoder(folder: Path) -> Path:
    """A BERT with a word tokenizer and a separator."""
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    named = {f"{name[1:-1].lower()}_token": name for name in special}
    return _save_bert(folder, PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named))


def english_encoder(folder: Path) -> Path:
    """A BERT as small, with the bundled encoder's tokenizer: tells English words apart."""
    from transformers import AutoTokenizer

    return _save_bert(folder, AutoTokenizer.from_pretrained(resolve_model("bundled")))


def _save_bert(folder: Path, tokenizer: Any) -> Path:
    from transformers import BertConfig, BertModel, set_seed

    set_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def with_layers_above(folder: Path, kind: str, words: Path) -> Path:
    """A DistilBERT or ModernBERT, whose classifiers have layers of their own, with a tokenizer."""
    from transformers import (
        AutoTokenizer,
        DistilBertConfig,
        DistilBertModel,
        ModernBertConfig,
        ModernBertModel,
        set_seed,
    )

    tokenizer = AutoTokenizer.from_pretrained(words)
    size = len(tokenizer)
    set_seed(0)
    if kind == "distilbert":
        small = DistilBertConfig(vocab_size=size, dim=32, n_layers=2, n_heads=2, hidden_dim=64)
        DistilBertModel(small).save_pretrained(folder)
    else:
        modern = ModernBertConfig(
            vocab_size=size,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=128,
            pad_token_id=0,
            cls_token_id=2,
            bos_token_id=2,
            sep_token_id=3,
            eos_token_id=3,
        )
        ModernBertModel(modern).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def decoder(folder: Path, kind: str) -> Path:
    """A Qwen3 or a Phi3 whose tokenizer has neither separator nor padding token."""
    from transformers import (
        Phi3Config,
        Phi3ForCausalLM,
        PreTrainedTokenizerFast,
        Qwen3Config,
        Qwen3ForCausalLM,
        set_seed,
    )

    vocabulary = {word: i for i, word in enumerate(["<unk>", "<end>", "Query", "Document", ":"])}
    vocabulary.update({word: len(vocabulary) + i for i, word in enumerate(WORDS)})
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    set_seed(0)
    shape = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
        "pad_token_id": None,
        "bos_token_id": 1,
        "eos_token_id": 1,
    }
    if kind == "qwen3":
        Qwen3ForCausalLM(Qwen3Config(head_dim=16, **shape)).save_pretrained(folder)
    else:
        Phi3ForCausalLM(Phi3Config(**shape)).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>"
    ).save_pretrained(folder)
    return folder


def tables(
    queries: int = 40, each: int = 6, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Labels, queries and passages in which a passage's grade is how many query words it has."""
    rng = np.random.default_rng(seed)
    labels, questions, passages = [], [], []
    for q in range(queries):
        words = rng.choice(WORDS, size=3, replace=False).tolist()
        rest = [word for word in WORDS if word not in words]
        questions.append((f"q{q}", " ".join(words), f"q{q}p0"))
        for p in range(each):
            grade = int(rng.integers(0, 4)) if p else 3
            text = [*words[:grade], *rng.choice(rest, size=int(rng.integers(4, 12))).tolist()]
            rng.shuffle(text)
            # Every second document has two passages.
            document = f"q{q}d{p // 2}" if q % 2 else f"q{q}d{p}"
            passages.append((f"q{q}p{p}", document, " ".join(text)))
            soft = np.full(4, 0.05)
            soft[grade] = 0.85
            labels.append((f"q{q}", f"q{q}p{p}", grade, soft.tolist() if q % 3 else None))
    passage_table = pd.DataFrame(passages, columns=["passage_id", "document_id", "text"])
    for column in ("title", "heading", "path", "author", "modified"):
        passage_table[column] = ""
    return (
        pd.DataFrame(labels, columns=["query_id", "passage_id", "grade", "probabilities"]).assign(
            judge="embedded"
        ),
        pd.DataFrame(questions, columns=["query_id", "text", "passage_id"]),
        passage_table,
    )


SHARES = {"train": 0.6, "early_stopping": 0.2, "calibration": 0.2, "test": 0.0}


def tiny_data(queries: int = 40, each: int = 6) -> DistillationData:
    labels, questions, passages = tables(queries, each)
    splits = split_pairs(labels, questions, passages, SHARES, seed=0)
    parts = [
        labelled_pairs(labels[splits["split"] == name], questions, passages, DEFAULT_SCALE)
        for name in ("train", "early_stopping", "calibration")
    ]
    return DistillationData(*parts, queries=questions, passages=passages)


def tiny_settings(base_model: Path | str, **changes: Any) -> TrainingSettings:
    values = {
        "base_model": str(base_model),
        "epochs": 3,
        "learning_rate": 1e-3,
        "head_learning_rate": 2e-2,
        "max_length": 64,
        "max_query_tokens": 8,
        "precision": "fp32",
        "evaluations_per_epoch": 1,
        "folds": 1,
        "early_exit": 0.005,
    }
    return TrainingSettings(**{**values, **changes})


def champion(folder: Path, name: str) -> Path:
    """A labeler that learned from `tiny_data`, the champion of a registry in the folder."""
    import mlflow

    from relevance_distillery import model_registry
    from relevance_distillery.labeler import flavor

    settings = tiny_settings(encoder(folder / "tiny-bert"))
    made, _ = distill(tiny_data(), settings, DEFAULT_SCALE, folder / "checkpoints")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=(folder / "runs").as_uri())
    mlflow.set_experiment("tiny")
    flavor.log_and_register(made, name, {}, {})
    model_registry.set_alias(name, "champion", "1")
    return made


def retriever(folder: Path, max_length: int = 24) -> Path:
    """An untrained retriever, `folder/retriever`."""
    from relevance_distillery.encoders.base_model import load_encoder
    from relevance_distillery.retriever.encoder import write_retriever

    made = folder / "retriever"
    network, tokenizer = load_encoder(str(encoder(folder / "tiny-bert")))
    facts = {"base_model": "tiny-bert", "max_length": max_length, "training": {}}
    write_retriever(network, tokenizer, made, facts)
    return made


CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} {{ message['content'] }} <end> "
    "{% endfor %}{% if add_generation_prompt %}assistant {% endif %}"
)


def chat_model(
    folder: Path, kind: str, words: str = "0 1 2 3", template: str | None = CHAT_TEMPLATE
) -> Path:
    """A Phi3, Qwen3 or Llama that writes text, with digits among its words.

    Args:
        folder: Where it is written.
        kind: `phi3`, `qwen3` or `llama`.
        words: Words of the tokenizer beside `WORDS` and punctuation.
        template: Its chat template; None for none.
    """
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        Phi3Config,
        Phi3ForCausalLM,
        PreTrainedTokenizerFast,
        Qwen3Config,
        Qwen3ForCausalLM,
        set_seed,
    )

    parts = ["<unk>", "<end>", "system", "user", "assistant", '{"', "grade", '":', "query"]
    vocabulary = {word: row for row, word in enumerate([*parts, *words.split(), *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>", model_max_length=4096
    )
    made.chat_template = template
    made.model_input_names = ["input_ids", "attention_mask"]
    set_seed(0)
    shape = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 4096,
        # Larger than usual, so that random weights tell inputs apart.
        "initializer_range": 0.5,
        "pad_token_id": None,
        "bos_token_id": 1,
        "eos_token_id": 1,
    }
    if kind == "qwen3":
        Qwen3ForCausalLM(Qwen3Config(head_dim=16, **shape)).save_pretrained(folder)
    elif kind == "llama":
        LlamaForCausalLM(LlamaConfig(**shape)).save_pretrained(folder)
    else:
        Phi3ForCausalLM(Phi3Config(**shape)).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder
