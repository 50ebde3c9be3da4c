"""Compares a scored batch with its labeler's training profile: effect sizes, verdict, advice.

A batch is counted shard by shard: what is kept of a shard is as small for a million pairs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.drift.comparisons import (
    COMPARISONS,
    NEW_DOMAIN,
    Comparison,
    DriftSettings,
    Limits,
    field_shares,
    jensen_shannon,
    shares,
)
from relevance_distillery.evaluation.statistics.numbers import number
from relevance_distillery.grading import GradeScale
from relevance_distillery.io.digests import digest_number
from relevance_distillery.labeler.inference import Labeler
from relevance_distillery.labeler.profile import TrainingProfile, read_profile
from relevance_distillery.labeler.tallies import (
    FIELDS,
    QUERY_TOKENS,
    TEXT_TOKENS,
    PairReader,
    Tally,
    Vocabulary,
    tally_grades,
)
from relevance_distillery.scoring.graders import Grader
from relevance_distillery.scoring.shards import GradedShard, Watch

OK, WATCH, DISTRUST = "ok", "watch", "distrust"
TOO_FEW, NOT_KNOWN = "too few to tell", "not known"
_RANK = (OK, WATCH, DISTRUST)
_NAMED = 3
_BINS = {"query_tokens": QUERY_TOKENS, "text_tokens": TEXT_TOKENS}
_MOST_DRAWN = 1_000_000
_SMALLEST = 256
_HASHES = 2.0**64
_SEED = 20_260_121


@dataclass(frozen=True)
class BatchStatistics:
    """A batch, or as much of it as was graded.

    `totals` are sums over pairs, see `labeler.tallies`, each of shape (width,); `queries`, how
    many different ones there are, is exact up to 255, within about 6 % beyond.
    """

    totals: Tally
    queries: int

    @property
    def pairs(self) -> int:
        """Graded pairs."""
        return int(self.totals.get("pairs", [0])[0])

    @property
    def read(self) -> int:
        """Pairs whose texts were counted."""
        return int(self.totals.get("read", [0])[0])


def observe_shard(
    graded: GradedShard, reader: PairReader, scale: GradeScale, share: float
) -> dict[str, Any]:
    """Count one shard; rows without a grade are left out.

    Of a share of the rows the texts are read; which ones depends on the shard's number alone, so
    that a resumed scoring reads the same.

    Returns:
        Plain JSON: tally (name to sums) and queries (the smallest hashes of query texts).
    """
    has_grade = graded.grades["grade"].notna().to_numpy()
    texts = graded.shard.texts
    # Drawn, not every n-th: files often hold a fixed number of documents a query.
    chance = np.random.default_rng([_SEED, graded.shard.number]).random(len(texts))
    tally = {
        **tally_grades(graded.grades, scale),
        **reader.tally(texts[has_grade & (chance < share)]),
    }
    hashes = {digest_number(query) for query in set(texts["query"][has_grade].str.strip())}
    return {
        # Sums of six-digit figures, rounded, so that adding them shard by shard repeats exactly.
        "tally": {
            name: [int(v) if v == int(v) else v for v in np.round(rows.sum(axis=0), 6).tolist()]
            for name, rows in tally.items()
        },
        "queries": sorted(hashes)[:_SMALLEST],
    }


def merge(observed: Iterable[Mapping[str, Any]]) -> BatchStatistics:
    """Sum what `observe_shard` gave; the order does not matter."""
    totals: Tally = {}
    hashes: set[int] = set()
    for shard in observed:
        for name, values in shard["tally"].items():
            totals[name] = totals.get(name, 0.0) + np.asarray(values, dtype=np.float64)
        hashes = set(sorted(hashes | set(shard["queries"]))[:_SMALLEST])
    queries = len(hashes)
    if queries == _SMALLEST:
        # How many different ones there were, by the k-th smallest hash (Bar-Yossef et al., 2002).
        queries = round((_SMALLEST - 1) / (max(hashes) / _HASHES))
    return BatchStatistics(totals, queries)


def draw_without_drift(
    held_out: Tally, queries: int, pairs: int, resamples: int, seed: int
) -> tuple[Tally, Tally]:
    """Draw batches and references from the held-out queries of training: what chance does.

    Both are drawn, since the profile is a sample as well. Queries are drawn whole, because the
    pairs of one query are alike (cluster bootstrap; Davison & Hinkley, 1997, §3.8). A drawn
    batch has no more pairs than the real one and no more queries, whichever is fewer, so chance
    is rather over- than understated. Tallies have a row a query.

    Returns:
        Tallies of the drawn batches and of the drawn references, shape (resamples, width).
    """
    known = len(held_out["pairs"])
    each = float(held_out["pairs"].sum()) / known
    size = int(np.clip(min(queries, pairs / each), 1, _MOST_DRAWN))
    rng = np.random.default_rng(seed)

    def drawn(count: int) -> Tally:
        weights = rng.multinomial(count, np.full(known, 1 / known), size=resamples)
        return {name: weights @ rows for name, rows in held_out.items()}

    batches = drawn(size)
    return batches, drawn(known)


def compare(
    profile: TrainingProfile, batch: BatchStatistics, settings: DriftSettings, seed: int
) -> dict[str, Any]:
    """Compare a batch with the training of the labeler that graded it.

    A comparison is `watch` or `distrust` when its effect size is past the limit of that name
    and past what chance does to batches of this size, drawn from the profile.

    Returns:
        verdict (the worst of the comparisons), line (for the run's last lines), pairs, queries,
        pairs_read, training, accuracy (what the batch's confidence predicts), comparisons (name
        to verdict, value, batch, reference, watch, distrust, by_chance, means, do); figures that
        do not exist are null with a reason.
    """
    small = _too_small(profile, batch, settings)
    held_out: Tally = {
        name: np.asarray(rows, dtype=np.float64) for name, rows in profile.held_out.tallies.items()
    }
    reference: Tally = {name: rows.sum(axis=0) for name, rows in held_out.items()}
    compared: dict[str, Any] = {}
    if not small:
        drawn = {
            texts: draw_without_drift(held_out, batch.queries, pairs, settings.resamples, seed)
            for texts, pairs in ((True, batch.read), (False, batch.pairs))
        }
        for comparison in COMPARISONS:
            compared[comparison.name] = _compared(
                comparison, batch.totals, reference, drawn[comparison.texts], settings
            )
    verdict = TOO_FEW if small else max((c["verdict"] for c in compared.values()), key=_RANK.index)
    return {
        "verdict": verdict,
        "line": f"drift: {verdict}: {small}" if small else _line(verdict, compared, batch),
        **({"reason": small} if small else {}),
        "pairs": batch.pairs,
        "queries": batch.queries,
        "pairs_read": batch.read,
        "training": {
            "taught_by": list(profile.taught_by),
            "pairs": profile.pairs,
            "queries": profile.queries,
            "held_out_pairs": profile.held_out.pairs,
            "held_out_queries": profile.held_out.queries,
        },
        "accuracy": _accuracy(profile, batch, verdict),
        "comparisons": compared,
    }


def not_known(reason: str) -> dict[str, Any]:
    """The result where nothing can be compared."""
    return {
        "verdict": NOT_KNOWN,
        "line": f"drift: {NOT_KNOWN}: {reason}",
        "reason": reason,
        "comparisons": {},
    }


def _too_small(profile: TrainingProfile, batch: BatchStatistics, settings: DriftSettings) -> str:
    """Why the batch cannot be compared; empty where it can."""
    if batch.pairs < settings.fewest_pairs:
        return f"{batch.pairs} graded pairs, at least {settings.fewest_pairs} are needed"
    if batch.queries < settings.fewest_queries:
        return f"{batch.queries} queries, at least {settings.fewest_queries} are needed"
    if profile.held_out.queries < settings.fewest_queries:
        return (
            f"the training profile has {profile.held_out.queries} held-out queries, at least "
            f"{settings.fewest_queries} are needed: label more queries and distill again"
        )
    return ""


def _compared(
    comparison: Comparison,
    batch: Tally,
    reference: Tally,
    drawn: tuple[Tally, Tally],
    settings: DriftSettings,
) -> dict[str, Any]:
    value = float(comparison.measure(batch, reference))
    sides = _sides(comparison, batch, reference)
    if not math.isfinite(value):
        nothing = {"verdict": OK, "value": None, "reason": "one side has none of it"}
        return {**nothing, **sides, "means": "", "do": ""}
    limits: Limits = getattr(settings, comparison.limits)
    level = settings.false_alarms / len(COMPARISONS)
    values = comparison.measure(*drawn)
    # Where no draw has the figure, chance does nothing.
    values = values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)
    by_chance = float(np.quantile(values, 1 - level))
    watch = max(limits.watch, by_chance)
    distrust = max(limits.distrust, float(np.quantile(values, 1 - level / 5)))
    verdict = DISTRUST if value > distrust else WATCH if value > watch else OK
    verdict = min(verdict, comparison.worst, key=_RANK.index)
    return {
        "verdict": verdict,
        "value": number(value),
        **sides,
        "watch": number(watch),
        "distrust": number(distrust) if comparison.worst == DISTRUST else None,
        "by_chance": number(by_chance),
        "means": comparison.means if verdict != OK else "",
        "do": comparison.do if verdict != OK else "",
    }


def _sides(comparison: Comparison, batch: Tally, reference: Tally) -> dict[str, Any]:
    """The two sides as people would look at them."""
    if comparison.name == "fields":
        both = [map(number, field_shares(tally).tolist()) for tally in (batch, reference)]
        return {
            "measure": "largest difference of a field's share",
            "batch": dict(zip(FIELDS, both[0], strict=True)),
            "reference": dict(zip(FIELDS, both[1], strict=True)),
        }
    if comparison.figure is not None:
        return {
            "measure": "difference of shares",
            "batch": number(float(comparison.figure(batch))),
            "reference": number(float(comparison.figure(reference))),
        }
    name = comparison.name
    return {
        "measure": "population stability index",
        "jensen_shannon": number(float(jensen_shannon(batch[name], reference[name]))),
        **({"bins_from": [0, *_BINS[name]]} if name in _BINS else {}),
        "batch": [number(share) for share in shares(batch[name]).tolist()],
        "reference": [number(share) for share in shares(reference[name]).tolist()],
    }


def _accuracy(profile: TrainingProfile, batch: BatchStatistics, verdict: str) -> dict[str, Any]:
    """Agreement with the teacher as confidence predicts it (difference of confidences).

    Held-out accuracy less the fall in mean confidence (Guillory et al., 2021). It assumes that
    confidence means on the batch what it means in training, so it is not given for a batch that
    is not to be trusted: there a labeler can be sure and wrong.
    """
    held_out = profile.held_out
    found: dict[str, Any] = {
        "held_out": number(held_out.accuracy),
        "held_out_confidence": number(held_out.confidence),
        "confidence": None,
        "predicted": None,
    }
    if not batch.pairs:
        return {**found, "reason": "no pair was graded"}
    confidence = float(batch.totals["confidence_sum"][0]) / batch.pairs
    found["confidence"] = number(confidence)
    if verdict == DISTRUST:
        return {**found, "reason": "confidence says nothing about pairs so unlike training"}
    predicted = held_out.accuracy - (held_out.confidence - confidence)
    return {**found, "predicted": number(min(max(predicted, 0.0), 1.0))}


def _line(verdict: str, compared: Mapping[str, Any], batch: BatchStatistics) -> str:
    if verdict == OK:
        return f"drift: ok: {batch.pairs} pairs of {batch.queries} queries look like training"
    found = [c for c in COMPARISONS if compared[c.name]["verdict"] == verdict]
    # How far past its limit: the plainest difference first.
    found.sort(key=lambda c: -compared[c.name]["value"] / max(compared[c.name]["watch"], 1e-9))
    named = ", ".join(_described(c, compared[c.name]) for c in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    # Where the subject is another one, lengths and fields follow from it.
    advice = next((c.do for c in found if c.do == NEW_DOMAIN), found[0].do)
    return f"drift: {verdict}: {named}{more}; {advice}"


def _described(comparison: Comparison, result: Mapping[str, Any]) -> str:
    if comparison.name == "fields":
        moved = max(FIELDS, key=lambda f: abs(result["batch"][f] - result["reference"][f]))
        sides = (result["batch"][moved], result["reference"][moved])
        return f"pairs with a {moved} {sides[0]:.0%} (training {sides[1]:.0%})"
    if comparison.figure is not None:
        return f"{comparison.title} {result['batch']:.0%} (training {result['reference']:.0%})"
    return f"{comparison.title} (stability index {result['value']:.2f})"


@dataclass(kw_only=True)
class DriftWatch(Watch):
    """Compares a batch with what its labeler was trained on; reads the texts of a share of it."""

    profile: TrainingProfile
    reader: PairReader
    scale: GradeScale
    share: float
    settings: DriftSettings
    seed: int

    def observe(self, graded: GradedShard) -> dict[str, Any]:
        """Counts of one shard, plain JSON."""
        return observe_shard(graded, self.reader, self.scale, self.share)

    def conclude(self, observed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The comparison of all shards; see `compare`."""
        uncounted = sum(1 for shard in observed if not shard)
        if uncounted:
            return not_known(
                f"{uncounted} of {len(observed)} parts were scored before without the comparison; "
                "score the file afresh to compare it"
            )
        return compare(self.profile, merge(observed), self.settings, self.seed)


def watch_over(grader: Grader, rows: int, settings: DriftSettings, seed: int) -> Watch:
    """What watches a scoring of so many rows by a labeler; a judge has no training profile."""
    if settings.sample == 0:
        return Watch(not_known("turned off (scoring.drift.sample=0)"))
    if not isinstance(grader, Labeler):
        return Watch(not_known(f"{grader.name} was not distilled here"))
    try:
        profile = read_profile(grader.folder)
    except UserError as error:
        return Watch(not_known(str(error)))
    return DriftWatch(
        profile=profile,
        reader=PairReader(grader, Vocabulary.from_text(profile.key, profile.vocabulary)),
        scale=grader.scale,
        share=min(1.0, settings.sample / max(rows, 1)),
        settings=settings,
        seed=seed,
    )
