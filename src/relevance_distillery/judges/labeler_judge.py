"""The distilled labeler as a judge: the next round's cascade starts with it."""

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import json_digest
from relevance_distillery.judges.base import Verdict
from relevance_distillery.judges.registry import JudgeSources, RegisteredJudge, State


class LabelerJudge(RegisteredJudge):
    """Grades with a labeler's folder; its probabilities are calibrated."""

    def __init__(self, folder: Path, which: str, scale: GradeScale) -> None:
        """Read the folder; `which` is how it was asked for: an alias, a version or a folder.

        UserError where the folder is no labeler, is damaged, or has another scale.
        """
        # Imported here, since it loads torch and every command reads the names of judges.
        from relevance_distillery.labeler.inference import Labeler

        self._labeler = Labeler.load(folder)
        if self._labeler.scale.digest != scale.digest:
            raise UserError(
                f"judge=labeler:{which} learned another grade scale than the one in force: "
                "distill one for this scale, or name another"
            )
        self._folder, self._which, self.scale = folder, which, scale
        self.name = f"labeler:{Path(which).name}"
        self.model = f"{self._labeler.facts.base_model} {self._labeler.digest}"
        self.prompt_hash = self._labeler.facts.template.digest
        self._own = json.dumps(["labeler", self._labeler.digest, scale.digest])

    def request_hashes(self, pairs: pd.DataFrame) -> list[str]:
        """Hashes of the rendered inputs, of the folder's content and of the scale."""
        queries, passages = self._labeler.facts.template.render(pairs)
        return [
            json_digest([self._own, query, passage], 16)
            for query, passage in zip(queries, passages, strict=True)
        ]

    def grade(self, shards: Iterable[pd.DataFrame]) -> Iterator[list[Verdict]]:
        """Verdicts shard by shard, in order."""
        for pairs in shards:
            if not len(pairs):
                continue
            began = time.monotonic()
            graded = self._labeler.grade(pairs)
            seconds = (time.monotonic() - began) / len(pairs)
            hashes, shares = self.request_hashes(pairs), map(np.asarray, graded["probabilities"])
            yield [
                Verdict(request, int(grade), tuple(chances.tolist()), seconds=seconds)
                for request, grade, chances in zip(hashes, graded["grade"], shares, strict=True)
            ]

    @classmethod
    def prepare(cls, model: str, sources: JudgeSources) -> Self:
        """Find a labeler by folder, or by alias or version in the registry."""
        which = model or "champion"
        folder = Path(which).expanduser()
        if not (folder / "labeler.json").is_file():
            # Imported here, since it loads MLflow.
            from relevance_distillery.labeler.flavor import load_registered

            folder = load_registered(sources.settings.registered_name, which)
        return cls(folder, which, sources.scale)

    def to_state(self) -> State:
        """Where the labeler lies and what it is, as plain JSON values."""
        folder = self._folder.expanduser().resolve()
        project = Path.cwd()
        inside = folder.is_relative_to(project)
        return {
            "judge": "labeler",
            "asked": self._which,
            "model": self.model,
            "scale_hash": self.scale.digest,
            # Relative inside of the project, so that a moved checkout still finds it.
            "folder": folder.relative_to(project).as_posix() if inside else str(folder),
            "digest": self._labeler.digest,
        }

    @classmethod
    def restore(cls, state: State, sources: JudgeSources) -> Self:
        """The judge that wrote `state`; UserError where its folder is gone or holds another."""
        folder, which = Path(state["folder"]), state["asked"]
        if not (folder / "labeler.json").is_file():
            raise UserError(
                f"judge=labeler:{which}: its folder {folder} is gone; run `kedro run "
                "--pipeline=label` to prepare it again, or name another version"
            )
        judge = cls(folder, which, sources.scale)
        if judge._labeler.digest != state["digest"]:
            raise UserError(
                f"judge=labeler:{which}: {folder} holds another labeler than when it was "
                "prepared; run `kedro run --pipeline=label` to prepare it again"
            )
        return judge
