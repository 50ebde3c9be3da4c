"""The files that a user names for scoring, as handles: nothing is read or written yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relevance_distillery.errors import UserError
from relevance_distillery.scoring.shards import suffix_of

if TYPE_CHECKING:
    from relevance_distillery.scoring.pairs_file import PairsFile


@dataclass(frozen=True)
class GivenPairs:
    """Where a file of pairs is, if one was given.

    Attributes:
        path: The file; None where none was named.
    """

    path: str | None = None

    def open(self, command: str = "pairs=FILE,scored=FILE") -> PairsFile:
        """The file, looked at but not read.

        Args:
            command: What to type where none was named.

        Raises:
            UserError: None was named, or as `PairsFile`.
        """
        from relevance_distillery.scoring.pairs_file import PairsFile

        if not self.path:
            raise UserError(f'give a file of pairs: --params="{command}"')
        return PairsFile(Path(str(self.path)).expanduser())


@dataclass(frozen=True)
class ScoringOutput:
    """Where graded pairs go.

    Attributes:
        filepath: The file; its ending chooses Parquet, CSV or JSON lines, `.gz` included.
        qrels: TREC qrels to write besides; needs query_id and document_id.
    """

    filepath: str | None = None
    qrels: str | None = None

    @property
    def path(self) -> Path:
        """The file of graded pairs.

        Raises:
            UserError: None was named, or its ending is not known.
        """
        if self.filepath is None:
            raise UserError('say where to write: --params="pairs=FILE,scored=FILE"')
        path = Path(str(self.filepath)).expanduser()
        suffix_of(path)
        return path

    def qrels_path(self, pairs: PairsFile) -> Path | None:
        """The file of qrels; None where none was named.

        Raises:
            UserError: The pairs lack the ids that qrels name.
        """
        if self.qrels is None:
            return None
        missing = [name for name in ("query_id", "document_id") if name not in pairs.columns]
        if missing:
            raise UserError(
                f"qrels={self.qrels}: {pairs.name} lacks {', '.join(missing)}, which qrels name"
            )
        return Path(str(self.qrels)).expanduser()
