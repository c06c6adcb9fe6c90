"""What ends a canary at once: faults, and scores that lie nowhere near those they replace.

A canary is looked at again and again, and models a week apart honestly differ: on flights one in
ten that had passed its shadow flipped more decisions, or moved the share of yes further, than
`[shadow]` allows, on some look of 20 days. So of `[shadow]` only what no sound model does is held
against a canary, and whether its decisions are worse is left to its labels. It has limits of its
own on flips and on the PSI of scores, which no honest pair of that year reached
(`benchmarks/live_canaries.py` counts it).
"""

from __future__ import annotations

from retrain_ops.stats.sequential import CanaryRules
from retrain_ops.stats.shadow import ShadowRules, ShadowVerdict, number_of

__all__ = ["broken_guards"]

FAULTS = frozenset({"bad_scores", "constant_score", "errors", "latency"})
"""Reasons of a shadow that are harm; coverage is the log's trouble, not the canary's."""


def broken_guards(
    verdict: ShadowVerdict, shadow: ShadowRules, canary: CanaryRules, *, seen: int, matched: int
) -> tuple[str, ...]:
    """The guards that a canary breaks.

    A model that fails on every row leaves none to compare: its errors count all the same.

    Args:
        verdict: on the requests that both models scored.
        shadow: the `[shadow]` table.
        canary: the `[canary]` table.
        seen: rows that both were asked about.
        matched: rows that both scored.
    """
    numbers = verdict.numbers
    found = verdict.reasons if verdict.verdict == "fail" else ()
    holds = {reason: reason in FAULTS for reason in found}
    if seen >= shadow.min_rows:
        holds["errors"] = number_of(numbers, "error_rate") > shadow.max_error_rate
    if matched >= shadow.min_rows:
        holds["score_drift"] = number_of(numbers, "score_psi") > canary.max_score_psi
        holds["flips"] = (numbers.get("flip_rate") or 0.0) > canary.max_flips  # amounts have none
    return tuple(reason for reason, held in holds.items() if held)
