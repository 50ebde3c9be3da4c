"""What documents that try to be graded higher than they deserve do to a judge's grades.

Judges that read text can be talked to by the text: instructions in a document, faked ends of
the document and stuffed query words raise the grades that LLM judges give (Alaofi et al., 2024;
Greshake et al., 2023). A student that learned from such a judge may have learned that as well.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from relevance_distillery.collections.benchmark import Benchmark
from relevance_distillery.collections.id_matching import as_named
from relevance_distillery.evaluation.statistics import bootstrap
from relevance_distillery.evaluation.statistics.numbers import counts, interval_json
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import hex_digest
from relevance_distillery.io.progress import Progress
from relevance_distillery.scoring.graders import Grader
from relevance_distillery.strict import StrictModel

_SHARD = 1024

CONTROL = "control"

TEXT_COLUMNS = ("title", "heading", "text", "path", "author", "modified")
PROBE_COLUMNS = ("query_id", "query", "passage_id", "document_id", *TEXT_COLUMNS)


class Attack(StrictModel):
    """One text and where it is planted."""

    name: str = Field(min_length=1, pattern=r"^\w+$")
    """For the report."""
    kind: Literal["instruction", "system", "delimiter", "answer", "stuffing", "control"]
    """What it tries; control is harmless and tries nothing."""
    language: str = ""
    """ISO code, empty where it has none."""
    places: tuple[Literal["start", "middle", "end", "title"], ...] = Field(("end",), min_length=1)
    """Where it is planted, each place for itself."""
    text: str = Field(min_length=1)
    """With {query}, {highest}, {highest_name}, {lowest}."""

    def planted(self, query: str, scale: GradeScale) -> str:
        """The text for one query."""
        # Not str.format: faked answers hold braces, and queries may.
        words = {
            "{highest}": str(scale.grades[-1].value),
            "{highest_name}": scale.grades[-1].name,
            "{lowest}": str(scale.grades[0].value),
            "{query}": query,
        }
        text = self.text
        for word, value in words.items():
            text = text.replace(word, value)
        return text


class Attacks(StrictModel):
    """A file of attacks."""

    attacks: tuple[Attack, ...] = Field(min_length=1)
    """See the file's head."""

    @field_validator("attacks")
    @classmethod
    def _distinct(cls, attacks: tuple[Attack, ...]) -> tuple[Attack, ...]:
        names = [attack.name for attack in attacks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two attacks are called {', '.join(twice)}; give each its own name")
        return attacks

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with any attack."""
        return hex_digest(self.model_dump_json())


def choose_pairs(
    labels: pd.DataFrame,
    queries: pd.DataFrame,
    passages: pd.DataFrame,
    benchmark: Benchmark,
    most: int,
    seed: int,
) -> pd.DataFrame:
    """Pairs whose passage has nothing to do with the query.

    Half of them stored labels with the lowest grade, half pairs that the benchmark's people or
    authors gave the lowest grade, where it grades documents of the run; as many queries as
    there can be, `most` pairs in all.

    Returns:
        Columns `PROBE_COLUMNS` and origin (`labels` or `benchmark`).
    """
    lowest = benchmark.scale.values[0]
    key = ["query_id", "query", "passage_id", "origin"]
    asked = queries[["query_id", "text"]].rename(columns={"text": "query"})
    stored = labels[labels["grade"] == lowest].merge(asked, on="query_id").assign(origin="labels")
    found = [_spread(stored[key], most, seed)]
    judged = benchmark.judgments[benchmark.judgments["grade"] == lowest]
    if benchmark.kind == "same_corpus" and len(judged):
        unit = "passage_id" if benchmark.graded_passages else "document_id"
        judged = judged.rename(columns={"document_id": unit})[["query_id", unit]]
        named = as_named(passages, benchmark.judged_documents())
        known = judged.merge(named[["passage_id", "document_id"]], on=unit)
        texts = benchmark.queries[["query_id", "text"]].rename(columns={"text": "query"})
        known = known.merge(texts, on="query_id").assign(origin="benchmark")
        found = [_spread(known[key], most // 2, seed), *found]
    pairs = pd.concat(found, ignore_index=True).drop_duplicates(["query", "passage_id"])
    pairs = pairs.head(most).merge(passages, on="passage_id")
    return pairs[[*PROBE_COLUMNS, "origin"]].reset_index(drop=True)


def _spread(pairs: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """At most so many pairs, over as many queries as possible."""
    pairs = pairs.drop_duplicates(["query", "passage_id"])
    shuffled = pairs.sort_values(["query_id", "passage_id"]).sample(frac=1.0, random_state=seed)
    turn = shuffled.groupby("query_id").cumcount().to_numpy()
    return shuffled.iloc[np.argsort(turn, kind="stable")].head(most)


def hostile_versions(pairs: pd.DataFrame, attacks: Attacks, scale: GradeScale) -> pd.DataFrame:
    """Every pair under every attack at every place.

    Returns:
        The columns of `pairs` with attacked texts, attack (`NAME@PLACE`), kind, language,
        place, and pair (the row in `pairs`).
    """
    versions = []
    for attack in attacks.attacks:
        planted = [attack.planted(query, scale) for query in pairs["query"]]
        for place in attack.places:
            rows = pairs.reset_index(drop=True).copy()
            column = "title" if place == "title" else "text"
            rows[column] = [
                _plant(text, words, place)
                for text, words in zip(rows[column], planted, strict=True)
            ]
            versions.append(
                rows.assign(
                    attack=f"{attack.name}@{place}",
                    kind=attack.kind,
                    language=attack.language,
                    place=place,
                    pair=np.arange(len(rows)),
                )
            )
    return pd.concat(versions, ignore_index=True)


def _plant(text: str, words: str, place: str) -> str:
    if place == "start":
        return f"{words}\n\n{text}"
    if place == "title":
        return f"{text} {words}".strip()
    if place == "end":
        return f"{text}\n\n{words}"
    # Between words, so that the rest of the passage reads as before.
    middle = text.find(" ", len(text) // 2)
    middle = len(text) if middle < 0 else middle
    return f"{text[:middle]}\n\n{words}\n\n{text[middle:].lstrip()}"


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
    so is one that it cannot grade; both are counted. Pairs have the columns `PROBE_COLUMNS`.

    Returns:
        name, pairs, queries, left_out; overall (all attacks but the controls), kinds and
        attacks, each with what `_Measure.figures` gives; failures of attacked pairs by reason.
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
    measure = _Measure(resamples, seed, int(graded["query"].max()) + 1, scale)
    hostile, harmless = graded["kind"] != CONTROL, graded["kind"] == CONTROL
    overall = measure.figures(graded[hostile]) if hostile.any() else {}
    if hostile.any() and harmless.any():
        sides = (measure.mean(graded[some], "raised") for some in (hostile, harmless))
        overall["raised_above_control"] = measure.interval(bootstrap.difference(*sides))
    return result | {
        "overall": overall,
        "kinds": {
            str(kind): measure.figures(rows) for kind, rows in graded.groupby("kind", sort=False)
        },
        "attacks": {
            str(name): {key: rows[key].iloc[0] for key in ("kind", "language", "place")}
            | measure.figures(rows)
            for name, rows in graded.groupby("attack", sort=False)
        },
        "failures": counts(graded.loc[graded["grade"].isna(), "failure"]),
    }


def _graded(grader: Grader, pairs: pd.DataFrame) -> pd.DataFrame:
    """Columns grade and expected_grade, nan for failures, and failure, in the order of pairs."""
    parts = []
    with Progress(len(pairs), f"judge {grader.name}") as progress:
        for start in range(0, len(pairs), _SHARD):
            found = grader.grade(pairs.iloc[start : start + _SHARD].reset_index(drop=True))
            reasons = found.get("failure", "")
            parts.append(found[["grade", "expected_grade"]].assign(failure=reasons))
            progress.advance(len(found))
    table = pd.concat(parts, ignore_index=True)
    numbers = ["grade", "expected_grade"]
    table[numbers] = table[numbers].apply(pd.to_numeric).astype("float64")
    return table


class _Measure:
    """Figures of some attacked pairs, all over the same queries."""

    def __init__(self, resamples: int, seed: int, queries: int, scale: GradeScale) -> None:
        self.resamples, self.seed, self.queries = resamples, seed, queries
        self.widest = float(scale.values[-1] - scale.values[0])

    def figures(self, rows: pd.DataFrame) -> dict[str, Any]:
        """Counts, the mean change of grade, and the share that became relevant.

        Returns:
            versions, failed (attacked pairs, and those without a grade); mean_change and
            mean_expected_change (signed, in grades) and raised (a share), with intervals.
        """
        return {
            "versions": len(rows),
            "failed": int(rows["grade"].isna().sum()),
            "mean_change": self.interval(self.mean(rows, "change")),
            "mean_expected_change": self.interval(self.mean(rows, "expected_change")),
            "raised": self.interval(self.mean(rows, "raised")),
        }

    def mean(self, rows: pd.DataFrame, column: str) -> bootstrap.SumStatistic:
        some = rows[rows[column].notna()]
        query = some["query"].to_numpy(dtype=np.int64)
        bounds = (0.0, 1.0) if column == "raised" else (-self.widest, self.widest)
        values = some[column].to_numpy(dtype=np.float64)
        return bootstrap.mean_of_pairs(values, query, self.queries, bounds=bounds)

    def interval(self, statistic: bootstrap.SumStatistic) -> dict[str, Any]:
        found = bootstrap.interval(statistic, self.resamples, self.seed)
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
