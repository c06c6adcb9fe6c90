"""A share of units that is looked at after every unit, and rejects no more often than it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, binom

from retrain_ops.errors import DataError
from retrain_ops.stats.traffic import CONCENTRATION, SAMPLE_RATIO_ALPHA, p99_ms, sample_ratio_p


def test_it_is_the_bayes_factor_of_a_beta_prior():
    met, units, share = 130, 1000, 0.1
    a, b = CONCENTRATION * share, CONCENTRATION * (1 - share)
    marginal, _ = quad(
        lambda p: binom.pmf(met, units, p) * beta.pdf(p, a, b), 0.02, 0.4, epsabs=0, epsrel=1e-10
    )
    assert sample_ratio_p(met, units, share) == pytest.approx(
        binom.pmf(met, units, share) / marginal, rel=1e-8
    )


def test_a_look_after_every_unit_rejects_a_sound_share_hardly_ever():
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(300):
        met = np.cumsum(rng.random(3000) < 0.1)
        looks = range(50, 3000, 50)
        rejected += any(sample_ratio_p(met[n], n + 1, 0.1) < SAMPLE_RATIO_ALPHA for n in looks)
    assert rejected <= 2  # 0.3 expected at most


def test_a_share_that_is_off_is_seen():
    assert sample_ratio_p(1200, 10_000, 0.1) < SAMPLE_RATIO_ALPHA
    assert sample_ratio_p(0, 200, 0.1) < SAMPLE_RATIO_ALPHA
    assert sample_ratio_p(1000, 10_000, 0.1) == 1.0
    assert sample_ratio_p(0, 0, 0.1) == 1.0


def test_a_whole_share_meets_everybody():
    assert sample_ratio_p(10, 10, 1.0) == 1.0
    assert sample_ratio_p(9, 10, 1.0) == 0.0


@pytest.mark.parametrize(("met", "units", "share"), [(2, 1, 0.1), (-1, 1, 0.1), (0, 1, 0.0)])
def test_what_cannot_be_is_refused(met, units, share):
    with pytest.raises(DataError):
        sample_ratio_p(met, units, share)


def test_a_few_slow_requests_are_not_a_slow_model():
    taken = np.full(100, 20_000)
    taken[:3] = 50_000_000
    assert p99_ms(taken, 0.999) == 0.02
    taken[:20] = 50_000_000
    assert p99_ms(taken, 0.999) == 50.0
    assert p99_ms(np.arange(1, 100_001) * 1_000_000, 0.5) == pytest.approx(99_000, rel=1e-3)
    assert p99_ms(taken[:99], 0.5) is None
