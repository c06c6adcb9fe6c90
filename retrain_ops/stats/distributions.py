"""The few distribution functions that verdicts need, good to the last digits.

SciPy is imported when one is called: reading a spec must stay quick.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = [
    "binomial_quantile",
    "chi2_tail",
    "digamma",
    "kolmogorov_tail",
    "log_beta",
    "log_normal_cdf",
    "noncentral_chi2_tail",
    "normal_quantile",
    "normal_tail",
    "student_cdf",
    "student_quantile",
    "trigamma",
    "trigamma_inverse",
]


def student_cdf(x: float, df: float) -> float:
    """P(T <= x) of Student's t with `df` degrees of freedom."""
    from scipy import special

    return float(special.stdtr(df, x))


def student_quantile(p: float, df: float) -> float:
    """The x with P(T <= x) = p.

    `scipy.special.stdtrit` stops at a relative error of about 1e-8 in some
    versions, which would show in a record of 9 digits; one Newton step on the
    distribution function, exact to the last bits, removes it.
    """
    from scipy import special

    x = float(special.stdtrit(df, p))
    log_density = (
        math.lgamma((df + 1) / 2)
        - math.lgamma(df / 2)
        - 0.5 * math.log(df * math.pi)
        - (df + 1) / 2 * math.log1p(x * x / df)
    )
    return x - (student_cdf(x, df) - p) / math.exp(log_density)


def normal_quantile(p: float) -> float:
    """The x with P(Z <= x) = p."""
    from scipy import special

    return float(special.ndtri(p))


def log_normal_cdf(x: float) -> float:
    """Log of P(Z <= x), accurate in the far tail."""
    from scipy import special

    return float(special.log_ndtr(x))


def chi2_tail(x: float, df: float) -> float:
    """P(X >= x) of chi-square with `df` degrees of freedom."""
    from scipy import special

    return float(special.chdtrc(df, x))


def noncentral_chi2_tail(x: float, df: float, shift: float) -> float:
    """P(X >= x) of non-central chi-square with `df` degrees of freedom and that non-centrality."""
    from scipy import special

    return 1.0 - float(special.chndtr(x, df, shift)) if shift > 0 else chi2_tail(x, df)


def normal_tail(x: float) -> float:
    """P(Z >= x) of the standard normal, accurate in the far tail."""
    from scipy import special

    return float(special.ndtr(-x))


def kolmogorov_tail(x: float) -> float:
    """P(K >= x) of Kolmogorov's limit distribution."""
    from scipy import special

    return float(special.kolmogorov(x))


def log_beta(a: float, b: float) -> float:
    """ln Beta(a, b)."""
    from scipy import special

    return float(special.betaln(a, b))


def binomial_quantile(p: float, n: int, share: float) -> int:
    """The least k with P(X <= k) >= p of `n` trials of that share, at most 100 + 10 n share."""
    from scipy import special

    counts = np.arange(min(n, 100 + int(10 * n * share)))
    return int(np.searchsorted(special.bdtr(counts, n, share), p))


def digamma(x: float) -> float:
    """The derivative of ln Gamma."""
    from scipy import special

    return float(special.digamma(x))


def trigamma(x: float) -> float:
    """The derivative of digamma."""
    from scipy import special

    return float(special.polygamma(1, x))


def trigamma_inverse(y: float) -> float:
    """The x > 0 with trigamma(x) = y > 0, by Newton's method on 1 / trigamma (Smyth 2004).

    1 / trigamma is convex and nearly linear, so the steps fall monotonically from 0.5 + 1 / y.
    """
    from scipy import special

    x = 0.5 + 1 / y
    for _ in range(50):
        value = trigamma(x)
        step = value * (1 - value / y) / float(special.polygamma(2, x))
        x += step
        if abs(step) < 1e-12 * x:
            break
    return x
