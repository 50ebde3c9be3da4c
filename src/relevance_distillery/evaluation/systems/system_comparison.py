"""Which systems differ significantly, and whether a machine's grades rank them as people do."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relevance_distillery.evaluation.statistics import bootstrap
from relevance_distillery.evaluation.statistics.arrays import Floats
from relevance_distillery.evaluation.statistics.bootstrap_t import Interval
from relevance_distillery.evaluation.statistics.numbers import interval_json, number
from relevance_distillery.evaluation.statistics.prediction_powered import powered_mean
from relevance_distillery.evaluation.statistics.randomization import holm, sign_flips
from relevance_distillery.evaluation.systems.system_means import Options, Values, bounds_of, powered

_SAME = 1e-12
"""Means that differ by less tie: they differ by the order of additions alone."""

_ONE_SYSTEM = "one system only: there is no ranking"
_NO_QUERY = "no query that people graded completely has grades of this judge"
_MOST_SWAPS = 200_000
_SWAPS_FOR_SMALLEST = 10
"""The smallest p-value, times the number of pairs, stays this many times below the level."""


def kendall_tau(truth: ArrayLike, estimate: ArrayLike) -> Floats:
    """Kendall's τ-b (Kendall, 1945): agreeing pairs minus disagreeing ones, corrected for ties.

    From two scores of systems, shape (rankings, systems) or (systems,), to shape (rankings,); nan
    where either ties all systems, or there is one system only.
    """
    one, two = _signs(truth), _signs(estimate)
    together = (one * two).sum((1, 2))
    untied = np.abs(one).sum((1, 2)) * np.abs(two).sum((1, 2))
    nothing = np.full(len(untied), np.nan)
    return np.divide(together, np.sqrt(untied), out=nothing, where=untied > 0)


def ap_correlation(truth: ArrayLike, estimate: ArrayLike) -> Floats:
    """AP-correlation τ_AP (Yilmaz, Aslam and Robertson, 2008), which weighs the top more.

    Walk down the estimated ranking: of the systems above each one, which share is truly better?
    Its mean over all but the first system, times two minus one. Systems that the estimate ties
    are taken in every order and averaged, exactly; a pair that the truth ties counts one half
    whichever stands above (as in Urbano and Marrero, 2017). It is not symmetric. Shapes and nan as
    in `kendall_tau`, values from −1 to 1.
    """
    better, above = _signs(truth), _signs(estimate)
    size = better.shape[1]
    # above[r, i, j] is 1 where j stands above i; right, where it truly is better.
    above_one = above > 0
    right = np.where(above_one, (better + 1.0) / 2.0, 0.0).sum(2)
    higher = above_one.sum(2)
    tied = (above == 0).sum(2)
    total = np.zeros(better.shape[:2])
    for more in range(int(tied.max(initial=0))):
        # `more` of the systems tied with it stand above it, each right in half of all orders.
        reached = (more < tied) & (higher + more > 0)
        share = (right + more / 2.0) / np.maximum(higher + more, 1)
        total += np.where(reached, share / tied, 0.0)
    defined = (np.abs(better).sum((1, 2)) > 0) & (np.abs(above).sum((1, 2)) > 0)
    return np.where(defined, 2.0 * total.sum(1) / max(size - 1.0, 1.0) - 1.0, np.nan)


CORRELATIONS = {"kendall_tau": kendall_tau, "ap_correlation": ap_correlation}


def correlations(
    truth: Floats, estimate: Floats, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Correlations of two rankings of systems by their means, with intervals over queries.

    The intervals are plain percentiles of the resamples: a rank correlation moves in steps and is
    bounded, so corrections that divide by its spread or shift it by its bias (studentized, basic,
    BCa) cover too little (about 80 % in simulation, where percentiles cover 92 to 100 %). Noise
    pulls resampled correlations towards 0, so the estimate can stand at a limit.

    `truth` and `estimate` are a measure by people's and by other grades, shape (systems, queries),
    no nan.

    Returns:
        By name of `CORRELATIONS`; limits are nan with fewer than two queries, or where the
        correlation is not defined in a tenth of the resamples.
    """
    systems, queries = truth.shape
    drawn: dict[str, list[Floats]] = {name: [] for name in CORRELATIONS}
    step = max(1, bootstrap.CELLS // (2 * systems**2))
    for counts in bootstrap.resamples_of_queries(queries, resamples, seed) if queries > 1 else ():
        for start in range(0, len(counts), step):
            weights = counts[start : start + step] / queries
            means = weights @ truth.T, weights @ estimate.T
            for name, figure in CORRELATIONS.items():
                drawn[name].append(figure(*means))
    found = {}
    for name, figure in CORRELATIONS.items():
        value = float(figure(truth.mean(1), estimate.mean(1))[0])
        values = np.concatenate(drawn[name]) if drawn[name] else np.zeros(0)
        values = values[np.isfinite(values)]
        if not np.isfinite(value) or values.size < max(bootstrap.FEWEST_DEFINED * resamples, 2):
            found[name] = Interval(value)
            continue
        low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
        found[name] = Interval(value, min(float(low), value), max(float(high), value))
    return found


def _signs(scores: ArrayLike) -> Floats:
    """Sign of system j minus system i, shape (rankings, i, j)."""
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    apart = table[:, None, :] - table[:, :, None]
    return np.where(np.abs(apart) <= _SAME, 0.0, np.sign(apart))


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
        nothing = interval_json(Interval(np.nan), reason, reason)
        return found | dict.fromkeys(CORRELATIONS, nothing) | {"reason": reason}
    found["mean_difference"] = number(float((machine - people).mean()))
    limits = correlations(people, machine, options.resamples, options.seed, options.level)
    tied = "all systems have the same mean under people or under this judge"
    loose = "one query only, or all systems tie in too many resamples"
    found |= {name: interval_json(limits[name], tied, loose) for name in CORRELATIONS}
    true = pairwise_tests(people, options.permutations, options.seed, options.level)
    seen = pairwise_tests(machine, options.permutations, options.seed, options.level)
    found["conclusions"] = survival(true, seen, options.level)
    return found


@dataclass(frozen=True)
class PairwiseTests:
    """Every pair of systems compared by query, in the order of `np.triu_indices`.

    Attributes:
        difference: Mean of the first minus mean of the second, shape (pairs,).
        p: Two-sided p-values of the randomisation test, shape (pairs,).
        p_holm: The same, corrected for the number of pairs (Holm, 1979).
        swaps: How many random swaps were made.
    """

    difference: Floats
    p: Floats
    p_holm: Floats
    swaps: int


def pairwise_tests(
    values: Floats, permutations: int = 2000, seed: int = 0, level: float = 0.95
) -> PairwiseTests:
    """Paired randomisation test with queries as units, for every pair of systems.

    Under the null hypothesis it does not matter which of two systems has which value of a query
    (Smucker, Allan and Carterette, 2007). All pairs see the same swaps; there are more than
    `permutations` where Holm's correction for the number of pairs could otherwise never find
    anything below 1 − level. `values` has the shape (systems, queries), no nan.
    """
    systems, queries = values.shape
    first, second = np.triu_indices(systems, 1)
    apart = values[first] - values[second]
    needed = int(np.ceil(_SWAPS_FOR_SMALLEST * len(first) / (1.0 - level)))
    swaps = min(max(permutations, needed), max(_MOST_SWAPS, permutations))
    p = sign_flips(apart, swaps, seed)
    corrected = holm({f"{pair:08d}": float(value) for pair, value in enumerate(p)})
    return PairwiseTests(
        difference=apart.mean(1) if queries else np.full(len(first), np.nan),
        p=p,
        p_holm=np.array(list(corrected.values())),
        swaps=swaps,
    )


def survival(people: PairwiseTests, machine: PairwiseTests, level: float) -> dict[str, Any]:
    """What becomes of conclusions drawn from people's grades, significant below 1 − level.

    Returns:
        pairs (of systems), people and machine (significant by either's grades), survive and flip
        (significant by both, with the same sign and with opposite ones), lost (by people's
        alone), machine_alone, swaps, and the shares of survive and flip among people's; `reason`
        where these are null.
    """
    true, found = people.p_holm < 1.0 - level, machine.p_holm < 1.0 - level
    same = np.sign(people.difference) == np.sign(machine.difference)
    counts: dict[str, Any] = {
        "pairs": len(true),
        "people": int(true.sum()),
        "machine": int(found.sum()),
        "survive": int((true & found & same).sum()),
        "flip": int((true & found & ~same).sum()),
        "lost": int((true & ~found).sum()),
        "machine_alone": int((found & ~true).sum()),
        "swaps": people.swaps,
    }
    for kept in ("survive", "flip"):
        share = counts[kept] / counts["people"] if counts["people"] else None
        counts[f"{kept}_share"] = number(share)
    if not counts["people"]:
        counts["reason"] = "no difference is significant under people's grades"
    return counts


def differences(systems: tuple[str, ...], values: Values, options: Options) -> dict[str, Any]:
    """Every pair of systems by the best grades that there are.

    Returns:
        `basis` (`people` where people graded all queries completely or there is no judge,
        `prediction_powered` where they graded at least two, else `machine`), `judge` (empty for
        `people`), `ranking`, and `pairs`: a list of first, second, estimate, low, high (first
        minus second), p (Holm over all pairs), sure (p below 1 − level); p is null with a reason
        where there is none.
    """
    basis, judge = "people", ""
    if values.machine and not values.complete.all():
        judge = next(iter(values.machine))
        basis = "prediction_powered" if values.both(judge).sum() >= 2 else "machine"
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
        table, weight = values.people, values.weight
        if basis == "machine":
            table, weight = values.machine[judge], None
        whole = np.isfinite(table).all(0)
        combined = rows @ table[:, whole]
        weight = None if weight is None else weight[whole]
        bounds = bounds_of(rows, table)
        found = powered_mean(
            combined, combined, [], level=options.level, weight=weight, bounds=bounds
        )
    if found.interval.estimate == 0.0 and not np.isfinite(found.p):
        return found.interval, found.p, "the two have the same value in every query"
    return found.interval, found.p, "" if np.isfinite(found.p) else found.reason
