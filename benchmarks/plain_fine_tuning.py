"""Fine-tuning as one does it without this project: Hugging Face's Trainer and a class a grade."""

from __future__ import annotations

import tempfile
import time

import numpy as np
import pandas as pd
import torch
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, set_seed

from relevance_distillery.encoders.base_model import load_tokenizer
from relevance_distillery.encoders.batching import by_length, pad
from relevance_distillery.grading import DEFAULT_SCALE
from relevance_distillery.labeler.network import load_backbone
from relevance_distillery.labeler.template import InputTemplate

EPOCHS, LEARNING_RATE, BATCH = 2, 8e-5, 16


def plain_fine_tuning(known: pd.DataFrame, asked: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The bundled encoder as a cross-encoder with a class a grade; the likeliest one is given.

    Args:
        known: Columns query, text, title, teacher: pairs that teach.
        asked: The same without the last: pairs to grade.
        seed: Of the classifier's first weights and the order of pairs.

    Returns:
        Columns grade, expected, score (the expected grade) and probabilities, a row for each
        of `asked`, and how many seconds training and grading took.
    """
    set_seed(seed)
    tokenizer = load_tokenizer("bundled")
    template = InputTemplate.for_tokenizer(tokenizer, 192, 48)
    model = load_backbone("bundled", DEFAULT_SCALE, tokenizer.pad_token_id)
    learn = template.encode_jointly(tokenizer, *template.render(known))
    grades = DEFAULT_SCALE.positions(known["teacher"].to_numpy(dtype=np.int64)).tolist()
    rows = [{**row, "labels": grade} for row, grade in zip(learn, grades, strict=True)]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=EPOCHS,
            learning_rate=LEARNING_RATE,
            per_device_train_batch_size=BATCH,
            train_sampling_strategy="group_by_length",
            seed=seed,
            bf16=True,
            use_cpu=True,
            save_strategy="no",
            report_to=[],
            logging_strategy="no",
            disable_tqdm=True,
        )
        collator = DataCollatorWithPadding(tokenizer)
        trainer = Trainer(model, arguments, train_dataset=rows, data_collator=collator)
        trainer.train()
        trained = time.monotonic()
    # Not by Trainer.predict: grouped by length, it answers in an order of its own.
    told = template.encode_jointly(tokenizer, *template.render(asked))
    probabilities = np.zeros((len(told), DEFAULT_SCALE.size))
    model.eval()
    for chosen in by_length([len(row["input_ids"]) for row in told], 64):
        batch = pad([told[i] for i in chosen], tokenizer.pad_token_id)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            probabilities[chosen] = model(**batch).logits.double().softmax(dim=-1).numpy()
    expected = probabilities @ DEFAULT_SCALE.values
    return pd.DataFrame(
        {
            "grade": DEFAULT_SCALE.values[probabilities.argmax(axis=1)],
            "expected": expected,
            "score": expected,
            "probabilities": probabilities.tolist(),
            "training_seconds": trained - started,
            "grading_seconds": time.monotonic() - trained,
        },
        index=asked.index,
    )
