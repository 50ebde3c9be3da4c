"""What a call of each judge costs, and where that figure comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from relevance_distillery.errors import UserError
from relevance_distillery.evaluation.cascades.settings import MeasurementSettings
from relevance_distillery.llm.prices import Price


@dataclass(frozen=True)
class CallPrice:
    """Price of a judge's calls.

    Attributes:
        judge: Its name.
        usd_per_1000: Dollars for 1,000 calls; None where it is not known.
        basis: `given`, `measured`, `measured time`, `list price` or `not known`.
        source: In words, for the report.
    """

    judge: str
    usd_per_1000: float | None
    basis: str
    source: str


def given_prices(text: str | None) -> dict[str, float]:
    """`NAME:USD;NAME:USD` as a mapping; names may hold colons.

    Raises:
        UserError: A part is not of that form.
    """
    found: dict[str, float] = {}
    for part in (part.strip() for part in str(text or "").split(";")):
        if not part:
            continue
        name, _, usd = part.rpartition(":")
        try:
            price = float(usd)
        except ValueError:
            price = -1.0
        if not name or price < 0:
            raise UserError(
                f"judges_usd_per_1000: {part[:60]!r} is not NAME:USD; write, for instance, "
                "judges_usd_per_1000=first:0.02;second:1.1"
            )
        found[name.strip()] = price
    return found


def call_prices(
    judges: Sequence[Mapping[str, Any]],
    labels: pd.DataFrame,
    characters: float,
    prices: Mapping[str, Price],
    assumed: MeasurementSettings,
) -> list[CallPrice]:
    """The price of each judge's calls.

    Given figures come first, then what the ledger paid, then list prices at the tokens that
    labels counted or, where they did not, at assumed ones; then, for a judge in this process,
    the time that it took on a machine of the stated price.

    Args:
        judges: Keys judge, name_in_cascade and model of each.
        labels: Columns judge (its name in the cascade), cost_usd, input_tokens, output_tokens,
            seconds.
        characters: Mean length of query and document.
        prices: List prices by model or judge.
        assumed: Given prices and assumptions.

    Raises:
        UserError: A price is given for a judge that is not there.
    """
    given = given_prices(assumed.judges_usd_per_1000)
    known = {str(judge[key]) for judge in judges for key in ("judge", "name_in_cascade")}
    unknown = sorted(set(given) - known)
    if unknown:
        raise UserError(
            f"judges_usd_per_1000: no judge {unknown[0]!r} in the cascade; it has "
            f"{', '.join(str(judge['name_in_cascade']) for judge in judges)}"
        )
    return [
        _price(
            judge,
            labels[labels["judge"] == judge["name_in_cascade"]],
            characters,
            given,
            prices,
            assumed,
        )
        for judge in judges
    ]


def in_last_judges_calls(prices: Sequence[CallPrice]) -> tuple[float, ...]:
    """Prices in units of the last judge's call.

    Where not all are known, or the last one is free, only the last judge's calls count; those
    of the others count so little that they merely settle ties.
    """
    usd = [price.usd_per_1000 for price in prices]
    last = usd[-1]
    if last and all(price is not None for price in usd):
        return tuple(float(price or 0.0) / last for price in usd)
    return (*(1e-9,) * (len(prices) - 1), 1.0)


def _price(
    judge: Mapping[str, Any],
    labels: pd.DataFrame,
    characters: float,
    given: Mapping[str, float],
    prices: Mapping[str, Price],
    assumed: MeasurementSettings,
) -> CallPrice:
    name = str(judge["name_in_cascade"])
    for key in (str(judge["judge"]), name):
        if key in given:
            return CallPrice(name, given[key], "given", "assumed, by judges_usd_per_1000")
    if len(labels) and labels["cost_usd"].sum() > 0:
        paid = 1000 * float(labels["cost_usd"].mean())
        return CallPrice(name, paid, "measured", "what the ledger's answers cost")
    listed = prices.get(name) or prices.get(str(judge["model"]))
    if listed is not None:
        if len(labels) and labels["input_tokens"].sum() > 0:
            how = "counted"
            read = float(labels["input_tokens"].mean())
            written = float(labels["output_tokens"].mean())
        else:
            how = "assumed"
            read = assumed.prompt_tokens + characters / assumed.characters_per_token
            written = float(assumed.output_tokens)
        tokens = f"{how} {read:.0f} tokens read and {written:.0f} written"
        usd = 1000 * listed.usd(read, written)
        return CallPrice(name, usd, "list price", f"{listed.basis}; {tokens}")
    if len(labels) and labels["seconds"].sum() > 0:
        usd = 1000 * float(labels["seconds"].mean()) / 3600 * assumed.usd_per_hour
        machine = f"time on this machine at an assumed ${assumed.usd_per_hour:g} an hour"
        return CallPrice(name, usd, "measured time", machine)
    return CallPrice(name, None, "not known", "no price was given")
