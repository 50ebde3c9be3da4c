"""How long a full report on 100,000 judged pairs takes, and how much memory.

Three judges with grades, probabilities and scores, three people a pair, every slice, examples of
disagreement, pictures and the page, each figure with its interval; the data are made up. All of it
happens in this process, which is fresh; `taskset` limits it to two cores.

    taskset -c 0,1 python benchmarks/report_speed.py            # prints, and writes the page
    python benchmarks/report_speed.py --queries 50 --dry        # a quick look
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import resource
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from pages import PAGES, machine
from pages import table as markdown

from relevance_distillery.evaluation.agreement import measurement
from relevance_distillery.evaluation.agreement.estimates import Options
from relevance_distillery.evaluation.disagreements import pick
from relevance_distillery.grading import DEFAULT_SCALE as SCALE
from relevance_distillery.reporting.figures import draw_figures
from relevance_distillery.reporting.report import grades_report

PAGE = PAGES / "report-speed.md"
LIMIT_SECONDS = 120.0
LISTED = 5

PARTS = {
    "statistics": "every metric of a judge, per query",
    "estimates": "intervals of the main table",
    "_comparison": "differences of judges with tests",
    "human_ceiling": "people against people",
    "compare_with_people": "people and judges on one scale",
    "_calibration": "calibration",
    "measure_thresholds": "agreement at each threshold",
    "measure_slices": "slices",
    "_sample_size": "how many human grades",
}
"""Functions that `measurement.measure` calls, and what the page calls them."""


def graded_table(queries: int, documents: int, seed: int = 0) -> pd.DataFrame:
    """A table of benchmark grades, one row a pair, with three judges that err differently."""
    rng = np.random.default_rng(seed)
    query = np.repeat(np.arange(queries), documents)
    size = query.size
    hard = rng.normal(0, 0.6, queries)[query]
    truth = rng.normal(-0.2, 1.3, size) + hard
    human = np.clip(np.rint(truth), 0, 3).astype(np.int64)
    table = pd.DataFrame(
        {
            "query_id": [f"q{number:05d}" for number in query],
            "document_id": [f"d{number:07d}" for number in range(size)],
            "human": human,
            "style": np.array(["keyword", "question", "navigational", "long"])[query % 4],
            "query_words": 1 + query % 11,
            "passages": rng.integers(1, 9, size),
            "seen": rng.random(size) < 0.3,
            "folder": np.char.add("department ", (rng.integers(0, 30, size)).astype(str)),
        }
    )
    for name, noise in (("student", 0.9), ("teacher", 0.7), ("base", 1.6)):
        score = truth + rng.normal(0, noise, size) + rng.normal(0, 0.3, queries)[query]
        near = np.exp(-((score[:, None] - SCALE.values[None, :]) ** 2))
        probabilities = near / near.sum(1, keepdims=True)
        table[f"{name}_grade"] = pd.array(probabilities.argmax(1), dtype="Int64")
        table[f"{name}_probabilities"] = probabilities.tolist()
        if name != "base":
            table[f"{name}_expected"] = probabilities @ SCALE.values
    table["student_score"] = table["student_expected"] + rng.normal(0, 0.01, size)
    table["base_similarity"] = truth + rng.normal(0, 1.6, size)
    table["base_cosine"] = truth + rng.normal(0, 2.0, size)
    table["bm25"] = np.maximum(truth + rng.normal(0, 2.5, size), 0.0)
    return table


def raters(table: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Three people's grades of every pair, one row a grade."""
    rng = np.random.default_rng(seed)
    parts = []
    for name in ("ann", "bob", "eve"):
        off = rng.choice([-1, 0, 0, 0, 1], len(table))
        grade = np.clip(table["human"].to_numpy() + off, 0, 3)
        parts.append(table[["query_id", "document_id"]].assign(annotator=name, grade=grade))
    return pd.concat(parts, ignore_index=True)


def texts(table: pd.DataFrame, words: int = 80, seed: int = 2) -> pd.DataFrame:
    """The pairs with made-up texts, as the examples of disagreement read them."""
    rng = np.random.default_rng(seed)
    vocabulary = np.array(["".join(rng.choice(list("aeioubcdlmnrst"), 6)) for _ in range(4000)])
    drawn = vocabulary[rng.integers(0, len(vocabulary), (len(table), words))]
    query = vocabulary[rng.integers(0, len(vocabulary), (table["query_id"].nunique(), 4))]
    codes = pd.factorize(table["query_id"])[0]
    return table[["query_id", "document_id"]].assign(
        query=[" ".join(row) for row in query[codes]],
        title=[" ".join(row[:5]) for row in drawn],
        text=[" ".join(row) for row in drawn],
    )


class Clock:
    """Seconds by part; a part inside another counts for the outer one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = False

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to a part."""

        @functools.wraps(function)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if self._inside:
                return function(*arguments, **options)
            self._inside, started = True, time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self._inside = False
                self.seconds[name] += time.perf_counter() - started

        return wrapped


def report(queries: int, documents: int, resamples: int, clock: Clock) -> dict[str, Any]:
    """Measures, picks examples, draws and renders; times every part.

    Returns:
        Sizes of what came out, and the seconds of everything together.
    """
    table = graded_table(queries, documents)
    people, pairs = raters(table), texts(table)
    for name, title in PARTS.items():
        setattr(measurement, name, clock.timed(title, getattr(measurement, name)))
    started, processor = time.perf_counter(), time.process_time()
    benchmark = {"name": "made up", "human": True, "kind": "given", "digest": ""}
    options = Options(resamples=resamples)
    agreement = measurement.measure(table, SCALE, benchmark, people, options)
    judges = list(agreement["confusion"])
    shown = clock.timed("examples of disagreement", pick)(table, pairs, judges, SCALE, 12)
    cost: dict[str, Any] = {"judges": {}, "assumptions": []}
    figures = clock.timed("pictures", draw_figures)(agreement, cost)
    page, _ = clock.timed("the page, with and without texts", grades_report)(
        agreement=agreement,
        cost=cost,
        benchmark=benchmark | {"skipped": {}},
        disagreements=shown,
    )
    seconds, busy = time.perf_counter() - started, time.process_time() - processor
    content = json.dumps(agreement, allow_nan=False)
    return {
        "seconds": seconds,
        "processor_seconds": busy,
        "pairs": len(table),
        "queries": queries,
        "intervals": content.count('"low": ') - content.count('"low": null'),
        "judges": len(agreement["judges"]),
        "pictures": len(figures),
        "page_bytes": len(page.encode()),
        "examples": len(shown),
    }


def as_page(found: dict[str, Any], clock: Clock, resamples: int, gigabytes: float) -> str:
    """The page: answer, what was measured, the parts."""
    parts = sorted(clock.seconds.items(), key=lambda part: -part[1])[:LISTED]
    rest = found["seconds"] - sum(seconds for _, seconds in parts)
    rows = [[name, f"{seconds:.1f}"] for name, seconds in [*parts, ("the rest", rest)]]
    answer = (
        f"**{found['seconds']:.0f} seconds, {gigabytes:.1f} GB at the peak**, for "
        f"{found['pairs']:,} judged pairs of {found['queries']:,} queries with {resamples:,} "
        f"resamples of queries ({found['processor_seconds']:.0f} seconds of processor time); the "
        f"aim is below {LIMIT_SECONDS:.0f} seconds on two cores."
    )
    what = (
        f"Three judges that grade, with probabilities, and {found['judges'] - 3} rows that only "
        f"score; three people for every pair; {found['intervals']:,} intervals; "
        f"{found['examples']} examples of disagreement; {found['pictures']} pictures; a page of "
        f"{found['page_bytes'] / 1e6:.1f} MB. The data are made up. Grading the pairs is not part "
        "of it, nor is starting Python."
    )
    return "\n".join(
        [
            "# How long a report takes\n",
            f"{textwrap.fill(answer, 100)}\n",
            f"Machine: {machine()}. Date: {datetime.date.today()}.\n",
            "```\ntaskset -c 0,1 python benchmarks/report_speed.py\n```\n",
            f"{textwrap.fill(what, 100)}\n",
            markdown(["part", "seconds"], rows),
        ]
    )


def main() -> None:
    """Runs once, prints, and writes the page unless it was a dry run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--documents", type=int, default=100, help="a query")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--dry", action="store_true", help="prints and writes nothing")
    asked = parser.parse_args()
    clock = Clock()
    found = report(asked.queries, asked.documents, asked.resamples, clock)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    page = as_page(found, clock, asked.resamples, gigabytes)
    print(page)
    if not asked.dry:
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
