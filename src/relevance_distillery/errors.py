"""The one exception for everything that a user can cause and correct."""

from importlib import import_module
from typing import Any


class UserError(Exception):
    """What was wrong, where, and what to do, in one line.

    The command line prints the message alone and exits with status 1; a traceback
    is kept for faults of the program itself.
    """


def import_extra(name: str, extra: str = "fast", asked: str = "int8") -> Any:
    """A package of an extra; UserError, which names what was asked for, where it is missing."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"{asked} needs {name}: pip install 'relevance-distillery[{extra}]'"
        ) from error
