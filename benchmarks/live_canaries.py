"""Canaries of a model that is as good as the one it replaced, watched by all that could end one.

Models of flights a week apart change names on random days, so neither is better. After a day of
shadow a tenth of the day's requests meets the canary. Labels are judged every day; the guards every
six hours, on all requests so far and on those of the newest day, with latencies that now and then
stall for both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.flights_pairs import Pair
from retrain_ops import _core
from retrain_ops.comparison.live import LATENCY_CONFIDENCE
from retrain_ops.stats.live_guards import broken_guards
from retrain_ops.stats.sequential import CanaryRules, judge_canary
from retrain_ops.stats.shadow import ShadowRules, judge_shadow
from retrain_ops.stats.traffic import SAMPLE_RATIO_ALPHA, p99_ms, sample_ratio_p

DAYS = 20
SWAPPED_CELLS = [0, 2, 1, 3, 4, 6, 5, 7]  # cell = 4 * label + 2 * champion + challenger
SWAPPED_COUNTS = {
    "flips_up": "flips_down",
    "champion_positive": "challenger_positive",
    "champion_bad": "challenger_bad",
}
USUAL_NS, STALL_NS, STALLS = 300_000, 40_000_000, 0.008
Rng = np.random.Generator
Counts = dict[str, Any]


def false_rollbacks(pairs: Sequence[Pair], canaries: int, seed: int = 0) -> Counter[str]:
    """How many canaries were rolled back within 20 days, by the first reason; "" for none.

    Each follows a day of shadow, which it passed.
    """
    rng = np.random.default_rng(seed)
    counted = [_quarters(pair) for pair in pairs]
    found: Counter[str] = Counter()
    while found.total() < canaries:
        index = int(rng.integers(len(pairs)))
        flip = rng.random(DAYS + 1) < 0.5
        quarters = [_swapped(c) if flip[i // 4] else c for i, c in enumerate(counted[index])]
        if judge_shadow(_sum(quarters[:4])).verdict != "fail":
            found[_ended_by(pairs[index], quarters[4:], flip[1:], rng)] += 1
    return found


def _ended_by(pair: Pair, quarters: list[Counts], flip: NDArray[np.bool_], rng: Rng) -> str:
    guard = _guard(quarters, rng)
    if guard:
        return guard
    cells = pair.days[1 : DAYS + 1].copy()
    cells[flip] = cells[flip][:, SWAPPED_CELLS]
    verdict = judge_canary(cells, CanaryRules())
    return verdict.reason if verdict.action == "rollback" else ""


def _quarters(pair: Pair) -> list[Counts]:
    """What a shadow counts, by quarters of days."""
    rows = pair.rows
    assert rows is not None
    assert rows.scores is not None
    cuts = [s[d == 1].min() for s, d in zip(rows.scores, rows.decisions, strict=True)]
    days = np.searchsorted(rows.day, np.arange(DAYS + 2))
    ends = np.interp(np.arange(4 * (DAYS + 1) + 1) / 4, np.arange(DAYS + 2), days).astype(int)
    return [
        dict(_core.shadow_counts(*(s[a:b] for s in rows.scores), *cuts, n_threads=1))
        for a, b in pairwise(ends)
    ]


def _swapped(counts: Counts) -> Counts:
    """The models change names."""
    turned = {**counts, "score_counts": np.asarray(counts["score_counts"])[::-1]}
    for one, other in SWAPPED_COUNTS.items():
        turned[one], turned[other] = counts[other], counts[one]
    return turned


def _sum(parts: Sequence[Counts]) -> Counts:
    """All counts merge by addition; of how many scores differ, more than one is what matters."""
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def _guard(quarters: list[Counts], rng: Rng) -> str:
    """The first guard that breaks; empty when none does."""
    rules = CanaryRules()
    ends = np.cumsum([0, *(int(quarter["rows"]) for quarter in quarters)])
    met = rng.random(ends[-1]) < rules.share
    took = rng.lognormal(np.log(USUAL_NS), 0.5, len(met)).astype(np.int64)
    took += (rng.random(len(met)) < STALLS) * STALL_NS
    whole = _sum(quarters[:1])
    for look in range(1, len(quarters)):
        now, newest = ends[look], ends[max(0, look - 4)]
        if sample_ratio_p(int(met[:now].sum()), int(now), rules.share) < SAMPLE_RATIO_ALPHA:
            return "sample_ratio"
        lately = _sum(quarters[max(0, look - 4) : look])
        for first, counts in ((0, whole), (newest, lately)):
            broken = _broken(counts, met[first:now], took[first:now], rules)
            if broken:
                return broken[0]
        whole = _sum((whole, quarters[look]))
    return ""


def _broken(
    counts: Counts, met: NDArray[np.bool_], took: NDArray[np.int64], rules: CanaryRules
) -> tuple[str, ...]:
    verdict = judge_shadow(
        counts,
        champion_p99_ms=p99_ms(took[~met], 1 - LATENCY_CONFIDENCE),
        challenger_p99_ms=p99_ms(took[met], LATENCY_CONFIDENCE),
    )
    rows = int(counts["compared"])
    return broken_guards(verdict, ShadowRules(), rules, seen=rows, matched=rows)
