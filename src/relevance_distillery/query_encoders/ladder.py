"""The ladder: a folder a rung, its stages kept, so that a killed run goes on behind the last."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from relevance_distillery.encoders.base_model import load_encoder, public_name
from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import json_digest
from relevance_distillery.io.files import only_folder
from relevance_distillery.query_encoders.alignment import align
from relevance_distillery.query_encoders.pruning import cut_layers, cut_units, kept_of
from relevance_distillery.query_encoders.refinement import Graded, refine
from relevance_distillery.query_encoders.settings import LadderSettings, PruningSettings
from relevance_distillery.query_encoders.static import StaticStudent
from relevance_distillery.query_encoders.students import Student, TransformerStudent
from relevance_distillery.query_encoders.targets import Targets, reference_vectors
from relevance_distillery.retriever.encoder import Retriever
from relevance_distillery.retriever.settings import QUERY_ENCODER

logger = logging.getLogger(__name__)

Step = tuple[str, *tuple[float, ...]]
"""`cut` with the layers and units to keep, `align` with its share of the epochs, or `refine`."""

_VECTORS, _REFINED = "vectors", "_refined"
_PROJECTED = 5000  # strings that a first projection is fitted to


def train_ladder(
    reference: Retriever,
    strings: Sequence[str],
    settings: LadderSettings,
    workspace: Path,
    graded: Graded | None = None,
    vectors: Path | None = None,
) -> dict[str, Path]:
    """Make every rung that is asked for.

    Args:
        reference: Whose index is kept.
        strings: As of `unlabelled_strings`.
        settings: Which rungs, and how.
        workspace: A folder of its own for finished stages; what other strings or another reference
            left there is removed.
        graded: What refined rungs learn from; without it they are left out, which is logged.
        vectors: Where the reference's are kept, by default in the workspace, whatever the strings.

    Returns:
        By rung the folder of a query encoder; `training` in its facts lists its stages.

    Raises:
        UserError: Too few strings or grades, a target below one layer, a model that cannot be cut,
            an index that another model made, or a loss that is not finite.
    """
    vectors = vectors or workspace / _VECTORS
    ladder = _Ladder(reference, list(strings), settings, workspace, graded, vectors)
    if graded is not None:
        graded.index.require(reference)
    wanted = [
        rung for rung in settings.rungs
        if graded is not None or not rung.endswith((_REFINED, "refined_only"))
    ]  # fmt: skip
    for rung in set(settings.rungs) - set(wanted):
        logger.warning("rung %s is left out: nothing is graded", rung)
    width = int(reference.encode_queries([]).shape[1])
    if max(settings.matryoshka, default=0) >= width:
        raise UserError(
            f"compress_retriever: the reference's vectors hold {width} numbers; give smaller sizes "
            "in compressing.ladder.matryoshka"
        )
    steps = {rung: ladder.steps(rung) for rung in wanted}  # says what cannot be before any work
    return {rung: ladder.climb(rung, steps[rung]) for rung in wanted}


def steps_of(rung: str, pruning: PruningSettings, layers: int, units: int) -> list[Step]:
    """What a rung goes through, from so many layers and units; without a cut it is a table."""
    if rung.endswith(_REFINED):
        return [*steps_of(rung.removesuffix(_REFINED), pruning, layers, units), ("refine",)]
    if rung == "static":
        return [("align", 1.0)]
    if rung in ("aligned", "refined_only"):
        half = kept_of(layers, pruning.half, "half")
        return [("cut", half, units), ("align", 1.0) if rung == "aligned" else ("refine",)]
    ends = kept_of(layers, pruning.layers, "layers"), kept_of(units, pruning.units, "units")
    schedule = pruning.schedule if rung == "pruned" else (1.0,)
    steps: list[Step] = []
    for cycle, share in enumerate(schedule, 1):
        done = cycle / len(schedule)
        kept = [
            round(all_ - done * (all_ - end))
            for all_, end in zip((layers, units), ends, strict=True)
        ]
        steps += [("cut", *kept), ("align", share)]
    return steps


@dataclass(frozen=True)
class _Ladder:
    reference: Retriever
    strings: list[str]
    settings: LadderSettings
    workspace: Path
    graded: Graded | None
    kept_vectors: Path

    @cached_property
    def folder(self) -> Path:
        read = self.reference.fingerprint + self.reference.prompt
        key = json_digest([read, self.strings, self.settings.seed], 8)
        return only_folder(self.workspace, key, _VECTORS)

    @cached_property
    def vectors(self) -> np.ndarray:
        return self.encode(self.strings)

    @cached_property
    def base(self) -> tuple[Any, Any]:
        name = self.settings.student or self.reference.source
        network, tokenizer = load_encoder(name)
        known = network.get_input_embeddings().num_embeddings
        if len(tokenizer) > known:
            raise UserError(
                f"compress_retriever: the tokenizer of {public_name(name)} has {len(tokenizer)} "
                f"tokens, its network knows {known}; give a model with a tokenizer of its own"
            )
        return network, tokenizer

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return reference_vectors(self.reference, texts, self.kept_vectors)

    def steps(self, rung: str) -> list[Step]:
        if rung.startswith("static"):
            return steps_of(rung, self.settings.pruning, 1, 1)
        config = self.base[0].config
        units = int(getattr(config, "intermediate_size", 1))
        return steps_of(rung, self.settings.pruning, int(config.num_hidden_layers), units)

    def climb(self, rung: str, steps: list[Step]) -> Path:
        """Go through the steps that are not finished; the folder of the last one."""
        settings, static = self.settings, rung.startswith("static")
        how = settings.static if static else settings.alignment
        paths = [self.path(rung, steps[: end + 1], static) for end in range(len(steps))]
        done = max((end for end, path in enumerate(paths, 1) if path.is_dir()), default=0)
        logger.info("rung %s: %d of %d steps were finished before", rung, done, len(steps))
        if done == len(steps):
            return paths[-1]
        targets = Targets.of(self.strings, self.vectors, how)
        student, stages = self.start(static, paths[done - 1] if done else None, targets)
        for (name, *values), path in zip(steps[done:], paths[done:], strict=True):
            logger.info("rung %s: %s", rung, name)
            if name == "align":
                facts = align(student, targets, how, settings.seed, values[0], settings.matryoshka)
            elif name == "cut":
                facts = self.cut(student, targets, *map(int, values))
            elif self.graded is not None:
                facts = refine(student, self.graded, settings.refinement, settings.seed)
            stages.append({"stage": name, **facts})
            if name != "cut":
                about = {"name": self.reference.name, "fingerprint": self.reference.fingerprint}
                known = {"reference": about, "rung": rung, "width": self.vectors.shape[1]}
                student.write(path, {**known, "training": {"stages": stages}})
        return paths[-1]

    def start(
        self, static: bool, folder: Path | None, targets: Targets
    ) -> tuple[Student, list[dict[str, Any]]]:
        """What a rung begins with, and the stages that this has behind it."""
        if folder is not None:
            kind = StaticStudent if static else TransformerStudent
            facts = QUERY_ENCODER.read(folder)
            return kind.load(folder, int(facts["max_length"])), facts["training"]["stages"]
        if static:
            words = self.settings.words
            return StaticStudent.of(self.reference, targets.strings, words, self.encode), []
        network, tokenizer = copy.deepcopy(self.base)
        length = int(self.reference.facts["max_length"])
        student = TransformerStudent(network, tokenizer, length)
        width = self.vectors.shape[1]
        if network.config.hidden_size != width:
            made = student.vectors(student.rows(targets.strings[:_PROJECTED]))
            wanted = targets.vectors[:_PROJECTED]
            projection = torch.linalg.lstsq(made, wanted).solution.T.numpy()
            student = TransformerStudent(network, tokenizer, length, projection)
        return student, []

    def cut(self, student: Any, targets: Targets, layers: int, units: int) -> dict[str, Any]:
        facts = cut_layers(student, layers, targets)
        if units < getattr(student.network.config, "intermediate_size", 1):
            facts |= cut_units(student, units, targets)
        return facts

    def path(self, rung: str, steps: list[Step], static: bool) -> Path:
        """The folder of a stage, named by all that decides it but the strings."""
        settings, keys = self.settings, [steps]
        refined = steps[-1][0] == "refine"
        if settings.matryoshka:
            keys += [settings.matryoshka]
        if static:
            keys += [settings.static.model_dump(), settings.words]
        else:
            keys += [settings.alignment.model_dump(), settings.student]
        if refined and self.graded is not None:
            rows = pd.util.hash_pandas_object(self.graded.pairs, index=False).tolist()
            keys += [settings.refinement.model_dump(), rows]
        name = rung if refined else rung.removesuffix(_REFINED)
        return self.folder / f"{name}-{json_digest(keys)}"
