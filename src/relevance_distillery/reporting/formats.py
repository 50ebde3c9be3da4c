"""Numbers and lists as every page prints them."""

from collections.abc import Mapping, Sequence
from typing import Any


def figure(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """A figure with a fixed number of decimals, a dash where there is none."""
    if value is None:
        return "–"
    rounded = round(value, digits) + 0.0
    text = f"{rounded:+.{digits}f}" if signed else f"{rounded:.{digits}f}"
    return text.replace("-", "−")


def span(row: Mapping[str, Any], digits: int = 3, signed: bool = False) -> str:
    """The limits of an interval, `0.47–0.68` or `−0.03 to +0.04`; empty where there are none."""
    if row.get("low") is None or row.get("high") is None:
        return ""
    # The word joiner keeps a narrow column from breaking the line after the dash.
    between = " to " if signed or row["low"] < 0 else "–\u2060"
    return figure(row["low"], digits, signed) + between + figure(row["high"], digits, signed)


def interval(row: Mapping[str, Any]) -> str:
    """Estimate and limits, `0.58 (0.47–0.68)`."""
    limits = span(row)
    return f"{figure(row['estimate'])} ({limits})" if limits else figure(row["estimate"])


def p_value(p: float | None) -> str:
    """A p-value with three decimals."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def dollars(value: float | None) -> str:
    """Dollars with two significant digits below a cent, else as a price."""
    if value is None:
        return "not known"
    if value == 0:
        return "$0"
    if value >= 100:
        return f"${value:,.0f}"
    if value >= 0.01:
        return f"${value:.2f}"
    digits = 2
    while round(value, digits) * 10**digits < 10 and digits < 9:
        digits += 1
    return f"${value:.{digits}f}"


def count(value: float | None) -> str:
    """A count with thousands separated."""
    return "not known" if value is None else f"{value:,.0f}"


def quantity(value: Any) -> str:
    """A number of any size without trailing zeros; anything else as it is."""
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,g}" if value < 1e6 else f"{value:,.0f}"


def times(value: float | None) -> str:
    """A ratio, `17×`."""
    if value is None:
        return ""
    return f"{value:,.0f}×" if value >= 10 else f"{value:.2g}×"


def percent(value: float | None) -> str:
    """A share, `58 %`."""
    return "–" if value is None else f"{100 * value:.0f} %"


def rate(value: float | None) -> str:
    """Pairs a second."""
    if value is None:
        return "not known"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def time_for_a_million(pairs_per_second: float | None) -> str:
    """How long a million pairs take, in hours or days."""
    if not pairs_per_second:
        return "–"
    hours = 1e6 / pairs_per_second / 3600.0
    return f"{hours:,.1f} h" if hours < 100 else f"{hours / 24:,.0f} days"


def shorten(text: str, most: int) -> str:
    """A name that fits a drawing, its middle left out where it is too long."""
    if len(text) <= most:
        return text
    head = (most - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """`a`, `a and b`, `a, b and 4 more`."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
