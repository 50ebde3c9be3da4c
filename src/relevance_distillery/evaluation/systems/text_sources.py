"""Where the texts of queries and documents come from: read only when a machine must grade."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.benchmark_pairs import Split
from relevance_distillery.collections.id_matching import as_named
from relevance_distillery.collections.queries import read_queries
from relevance_distillery.documents.source import DocumentSource, read_wanted, table_at
from relevance_distillery.io.files import named_paths


@dataclass(frozen=True)
class TextSources:
    """What a user named; nothing is read yet.

    Attributes:
        queries: A file of queries with ids and texts, or a BEIR folder.
        documents: Where documents are; several separated by `;`.
        benchmark: The folder of people's grades, which may hold more queries than were graded.
    """

    queries: str | None = None
    documents: str | None = None
    benchmark: str | None = None

    def query_texts(self, benchmark: Benchmark, stored: pd.DataFrame) -> dict[str, str]:
        """Text by query id.

        The named file counts most, then the benchmark; the last run's stored queries only where
        neither was named, since their ids may mean other queries. Errors as `read_queries`.
        """
        inside = _inside(self.benchmark, "queries")
        tables = [benchmark.queries if inside is None else read_queries(inside)]
        if self.queries:
            path = Path(str(self.queries)).expanduser()
            tables.append(
                read_queries(table_at(path, "queries") or path if path.is_dir() else path)
            )
        elif not self.benchmark and len(stored):
            tables.insert(0, stored)
        found: dict[str, str] = {}
        for table in tables:
            named = table[table["text"] != ""]
            ids, texts = named["query_id"].astype(str), named["text"].astype(str)
            found |= dict(zip(ids, texts, strict=True))
        return found

    def passages(
        self,
        benchmark: Benchmark,
        stored: pd.DataFrame,
        wanted: set[str],
        split: Split,
        **reading: Any,
    ) -> pd.DataFrame:
        """Passages of the documents whose ids are wanted.

        The benchmark's documents are taken where none are named, the last run's stored passages
        where it brings none either, under the ids that are wanted. `reading` has the options of
        `DocumentSource.read`, and errors are as there.
        """
        documents, inside = benchmark.documents, _inside(self.benchmark, "corpus")
        if self.documents:
            documents = DocumentSource.parse(self.documents).read(**reading).documents
        elif inside is not None:
            documents = read_wanted(inside, wanted)
        if documents is None:
            return as_named(stored, wanted) if len(stored) else stored
        named = as_named(documents, wanted)
        return split(named[named["document_id"].isin(wanted)].reset_index(drop=True))


def _inside(benchmark: str | None, stem: str) -> Path | None:
    """A table in the folder of a benchmark, the first of several; None where there is none."""
    folder = next(iter(named_paths(benchmark)), None)
    return table_at(folder, stem) if folder and folder.is_dir() else None
