"""The one exception for everything that a user can cause and correct."""


class UserError(Exception):
    """What was wrong, where, and what to do, in one line.

    The command line prints the message alone and exits with status 1; a traceback
    is kept for faults of the program itself.
    """
