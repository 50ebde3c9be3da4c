"""What of the documents leaves the machine: patterns that keep some here, changes to texts."""

import importlib
import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from relevance_distillery.errors import UserError

_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(
    r"""(?<![\w+])                                # not within a word or another number
    (?:\+\d{1,3}[\s./-]?(?:\(0\)[\s./-]?)?        # +49 (0)
      |\(?0\d{2,5}\)?[\s/-]{1,2})                # (030), 0151-; never 01/02/2026
    \(?\d{2,5}\)?(?:[\s./-]?\d{2,5}){1,4}(?!\w)
    |(?<![\w+])\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4}(?!\w)  # 555-123-4567
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(
    r"""(?<![\w+])(?:[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?  # IBAN
      |[3-6]\d{3}(?:[ -]\d{4}){3}                                                # card
      |[A-Z]{0,4}\d{9,})(?!\w)
    """,
    re.VERBOSE,
)


def withheld(table: pd.DataFrame, patterns: Sequence[str]) -> np.ndarray:
    """True where a Gitignore-style pattern matches path or document_id, shape (rows,)."""
    if not patterns:
        return np.zeros(len(table), dtype=bool)
    import pathspec

    spec = pathspec.GitIgnoreSpec.from_lines(patterns)
    places = zip(table["path"], table["document_id"], strict=True)
    return np.array(
        [any(isinstance(at, str) and at and spec.match_file(at) for at in both) for both in places],
        dtype=bool,
    )


def contact_details(text: str) -> str:
    """Replace e-mail addresses, phone numbers, IBANs, cards and runs of nine digits or more.

    `[e-mail]`, `[phone]` and `[number]` take their places. A pattern knows no names: it hides how
    to reach a person, not who it is. Dates, versions and amounts stay, since grades depend on them.
    """
    text = _EMAIL.sub("[e-mail]", text)
    # An IBAN holds what looks like a phone number, so it goes first.
    return _PHONE.sub("[phone]", _NUMBER.sub("[number]", text))


def load_redactor(name: str | None) -> Callable[[str], str]:
    """The function from text to text that `labeling.llm.redact` or `synthesis.llm.redact` names.

    None is for no change. UserError where it is not spelt so, cannot be imported, or is no
    function; and later where it fails or returns no text.
    """
    if not name:
        return str  # No change.
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise UserError(f"redact={name}: write it as package.module:function")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(
            f"redact={name}: {module_name} cannot be imported ({type(error).__name__}); it must "
            "be installed or lie under src/"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UserError(f"redact={name}: {module_name} has no function {function_name}")

    def redact(text: str) -> str:
        try:
            redacted = function(text)
        except Exception as error:
            # Sending the text as it is would be worse than stopping; its words stay unsaid.
            raise UserError(
                f"redact={name} failed with {type(error).__name__}; nothing is sent without it"
            ) from None
        if not isinstance(redacted, str):
            raise UserError(f"redact={name} must return a text, not {type(redacted).__name__}")
        return redacted

    return redact
