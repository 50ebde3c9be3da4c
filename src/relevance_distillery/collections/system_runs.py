"""Runs of search engines: which documents a system gave for a query, in which order."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from relevance_distillery.collections.id_matching import with_known_ids
from relevance_distillery.collections.judgments import KEY
from relevance_distillery.errors import UserError
from relevance_distillery.io.files import named_paths
from relevance_distillery.io.tables import stem_of
from relevance_distillery.io.trec import read_run

_NO_RUNS = (".md", ".json", ".html", ".yml", ".yaml", ".log", ".zip")
"""Files of a folder that are no runs."""


@dataclass(frozen=True)
class SystemRuns:
    """Ranked documents of several systems.

    Attributes:
        ranked: Columns system, query_id, document_id, rank (from 1, no gaps) and level (the
            same number where scores tie, from 1), in order of system, query and rank.
        systems: Names in the order of their files.
        facts: By system: file, rows, queries, duplicates (rows left out), tied (rows), tags.
    """

    ranked: pd.DataFrame
    systems: tuple[str, ...]
    facts: dict[str, dict[str, object]]

    def only(self, queries: set[str]) -> Self:
        """The same runs for some queries."""
        kept = self.ranked["query_id"].isin(queries)
        return replace(self, ranked=self.ranked[kept].reset_index(drop=True))


def read_runs(locations: str | Path | None, optional: bool = False) -> SystemRuns:
    """Read the runs of one or several systems.

    Locations are folders and files, separated by `;`. Every file of a folder is the run of one
    system, named after the file; `trec.read_run` says what it may hold. Where they are `optional`
    none is no error.

    Raises:
        UserError: None was given, nothing is there, a file cannot be understood (the message names
            the row), or two files have one name.
    """
    columns = ["system", "query_id", "document_id", "rank", "level"]
    if not locations and optional:
        return SystemRuns(pd.DataFrame(columns=columns), (), {})
    if not locations:
        raise UserError('no runs were given; pass --params="runs=DIR", a folder of run files')
    files = _files(str(locations))
    parts, facts = [], {}
    for name, path in files.items():
        rows = read_run(path)
        table = ranking(rows)
        parts.append(table.assign(system=name))
        facts[name] = {
            "file": path.name,
            "rows": len(rows),
            "queries": int(table["query_id"].nunique()),
            "duplicates": len(rows) - len(table),
            "tied": int(table.duplicated(["query_id", "level"], keep=False).sum()),
            "tags": sorted(set(rows["tag"]) - {""})[:5],
        }
    return SystemRuns(pd.concat(parts, ignore_index=True)[columns], tuple(files), facts)


def ranking(rows: pd.DataFrame) -> pd.DataFrame:
    """Documents of each query in the order in which trec_eval reads a run.

    Of several rows (query_id, document_id, score) of one query and document the first counts.
    Neither the order of the lines nor a column of ranks counts where there are scores: scores
    descend, and of equal ones the document whose id is larger as text stands first. trec_eval
    keeps scores as 32-bit numbers, and so they are compared here.

    Returns:
        Columns query_id, document_id, rank, level.
    """
    kept = rows.drop_duplicates(KEY)
    with np.errstate(over="ignore"):
        narrow = kept["score"].to_numpy().astype(np.float32)
    score = narrow.astype(np.float64) if np.isfinite(narrow).all() else kept["score"].to_numpy()
    query = pd.factorize(kept["query_id"])[0]
    document = pd.factorize(kept["document_id"], sort=True)[0]
    order = np.lexsort((-document, -score, query))
    ordered = kept.iloc[order].reset_index(drop=True)
    query, score = query[order], score[order]
    ordered["rank"] = ordered.groupby(query).cumcount() + 1
    fresh = (ordered["rank"] == 1) | (np.diff(score, prepend=np.nan) != 0)
    ordered["level"] = fresh.astype("int64").groupby(query).cumsum()
    return ordered[[*KEY, "rank", "level"]]


def match_ids(runs: SystemRuns, **known: pd.DataFrame) -> tuple[SystemRuns, list[str]]:
    """The runs with ids as they are known, each run's read as `with_known_ids` does; and notes."""
    parts, notes = [], dict[str, None]()
    for _, run in runs.ranked.groupby("system", sort=False):
        part, said = with_known_ids(run, **known)
        parts.append(part)
        notes |= dict.fromkeys(said)
    return replace(runs, ranked=pd.concat(parts or [runs.ranked], ignore_index=True)), list(notes)


def _files(locations: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place in named_paths(locations):
        if not place.exists():
            raise UserError(f"runs={place}: no such file or folder; check the path")
        inside = [place] if place.is_file() else sorted(place.iterdir())
        for path in inside:
            skipped = path.name.startswith(".") or path.suffix.lower() in _NO_RUNS
            if not path.is_file() or (place.is_dir() and skipped):
                continue
            name = stem_of(path)
            if name in found:
                raise UserError(f"{path}: {found[name].name} is called {name} too; rename one")
            found[name] = path
    if not found:
        raise UserError(
            f"runs={locations}: holds no run; give a folder of TREC run files by "
            '--params="runs=DIR"'
        )
    return found
