"""Whether a canary meets the units that it should, looked at as often as one likes.

A test that is repeated every few minutes rejects sooner or later; a Bayes factor against the
share that the spec says does not: under that share it exceeds 1/alpha at any time at all with
probability alpha (Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS
2022, with a Beta prior around the share).
"""

from __future__ import annotations

import math

from scipy.special import betaln

from retrain_ops.errors import DataError

__all__ = ["SAMPLE_RATIO_ALPHA", "sample_ratio_p"]

SAMPLE_RATIO_ALPHA = 0.001
"""Below this p-value the share of units is not the one that was asked for."""
CONCENTRATION = 100.0
"""Of the prior: departures of about a third of a share of a tenth are seen soonest."""


def sample_ratio_p(met: int, units: int, share: float) -> float:
    """The p-value, valid at all times together, of `met` of `units` where `share` was asked for.

    Raises:
        DataError: there are more than all, or the share is none.
    """
    if not 0 <= met <= units:
        raise DataError(f"{met} of {units} units is impossible")
    if not 0 < share <= 1:
        raise DataError(f"the share is {share}, it must lie in (0, 1]")
    if share == 1:
        return 1.0 if met == units else 0.0
    a, b = CONCENTRATION * share, CONCENTRATION * (1 - share)
    log_factor = float(betaln(a + met, b + units - met) - betaln(a, b))
    log_factor -= met * math.log(share) + (units - met) * math.log1p(-share)
    return min(1.0, math.exp(-log_factor))
