"""Documents and query logs as handles, and what an earlier run left of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset

from relevance_distillery.documents.source import DocumentSource
from relevance_distillery.synthesizers.query_log import QueryLog


class DocumentsDataset(AbstractDataset[None, DocumentSource]):
    """Where documents come from; they are read by the node that asks for them.

    A folder of Markdown, text, HTML, PDF and DOCX files, a `.jsonl`, `.csv`, `.tsv` or
    `.parquet` file, a BEIR folder with `corpus.jsonl[.gz]`, or several separated by `;`.

    Example:
        ```yaml
        raw_documents:
          type: relevance_distillery.datasets.documents.DocumentsDataset
          filepath: data/01_raw/sample/documents
        ```

        ```python
        source = DocumentsDataset(filepath="intranet").load()
        documents = source.read(include=["*.md"]).documents
        ```
    """

    def __init__(self, *, filepath: str | None, metadata: dict[str, Any] | None = None) -> None:
        """Remember the place.

        Args:
            filepath: One path, or several separated by `;`; None where the user has to
                give one and did not, which is reported when the documents are read.
            metadata: Anything; ignored here, read by Kedro-Viz.
        """
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> DocumentSource:
        """The handle; a missing path is reported when it is read."""
        return DocumentSource.parse(self._filepath)

    def save(self, data: None) -> None:
        """Never: documents belong to the user.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("documents are read only")

    def _exists(self) -> bool:
        # Always: the reader's own message for a missing path says what to do.
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}


class QueryLogDataset(AbstractDataset[None, QueryLog]):
    """A log of people's own queries, or none.

    Example:
        ```yaml
        query_log:
          type: relevance_distillery.datasets.documents.QueryLogDataset
          filepath: ${runtime_params:queries, null}
        ```

        ```python
        queries, counts = QueryLogDataset(filepath="log.csv").load().read()
        ```
    """

    def __init__(
        self, *, filepath: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Remember the place.

        Args:
            filepath: A `.jsonl`, `.csv`, `.tsv`, `.txt` or `.parquet` file, a BEIR folder,
                several separated by `;`, or None for no log.
            metadata: Anything; ignored here, read by Kedro-Viz.
        """
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> QueryLog:
        """The handle; a missing path is reported when it is read."""
        return QueryLog.parse(self._filepath)

    def save(self, data: None) -> None:
        """Never: a log belongs to the user.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("query logs are read only")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}


class PreviousTableDataset(AbstractDataset[None, pd.DataFrame]):
    """A table as an earlier run left it, without rows where there was none.

    Kedro's pipelines have no circles, so what a run can reuse of the last one is an input
    under another name. A file that cannot be read counts as none: everything is done anew.

    Example:
        ```yaml
        previous_passages:
          type: relevance_distillery.datasets.documents.PreviousTableDataset
          filepath: data/02_intermediate/passages.parquet
        ```

        ```python
        previous = PreviousTableDataset(filepath="passages.parquet").load()
        ```
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Remember the place.

        Args:
            filepath: The Parquet file that another entry writes.
            metadata: Anything; ignored here, read by Kedro-Viz.
        """
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """The table, empty when it cannot be read."""
        try:
            return pd.read_parquet(self._filepath)
        except (OSError, ValueError):
            return pd.DataFrame()

    def save(self, data: None) -> None:
        """Never: the other entry writes it.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("written by the entry of the table itself")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
