"""Published or independently recomputed values, to the digits they were given with."""

import numpy as np
import pytest

from retrain_ops import _core
from retrain_ops.stats import psi_from_counts, roc_auc
from retrain_ops.stats.distributions import chi2_tail, student_cdf, student_quantile
from retrain_ops.stats.multiplicity import benjamini_hochberg, holm
from retrain_ops.stats.sequential import log_mixture, mixture_bound, mixture_rho
from retrain_ops.stats.slices import slice_report


def test_psi_of_the_psi_inference_page():
    base = [253, 302, 204, 134, 72, 26, 8]
    current = [177, 262, 285, 158, 88, 25, 6]
    value = psi_from_counts(base, current, convention="none")
    assert value == pytest.approx(0.067692988, abs=5e-10)
    scale = 1 / sum(base) + 1 / sum(current)
    assert chi2_tail(value / scale, 6) == pytest.approx(7.2026e-06, rel=1e-4)


def test_psi_of_scouters_theory_page():
    value = psi_from_counts([1000, 1500, 1200, 1300], [800, 1400, 1600, 1200], convention="none")
    assert value == pytest.approx(0.0349210194, abs=5e-11)


@pytest.mark.parametrize(
    ("convention", "value"),
    [("deepchecks", 0.218), ("scorecard", 0.477), ("jeffreys", 0.538), ("evidently", 0.701)],
)
def test_one_empty_decile_under_each_convention(convention, value):
    """Ten equal deciles of 10,000 against 1,000 rows with one decile empty."""
    current = [111] * 8 + [112, 0]
    assert psi_from_counts([1000] * 10, current, convention) == pytest.approx(value, abs=2e-3)


# Scores with near-ties and their labels, from pROC's numeric accuracy test.
NEAR_TIES = [
    *(0.960602681556147, 0.0794407386056549, 0.144842404246611, 0.931816485855784),
    *(0.931816485855784, 0.97764041048215, 0.653549466997938699464, 0.796401132206396),
    *(0.427720540184519, 0.811278021288732, 0.0188323116581187, 0.653549466997938588442),
    *(0.653549466997938477419, 0.959111701445925, 0.931816485855784, 0.663663279418747),
    *(0.800100838413179, 0.780456095511079),
]
NEAR_TIES_LABEL = [1, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1]


def test_auc_keeps_all_53_bits_of_a_score():
    auc = roc_auc(NEAR_TIES_LABEL, NEAR_TIES)
    assert auc == float.fromhex("0x1.8ef606a63bd82p-1") == 120 / 154
    assert roc_auc(NEAR_TIES_LABEL, np.float32(NEAR_TIES)) == 118 / 154


def test_philox_known_answers():
    """Counter 0 and key 0; the vectors with other counters are in csrc/tests/t_philox.c."""
    assert [hex(w) for w in _core.philox(0, 0, 4)] == [
        "0x6627e8d5",
        "0xe169c58d",
        "0xbc57ac4c",
        "0x9b00dbd8",
    ]
    # All 64 bits of the key, against the ten rounds written out.
    ours = _core.philox(2**64 - 1, 0, 4)
    assert [int(w) for w in ours] == _philox_by_hand([0, 0, 0, 0], [2**32 - 1, 2**32 - 1])


def _philox_by_hand(c, k):
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 % 2**32, p0 >> 32 ^ c[3] ^ k[1], p0 % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def test_holm_and_benjamini_hochberg_of_multtest():
    p = [0.001, 0.002, 0.003, 0.004, 0.005, 0.05, 0.06, 0.07, 0.08, 0.09]
    assert holm(p) == pytest.approx([0.01, 0.018, 0.024, 0.028, 0.03] + [0.25] * 5)
    expected = [0.01] * 5 + [0.083333, 0.085714, 0.0875, 0.088889, 0.09]
    assert benjamini_hochberg(p) == pytest.approx(expected, abs=5e-7)


def test_adjusted_p_values_keep_the_order_given():
    assert holm([0.04, 0.01]) == pytest.approx([0.04, 0.02])
    assert benjamini_hochberg([0.04, 0.01]) == pytest.approx([0.04, 0.02])


def test_one_sided_confidence_sequence_of_confseq():
    """confseq test/uniform_boundaries_unittest.cpp: v_opt 100, alpha 0.05."""
    rho = mixture_rho(100, 0.05)
    assert log_mixture(10, 100, rho) == pytest.approx(-0.06502391, abs=5e-9)
    assert mixture_bound(100, 0.05, rho) == pytest.approx(27.66071, abs=5e-6)


@pytest.mark.parametrize(("df", "t95"), [(4, 2.131846786), (6, 1.943180281), (13, 1.770933396)])
def test_student_quantiles_of_the_tables(df, t95):
    assert student_quantile(0.95, df) == pytest.approx(t95, abs=5e-10)


def test_student_quantile_inverts_its_distribution_to_the_last_bits():
    for df in range(1, 60):
        for p in (0.55, 0.9, 0.95, 0.99, 0.999):
            assert student_cdf(student_quantile(p, df), df) == pytest.approx(p, rel=4e-15)


def test_fairlearns_user_guide_table():
    y = [0, 1, 1, 1, 1, 0, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    p = [0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0]
    group = list("bbabbcccaacabccbcc")
    expected = {
        "": (0.5, 0.666667, 0.555556, 0.545455),
        "a": (0.5, 1.0, 0.75, 0.4),
        "b": (0.6, 0.0, 0.5, 0.75),
        "c": (0.4, 0.666667, 0.5, 0.444444),
    }
    table = slice_report(y, p, slices={"group": group}).to_pylist()
    assert [row["level"] for row in table] == list(expected)
    for row in table:
        found = (row["tpr"], row["fpr"], row["selection_rate"], row["f1"])
        assert found == pytest.approx(expected[row["level"]], abs=5e-7)
