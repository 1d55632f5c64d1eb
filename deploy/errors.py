"""Errors of a bundle: one line each, saying what is wrong and what would be right."""

from __future__ import annotations

from policies.errors import UserError


class BundleError(UserError):
    """A bundle that must not run, or a policy that can't become one; the message says how to fix it."""


class PolicyInputError(ValueError):
    """A sensor that is missing, of the wrong shape or not finite; the policy's state is unchanged."""
