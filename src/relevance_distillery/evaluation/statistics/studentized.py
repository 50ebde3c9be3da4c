"""A figure's interval from its standard error and how far resamples strayed, in such errors.

The interval is studentized (Efron and Tibshirani, 1993, chapter 12): the critical value is not
Student's t but what |resampled figure - figure| / its own standard error reached, in both
directions together (the symmetric bootstrap-t; Hall, 1988), and never below Student's t. The
standard error over queries is the jackknife's, which does not err on the small side (Efron and
Stein, 1981). A figure with bounds is treated on the logit scale between them (Fisher's z where
they are -1 and 1), where its error depends less on where it stands, so that limits stay inside;
a figure on a bound has no place on that scale: its limits are its own, cut off at the bounds.

Chosen in simulation (docs/results/coverage.md shows what it does): BCa limits covered a kappa too
seldom, the equal-tailed bootstrap-t differences of means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import t as student_t

Floats = NDArray[np.float64]
Bounds = tuple[float, float]

UNBOUNDED: Bounds = (-np.inf, np.inf)

_SMALLEST = 0.2
"""A resample's standard error counts as at least this share of the figure's: a few resamples of
a few queries hold next to no spread, and would decide alone."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its limits; nan where it is not defined.

    Attributes:
        estimate: The figure over all queries.
        low, high: Limits of the interval.
    """

    estimate: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Studentized:
    """An estimate, its standard error, and what that ratio reached in the resamples.

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
        values: Floats,
        strayed: Floats | None,
        errors: Floats | None,
    ) -> Studentized:
        """Put an estimate and its resamples together.

        Args:
            estimate: The figure over all queries, nan where it is not defined.
            error: Its standard error over queries, nan where it has none.
            freedom: Queries that count, less one.
            bounds: Lowest and highest possible value.
            values: The figure in the resamples, shape (resamples,), all finite.
            strayed: How far each is from the estimate, shape (resamples,);
                None for Student's t.
            errors: The standard error in each, shape (resamples,).
        """
        if not np.isfinite(estimate) or not np.isfinite(error) or freedom < 1:
            return cls(estimate, float("nan"), freedom)
        if error < 1e-12 or np.ptp(values) < 1e-12:
            return cls(estimate, 0.0, freedom, resamples=values.size)
        ratios = None
        if strayed is not None and errors is not None:
            own = np.maximum(np.nan_to_num(errors), _SMALLEST * error)
            ratios = np.sort(np.abs(strayed) / own)
        low, high = bounds
        logit = bool(np.isfinite(low) and low < estimate < high)
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
        middle = self._inner(self.estimate)
        return Interval(self.estimate, self._outer(middle - reach), self._outer(middle + reach))

    def p_at_most(self, value: float) -> float:
        """One-sided p-value of the null hypothesis that the figure is `value` or less.

        The interval turned round: below (1 - level) / 2 exactly where the lower limit of the
        interval of that level lies above `value`.

        Returns:
            From 1 / (resamples + 1), which no number of draws can go below, to 1; nan where
            there is no interval.
        """
        return self._tail(self._inner(self.estimate) - self._inner(value))

    def p_at_least(self, value: float) -> float:
        """One-sided p-value of the null hypothesis that the figure is `value` or more."""
        return self._tail(self._inner(value) - self._inner(self.estimate))

    def _tail(self, apart: float) -> float:
        """Chance to be so far on the right side of a value."""
        if not np.isfinite(self.error):
            return float("nan")
        smallest = 1.0 / (self.resamples + 1)
        if self.error == 0.0:
            return smallest if apart > 0 else 1.0
        tail = self._beyond(abs(apart) / self.error) / 2.0
        return max(tail if apart >= 0 else 1.0 - tail, smallest)

    def _beyond(self, ratio: float) -> float:
        """Two-sided chance of a ratio this large."""
        chance = 2.0 * float(student_t.sf(ratio, self.freedom))
        if self.ratios is None:
            return chance
        places = np.linspace(0.0, 1.0, self.ratios.size)
        return max(chance, 1.0 - float(np.interp(ratio, self.ratios, places)))

    def _inner(self, value: float) -> float:
        if not self.logit:
            return value
        low, high = self.bounds
        if not low < value < high:
            return -np.inf if value <= low else np.inf
        return float(np.log((value - low) / (high - value)))

    def _outer(self, place: float) -> float:
        low, high = self.bounds
        return float(low + (high - low) * expit(place) if self.logit else np.clip(place, low, high))
