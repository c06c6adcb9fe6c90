"""Score metrics, distances and fairness against published values and peers."""

import math

import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats
from scipy.spatial import distance as scipy_distance
from sklearn import metrics
from statsmodels.api import Logit, add_constant
from statsmodels.stats.multitest import multipletests

from retrain_ops.stats import (
    calibration_line,
    chi2_homogeneity,
    distances,
    fairness_report,
    psi,
    psi_tolerance_p,
    score_metrics,
)
from retrain_ops.stats.multiplicity import benjamini_hochberg, holm, judge_columns
from retrain_ops.stats.psi import _psi_of_rows, pooled_bins


def scored(seed, n=300):
    rng = np.random.default_rng(seed)
    p = rng.random(n) ** 2
    y = (rng.random(n) < 0.1 + 0.8 * p).astype(np.uint8)
    y[:2] = 0, 1
    p[2:4] = 0.0, 1.0
    return y, p


def slow_ece(y, p):
    """torchmetrics' l1 calibration error, with bins closed on the left."""
    where = np.minimum((p * 15).astype(int), 14)
    return sum(abs(p[where == k].sum() - y[where == k].sum()) for k in range(15)) / len(p)


def test_log_loss_brier_and_ece_equal_scikit_learn():
    for seed in range(150):
        y, p = scored(seed)
        ours = score_metrics(y, p)
        assert ours.log_loss == pytest.approx(metrics.log_loss(y, p), abs=1e-11)
        assert ours.brier == pytest.approx(metrics.brier_score_loss(y, p), abs=1e-12)
        assert ours.ece == pytest.approx(slow_ece(y, p), abs=1e-12)


def test_calibration_line_equals_statsmodels():
    for seed in range(40):
        y, p = scored(seed)
        p = np.clip(p, 1e-4, 1 - 1e-4)
        model = Logit(y, add_constant(special.logit(p)))
        # Newton's method from zero runs away on some of these; theirs gets a good start.
        line = calibration_line(y, p)
        start = np.round([line.intercept, line.slope], 2)
        fit = model.fit(start, disp=0, tol=1e-12)
        assert line.converged
        assert (line.intercept, line.slope) == pytest.approx(tuple(fit.params), abs=1e-7)
        assert calibration_line(y[::-1], p[::-1], n_threads=3) == line


def test_separated_classes_have_no_calibration_line():
    line = calibration_line([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert not line.converged
    assert math.isnan(line.slope)


def counts(seed):
    rng = np.random.default_rng(seed)
    bins = int(rng.integers(2, 12))
    a, b = rng.integers(0, 40, (2, bins))
    a[0] += 1
    b[-1] += 1
    return a, b


def test_distances_equal_scipy():
    for seed in range(200):
        a, b = counts(seed)
        p, q = a / a.sum(), b / b.sum()
        ours = distances(a, b)
        assert ours.js_distance == pytest.approx(scipy_distance.jensenshannon(p, q), abs=1e-9)
        affinity = np.sqrt(p * q).sum()
        assert ours.hellinger**2 == pytest.approx(1 - affinity, abs=1e-12)
        assert ours.total_variation == pytest.approx(abs(p - q).sum() / 2, abs=1e-14)
        assert ours.l_infinity == pytest.approx(abs(p - q).max(), abs=1e-14)


def test_distances_of_published_counts():
    ours = distances([1000, 1500, 1200, 1300], [800, 1400, 1600, 1200])
    assert ours.js_divergence * math.log(2) == pytest.approx(0.0043528513, abs=5e-11)
    assert ours.hellinger == pytest.approx(0.0660225547, abs=5e-11)
    assert ours.total_variation == 0.08
    # Base-2 divergences of TensorFlow Data Validation's tests, SciPy's distance of its page.
    assert distances([1, 3], [0, 4]).js_divergence == pytest.approx(0.13792538096, abs=2e-11)
    tfdv = distances([2, 2, 1, 0, 0, 0], [2, 0, 0, 1, 1, 1])
    assert tfdv.js_divergence == pytest.approx(0.6, abs=1e-12)
    assert distances([2, 0], [1, 1]).js_distance == pytest.approx(0.46450140402, abs=5e-12)


def test_chi_square_equals_scipy():
    for seed in range(200):
        a, b = counts(seed)
        kept = (a + b) > 0
        ours = chi2_homogeneity(a, b, pool=False)
        if kept.sum() < 2:
            continue
        want = scipy_stats.chi2_contingency(np.stack([a, b])[:, kept], correction=False)
        assert ours.statistic == pytest.approx(want.statistic, rel=1e-12, abs=1e-12)
        assert (ours.df, ours.p_value) == (want.dof, pytest.approx(want.pvalue, abs=1e-12))


def test_pooling_leaves_five_expected_rows_in_every_bin_and_loses_none():
    for seed in range(200):
        a, b = counts(seed)
        x, y = pooled_bins(a, b)
        assert (sum(x), sum(y)) == (a.sum(), b.sum())
        least = min(sum(x), sum(y)) / (sum(x) + sum(y))
        assert len(x) == 1 or min(p + q for p, q in zip(x, y, strict=True)) * least >= 5


def test_tolerance_p_is_scipys_non_central_chi_square():
    a, b = [1000] * 10, [1300, *[1000] * 8, 700]
    s = 1 / 10_000 + 1 / 10_000
    value = psi(np.repeat(range(10), a), np.repeat(range(10), b), 10).psi
    want = scipy_stats.ncx2.sf(value / s, 9, 0.01 / s)
    assert psi_tolerance_p(a, b, tolerance=0.01) == pytest.approx(want, rel=1e-6)
    assert psi_tolerance_p(a, b, tolerance=0.2) == pytest.approx(1.0)
    assert psi_tolerance_p([1, 2], [3, 0]) is None


def test_row_p_of_few_rows_keeps_its_level():
    """Seven rows against seven are too few to pool; dealt at random they are never too eager."""
    rng = np.random.default_rng(2)
    alarms = sum(psi(*rng.normal(size=(2, 7))).p_value < 0.05 for _ in range(200))
    assert alarms <= 20


def test_few_rows_to_a_bin_keep_the_level():
    """The reference fills its own quantile bins evenly, which fixed bins would call a finding."""
    rng = np.random.default_rng(3)
    alarms = sum(psi(*rng.normal(size=(2, 50)), 20).p_value < 0.05 for _ in range(150))
    assert alarms <= 16
    assert psi(rng.normal(size=50), rng.normal(3, 1, 50), 20).p_value == 0.001


def test_deals_compare_the_very_index_that_is_reported():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        n, m, n_bins = (int(i) for i in rng.integers(1, [60, 60, 25]))
        values = rng.choice(
            [rng.normal(size=n + m), rng.poisson(2, n + m), rng.exponential(size=n + m) > 2]
        ).astype(float)
        values[rng.random(n + m) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
        dealt = np.arange(n + m)[None, :] >= n
        found = _psi_of_rows(values, dealt.astype(np.int64), n_bins)
        assert found[0] == pytest.approx(psi(values[:n], values[n:], n_bins).psi, abs=1e-12)


def test_adjusted_p_values_equal_statsmodels():
    rng = np.random.default_rng(1)
    for _ in range(200):
        p = list(rng.random(int(rng.integers(1, 30))) ** 3)
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-14)
        assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])


def test_a_table_drifts_by_share_of_its_columns():
    p = {"a": 0.001, "b": 0.02, "c": 0.9, "d": 0.5}
    assert judge_columns(p).drifted == ("a",)
    assert judge_columns(p, correction="benjamini_hochberg").drifted == ("a", "b")
    assert judge_columns(p, min_share=0.25).triggered
    assert not judge_columns(p, min_share=0.5).triggered
    assert not judge_columns({}).triggered


FAIRLEARN_Y = [0, 1, 1, 1, 1, 0, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1]
FAIRLEARN_P = [0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0]


def test_fairness_of_fairlearns_user_guide():
    report = fairness_report(FAIRLEARN_Y, FAIRLEARN_P, list("bbabbcccaacabccbcc"))
    assert report.demographic_parity.difference == pytest.approx(0.25)
    assert report.demographic_parity.ratio == pytest.approx(2 / 3)
    assert (report.equalised_odds_difference, report.equalised_odds_ratio) == (1.0, 0.0)
    assert report.equal_opportunity.difference == pytest.approx(0.2)
    assert report.four_fifths == "fail"
    assert [g.tpr for g in report.groups] == pytest.approx([0.5, 0.6, 0.4])


def test_four_fifths_are_four_fifths():
    """3 of 5 against 6 of 8: as doubles the ratio is a little less than 0.8."""
    selected = [1, 1, 1, 0, 0] + [1] * 6 + [0] * 2
    report = fairness_report([1] * 13, selected, list("aaaaabbbbbbbb"))
    assert report.demographic_parity.ratio == 0.8
    assert report.four_fifths == "pass"


def test_a_missing_attribute_is_a_group_and_a_group_without_positives_is_named():
    report = fairness_report([1, 0, 0, 1], [1, 0, 1, 1], ["a", "a", "b", None])
    assert [g.level for g in report.groups] == ["a", "b", "(missing)"]
    assert report.not_judged == (("tpr", "b"), ("fpr", "(missing)"))


def test_days_that_hang_together_widen_the_interval():
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(10), 200)
    group = rng.integers(0, 2, 2000)
    p = (rng.random(2000) < np.where(group == 1, (day % 2) * 0.8 + 0.1, 0.5)).astype(int)
    rows = fairness_report(p, p, group.astype(str)).demographic_parity
    days = fairness_report(p, p, group.astype(str), day=day).demographic_parity
    assert (rows.unit, days.unit) == ("row", "day")
    assert days.high - days.low > 3 * (rows.high - rows.low)
