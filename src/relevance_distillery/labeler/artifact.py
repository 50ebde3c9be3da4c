"""The labeler's folder: what is in it, how it is written whole or not at all, its digest.

model.safetensors config.json tokenizer…   an ordinary Hugging Face sequence classifier
head.safetensors                           the head over its logits and the pair features
labeler.json                               everything else, as `LabelerFacts`
digests.json                               SHA-256 of the files above labeler.json
profile.json                               what training looked like, as `TrainingProfile`
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
from pydantic import Field
from safetensors.torch import load_file, save_file

from relevance_distillery.encoders.base_model import quiet, readable
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import file_digest, hex_digest
from relevance_distillery.io.files import replacing, write_text
from relevance_distillery.labeler.calibration import Link
from relevance_distillery.labeler.early_exit import EarlyExit
from relevance_distillery.labeler.model import PairModel
from relevance_distillery.labeler.settings import Architecture, Decision
from relevance_distillery.labeler.template import InputTemplate
from relevance_distillery.learning.second_pass import (
    FEWEST_PASSAGES,
    FEWEST_QUERIES,
    Seen,
    second_scores,
)
from relevance_distillery.strict import StrictModel
from relevance_distillery.text.words import normalised

FORMAT = 2
FACTS_FILE, HEAD_FILE = "labeler.json", "head.safetensors"
_DIGESTS_FILE = "digests.json"
_CHANGING = (FACTS_FILE, _DIGESTS_FILE, "profile.json")
ARTIFACT_NAME = "labeler"

_Model = TypeVar("_Model", bound=StrictModel)


class SecondPass(StrictModel):
    """How pairs are graded again by query, see `learning.second_pass`."""

    slope: float
    """From the first score to log-odds."""
    weight: float
    """Of the similarity to the query's other passages beside these."""
    link: Link
    """From the sum of both to calibrated probabilities."""
    cut_points: tuple[float, ...]
    """On the expected grade, shape (grades - 1,)."""

    def scores(self, pairs: Seen) -> np.ndarray:
        """See `second_scores`."""
        return second_scores(pairs, self.slope, self.weight)


class LabelerFacts(StrictModel):
    """What a labeler is, beside its weights."""

    format: int = FORMAT
    base_model: str
    """Name of the base model, never a path of the machine."""
    architecture: Architecture
    """What the network reads, see `PairModel`."""
    levels: int = 1
    """Depths of the encoder at which texts are compared."""
    scale: GradeScale
    template: InputTemplate
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic that training settled on; grading uses it too."""
    calibration: Link | None = None
    """From the score to calibrated probabilities; None leaves the head's own."""
    decision: Decision = "cut_points"
    """Whether a grade comes from cut points or is the most probable one."""
    cut_points: tuple[float, ...]
    """On the expected grade, shape (grades - 1,)."""
    query_shifts: dict[str, float] = Field(default_factory=dict)
    """What is added to the scores of a query's pairs before calibration, by `query_digest`: people
    graded some of its passages."""
    length_slope: float = 0.0
    """What ln(passages) takes off a document's expected grade."""
    early_exit: EarlyExit | None = None
    """When a pair leaves before the last layer; None where none does."""
    second_pass: SecondPass | None = None
    """How a query's pairs are graded again; None where that was not learned."""
    int8: bool = False
    """The folder has the encoder in int8 too, which processors read with."""
    training: dict[str, Any] = Field(default_factory=dict)
    """How it was trained, for people and reports."""

    def shifted(self, scores: np.ndarray, queries: Sequence[str]) -> np.ndarray:
        """Scores with the shifts of their queries, shape (pairs,)."""
        if not self.query_shifts:
            return scores
        shifts = {one: self.query_shifts.get(query_digest(one), 0.0) for one in set(queries)}
        return scores + [shifts[one] for one in queries]

    def again(self, name: str) -> Self:
        """With the calibration of the second pass; UserError where the labeler `name` has none."""
        second = self.second_pass
        if second is None:
            raise UserError(
                f"second_pass: {name} has none: it is older, was recalibrated, lets pairs leave "
                f"early, reads them jointly, or learned from fewer than {FEWEST_QUERIES} queries "
                f"with {FEWEST_PASSAGES} graded passages; distill again or leave second_pass out"
            )
        own = {"calibration": second.link, "cut_points": second.cut_points}
        return self.model_copy(update=own)

    def calibrated(self, raw: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Probabilities, shape (pairs, grades), from the head's own and the scores."""
        return raw if self.calibration is None else self.calibration.probabilities(scores)

    def decide(self, probabilities: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Grades, shape (pairs,), values of the scale."""
        if self.decision == "argmax":
            return self.scale.values[probabilities.argmax(axis=1)]
        return self.grades_of_expected(expected)

    def grades_of_expected(self, expected: np.ndarray) -> np.ndarray:
        """Grades by the cut points alone, shape (n,)."""
        return self.scale.values[np.searchsorted(self.cut_points, expected, side="right")]


def query_digest(query: str) -> str:
    """What names a query in a labeler's folder, which holds no text of queries."""
    return hex_digest(normalised(query), 8)


def write_artifact(folder: Path, model: PairModel, tokenizer: Any, facts: LabelerFacts) -> Path:
    """Write the whole folder; LoRA weights are merged into the base model first.

    It is written beside its place and renamed, so a folder of that name is always whole.
    """
    with replacing(folder) as partial:
        partial.mkdir()
        backbone = model.backbone
        if hasattr(backbone, "merge_and_unload"):
            backbone = backbone.merge_and_unload()
        backbone.config._name_or_path = ""
        with quiet():
            backbone.save_pretrained(partial)
        tokenizer.model_max_length = facts.template.max_length
        tokenizer.save_pretrained(partial)
        path = partial / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config["_name_or_path"] = facts.base_model
        # Without it CrossEncoder puts a sigmoid on a single logit.
        config["sentence_transformers"] = {"activation_fn": "torch.nn.modules.linear.Identity"}
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        head = {name: value.contiguous() for name, value in model.head.state_dict().items()}
        save_file(head, partial / HEAD_FILE)
        _write_digests(partial)
        write_facts(partial, facts)
    return folder


def write_facts(folder: Path, facts: LabelerFacts) -> None:
    """Write labeler.json, replacing it whole."""
    write_text(folder / FACTS_FILE, facts.model_dump_json(indent=2) + "\n")


def read_facts(folder: Path) -> LabelerFacts:
    """Read labeler.json; see `read_versioned`."""
    missing = f"{folder} is no labeler: it has no {FACTS_FILE}"
    return read_versioned(folder / FACTS_FILE, LabelerFacts, missing)


def read_versioned(path: Path, model: type[_Model], missing: str) -> _Model:
    """Read a JSON file of a labeler's folder whose field `format` has the model's default.

    Raises:
        UserError: There is no file, with the message `missing`; it is damaged, or of another
            format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(missing) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read; distill again") from error
    found = content.get("format") if isinstance(content, dict) else None
    known = model.model_fields["format"].default
    if found != known:
        raise UserError(
            f"{path} has format {found}, this version reads {known}; "
            "upgrade relevance-distillery or distill again"
        )
    return model.read(content, str(path), "; distill again")


def read_model(folder: Path, facts: LabelerFacts) -> PairModel:
    """The network of an artifact folder, on the CPU, in float32, in evaluation mode."""
    from transformers import AutoModelForSequenceClassification

    _check_files(folder)
    with readable(f"labeler {folder}", folder, "distill again"), quiet():
        backbone = AutoModelForSequenceClassification.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True, dtype="float32"
        )
        head = load_file(folder / HEAD_FILE)
        hidden = head.get("residual.0.bias")
        model = PairModel(
            backbone,
            facts.architecture,
            facts.scale.size,
            head_hidden=0 if hidden is None else len(hidden),
            levels=facts.levels,
        )
        model.head.load_state_dict(head)
    return model.eval()


def _check_files(folder: Path) -> None:
    """Every file is as it was written; folders of older versions have no digests to compare."""
    try:
        files = json.loads((folder / _DIGESTS_FILE).read_text(encoding="utf-8"))
        damaged = [name for name in files if file_digest(folder / name) != files[name]]
    except FileNotFoundError as error:
        if Path(str(error.filename)).name == _DIGESTS_FILE:
            return
        damaged = [Path(str(error.filename)).name]
    except (OSError, ValueError, TypeError):
        damaged = [_DIGESTS_FILE]
    if damaged:
        raise UserError(
            f"labeler {folder} cannot be read: {damaged[0]} is not as it was written; distill again"
        )


def copy_artifact(
    source: Path, folder: Path, add: Callable[[Path], None] | None = None, **changes: Any
) -> Path:
    """Copy a labeler's folder, replacing what was there.

    Args:
        source: The folder.
        folder: The copy.
        add: Writes further files into the copy.
        changes: New values of the facts.
    """
    facts = read_facts(source).model_copy(update=changes)
    with replacing(folder) as partial:
        shutil.copytree(source, partial)
        if add is not None:
            add(partial)
        _write_digests(partial)
        write_facts(partial, facts)
    return folder


def _write_digests(folder: Path) -> None:
    files = {
        found.name: file_digest(found)
        for found in sorted(folder.iterdir())
        if found.name not in _CHANGING
    }
    write_text(folder / _DIGESTS_FILE, json.dumps(files, indent=2) + "\n")
