"""What tokens cost, and what is said where nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from relevance_distillery.errors import UserError
from relevance_distillery.llm.prices import Price, price_or_warning

ROOT = Path(__file__).parents[2]
PRICE = Price(usd_per_million_input=2.0, usd_per_million_output=8.0, as_of="2026-11-01", source="x")


def test_tokens_cost_what_the_list_says_and_half_in_a_batch():
    assert PRICE.usd(1_000_000, 500_000) == pytest.approx(6.0)
    assert PRICE.usd(1_000_000, 500_000, batch=True) == pytest.approx(3.0)


def test_a_snapshot_does_not_take_the_price_of_its_family():
    assert price_or_warning("gpt-x", {"gpt-x": PRICE}, None) is PRICE
    assert price_or_warning("gpt-x-2026-01-01", {"gpt-x": PRICE}, None) is None


def test_a_cap_without_a_price_is_refused_and_names_the_missing_entry():
    with pytest.raises(UserError, match=r"add prices\.nameless to conf/base/globals\.yml"):
        price_or_warning("nameless", {}, max_cost_usd=1.0)


def test_no_price_and_no_cap_is_a_warning(caplog):
    assert price_or_warning("nameless", {}, max_cost_usd=None) is None
    assert "prices.nameless" in caplog.text


def test_a_price_says_where_it_is_from_and_when():
    assert PRICE.basis == "x, as of 2026-11-01"
    assert Price(usd_per_million_input=0, usd_per_million_output=0).basis == "stated"


def test_a_misspelt_or_negative_price_is_refused():
    with pytest.raises(ValidationError, match="usd_per_milion_input is not a known key"):
        Price.model_validate({"usd_per_milion_input": 1, "usd_per_million_output": 1})
    with pytest.raises(ValidationError):
        Price(usd_per_million_input=-1, usd_per_million_output=0)


def test_the_configured_prices_are_valid_and_say_where_they_are_from():
    globals_ = yaml.safe_load((ROOT / "conf/base/globals.yml").read_text(encoding="utf-8"))
    prices = {name: Price.model_validate(price) for name, price in globals_["prices"].items()}

    assert all(price.source for price in prices.values())
