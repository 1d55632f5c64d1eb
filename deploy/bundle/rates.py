"""The rates at which a policy may be called: whole multiples of its training rate."""

from __future__ import annotations

import math

from deploy.errors import BundleError


def substeps_at(rate: float | None, period: float) -> int:
    """Calls of a policy per control period of `period` s in a loop at `rate` Hz; None: the policy's own rate.

    Raises BundleError, which names possible rates, if that is not a whole number.
    """
    if rate is None:
        return 1
    own = 1.0 / period
    calls = rate * period
    nearest = round(calls) if math.isfinite(calls) else 0
    if nearest < 1 or abs(calls - nearest) > 1e-6 * nearest:
        low = max(1, math.floor(calls)) if math.isfinite(calls) else 1
        raise BundleError(
            f"a rate of {rate:g} Hz is not a whole multiple of the policy's own {own:g} Hz; "
            f"choose {low * own:g} or {(low + 1) * own:g} Hz, or another multiple of {own:g} Hz"
        )
    return nearest
