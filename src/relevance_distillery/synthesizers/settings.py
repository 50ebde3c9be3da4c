"""Query styles, and how a language model writes queries."""

from collections.abc import Mapping

from pydantic import Field

from relevance_distillery.errors import UserError
from relevance_distillery.llm.settings import LLMSettings

STYLES: Mapping[str, str] = {
    "known_item": "the searcher knows the document and wants it again: words of its title, "
    "perhaps with its year or section",
    "keyword": "two to four words for what the searcher needs, as one types them in a hurry",
    "question": "a short question that the document answers, as one would ask a colleague",
    "metadata": "looks for the document by its author, date, file name or place, with a word or "
    "two about its subject",
    "short": "a single word or name that stands for the subject",
    "acronym": "uses an acronym of the document, or spells one of them out",
}
"""What an LLM is asked for, by style."""

DEFAULT_STYLES: Mapping[str, float] = {
    "known_item": 0.25,
    "keyword": 0.28,
    "question": 0.20,
    "metadata": 0.12,
    "short": 0.08,
    "acronym": 0.14,
}
"""How often each style is tried, in relation to the others."""

PERSONAS = (
    "",
    "somebody new in the company, who does not know its terms yet",
    "an experienced colleague in a hurry, who types as little as possible",
    "somebody of another department, who needs one fact or figure",
)


def style_weights(styles: Mapping[str, float]) -> dict[str, float]:
    """The styles that have a weight, in the order of `STYLES`.

    UserError where a style is unknown, or none has a weight.
    """
    unknown = sorted(set(styles) - set(STYLES))
    if unknown:
        raise UserError(
            f"synthesis.styles: unknown style '{unknown[0]}'; known are {', '.join(STYLES)}"
        )
    weights = {name: float(styles[name]) for name in STYLES if styles.get(name, 0) > 0}
    if not weights:
        raise UserError("synthesis.styles: at least one style needs a weight above 0")
    return weights


class SynthesisLLMSettings(LLMSettings):
    """How an LLM writes queries, and what it may see."""

    temperature: float | None = Field(0.7, ge=0, le=2)
    """0 writes the likeliest queries, which are alike; null leaves it to the server, which
    reasoning models demand."""
    max_output_tokens: int = Field(400, ge=16)
    """Some forty a query; a longer answer is cut off, a failure. Reasoning models need
    thousands."""
    personas: tuple[str, ...] = Field(PERSONAS, min_length=1)
    """Who searches; each passage gets one of them, an empty one is anybody."""
    never_send: tuple[str, ...] = ()
    """Gitignore-style patterns of paths, or ids, of documents that stay here; no queries are
    written for them."""
