"""Synthesizers by name."""

from __future__ import annotations

from collections.abc import Mapping

from relevance_distillery.errors import UserError
from relevance_distillery.judges.ledger.ledger import Ledger
from relevance_distillery.llm.prices import Price, price_or_warning
from relevance_distillery.llm.prompts import Prompt
from relevance_distillery.synthesizers.extractive import ExtractiveSynthesizer
from relevance_distillery.synthesizers.llm import LLMSynthesizer
from relevance_distillery.synthesizers.llm_settings import SynthesisLLMSettings
from relevance_distillery.synthesizers.query_requests import QueryRequests
from relevance_distillery.synthesizers.styles import WRITERS
from relevance_distillery.text.language import Language


def make_extractive(
    language: str, styles: Mapping[str, float], typo_share: float
) -> ExtractiveSynthesizer:
    """The synthesizer that needs no model.

    Raises:
        UserError: A style or the language is unknown; the message lists the known.
    """
    check_styles(styles)
    return ExtractiveSynthesizer(language, styles, typo_share)


def make_llm(
    requests: QueryRequests,
    settings: SynthesisLLMSettings,
    ledger: Ledger,
    prices: Mapping[str, Price],
    typo_share: float,
) -> LLMSynthesizer:
    """The synthesizer that asks a language model.

    Raises:
        UserError: There is a cap on the costs and the model has no price.
    """
    price = price_or_warning(requests.model, prices, settings.max_cost_usd)
    return LLMSynthesizer(requests, settings, ledger, typo_share=typo_share, price=price)


def make_requests(
    prompt: Prompt, settings: SynthesisLLMSettings, language: str, styles: Mapping[str, float]
) -> QueryRequests:
    """What an LLM is asked for passages; for writing queries and for planning alike.

    Raises:
        UserError: A style or the language is unknown, there is no model, or the prompt or the
            redaction is wrong.
    """
    check_styles(styles)
    return QueryRequests(prompt, settings, language=Language(language).name, styles=styles)


def check_styles(styles: Mapping[str, float]) -> None:
    """Refuse styles that nobody writes.

    Raises:
        UserError: A style is unknown, or none has a weight.
    """
    unknown = sorted(set(styles) - set(WRITERS))
    if unknown:
        raise UserError(
            f"synthesis.styles: unknown style '{unknown[0]}'; known are {', '.join(WRITERS)}"
        )
    if not any(weight > 0 for weight in styles.values()):
        raise UserError("synthesis.styles: at least one style needs a weight above 0")
