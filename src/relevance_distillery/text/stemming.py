"""The type of a parameter that names the language of a stemmer."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from relevance_distillery.errors import UserError
from relevance_distillery.text.terms import stemmer_name


def _known(language: str) -> str:
    try:
        stemmer_name(language)
    except UserError as error:
        raise ValueError(str(error)) from error
    return language


# Asked for again where it is used; as a type, a wrong one fails before any node.
StemmerLanguage = Annotated[str, AfterValidator(_known)]
"""ISO code or name of a language that has a stemmer, or `none`."""
