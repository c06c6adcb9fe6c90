"""promote_champion: `@champion` moves, with the canary's share, after shadow and approval."""

from __future__ import annotations

from retrain_ops.rollout.promotion import ChampionResult, promote_candidate
from retrain_ops.run import Run


def promote_champion(run: Run) -> ChampionResult:
    """Promotes the candidate that passed its shadow, or reports who was promoted unreported.

    Raises:
        NotYet: a person has to approve first.
        ConflictError: another promotion is under way.
    """
    return promote_candidate(run)
