"""Fine-tune a pair model with Hugging Face's Trainer; a killed run resumes where it was."""

import gc
import json
import logging
import math
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, RandomSampler
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from relevance_distillery.encoders.cores import keep_freed_memory
from relevance_distillery.errors import UserError
from relevance_distillery.io.progress import Progress
from relevance_distillery.labeler.calibration import cut_points_like, quadratic_kappa
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.initialisation import HeadInitialiser
from relevance_distillery.labeler.settings import TrainingSettings
from relevance_distillery.learning.labelled_pairs import LabelledPairs, class_weights

logger = logging.getLogger(__name__)


class _PairTrainer(Trainer):
    """A Trainer whose head learns faster and whose evaluation is quadratic kappa.

    Its datasets are lists of ready batches, whose order is shuffled; each counts as one example.
    """

    def __init__(
        self,
        *args: Any,
        early: LabelledPairs,
        grader: Labeler,
        settings: TrainingSettings,
        **kw: Any,
    ) -> None:
        super().__init__(*args, **kw)
        self.early, self.grader, self.settings = early, grader, settings
        self.losses: list[float] = []
        self.pairs = 0

    def get_train_dataloader(self) -> DataLoader[dict[str, Any]]:
        # The Trainer's own one asks the library `datasets` for a class, and takes any folder of
        # that name on Python's path for the library.
        batches: Any = self.train_dataset
        loader: DataLoader[dict[str, Any]] = DataLoader(
            batches, batch_size=1, sampler=RandomSampler(batches), collate_fn=self.data_collator
        )
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            network = model if model is not None else self.model
            assert network is not None
            decays = set(self.get_decay_parameter_names(network))
            groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
            for name, parameter in network.named_parameters():
                if parameter.requires_grad:
                    key = (name.startswith("head."), name in decays)
                    groups.setdefault(key, []).append(parameter)
            self.optimizer = torch.optim.AdamW(
                [
                    {
                        "params": parameters,
                        "lr": self.settings.head_learning_rate if head else self.args.learning_rate,
                        "weight_decay": self.args.weight_decay if decay else 0.0,
                    }
                    for (head, decay), parameters in groups.items()
                ],
                lr=self.args.learning_rate,
            )
        return self.optimizer

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss = model(**inputs)["loss"]
        if not torch.isfinite(loss):
            raise UserError(
                f"training: the loss is not finite at step {self.state.global_step}; lower "
                "learning_rate or set precision to fp32"
            )
        self.losses.append(float(loss.detach()))
        self.pairs += len(inputs["targets"])
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        metrics = evaluate(self.grader, self.early)
        if self.losses:  # since the last evaluation
            metrics["eval_train_loss"] = float(np.mean(self.losses))
            self.losses.clear()
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        logger.info(
            "step %d of %d: held-out quadratic kappa %.3f, loss %.3f",
            self.state.global_step,
            self.state.max_steps,
            metrics["eval_quadratic_kappa"],
            metrics["eval_loss"],
        )
        return metrics


class _ShownSteps(TrainerCallback):
    """The trainer's steps as the project's own progress, and how many seconds they took."""

    seconds = 0.0

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._progress = Progress(state.max_steps, "training", "step", done=state.global_step)

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self._started = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.seconds += time.perf_counter() - self._started
        self._progress.advance()

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        self._progress.__exit__()


def evaluate(grader: Labeler, early: LabelledPairs) -> dict[str, float]:
    """Quadratic kappa of expected grades against the judge, and the log loss.

    The cut points are those of these very pairs: training may see the grades in other
    shares than occur, which calibration corrects later and no checkpoint is to blame for.

    `eval_choice` is what early stopping looks at: the kappa, or the negative loss where all
    labels have one grade and kappa is not defined.
    """
    was_training = grader.model.training
    grader.model.eval()
    raw, _ = grader.raw(early.pairs)
    grader.model.train(was_training)
    expected = raw @ grader.scale.values.astype(np.float64)
    cuts = cut_points_like(early.positions, expected, grader.scale)
    graded = np.searchsorted(cuts, expected, "right")
    kappa = quadratic_kappa(early.positions, graded, grader.scale.size)
    loss = float(-(early.targets * np.log(np.maximum(raw, 1e-9))).sum(axis=1).mean())
    defined = len(np.unique(early.positions)) > 1
    return {
        "eval_quadratic_kappa": kappa,
        "eval_loss": loss,
        "eval_choice": kappa if defined else -loss,
    }


def train(
    grader: Labeler,
    initialiser: HeadInitialiser,
    queries: frozenset[str],
    learn: LabelledPairs,
    early: LabelledPairs,
    stops: bool,
    settings: TrainingSettings,
    folder: Path,
) -> dict[str, Any]:
    """Fine-tune a fresh network in place; its weights are the best, or the last, checkpoint's then.

    The pairs `early` are graded at every evaluation, and decide where `stops` is true when to stop
    and which checkpoint is kept. `queries` are the ids of all that may be learned from. A newer run
    with the same folder resumes from the checkpoints in it.

    Returns:
        How training went, for people and reports.

    Raises:
        UserError: The loss is not finite.
    """
    keep_freed_memory()
    set_seed(settings.seed)
    assert settings.epochs is not None
    assert settings.evaluations_per_epoch is not None
    assert settings.learning_rate is not None
    assert settings.gradient_accumulation is not None
    batches = _batches(grader, learn, settings)
    initialiser.initialise(grader, queries, settings)
    before = evaluate(grader, early)
    logger.info(
        "training on %d pairs of %d queries in %s; before: quadratic kappa %.3f",
        len(learn),
        learn.pairs["query_id"].nunique(),
        grader.precision,
        before["eval_quadratic_kappa"],
    )
    steps_per_epoch = math.ceil(len(batches) / settings.gradient_accumulation)
    every = math.ceil(steps_per_epoch / settings.evaluations_per_epoch)
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=settings.gradient_accumulation,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=stops,
        metric_for_best_model="eval_choice",
        greater_is_better=True,
        bf16=grader.precision == "bf16",
        use_cpu=grader.device == "cpu",
        seed=settings.seed,
        data_seed=settings.seed,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        logging_strategy="no",
        report_to=[],
        log_level="error",
    )
    # Of several GPUs one: DataParallel would cut a batch by rows, and its rows name each other.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    steps = _ShownSteps()
    trainer = _PairTrainer(
        model=grader.model,
        args=arguments,
        train_dataset=batches,
        eval_dataset=batches[:1],
        data_collator=lambda rows: rows[0],
        callbacks=[steps, *([EarlyStoppingCallback(settings.patience)] if stops else [])],
        early=early,
        grader=grader,
        settings=settings,
    )
    trainer.remove_callback(PrinterCallback)
    checkpoint = newest_complete_checkpoint(folder)
    if checkpoint is not None:
        logger.info("resuming from %s", checkpoint.name)
    gc.freeze()  # the Trainer collects garbage first: half a second for all that was imported
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as error:
        where = f"training: {grader.device} lacks memory for batch_size={settings.batch_size}"
        raise UserError(
            f"{where}; halve it and double gradient_accumulation, or set gradient_checkpointing"
        ) from error
    finally:
        gc.unfreeze()
    history = [
        {
            "step": entry["step"],
            "quadratic_kappa": round(entry["eval_quadratic_kappa"], 6),
            "loss": round(entry["eval_loss"], 6),
        }
        | ({"train_loss": round(entry["eval_train_loss"], 6)} if "eval_train_loss" in entry else {})
        for entry in trainer.state.log_history
        if "eval_quadratic_kappa" in entry
    ]
    return {
        "train_pairs": len(learn),
        "steps": trainer.state.global_step,
        "best_step": trainer.state.best_global_step if stops else trainer.state.global_step,
        "early_stopping": history,
        "before_training": {
            "quadratic_kappa": round(before["eval_quadratic_kappa"], 6),
            "loss": round(before["eval_loss"], 6),
        },
        "precision": grader.precision,
        "resumed": checkpoint is not None,
        # Of steps alone, without evaluations and checkpoints; None where a resumed run had none.
        "pairs_per_second": round(trainer.pairs / steps.seconds, 1) if steps.seconds else None,
    }


def newest_complete_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to resume from; half-written ones are removed.

    The Trainer writes weights, optimizer and schedule first and `trainer_state.json` last.
    """
    complete = []
    for path in folder.glob("checkpoint-*"):
        try:
            state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            files = ("model.safetensors", "optimizer.pt", "scheduler.pt")
            if not all((path / name).is_file() for name in files):
                raise FileNotFoundError
            complete.append((int(state["global_step"]), path))
        except (OSError, ValueError, KeyError):
            shutil.rmtree(path, ignore_errors=True)
    return max(complete)[1] if complete else None


def _batches(
    grader: Labeler, learn: LabelledPairs, settings: TrainingSettings
) -> list[dict[str, Any]]:
    """Batches that hold as much of a query as fits, the same in every epoch.

    A query's pairs of like length stay together, so that a batch wastes little padding, encodes
    the query once and has couples to rank; what is left of several queries shares a batch.
    """
    assert settings.batch_size is not None
    pairs = grader.tokenise(*grader.facts.template.render(learn.pairs))
    weights = class_weights(learn.positions, grader.scale.size, settings.class_balance)
    rng = np.random.default_rng(settings.seed)
    names = sorted(set(learn.queries.tolist()))
    number = dict(zip(names, rng.permutation(len(names)).tolist(), strict=True))
    turn = np.array([number[name] for name in learn.queries])
    # Lengths are blurred, or a query's longest passages would always meet each other alone.
    blurred = np.array(pairs.lengths()) * rng.uniform(0.7, 1.3, len(learn))
    order = np.lexsort((blurred, turn))
    size = settings.batch_size
    whole, rest = [], []
    for rows in np.split(order, np.flatnonzero(np.diff(turn[order])) + 1):
        full = len(rows) // size * size
        whole += [rows[first : first + size] for first in range(0, full, size)]
        rest.append(rows[full:])
    left = np.concatenate(rest)
    whole += [left[first : first + size] for first in range(0, len(left), size)]
    batches = []
    for rows in whole:
        chosen = rows.tolist()
        batch = pairs.collate(chosen, grader.tokenizer.pad_token_id)
        targets = learn.targets[chosen]
        batch["targets"] = torch.tensor(targets, dtype=torch.float32)
        batch["weights"] = torch.tensor(targets @ weights, dtype=torch.float32)
        batch["groups"] = torch.tensor(turn[chosen])
        batches.append(batch)
    return batches
