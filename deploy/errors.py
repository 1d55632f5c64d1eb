"""Errors of the bundle: one line each, saying what is wrong and what would mend it."""


class BundleError(ValueError):
    """A bundle that must not be flown, or a policy that cannot become one; the message names the mend."""


class PolicyInputError(ValueError):
    """A sensor that is missing, of the wrong shape or not finite; the policy's state was left as it was."""
