"""shadow_test: real requests scored by both models; waits until the shadow's nominal end."""

from __future__ import annotations

from retrain_ops.rollout.shadow import ShadowResult, look_at_shadow
from retrain_ops.run import Run


def shadow_test(run: Run) -> ShadowResult:
    """Judges the open candidate's shadow.

    Raises:
        NotYet: the shadow ends later.
    """
    return look_at_shadow(run)
