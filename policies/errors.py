"""The error for a user's mistake: its message says what is wrong and what would be right."""


class UserError(ValueError):
    """A mistake that the user can fix; the command line prints its message alone, without a traceback."""


def one_line(error: BaseException) -> str:
    """The text of an exception in one line."""
    return " ".join(str(error).split())
