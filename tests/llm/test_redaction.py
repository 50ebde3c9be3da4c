"""Texts are changed before they leave, or nothing leaves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from relevance_distillery.errors import UserError
from relevance_distillery.llm.redaction import contact_details, load_redactor


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Mail ana.m+x@port.example.co.uk now", "Mail [e-mail] now"),
        ("Call +49 (0)30 123456 or 0151-234 5678.", "Call [phone] or [phone]."),
        ("(030) 1234567, 555-123-4567", "[phone], [phone]"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN [number]."),
        ("card 4111 1111 1111 1111, ticket 123456789", "card [number], ticket [number]"),
    ],
)
def test_contact_details_are_replaced(text: str, redacted: str) -> None:
    assert contact_details(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "on 01/02/2026, 2024-05-01 and 05.12.2024",
        "v1.2.3 on 10.0.0.1, port 8080",
        "12 345 678 euros in 2019 2020 2021 2022",
        "INC-2417, RFC 9110, extension 4711",
    ],
)
def test_dates_versions_and_amounts_stay(text: str) -> None:
    assert contact_details(text) == text


def test_a_function_of_ones_own_is_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_redaction.py").write_text(
        "def shout(text):\n    return text.upper()\n"
        "def forgets(text):\n    return None\n"
        "def breaks(text):\n    raise KeyError(text)\n"
        "limit = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_redactor("own_redaction:shout")("a") == "A"
    assert load_redactor(None)("a") == "a"
    with pytest.raises(UserError, match="must return a text, not NoneType"):
        load_redactor("own_redaction:forgets")("a")
    with pytest.raises(UserError, match="failed with KeyError; nothing is sent") as caught:
        load_redactor("own_redaction:breaks")("a company secret")
    assert "secret" not in str(caught.value)
    for name, message in (
        ("own_redaction", "package.module:function"),
        ("own_redaction:limit", "no function limit"),
        ("own_redaction:gone", "no function gone"),
        ("no_such_module:f", "cannot be imported"),
    ):
        with pytest.raises(UserError, match=message):
            load_redactor(name)
    sys.modules.pop("own_redaction", None)
