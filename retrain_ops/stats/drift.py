"""Whether the features alone say that it is time to retrain, from counts per day and bin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retrain_ops.errors import DataError
from retrain_ops.stats.psi import day_permutation_p, noise_level, psi_from_counts
from retrain_ops.stats.rounding import to_json_value, to_significant

__all__ = ["DriftReport", "DriftRules", "FeatureDrift", "drift_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRules:
    """When a feature counts as drifted.

    `trigger` "literal": PSI > `threshold`. "proven": and the day-permutation p value (`draws`
    random deals) is below `alpha`.
    """

    trigger: Literal["literal", "proven"] = "literal"
    threshold: float = 0.2
    alpha: float = 0.05
    draws: int = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDrift:
    """One feature's numbers.

    Attributes:
        psi, debiased: index with Jeffreys' half counts; less the noise of independent rows.
        p_value: of whole days dealt at random.
        verdict: drift (PSI above the threshold and p below alpha), not_proven (above, p is not
            below), no_drift, or undecided (no rows on a side; the numbers are None).
        triggers: whether this feature alone starts a retraining, by the rules' trigger.
    """

    name: str
    psi: float | None
    debiased: float | None
    p_value: float | None
    verdict: Literal["drift", "not_proven", "no_drift", "undecided"]
    triggers: bool
    rows_reference: int
    rows_current: int
    bins: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """All features, in the order given; `psi_max` and the feature that has it."""

    triggered: bool
    psi_max: float | None
    feature_max: str | None
    features: tuple[FeatureDrift, ...]
    rules: DriftRules

    def to_json(self) -> dict[str, object]:
        """Plain data, floats to 9 significant digits."""
        plain = to_json_value(asdict(self))
        assert isinstance(plain, dict)
        return plain


def drift_report(
    reference: Mapping[str, NDArray[np.int64]],
    current: Mapping[str, NDArray[np.int64]],
    rules: DriftRules | None = None,
    *,
    seed: int,
) -> DriftReport:
    """Drift of every feature of `reference`.

    Args:
        reference: feature -> int64[reference days, B], the counts frozen with the champion.
        current: feature -> int64[current days, B], over the same bins.
        rules: trigger and levels.
        seed: of the permutations.

    Raises:
        DataError: a feature is missing from `current`, or its bins differ.
    """
    rules = rules or DriftRules()
    absent = [name for name in reference if name not in current]
    if absent:
        raise DataError(f"no current counts of {', '.join(absent)}")
    features = tuple(
        _feature(name, np.asarray(counts), np.asarray(current[name]), rules, seed)
        for name, counts in reference.items()
    )
    known = [(f.psi, f.name) for f in features if f.psi is not None]
    psi_max = max((p for p, _ in known), default=None)
    return DriftReport(
        triggered=any(f.triggers for f in features),
        psi_max=psi_max,
        feature_max=next((name for p, name in known if p == psi_max), None),
        features=features,
        rules=rules,
    )


def _feature(
    name: str,
    reference: NDArray[np.int64],
    current: NDArray[np.int64],
    rules: DriftRules,
    seed: int,
) -> FeatureDrift:
    before, now = reference.sum(axis=0), current.sum(axis=0)
    rows = int(before.sum()), int(now.sum())
    if before.shape != now.shape:
        raise DataError(f"{name}: the reference has {len(before)} bins, current has {len(now)}")
    value = debiased = p_value = None
    verdict: Literal["drift", "not_proven", "no_drift", "undecided"] = "undecided"
    above = proven = False
    if min(rows) > 0:
        value = to_significant(psi_from_counts(before, now))
        assert value is not None
        debiased = value - noise_level(before, now)
        p_value = day_permutation_p(reference, current, draws=rules.draws, seed=seed)
        above = value > rules.threshold
        proven = above and p_value < rules.alpha
        verdict = "drift" if proven else "not_proven" if above else "no_drift"
    return FeatureDrift(
        name=name,
        psi=value,
        debiased=debiased,
        p_value=p_value,
        verdict=verdict,
        triggers=above if rules.trigger == "literal" else proven,
        rows_reference=rows[0],
        rows_current=rows[1],
        bins=int(((before + now) > 0).sum()),
    )
