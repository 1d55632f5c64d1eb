"""At which rates a policy may be called: whole multiples of the one that it was trained at."""

from __future__ import annotations

import math

from deploy.errors import BundleError


def substeps_at(rate: float, period: float) -> int:
    """How many calls a loop at `rate` Hz makes in a policy's control period of `period` s.

    Raises BundleError, naming the rates that would do, where that is no whole number.
    """
    own = 1.0 / period
    calls = rate * period
    nearest = round(calls) if math.isfinite(calls) else 0
    if nearest < 1 or abs(calls - nearest) > 1e-6 * nearest:
        low = max(1, math.floor(calls)) if math.isfinite(calls) else 1
        raise BundleError(
            f"a rate of {rate:g} Hz is no whole multiple of the policy's own {own:g} Hz; "
            f"choose {low * own:g} or {(low + 1) * own:g} Hz, or another multiple of {own:g} Hz"
        )
    return nearest
