"""A prompt file as a dataset."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from relevance_distillery.errors import UserError
from relevance_distillery.llm.prompts import Prompt


class PromptDataset(AbstractDataset[None, Prompt]):
    """Reads a Jinja file and checks that it holds what it must.

    Examples:
        ```yaml
        grading_prompt:
          type: relevance_distillery.datasets.PromptDataset
          filepath: conf/base/labeling/prompts/grade.jinja2
          requires: [query, document.text, scale]
          allows: [document, examples]
        ```

        >>> PromptDataset(filepath="grade.jinja2", requires=["query"]).load().hash
    """

    def __init__(
        self,
        *,
        filepath: str,
        requires: Iterable[str] = (),
        allows: Iterable[str] = (),
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Name the file.

        Args:
            filepath: The template.
            requires: Fields that must occur in it.
            allows: Fields that may occur besides.
            metadata: For plugins such as Kedro-Viz; not used here.
        """
        self._filepath = Path(str(filepath)).expanduser()
        self._requires, self._allows = tuple(requires), tuple(allows)
        self.metadata = metadata

    def load(self) -> Prompt:
        """Read and check the template.

        Raises:
            UserError: See `llm.prompts.Prompt`.
        """
        return Prompt.read(self._filepath, self._requires, self._allows)

    def save(self, data: None) -> None:
        """Refuse: prompts are written by people."""
        raise UserError("a prompt is written by hand, not saved")

    def _exists(self) -> bool:
        # What is missing is said better on loading.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
