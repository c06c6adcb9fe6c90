"""Who meets a canary: a part of the units as large as its share, that only ever grows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from retrain_ops import _core
from retrain_ops.rollout.arms import arm_key, limit_of

UNITS = {
    "numbers": [str(i).encode() for i in range(50_000)],
    "mails": [f"user{i}@example.com".encode() for i in range(50_000)],
}


def test_the_hash_is_siphash_2_4():
    key = bytes(range(16))
    assert _core.siphash(key, b"") == 0x726FDB47DD0E0E31
    assert _core.siphash(key, bytes(range(15))) == 0xA129CA6149BE45E5
    with pytest.raises(ValueError, match="16 bytes"):
        _core.siphash(b"short", b"")


@pytest.mark.parametrize("units", UNITS.values(), ids=UNITS)
def test_units_spread_evenly_and_a_growing_share_moves_nobody_back(units):
    key = arm_key("churn", "7")
    buckets = [_core.siphash(key, unit) >> 58 for unit in units]
    assert chisquare(np.bincount(buckets, minlength=64)).pvalue > 1e-6
    before: set[bytes] = set()
    for share in (0.01, 0.1, 0.5, 1.0):
        now = {unit for unit in units if _core.siphash(key, unit) < limit_of(share)}
        assert before <= now
        assert abs(len(now) / len(units) - share) < 0.01
        before = now
    assert len(before) == len(units)


def test_another_canary_meets_other_units():
    limit = limit_of(0.1)
    one, other = arm_key("churn", "7"), arm_key("churn", "8")
    both = sum(
        max(_core.siphash(one, unit), _core.siphash(other, unit)) < limit for unit in UNITS["mails"]
    )
    assert abs(both / len(UNITS["mails"]) - 0.01) < 0.003


def test_hashes_of_many_texts_are_those_of_each():
    key, texts = bytes(range(16)), [b"", b"a", b"", "é".encode(), b"long" * 40]
    bounds = np.cumsum([3, *map(len, texts)])
    found = _core.siphashes(key, b"..." + b"".join(texts) + b"rest", bounds)
    assert found.tolist() == [_core.siphash(key, text) for text in texts]
    for wrong in ([], [2, 1], [0, 4], [-1, 0]):
        with pytest.raises(ValueError, match="bounds must ascend within data"):
            _core.siphashes(key, b"abc", np.array(wrong, np.int64))
