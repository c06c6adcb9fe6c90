"""Whether a canary meets the units that it should, and how long requests take.

A test of units that is repeated every few minutes rejects sooner or later; a Bayes factor against
the share that the spec says does not: under that share it exceeds 1/alpha at any time at all with
probability alpha (Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS
2022, with a Beta prior around the share).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from retrain_ops.errors import DataError
from retrain_ops.stats.distributions import binomial_quantile, log_beta

__all__ = ["SAMPLE_RATIO_ALPHA", "p99_ms", "sample_ratio_p"]

SAMPLE_RATIO_ALPHA = 0.001
"""Below this p-value the share of units is not the one that was asked for."""
CONCENTRATION = 100.0
"""Of the prior: departures of about a third of a share of a tenth are seen soonest."""
LEAST_TIMED = 100
"""Requests below which a latency is not judged."""


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
    log_factor = log_beta(a + met, b + units - met) - log_beta(a, b)
    log_factor -= met * math.log(share) + (units - met) * math.log1p(-share)
    return min(1.0, math.exp(-log_factor))


def p99_ms(taken_ns: NDArray[np.int64], confidence: float) -> float | None:
    """What the 99th percentile of latency is at least, in ms; None for less than 100 requests.

    An order statistic: the count of requests beyond the percentile is binomial, and does not
    exceed the one that is taken with that confidence.
    """
    n = len(taken_ns)
    if n < LEAST_TIMED:
        return None
    slower = binomial_quantile(confidence, n, 0.01)
    return float(np.partition(taken_ns, n - 1 - slower)[n - 1 - slower]) * 1e-6
