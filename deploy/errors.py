"""Errors of a bundle: one line each, saying what is wrong and what would be right."""

from __future__ import annotations

from policies.errors import UserError


class BundleError(UserError):
    """A bundle that must not run, or a policy that can't become a bundle; the message says how to fix it."""


class NotAPolicyError(BundleError, TypeError):
    """An export of something other than a policy graph, such as a teacher, which reads privileged state."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or the name of its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class PolicyInputError(ValueError):
    """A sensor that is missing, of the wrong shape or not finite; the policy's state is unchanged."""
