"""Prediction-powered inference: a mean from few human and many machine values.

Machine values of many queries give a precise but possibly biased mean; the queries that people
graded too measure the bias (Angelopoulos et al., 2023, Science 382). The weight λ of the machine
is tuned on the data (PPI++; Angelopoulos, Duchi and Zrnic, 2023, arXiv 2311.01453), so that a bad
machine costs little. Queries whose human values taught the machine must not correct it.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student_t

from relevance_distillery.evaluation.statistics.arrays import Floats
from relevance_distillery.evaluation.statistics.bootstrap_t import UNBOUNDED, Bounds, Interval

Quantiles = Literal["t", "normal"]

FEWEST_TUNED = 5
"""With fewer human units λ is not fitted: its own error would outweigh the gain."""


@dataclass(frozen=True)
class PredictionPowered:
    """The mean of human values, estimated from people and machine together.

    Attributes:
        interval: The prediction-powered mean with its limits.
        classical: The mean of the human values alone with its limits.
        machine: The mean of all machine values, unadjusted; nan where there are none.
        power: λ of PPI++: 0 ignores the machine, 1 trusts it fully.
        human_units: How many units (queries) have a human value.
        machine_units: How many units have a machine value alone.
        effective_units: How many human units alone would have this standard error; nan
            where there is no interval.
        reason: Why there are no limits, or why the machine was not used; empty when neither.
        p: Two-sided p-value of a mean of 0, for differences; nan where there is no interval.
    """

    interval: Interval
    classical: Interval
    machine: float
    power: float
    human_units: int
    machine_units: int
    effective_units: float
    reason: str = ""
    p: float = float("nan")


@dataclass(frozen=True)
class _Estimate:
    """A mean, the variance of its error, and the degrees of freedom of that variance.

    With infinite degrees of freedom Student's t is the normal distribution.
    """

    mean: float
    variance: float
    freedom: float

    def limits(self, level: float, bounds: Bounds) -> Interval:
        reach = float(student_t.ppf((1.0 + level) / 2.0, self.freedom)) * self.variance**0.5
        places = np.clip([self.mean, self.mean - reach, self.mean + reach], *bounds)
        return Interval(*map(float, places))

    def p_of_zero(self) -> float:
        return 2.0 * float(student_t.sf(abs(self.mean) / self.variance**0.5, self.freedom))


def powered_mean(
    human: ArrayLike,
    machine: ArrayLike,
    machine_only: ArrayLike,
    level: float = 0.95,
    power: float | None = None,
    weight: ArrayLike | None = None,
    quantiles: Quantiles = "t",
    bounds: Bounds = UNBOUNDED,
) -> PredictionPowered:
    """Prediction-powered mean over queries; for two systems give differences of their values.

    The normal form is the paper's. With a few dozen human values it covers too little
    (docs/results/coverage.md). The default leaves each human unit out in turn and fits λ anew,
    so that the variance counts λ's own error (delete-one jackknife; Efron and Stein, 1981),
    and takes t quantiles: n - 2 degrees of freedom for the human part, one lost to λ,
    N - 1 for the machine part, together those of Satterthwaite (1946).

    Args:
        human: Values by people of the units that have both, shape (n,).
        machine: Machine values of the same units, shape (n,).
        machine_only: Machine values of the other units, shape (N,).
        level: Nominal coverage.
        power: λ; fitted within 0 to 1 when None.
        weight: How many units each of the n stands for, shape (n,): 1 / its inclusion
            probability. Means are ratios (Hájek, 1971), and so are their variances, which
            do not change when a constant is added to every value.
        quantiles: `normal` for the form of the paper.
        bounds: The lowest and highest possible mean; a correction can lead beyond, and is cut.

    Returns:
        The mean with its limits; limits are nan where `reason` says why.

    Raises:
        ValueError: Arrays differ in length, or hold a value that is not finite or a weight
            that is not above 0.
    """
    people, judged = _finite("human", human), _finite("machine", machine)
    others = _finite("machine_only", machine_only)
    if people.size != judged.size:
        raise ValueError(f"{people.size} human values but {judged.size} machine values beside them")
    weights = np.ones(people.size) if weight is None else _finite("weight", weight)
    if weights.size != people.size:
        raise ValueError(f"{weights.size} values of weight for {people.size} units")
    if (weights <= 0).any():
        raise ValueError("weight must be above 0")
    ones = np.ones(others.size)
    found = PredictionPowered(
        interval=Interval(_mean(people, weights)),
        classical=Interval(_mean(people, weights)),
        machine=_mean(np.append(judged, others), np.append(weights, ones)),
        power=0.0,
        human_units=people.size,
        machine_units=others.size,
        effective_units=float("nan"),
        reason=_without_limits(people),
    )
    if found.reason:
        return found

    alone = _estimate(people, weights, quantiles)
    found = replace(found, classical=alone.limits(level, bounds))
    unused = _without_machine(people, others, power)
    if unused:
        both = alone
    else:
        fitted = _fitted_power(people, judged, others, weights)
        found = replace(found, power=fitted if power is None else power)
        residual = _estimate(people - found.power * judged, weights, quantiles)
        if power is None and quantiles == "t":
            variance = _jackknife(people, judged, others, weights)
            residual = replace(residual, variance=variance, freedom=people.size - 2.0)
        both = _sum(residual, _estimate(found.power * others, ones, quantiles))
    if both.variance <= 1e-24:
        reason = "people's values and the machine's leave no spread to estimate an interval from"
        mean = float(np.clip(both.mean, *bounds))
        return replace(found, interval=Interval(mean), reason=reason)
    return replace(
        found,
        interval=both.limits(level, bounds),
        effective_units=people.size * alone.variance / both.variance,
        reason=unused,
        p=both.p_of_zero(),
    )


def _without_limits(human: Floats) -> str:
    """Why there cannot be an interval; empty when there can."""
    if human.size == 0:
        return "no query has values by people"
    if human.size == 1:
        return "one query only has values by people"
    if np.ptp(human) <= 1e-12:
        return f"people's values of all {human.size} queries are equal: their spread is unknown"
    return ""


def _without_machine(human: Floats, machine_only: Floats, power: float | None) -> str:
    """Why the machine values are not used; empty when they are."""
    if machine_only.size == 0:
        return "no query has machine values alone: the interval is that of people's values"
    if power is None and human.size < FEWEST_TUNED:
        return (
            f"only {human.size} queries have values by people: too few to tell how far to trust "
            "the machine, the interval is that of people's values"
        )
    return ""


def _fitted_power(human: Floats, machine: Floats, machine_only: Floats, weights: Floats) -> float:
    """λ that makes the interval shortest (PPI++, section 6), within 0 to 1."""
    own = weights / weights.mean()
    centre = machine_only.mean() + _mean(human - machine, own)
    people, judged = own * (human - centre), own * (machine - centre)
    together = float(((people - people.mean()) * (judged - judged.mean())).mean())
    both = np.append(judged, machine_only - centre)
    spread = float(both.var(ddof=1)) * (1.0 + human.size / machine_only.size)
    return float(np.clip(together / spread, 0.0, 1.0)) if spread > 1e-24 else 0.0


def _jackknife(human: Floats, machine: Floats, machine_only: Floats, weights: Floats) -> float:
    """Variance of the whole estimate over the human units, the fit of λ included."""
    estimates = np.empty(human.size)
    for left_out in range(human.size):
        kept = np.arange(human.size) != left_out
        people, judged, weight = human[kept], machine[kept], weights[kept]
        power = _fitted_power(people, judged, machine_only, weight)
        own = _mean(people - power * judged, weight)
        estimates[left_out] = own + power * machine_only.mean()
    return float(((estimates - estimates.mean()) ** 2).sum()) * (human.size - 1) / human.size


def _estimate(values: Floats, weights: Floats, quantiles: Quantiles) -> _Estimate:
    """The weighted mean; its variance is that of a ratio, without bias for the t form."""
    mean = _mean(values, weights)
    errors = weights / weights.sum() * (values - mean)
    variance = float((errors**2).sum())
    if quantiles == "normal":
        return _Estimate(mean, variance, np.inf)
    freedom = max(values.size - 1.0, 1.0)
    return _Estimate(mean, variance * (values.size / freedom), freedom)


def _sum(first: _Estimate, second: _Estimate) -> _Estimate:
    """The sum of two independent estimates (degrees of freedom: Satterthwaite, 1946)."""
    variance = first.variance + second.variance
    parts = first.variance**2 / first.freedom + second.variance**2 / second.freedom
    freedom = variance**2 / parts if parts > 0 else first.freedom
    return _Estimate(first.mean + second.mean, variance, freedom)


def _mean(values: Floats, weights: Floats) -> float:
    return float((weights * values).sum() / weights.sum()) if values.size else float("nan")


def _finite(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(array).all():
        missing = int((~np.isfinite(array)).sum())
        raise ValueError(
            f"{name} has {missing} values that are not finite; leave those queries out"
        )
    return array
