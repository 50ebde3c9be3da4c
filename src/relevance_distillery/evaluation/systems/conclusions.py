"""What one would conclude about systems, and whether a machine's grades lead to the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from relevance_distillery.evaluation.statistics.bootstrap_t import Interval
from relevance_distillery.evaluation.statistics.numbers import interval_json, number
from relevance_distillery.evaluation.statistics.prediction_powered import powered_mean
from relevance_distillery.evaluation.statistics.randomization import holm
from relevance_distillery.evaluation.systems.estimates import Options, Values, powered
from relevance_distillery.evaluation.systems.rank_correlation import CORRELATIONS, correlations
from relevance_distillery.evaluation.systems.significance import (
    PairwiseTests,
    pairwise_tests,
    survival,
)

Floats = NDArray[np.float64]

_SAME = 1e-12
_ONE_SYSTEM = "one system only: there is no ranking"
_NO_QUERY = "no query that people graded completely has grades of this judge"


def ranking(systems: tuple[str, ...], means: Floats) -> list[list[str]]:
    """Systems from best to worst; those whose means are equal stand together."""
    groups: list[list[str]] = []
    last = np.inf
    for place in np.argsort(-means, kind="stable"):
        if not np.isfinite(means[place]):
            continue
        if groups and abs(last - means[place]) <= _SAME:
            groups[-1].append(systems[place])
        else:
            groups.append([systems[place]])
            last = means[place]
    return groups


def judged_like_people(values: Values, judge: str, options: Options) -> dict[str, Any]:
    """Whether a judge ranks systems as people do, on the queries that both graded.

    Args:
        values: The measure.
        judge: The judge.
        options: How intervals and p-values are computed.

    Returns:
        `queries`, `mean_difference` (machine minus people, over systems and queries),
        `kendall_tau` and `ap_correlation` with intervals over queries, `conclusions` with the
        pairs of systems that are significant under people, how many of these survive or flip
        under the machine, and which the machine alone finds; `reason` where not defined.
    """
    both = values.both(judge)
    people, machine = values.people[:, both], values.machine[judge][:, both]
    found: dict[str, Any] = {"queries": int(both.sum())}
    if not both.any() or len(people) < 2:
        reason = _NO_QUERY if not both.any() else _ONE_SYSTEM
        nothing = {"estimate": None, "low": None, "high": None, "reason": reason}
        return found | dict.fromkeys(CORRELATIONS, nothing) | {"reason": reason}
    found["mean_difference"] = number(float((machine - people).mean()))
    limits = correlations(people, machine, options.resamples, options.seed, options.level)
    tied = "all systems have the same mean under people or under this judge"
    loose = "one query only, or all systems tie in too many resamples"
    found |= {name: interval_json(limits[name], tied, loose) for name in CORRELATIONS}
    true = pairwise_tests(people, options.permutations, options.seed, options.level)
    seen = pairwise_tests(machine, options.permutations, options.seed, options.level)
    found["conclusions"] = _survival_json(true, seen, options.level)
    return found


def _survival_json(people: PairwiseTests, machine: PairwiseTests, level: float) -> dict[str, Any]:
    found = survival(people, machine, level)
    share: dict[str, Any] = {"survive_share": None, "flip_share": None}
    if found.people:
        share = {
            "survive_share": number(found.survive / found.people),
            "flip_share": number(found.flip / found.people),
        }
    else:
        share["reason"] = "no difference is significant under people's grades"
    return {
        "pairs": found.pairs,
        "people": found.people,
        "machine": found.machine,
        "survive": found.survive,
        "flip": found.flip,
        "lost": found.people - found.survive - found.flip,
        "machine_alone": found.machine_alone,
        "swaps": people.swaps,
    } | share


def basis_of(values: Values) -> tuple[str, str]:
    """Which grades decide between systems, and by which judge.

    Returns:
        `people` where people graded all queries completely, `prediction_powered` where they
        graded at least two, else `machine`; the judge is empty for `people`.
    """
    judge = next(iter(values.machine), "")
    if values.complete.all():
        return "people", ""
    if judge and values.both(judge).sum() >= 2:
        return "prediction_powered", judge
    if judge:
        return "machine", judge
    return "people", ""


def differences(systems: tuple[str, ...], values: Values, options: Options) -> dict[str, Any]:
    """Every pair of systems by the best grades that there are.

    Args:
        systems: Names.
        values: The measure.
        options: Level.

    Returns:
        `basis` and `judge` (see `basis_of`), `ranking`, and `pairs`: a list of first, second,
        estimate, low, high (first minus second), p (Holm over all pairs), sure (p below
        1 − level); p is null with a reason where there is none.
    """
    basis, judge = basis_of(values)
    alone = np.eye(len(systems))
    means = np.array([_based(values, basis, judge, one, options)[0].estimate for one in alone])
    pairs, raw = [], {}
    for first, second in zip(*np.triu_indices(len(systems), 1), strict=True):
        limits, p, reason = _based(values, basis, judge, alone[first] - alone[second], options)
        reason = reason or "not defined"
        names = {"first": systems[first], "second": systems[second]}
        pairs.append(names | interval_json(limits, reason, reason))
        raw[f"{first} {second}"] = p
    for pair, p in zip(pairs, holm(raw).values(), strict=True):
        pair |= {"p": number(p), "sure": bool(p < 1.0 - options.level)}
    return {"basis": basis, "judge": judge, "ranking": ranking(systems, means), "pairs": pairs}


def _based(
    values: Values, basis: str, judge: str, rows: Floats, options: Options
) -> tuple[Interval, float, str]:
    """Mean of a combination of systems, its p-value against 0, and why something is missing."""
    if basis == "prediction_powered":
        found = powered(values, judge, rows, options.level)
    else:
        table = values.people if basis == "people" else values.machine[judge]
        whole = np.isfinite(table).all(0)
        weight = values.weight if basis == "people" else None
        combined = rows @ table[:, whole]
        found = powered_mean(
            combined,
            combined,
            np.zeros(0),
            level=options.level,
            weight=None if weight is None else weight[whole],
        )
    if found.interval.estimate == 0.0 and not np.isfinite(found.p):
        return found.interval, found.p, "the two have the same value in every query"
    return found.interval, found.p, "" if np.isfinite(found.p) else found.reason
