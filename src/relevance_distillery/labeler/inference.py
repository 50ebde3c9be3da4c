"""Grade pairs with a labeler's artifact folder.

Pairs are read by passage, in shards of 2,048; inside a shard batches are sorted by length and each
query and each passage is encoded once. A pair's result depends on its own text alone, up
to floating-point rounding: results are rounded to six digits before grades are decided.
"""

import logging
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from relevance_distillery.encoders import devices
from relevance_distillery.encoders.base_model import readable
from relevance_distillery.encoders.batching import Row, Tokens, by_length, pad
from relevance_distillery.encoders.cores import side_by_side
from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import folder_digest
from relevance_distillery.io.packed_folder import PackedFolder
from relevance_distillery.io.progress import Progress
from relevance_distillery.labeler.artifact import LabelerFacts, read_facts, read_model
from relevance_distillery.labeler.early_exit import EarlyExit, compare_with_exit
from relevance_distillery.labeler.features import Encoded, feature_count
from relevance_distillery.labeler.int8_stages import load_int8_stages
from relevance_distillery.labeler.model import PairModel
from relevance_distillery.labeler.stages import Stages, torch_stages
from relevance_distillery.labeler.template import TokenisedPairs
from relevance_distillery.learning.document_grades import best_of_passages, correct_for_length
from relevance_distillery.learning.second_pass import Seen, seen, seen_as

logger = logging.getLogger(__name__)
SHARD_ROWS = 2048
DIGITS = 6


class Labeler:
    """A trained labeler, ready to grade.

    Attributes:
        name: Base model and digest, for people.
        digest: Changes with any file of its folder.
        folder: Where it was read from; None while it is trained.
    """

    def __init__(
        self,
        model: PairModel,
        tokenizer: Any,
        facts: LabelerFacts,
        digest: str = "",
        device: str = "cpu",
        precision: str = "fp32",
        batch_size: int = 32,
        folder: Path | None = None,
    ) -> None:
        # As a batch of one, for its message where the weights alone are too large.
        self.model, _ = devices.within_memory(lambda _: model.eval().to(device), 1, device)
        self.tokenizer, self.facts = tokenizer, facts
        self.name, self.digest = f"labeler {facts.base_model} {digest}".strip(), digest
        self.device, self.precision, self.batch_size = device, precision, batch_size
        self.folder = folder
        self.compiled: Stages | None = None

    def __copy__(self) -> Self:
        """Another batch size, the same network."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its files: a worker that reads it needs none, and grades as this one does."""
        if self.folder is None:
            raise TypeError("a labeler that is in no folder yet cannot be sent to a worker")
        precision = "auto" if self.compiled is not None else self.precision
        settings = {"precision": precision, "batch_size": self.batch_size}
        return _received, (type(self), PackedFolder.of(self.folder), settings, self.precision)

    @property
    def stages(self) -> Stages | None:
        """What reads texts in stages: compiled, or torch where pairs may leave early."""
        exit_ = self.facts.early_exit
        if self.compiled is None and exit_ is not None:
            return torch_stages(self.model.base, self.facts.levels, exit_.layer)
        return self.compiled

    @classmethod
    def load(
        cls,
        folder: Path | str,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 32,
    ) -> Self:
        """Read an artifact folder.

        The device `auto` takes a GPU when there is one, the precision `auto` int8 where the folder
        has it and the device is a processor, else the one that training settled on where the
        device has it, see `settle_precision`.

        Raises:
            UserError: The folder is no labeler, is damaged, or an argument is not known.
        """
        from transformers import AutoTokenizer

        folder = Path(folder)
        facts = read_facts(folder)
        device, as_trained = devices.choose_device(device), precision == "auto"
        precision = devices.settle_precision(device, precision, facts.precision)
        model = read_model(folder, facts)
        with readable(f"labeler {folder}", folder, "distill again"):
            tokenizer = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
        devices.prepare_inference(model.backbone, device, precision, facts.template.max_length)
        labeler = cls(
            model, tokenizer, facts, folder_digest(folder), device, precision, batch_size, folder
        )
        if facts.int8 and as_trained and torch.device(device).type == "cpu":
            labeler.compiled = load_int8_stages(folder, facts.levels, precision)
        elif facts.int8:
            logger.warning("labeler %s: read in %s on %s, not in int8", folder, precision, device)
        return labeler

    @property
    def batch_size(self) -> int:
        """Pairs that are read at once; changes speed and memory, no grade."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        if not isinstance(size, int | np.integer) or size < 1:
            raise UserError(f"batch_size={size}: give a whole number of at least 1")
        self._batch_size = int(size)

    @property
    def scale(self) -> GradeScale:
        """The grades that it gives."""
        return self.facts.scale

    def grade(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Grade every pair.

        Args:
            pairs: Columns query, text and, where there are any, title, heading, path,
                author, modified; other columns are ignored.

        Returns:
            The index of `pairs` and the columns grade (a value of the scale), expected_grade
            (mean of the calibrated probabilities), confidence (probability of the given
            grade), probabilities (a list, lowest grade first), score (uncalibrated, for
            ranking).

        Raises:
            UserError: A column is missing, or a row lacks a query or any passage text.
        """
        raw, scores = self.raw(pairs)
        return self.decide(raw, scores, pairs.index)

    def raw(self, pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Uncalibrated probabilities, shape (pairs, grades), and scores, shape (pairs,).

        Scores have the shift of their query, where people's grades gave it one.
        """
        return self.raw_texts(*self.facts.template.render(pairs))

    def raw_texts(
        self, queries: Sequence[str], passages: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same for pairs as the template renders them."""
        if not queries:
            return np.zeros((0, self.scale.size)), np.zeros(0)
        with Progress(len(queries), "grading") as progress:
            found = self._in_shards(
                queries, passages, lambda pairs: self._graded(pairs)[:2], progress
            )
        probabilities, scores = (one.cpu().double().numpy() for one in found)
        return probabilities, self.facts.shifted(scores, queries)

    def look(self, pairs: pd.DataFrame) -> tuple[pd.DataFrame, Seen]:
        """Grade every pair as `grade`, and keep what a second pass needs."""
        queries, passages = self.facts.template.render(pairs)
        if not queries:
            return self.grade(pairs), np.zeros(0, self.seen_as)
        with Progress(len(queries), "grading") as progress:
            found = self._in_shards(queries, passages, self._graded, progress)
        raw, scores = (one.cpu().double().numpy() for one in found[:2])
        scores, vectors = self.facts.shifted(scores, queries), found[2].cpu().half().numpy()
        return self.decide(raw, scores, pairs.index), seen(queries, passages, scores, vectors)

    @property
    def seen_as(self) -> np.dtype[np.void]:
        """What `look` keeps of a pair."""
        return seen_as(int(self.model.base.config.hidden_size))

    @property
    def again(self) -> Self:
        """The same with the calibration of its second pass; UserError where it has none."""
        twin = copy(self)
        twin.facts = self.facts.again(self.name)
        return twin

    def features(self, pairs: pd.DataFrame) -> Tensor:
        """Pair features, see `pair_features`; for architectures that compare texts."""
        queries, passages = self.facts.template.render(pairs)
        with Progress(len(queries), "comparing") as progress:
            return self._in_shards(queries, passages, self._compared, progress)[0]

    def decide(self, raw: np.ndarray, scores: np.ndarray, index: pd.Index) -> pd.DataFrame:
        """Calibrate raw probabilities and decide on grades; columns as in `grade`."""
        probabilities = np.round(self.facts.calibrated(raw, scores), DIGITS)
        expected = np.round(probabilities @ self.scale.values.astype(np.float64), DIGITS)
        grades = self.facts.decide(probabilities, expected)
        rows = np.arange(len(grades))
        return pd.DataFrame(
            {
                "grade": grades,
                "expected_grade": expected,
                "confidence": probabilities[rows, self.scale.positions(grades)],
                "probabilities": pd.Series(probabilities.tolist(), index=index, dtype=object),
                "score": np.round(scores, DIGITS),
            },
            index=index,
        )

    def document_grades(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Grades of documents from those of their passages.

        From columns query_id, document_id, expected_grade, score and maybe probabilities, a row a
        passage, to query_id, document_id, grade, expected_grade, score, passages, in order of
        first appearance; the expected grade and the score are corrected for the number of
        passages. With probabilities also those of the best passage.
        """
        carried = [name for name in ("probabilities",) if name in predictions.columns]
        documents = best_of_passages(predictions, ["expected_grade", "score"], carried)
        correct_for_length(documents, predictions, self.facts.length_slope)
        expected = documents["expected_grade"].round(DIGITS)
        documents["expected_grade"] = expected
        documents["grade"] = self.facts.grades_of_expected(expected.to_numpy())
        return documents[
            ["query_id", "document_id", "grade", "expected_grade", "score", "passages", *carried]
        ]

    def tokenise(self, queries: Sequence[str], passages: Sequence[str]) -> TokenisedPairs:
        """Tokens of rendered pairs, as far as the architecture needs them."""
        return self.facts.template.tokenise(
            self.tokenizer,
            queries,
            passages,
            jointly=self.model.encodes_jointly,
            separately=self.model.encodes_separately,
        )

    @torch.inference_mode()
    def _in_shards(
        self,
        queries: Sequence[str],
        passages: Sequence[str],
        read: Callable[[TokenisedPairs], tuple[Tensor, ...]],
        progress: Progress,
    ) -> list[Tensor]:
        """What is read of pairs, a shard at a time; pairs that share a passage are neighbours."""
        order = sorted(range(len(passages)), key=passages.__getitem__)
        parts = []
        for start in range(0, len(order), SHARD_ROWS):
            rows = order[start : start + SHARD_ROWS]
            tokens = self.tokenise([queries[i] for i in rows], [passages[i] for i in rows])

            def attempt(size: int, tokens: TokenisedPairs = tokens) -> tuple[Tensor, ...]:
                self.batch_size = size
                with devices.autocast(self.device, self.precision):
                    return read(tokens)

            parts.append(devices.within_memory(attempt, self.batch_size, self.device)[0])
            progress.advance(len(rows))
        back = torch.tensor(order).argsort()
        return [torch.cat(columns)[back] for columns in zip(*parts, strict=True)]

    def _graded(self, pairs: TokenisedPairs) -> tuple[Tensor, Tensor, Tensor]:
        logits = features = None
        vectors = torch.zeros(len(pairs), 0)
        left = torch.full((len(pairs),), torch.nan, device=self.device)
        if self.model.encodes_jointly:
            logits = self._classified(pairs)
        if self.model.encodes_separately:
            features, left, vectors = self._compared(pairs, self.facts.early_exit)
        with devices.autocast(self.device, "fp32"):
            scores = self.model.head(logits, features)
            scores = torch.where(left.isnan(), scores, left)
            return self.model.head.probabilities(scores), scores, vectors

    def _classified(self, pairs: TokenisedPairs) -> Tensor:
        logits = torch.zeros(len(pairs), self.scale.size, device=self.device)

        def classify(chosen: list[int]) -> tuple[list[int], Tensor]:
            return chosen, self.model.classify(self.tokens(pairs.joint, chosen))

        for chosen, found in side_by_side(classify, by_length(pairs.lengths(), self.batch_size)):
            logits[chosen] = found
        return logits

    def _compared(
        self, pairs: TokenisedPairs, exit_: EarlyExit | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pair features; scores of pairs that left early, NaN for the others; passages' vectors."""
        features = torch.zeros(len(pairs), feature_count(self.model.levels), device=self.device)
        left = torch.full((len(pairs),), torch.nan, device=self.device)
        stages = self.stages
        encode = stages.encode if stages else self.model.encode
        queries = self._encoded_queries(encode, pairs.queries)
        vectors = torch.zeros(len(pairs), queries.pooled.shape[-1], device=self.device)
        pairs_of: list[list[int]] = [[] for _ in pairs.passages]
        for pair, passage in enumerate(pairs.passage_of):
            pairs_of[passage].append(pair)
        lengths = [len(row["input_ids"]) for row in pairs.passages]

        def compare(chosen: list[int]) -> tuple[list[int], Tensor, Tensor | None, Tensor | None]:
            compared = [pair for passage in chosen for pair in pairs_of[passage]]
            place = {passage: row for row, passage in enumerate(chosen)}
            rows = [(pairs.query_of[i], place[pairs.passage_of[i]]) for i in compared]
            query_of, passage_of = torch.tensor(rows, device=self.device).unbind(1)
            texts = self.tokens(pairs.passages, chosen)
            size = self.batch_size
            if stages is not None and exit_ is not None:
                weights = self.model.head.token_weights
                found, early = compare_with_exit(
                    stages, exit_, weights, queries, texts, query_of, passage_of, size
                )
                return compared, found, early, None
            passages = encode(texts)
            blocks = zip(query_of.split(size), passage_of.split(size), strict=True)
            parts = [
                self.model.compare(queries.select(some), passages.select(these))
                for some, these in blocks
            ]
            return compared, torch.cat(parts), None, passages.pooled[passage_of, 0]

        most = self.batch_size
        if self.compiled is not None:
            # A compiled stage reads a batch on one core: of a few passages each core gets some.
            most = max(1, min(most, -(-len(lengths) // torch.get_num_threads())))
        # Token states of a whole shard would not fit in memory: passages come and go.
        for compared, found, early, own in side_by_side(compare, by_length(lengths, most)):
            features[compared] = found
            if early is not None:
                left[compared] = early
            if own is not None:
                vectors[compared] = own
        return features, left, vectors

    def _encoded_queries(self, encode: Callable[[Tokens], Encoded], rows: list[Row]) -> Encoded:
        # All queries of a shard are padded to the longest; they are short.
        parts = []
        for start in range(0, len(rows), self.batch_size):
            texts = self.tokens(rows, range(start, min(start + self.batch_size, len(rows))))
            parts.append(encode(texts).copy())
        return _stack(parts)

    def tokens(self, rows: list[Row], chosen: Any) -> Tokens:
        """Some rows as a padded batch on the device."""
        padded = pad([rows[i] for i in chosen], self.tokenizer.pad_token_id)
        return devices.to_device(padded, self.device)


def _received(
    kind: type[Labeler], packed: PackedFolder, settings: dict[str, Any], precision: str
) -> Labeler:
    with packed.unpacked() as folder:
        labeler = kind.load(folder, **settings)
    labeler.folder = None
    if labeler.precision != precision:
        raise UserError(
            f"grades in {labeler.precision} where the driver does in {precision}: choose a node "
            "with bf16 for it, or a driver without"
        )
    return labeler


def _stack(parts: list[Encoded]) -> Encoded:
    from torch.nn.functional import pad as widen

    width = max(part.ids.shape[1] for part in parts)
    grown = [(part, width - part.ids.shape[1]) for part in parts]
    return Encoded(
        tuple(
            torch.cat([widen(part.states[level], (0, 0, 0, more)) for part, more in grown])
            for level in range(len(parts[0].states))
        ),
        torch.cat([widen(part.lengths, (0, more), value=1.0) for part, more in grown]),
        torch.cat([part.pooled for part, _ in grown]),
        torch.cat([widen(part.ids, (0, more)) for part, more in grown]),
        torch.cat([widen(part.words, (0, more)) for part, more in grown]),
    )
