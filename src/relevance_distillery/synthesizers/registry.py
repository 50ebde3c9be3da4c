"""Synthesizers by name."""

from __future__ import annotations

from collections.abc import Mapping

from relevance_distillery.errors import UserError
from relevance_distillery.synthesizers.base import Synthesizer
from relevance_distillery.synthesizers.extractive import ExtractiveSynthesizer
from relevance_distillery.synthesizers.styles import WRITERS

SYNTHESIZERS = ("extractive",)


def make_synthesizer(
    name: str, language: str, styles: Mapping[str, float], typo_share: float
) -> Synthesizer:
    """The synthesizer of a name.

    Raises:
        UserError: The name, a style or the language is unknown; the message lists the known.
    """
    if name not in SYNTHESIZERS:
        raise UserError(f"unknown synthesizer '{name}'; known are {', '.join(SYNTHESIZERS)}")
    unknown = sorted(set(styles) - set(WRITERS))
    if unknown:
        raise UserError(
            f"synthesis.styles: unknown style '{unknown[0]}'; known are {', '.join(WRITERS)}"
        )
    if not any(weight > 0 for weight in styles.values()):
        raise UserError("synthesis.styles: at least one style needs a weight above 0")
    return ExtractiveSynthesizer(language, styles, typo_share)
