"""Grades of a recorded judge as a dataset."""

from __future__ import annotations

from typing import Any

from kedro.io import AbstractDataset, DatasetError

from relevance_distillery.collections.recorded_grades import RecordedGrades, read_recorded_grades
from relevance_distillery.judges.kinds import JUDGES


class RecordedGradesDataset(AbstractDataset[None, RecordedGrades]):
    """Reads grades that a judge, or people, left in files; none when no file is named.

    Examples:
        ```yaml
        recorded_grades:
          type: relevance_distillery.datasets.RecordedGradesDataset
          filepath: "../shared/train-a;../shared/train-b"
          judge: gpt-4o
        ```

        >>> RecordedGradesDataset(filepath="grades.tsv").load().grades
    """

    def __init__(
        self,
        *,
        filepath: str | None = None,
        judge: str | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        """Name the files.

        Args:
            filepath: Files of grades or BEIR folders, separated by `;`; None for none.
            judge: Whose grades a folder's are: NAME or `recorded:NAME` for `judges/NAME.tsv`,
                `human` for people's. Kinds of judge that are not recorded name none.
            metadata: For plugins such as Kedro-Viz; not used here.
        """
        self._locations = None if filepath is None else str(filepath)
        kind, _, name = str(judge or "").partition(":")
        self._judge = (name if kind in JUDGES else str(judge or "")) or None
        # A judge that is made of others names them itself, and each reads its own file.
        self._several = kind in ("cascade", "consensus")
        self.metadata = metadata

    def load(self) -> RecordedGrades:
        """Read the files.

        Raises:
            UserError: See `judges.grade_files.read_recorded_grades`.
        """
        if self._several:
            none = read_recorded_grades(None, None)
            return RecordedGrades(none.name, none.grades, self._locations)
        return read_recorded_grades(self._locations, self._judge)

    def save(self, data: None) -> None:
        """Refuse: the files are the user's."""
        raise DatasetError("Recorded grades are read, never written.")

    def _exists(self) -> bool:
        # Without files there are no grades, which is no missing stage; a wrong path is
        # reported by `load`, which knows more.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._locations, "judge": self._judge}
