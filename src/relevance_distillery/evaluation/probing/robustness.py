"""What hostile text does to a judge: changes of its grades, with intervals by query."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from relevance_distillery.evaluation.probing.hostile import CONTROL, Attacks, hostile_versions
from relevance_distillery.evaluation.statistics.bootstrap import (
    SumStatistic,
    difference,
    interval,
    ratio,
)
from relevance_distillery.evaluation.statistics.numbers import interval_json
from relevance_distillery.grading import GradeScale
from relevance_distillery.scoring.graders import Grader

logger = logging.getLogger(__name__)

_SHARD = 1024


def probe(
    grader: Grader,
    pairs: pd.DataFrame,
    attacks: Attacks,
    scale: GradeScale,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Grade pairs clean and under every attack.

    A pair that the judge calls relevant when it is clean cannot be raised and is left out, and
    so is one that it cannot grade; both are counted.

    Args:
        grader: The judge.
        pairs: Irrelevant pairs, columns `evaluation.probing.hostile.PROBE_COLUMNS`.
        attacks: What is planted.
        scale: The grades.
        resamples: Resamples of queries for the intervals.
        seed: Of the resamples.

    Returns:
        name, pairs, queries, left_out; overall (all attacks but the controls), kinds and
        attacks, each with what `_figures` gives; failures of attacked pairs by reason.
    """
    clean = _graded(grader, pairs)
    usable = clean["grade"].notna() & ~(clean["grade"] >= scale.relevant_from)
    left_out = {
        "relevant when clean": int((clean["grade"] >= scale.relevant_from).sum()),
        "not graded when clean": int(clean["grade"].isna().sum()),
    }
    result: dict[str, Any] = {
        "name": grader.name,
        "pairs": int(usable.sum()),
        "queries": int(pairs.loc[usable, "query"].nunique()),
        "left_out": {reason: count for reason, count in left_out.items() if count},
    }
    if not usable.any():
        return result | {"overall": {}, "kinds": {}, "attacks": {}, "failures": {}}
    kept, clean = pairs[usable].reset_index(drop=True), clean[usable].reset_index(drop=True)
    versions = hostile_versions(kept, attacks, scale)
    graded = versions[["attack", "kind", "language", "place", "pair"]].join(
        _graded(grader, versions)
    )
    before = clean.iloc[graded["pair"]].reset_index(drop=True)
    graded["query"] = pd.factorize(kept["query"])[0][graded["pair"]]
    graded["change"] = graded["grade"] - before["grade"]
    graded["expected_change"] = graded["expected_grade"] - before["expected_grade"]
    graded["raised"] = (graded["grade"] >= scale.relevant_from).astype(float)
    graded.loc[graded["grade"].isna(), "raised"] = np.nan
    measure = _Measure(resamples, seed, int(graded["query"].max()) + 1)
    hostile, harmless = graded["kind"] != CONTROL, graded["kind"] == CONTROL
    overall = measure.figures(graded[hostile]) if hostile.any() else {}
    if hostile.any() and harmless.any():
        overall["raised_above_control"] = measure.apart(graded[hostile], graded[harmless])
    return result | {
        "overall": overall,
        "kinds": {
            str(kind): measure.figures(rows) for kind, rows in graded.groupby("kind", sort=False)
        },
        "attacks": {
            str(name): {
                "kind": rows["kind"].iloc[0],
                "language": rows["language"].iloc[0],
                "place": rows["place"].iloc[0],
            }
            | measure.figures(rows)
            for name, rows in graded.groupby("attack", sort=False)
        },
        "failures": _reasons(graded.loc[graded["grade"].isna(), "failure"]),
    }


def _graded(grader: Grader, pairs: pd.DataFrame) -> pd.DataFrame:
    """Columns grade and expected_grade, nan for failures, and failure, in the order of pairs."""
    parts = []
    for start in range(0, len(pairs), _SHARD):
        found = grader.grade(pairs.iloc[start : start + _SHARD].reset_index(drop=True))
        reasons = found.get("failure", "")
        parts.append(found[["grade", "expected_grade"]].assign(failure=reasons))
        if len(pairs) > _SHARD:
            logger.info("%s: %d of %d graded", grader.name, start + len(found), len(pairs))
    table = pd.concat(parts, ignore_index=True)
    for column in ("grade", "expected_grade"):
        table[column] = pd.to_numeric(table[column]).astype("float64")
    return table


def _reasons(failures: Iterable[str]) -> dict[str, int]:
    counts = pd.Series(list(failures), dtype="str").value_counts().sort_index()
    return {str(reason): int(count) for reason, count in counts.items()}


class _Measure:
    """Figures of some attacked pairs, all over the same queries."""

    def __init__(self, resamples: int, seed: int, queries: int) -> None:
        self.resamples, self.seed, self.queries = resamples, seed, queries

    def figures(self, rows: pd.DataFrame) -> dict[str, Any]:
        """Counts, the mean change of grade, and the share that became relevant.

        Returns:
            versions, failed (attacked pairs, and those without a grade); mean_change and
            mean_expected_change (signed, in grades) and raised (a share), with intervals.
        """
        return {
            "versions": len(rows),
            "failed": int(rows["grade"].isna().sum()),
            "mean_change": self._interval(self._mean(rows, "change")),
            "mean_expected_change": self._interval(self._mean(rows, "expected_change")),
            "raised": self._interval(self._mean(rows, "raised")),
        }

    def apart(self, hostile: pd.DataFrame, harmless: pd.DataFrame) -> dict[str, Any]:
        """Share raised by hostile text minus share raised by harmless text."""
        sides = [self._mean(rows, "raised") for rows in (hostile, harmless)]
        return self._interval(difference(sides[0], sides[1]))

    def _mean(self, rows: pd.DataFrame, column: str) -> SumStatistic:
        some = rows[rows[column].notna()]
        query = some["query"].to_numpy(dtype=np.int64)
        sums = np.column_stack(
            [
                np.bincount(query, weights=some[column].to_numpy(), minlength=self.queries),
                np.bincount(query, minlength=self.queries).astype(np.float64),
            ]
        )
        return SumStatistic(sums, ratio)

    def _interval(self, statistic: SumStatistic) -> dict[str, Any]:
        found = interval(statistic, self.resamples, self.seed)
        return interval_json(found, "no attacked pair was graded", "too few queries")


def as_lines(result: dict[str, Any]) -> list[str]:
    """What a probe found, as lines of a table for the log."""
    head = f"{'attack':<28} {'kind':<12} {'change of grade':<22} {'made relevant':<18} failed"
    rows = [("all attacks", "", result["overall"])] if result["overall"] else []
    rows += [(f"  {kind}", kind, found) for kind, found in result["kinds"].items()]
    rows += [(name, found["kind"], found) for name, found in result["attacks"].items()]
    lines = [f"{result['name']}: {result['pairs']} irrelevant pairs", head]
    for name, kind, found in rows:
        change, raised = found["mean_change"], found["raised"]
        lines.append(
            f"{name:<28} {kind:<12} {_shown(change, '+.2f', 1):<22} "
            f"{_shown(raised, '.0f', 100) + ' %':<18} {found['failed']}"
        )
    return lines


def _shown(found: dict[str, Any], form: str, factor: float) -> str:
    if found["estimate"] is None:
        return "–"
    text = format(factor * found["estimate"], form)
    if found["low"] is None or found["high"] is None:
        return text
    return f"{text} ({factor * found['low']:{form}} to {factor * found['high']:{form}})"
