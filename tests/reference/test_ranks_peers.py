"""Rank statistics against published values and against scikit-learn, SciPy and pairs in Python."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats as scipy_stats
from sklearn import metrics

from retrain_ops.stats import (
    average_precision,
    delong_test,
    ks_test,
    roc_auc,
    wasserstein_distance,
)
from tests.reference import asah

ROUNDS = 150


def sample(seed, n_max=400):
    """Labels with both classes and scores with many, some or no ties."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, n_max))
    y = rng.integers(0, 2, n).astype(np.uint8)
    y[:4] = 0, 1, 0, 1
    scores = rng.random((2, n)) + 0.3 * y
    if seed % 3 == 0:
        scores = np.round(scores * 8) / 8
    if seed % 5 == 0:
        scores -= 0.5
    return y, scores[0], scores[1]


def test_auc_equals_scikit_learn():
    for seed in range(ROUNDS):
        y, score, _ = sample(seed)
        values = score.astype((np.float64, np.float32)[seed % 2])
        assert roc_auc(y, values) == pytest.approx(metrics.roc_auc_score(y, values), abs=1e-13)


def test_average_precision_equals_scikit_learn():
    for seed in range(ROUNDS):
        y, score, _ = sample(seed)
        want = metrics.average_precision_score(y, score)
        assert average_precision(y, score) == pytest.approx(want, abs=1e-13)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_kolmogorov_smirnov_equals_scipy(alternative):
    for seed in range(ROUNDS // 2):
        _, a, b = sample(seed, 60)
        want = scipy_stats.ks_2samp(a, b[: 1 + len(b) // 2], alternative, "exact")
        ours = ks_test(a, b[: 1 + len(b) // 2], alternative=alternative)
        assert (ours.statistic, ours.method) == (pytest.approx(want.statistic, abs=1e-15), "exact")
        assert ours.p_value == pytest.approx(want.pvalue, abs=1e-12)


def test_kolmogorov_smirnov_of_large_samples_is_scipys_limit():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=3000), rng.normal(0.05, 1, size=2000)
    for alternative in ("two-sided", "greater", "less"):
        want = scipy_stats.ks_2samp(a, b, alternative, "asymp")
        ours = ks_test(a, b, alternative=alternative)
        assert ours.method == "asymptotic"
        assert ours.p_value == pytest.approx(want.pvalue, abs=0.02)


@pytest.mark.parametrize(
    ("a", "b", "statistic", "p_value", "one_sided"),
    [
        ([1.01, 2.01], [1, 2, 3], Fraction(1, 3), 1.0, 0.7),
        ([0.99, 1.99], [1, 2, 3], Fraction(2, 3), 0.6, 0.3),
    ],
)
def test_kolmogorov_smirnov_of_scipys_two_against_three(a, b, statistic, p_value, one_sided):
    ours = ks_test(a, b)
    assert ours.statistic == float(statistic)
    assert ours.p_value == pytest.approx(p_value, abs=1e-15)
    found = [ks_test(a, b, alternative=side).p_value for side in ("greater", "less")]
    assert one_sided in [pytest.approx(p, abs=1e-15) for p in found]


def test_wasserstein_of_scipys_documentation():
    assert wasserstein_distance([0, 1, 3], [5, 6, 8]) == 5.0
    assert wasserstein_distance([0, 1], [0, 1], [3, 1], [2, 2]) == 0.25
    weighted = wasserstein_distance(
        [3.4, 3.9, 7.5, 7.8], [4.5, 1.4], [1.4, 0.9, 3.1, 7.2], [3.2, 3.5]
    )
    assert weighted == pytest.approx(4.0781331438, abs=5e-11)


def test_wasserstein_equals_scipy():
    for seed in range(ROUNDS):
        _, a, b = sample(seed)
        b = b[: 1 + len(b) // 3]
        want = scipy_stats.wasserstein_distance(a, b)
        assert wasserstein_distance(a, b) == pytest.approx(want, rel=1e-12, abs=1e-14)
        ones = np.ones(len(a))
        assert wasserstein_distance(a, b, ones) == pytest.approx(want, rel=1e-12, abs=1e-14)


def slow_delong(y, a, b):
    """Components over all pairs, as in the paper, in fractions."""
    psi = [
        [[Fraction(int(p > q) * 2 + int(p == q), 2) for q in s[y == 0]] for p in s[y == 1]]
        for s in (a, b)
    ]
    m, n = len(psi[0]), len(psi[0][0])
    v10 = [[sum(row) / n for row in model] for model in psi]
    v01 = [[sum(row[j] for row in model) / m for j in range(n)] for model in psi]
    auc = [sum(v) / m for v in v10]

    def cov(i, j):
        ten = sum((p - auc[i]) * (q - auc[j]) for p, q in zip(v10[i], v10[j], strict=True))
        one = sum((p - auc[i]) * (q - auc[j]) for p, q in zip(v01[i], v01[j], strict=True))
        return ten / ((m - 1) * m) + one / ((n - 1) * n)

    return auc, cov(0, 0), cov(1, 1), cov(0, 1)


def test_delong_equals_the_paper_over_all_pairs():
    for seed in range(60):
        y, a, b = sample(seed, 30)
        auc, aa, bb, ab = slow_delong(y, a, b)
        ours = delong_test(y, a, b)
        assert (ours.auc_a, ours.auc_b) == (float(auc[0]), float(auc[1]))
        found = (ours.variance_a, ours.variance_b, ours.covariance)
        assert found == (float(aa), float(bb), float(ab))
        if aa + bb - 2 * ab > 0:
            z = float(auc[0] - auc[1]) / float(aa + bb - 2 * ab) ** 0.5
            assert ours.z == pytest.approx(z, rel=1e-14)
            assert ours.p_value == pytest.approx(2 * scipy_stats.norm.sf(abs(z)), rel=1e-12)


def test_delong_of_a_model_with_itself_finds_nothing():
    y, a, _ = sample(7)
    same = delong_test(y, a, a)
    assert (same.z, same.p_value) == (0.0, 1.0)


def test_delong_of_the_asah_patients_in_pROC():
    assert (int(asah.POOR.sum()), len(asah.POOR)) == (41, 113)
    wfns, s100b, ndka = (asah.MARKERS[name] for name in ("wfns", "s100b", "ndka"))
    first = delong_test(asah.POOR, wfns, s100b)
    assert first.auc_a == pytest.approx(0.8236788618, abs=5e-11)
    assert first.auc_b == pytest.approx(0.7313685637, abs=5e-11)
    assert first.variance_a == pytest.approx(0.00146991470882, abs=5e-15)
    assert first.variance_b == pytest.approx(0.00266868245717, abs=5e-15)
    assert first.covariance == pytest.approx(0.00119615567377, abs=5e-15)
    assert first.z == pytest.approx(2.20898359144091, abs=5e-14)
    assert first.p_value == pytest.approx(0.0271757822291882, abs=5e-16)
    assert first.interval() == pytest.approx((0.0104061769564846, 0.174214419249478), abs=5e-15)
    second = delong_test(asah.POOR, wfns, ndka)
    assert second.auc_b == pytest.approx(0.6119579946, abs=5e-11)
    assert second.variance_b == pytest.approx(0.00319081054939, abs=5e-15)
    assert second.z == pytest.approx(2.79777591868904, abs=5e-14)
    assert second.p_value == pytest.approx(0.00514557970691, abs=5e-14)
    third = delong_test(asah.POOR, ndka, s100b)
    assert third.z == pytest.approx(-1.39077002573558, abs=5e-14)
    assert third.p_value == pytest.approx(0.164295175223, abs=5e-13)
