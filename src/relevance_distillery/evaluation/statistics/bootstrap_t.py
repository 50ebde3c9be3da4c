"""Symmetric bootstrap-t intervals (Hall, 1988) and one-sided p-values of a figure.

The interval is studentized (Efron and Tibshirani, 1993, chapter 12): its critical value is a
quantile of |resampled figure - figure| / standard error of the resample, never below Student's
t. The standard error over queries is the jackknife's, which is not biased downwards (Efron and
Stein, 1981). A figure with bounds is treated on the logit scale between them (Fisher's z where
they are -1 and 1), so that limits stay inside; a figure that equals a bound, and a difference of
two figures, is treated on its own scale, its limits clipped to the bounds.

Chosen in simulation (docs/results/coverage.md): BCa limits covered a kappa too seldom, the
equal-tailed bootstrap-t differences of means.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import expit
from scipy.stats import t as student_t

from relevance_distillery.evaluation.statistics.arrays import Floats

Bounds = tuple[float, float]

UNBOUNDED: Bounds = (-np.inf, np.inf)

_SMALLEST = 0.2
"""A resample's standard error counts as at least this share of the figure's: with few queries some
resamples have next to no spread, and would set the quantile alone."""


@dataclass(frozen=True)
class Interval:
    """A figure over all queries with its limits; nan where it is not defined."""

    estimate: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Studentized:
    """An estimate, its standard error, and the studentized deviations of its resamples.

    Attributes:
        estimate: The figure over all queries.
        error: Its standard error, on the logit scale where `logit`; nan without an interval, 0
            where the figure does not vary.
        freedom: Degrees of freedom: queries that count, less one.
        bounds: Lowest and highest possible value.
        logit: Whether the figure is treated on the logit scale between the bounds.
        ratios: |resampled - estimate| / standard error of the resample, sorted; None where
            Student's t has to do.
        resamples: How many resamples had the figure.
    """

    estimate: float
    error: float
    freedom: int
    bounds: Bounds = UNBOUNDED
    logit: bool = False
    ratios: Floats | None = None
    resamples: int = 0

    @classmethod
    def of(
        cls,
        estimate: float,
        error: float,
        freedom: int,
        bounds: Bounds,
        logit: bool,
        values: Floats,
        deviations: Floats | None,
        errors: Floats | None,
    ) -> Self:
        """From an estimate and its resamples, each of shape (resamples,).

        `values` has the figure, all finite; `deviations` what it lies above the estimate, and
        `errors` its standard errors, None to use Student's t. Estimate and standard error are nan
        where they are not defined.
        """
        if not np.isfinite(estimate) or not np.isfinite(error) or freedom < 1:
            return cls(estimate, float("nan"), freedom)
        if error < 1e-12 or np.ptp(values) < 1e-12:
            return cls(estimate, 0.0, freedom, resamples=values.size)
        ratios = None
        if deviations is not None and errors is not None:
            own = np.nan_to_num(errors)
            # A resample of one value alone, as often where another is rare, has no scale: a share
            # of 19 in 20 would reach down to 9 %.
            some = own > 0.01 * error
            own = np.maximum(own, _SMALLEST * error)
            ratios = np.sort(np.abs(deviations[some]) / own[some]) if some.any() else None
        low, high = bounds
        logit = bool(logit and np.isfinite(low) and low < estimate < high)
        if logit:
            error *= (high - low) / ((estimate - low) * (high - estimate))
        return cls(estimate, error, freedom, bounds, logit, ratios, values.size)

    def interval(self, level: float = 0.95) -> Interval:
        """The estimate with its two-sided limits; nan where there are none."""
        if not np.isfinite(self.error):
            return Interval(self.estimate)
        if self.error == 0.0:
            return Interval(self.estimate, self.estimate, self.estimate)
        critical = float(student_t.ppf((1.0 + level) / 2.0, self.freedom))
        if self.ratios is not None:
            critical = max(critical, float(np.quantile(self.ratios, level)))
        reach = critical * self.error
        middle = self._scaled(self.estimate)
        return Interval(
            self.estimate, self._unscaled(middle - reach), self._unscaled(middle + reach)
        )

    def p_at_most(self, value: float) -> float:
        """One-sided p-value of the null hypothesis that the figure is `value` or less.

        The inversion of the interval: below (1 - level) / 2 exactly where the lower limit of
        the interval of that level lies above `value`.

        Returns:
            From 1 / (resamples + 1), which no number of draws can go below, to 1; nan where
            there is no interval.
        """
        return self._tail(self._scaled(self.estimate) - self._scaled(value))

    def p_at_least(self, value: float) -> float:
        """One-sided p-value of the null hypothesis that the figure is `value` or more."""
        return self._tail(self._scaled(value) - self._scaled(self.estimate))

    def _tail(self, apart: float) -> float:
        """One-sided tail probability at a distance on the (logit) scale."""
        if not np.isfinite(self.error):
            return float("nan")
        smallest = 1.0 / (self.resamples + 1)
        if self.error == 0.0:
            return smallest if apart > 0 else 1.0
        tail = self._two_sided(abs(apart) / self.error) / 2.0
        return max(tail if apart >= 0 else 1.0 - tail, smallest)

    def _two_sided(self, ratio: float) -> float:
        """Two-sided tail probability of a studentized deviation."""
        chance = 2.0 * float(student_t.sf(ratio, self.freedom))
        if self.ratios is None:
            return chance
        places = np.linspace(0.0, 1.0, self.ratios.size)
        return max(chance, 1.0 - float(np.interp(ratio, self.ratios, places)))

    def _scaled(self, value: float) -> float:
        if not self.logit:
            return value
        low, high = self.bounds
        if not low < value < high:
            return -np.inf if value <= low else np.inf
        return float(np.log((value - low) / (high - value)))

    def _unscaled(self, value: float) -> float:
        low, high = self.bounds
        return float(low + (high - low) * expit(value) if self.logit else np.clip(value, low, high))
