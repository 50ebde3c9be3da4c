"""Follows a scoring shard by shard and says at its end how far the batch is from training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.drift.batch_statistics import merge, observe
from relevance_distillery.evaluation.drift.drift_report import compare, not_known
from relevance_distillery.evaluation.drift.drift_settings import DriftSettings
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.profile import TrainingProfile, pair_reader, read_profile
from relevance_distillery.labeler.tallies import Vocabulary
from relevance_distillery.scoring.graders import Grader
from relevance_distillery.scoring.shards import GradedShard, Unwatched, Watch


class DriftWatch:
    """Compares a batch with what its labeler was trained on."""

    def __init__(
        self,
        labeler: Labeler,
        profile: TrainingProfile,
        rows: int,
        settings: DriftSettings,
        seed: int,
    ) -> None:
        """Watch one file.

        Args:
            labeler: Grades it.
            profile: The labeler's.
            rows: Of the file; decides which share of texts is read.
            settings: Limits.
            seed: Of the comparison with chance.
        """
        self._profile, self._settings, self._seed = profile, settings, seed
        self._scale = labeler.scale
        self._share = min(1.0, settings.sample / max(rows, 1))
        vocabulary = Vocabulary.from_text(profile.key, profile.vocabulary)
        self._reader = pair_reader(labeler, vocabulary)

    def observe(self, graded: GradedShard) -> dict[str, Any]:
        """Counts of one shard, plain JSON."""
        return observe(graded, self._reader, self._scale, self._share)

    def conclude(self, observed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The comparison of all shards; see `drift_report.compare`."""
        uncounted = sum(1 for shard in observed if not shard)
        if uncounted:
            return not_known(
                f"{uncounted} of {len(observed)} parts were scored before without the comparison; "
                "score the file afresh to compare it"
            )
        return compare(self._profile, merge(observed), self._settings, self._seed)


def watch_over(grader: Grader, rows: int, settings: DriftSettings, seed: int) -> Watch:
    """What watches a scoring by `grader`.

    Args:
        grader: A labeler, or a judge, which has no training to compare with.
        rows: Of the file.
        settings: Limits.
        seed: Of the comparison with chance.
    """
    if settings.sample == 0:
        return Unwatched(not_known("turned off (scoring.drift.sample=0)"))
    if not isinstance(grader, Labeler):
        return Unwatched(not_known(f"{grader.name} was not distilled here"))
    try:
        profile = read_profile(grader.folder)
    except UserError as error:
        return Unwatched(not_known(str(error)))
    return DriftWatch(grader, profile, rows, settings, seed)
