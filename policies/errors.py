"""The error for a user's mistake: its message says what is wrong and what would be right."""


class UserError(ValueError):
    """A mistake that the user can fix; the command line prints its message alone, without a traceback."""
