"""How often the verdicts are wrong when nothing is there, and how often they see what is.

    python -m benchmarks.bench_calibration [--replicates 1000] [--canaries 2000] [--only-canaries]

Writes build/bench/calibration.json: rows {row, value, low, high}; low and high are the 95 %
Monte Carlo interval (Wilson), given this year's days; rows of days to detection have the 5 %
and 95 % quantile instead and say so. Peers' rules stand beside ours on the same data.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from benchmarks.flights_pairs import CACHE, FLOOR, STEP_DAYS, Pair, load_amounts, load_pairs
from benchmarks.live_canaries import false_rollbacks
from retrain_ops.decisions.earlier import MOST
from retrain_ops.spec.spec import load_spec
from retrain_ops.stats.cells import day_cells
from retrain_ops.stats.degraded import DegradedRules, judge_degraded
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.gates import GateReport, judge
from retrain_ops.stats.metrics import Costs
from retrain_ops.stats.moderation import EarlierWindow, earlier_window
from retrain_ops.stats.paired import compare
from retrain_ops.stats.psi import day_permutation_p, psi
from retrain_ops.stats.sequential import CanaryRules, judge_canary
from retrain_ops.stats.tables import PairedRows, count_tables

RESULT = CACHE.with_name("calibration.json")
SPEC = CACHE.parents[2] / "dags" / "flights.toml"
SWAPPED = [0, 2, 1, 3, 4, 6, 5, 7]  # cell = 4 * label + 2 * champion + challenger
Row = dict[str, object]
Rng = np.random.Generator


def share(row: str, hits: int, n: int) -> Row:
    """A share with its Wilson interval."""
    p, z = hits / n, 1.959964
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return _row(row, p, max(0.0, middle - half), min(1.0, middle + half))


def _row(row: str, value: float, low: float, high: float) -> Row:
    print(f"{row:<78} {value:8.4f}  [{low:.4f}, {high:.4f}]", flush=True)
    return {"row": row, "value": round(value, 6), "low": round(low, 6), "high": round(high, 6)}


# -- drift --------------------------------------------------------------------------

SHAPES: dict[str, Callable[[Rng, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "skewed": lambda rng, n: rng.lognormal(0, 1.5, size=n),
    "discrete": lambda rng, n: rng.poisson(3, size=n).astype(float),
    "93 % in one bin": lambda rng, n: np.where(rng.random(n) < 0.93, 0.0, rng.exponential(size=n)),
}


def evidently_default(reference: np.ndarray, current: np.ndarray) -> bool:
    """Its default for a numeric column: KS p < .05 up to 1,000 rows, else Wasserstein >= .1 sd."""
    if len(reference) <= 1000:
        return bool(stats.ks_2samp(reference, current).pvalue < 0.05)
    spread = max(float(np.std(reference)), 0.001)
    return bool(stats.wasserstein_distance(reference, current) / spread >= 0.1)


def drift_of_rows(replicates: int) -> Iterator[Row]:
    """Independent rows from one distribution: a drift verdict is a false alarm."""
    for shape, (name, draw) in enumerate(SHAPES.items()):
        for n in (50, 200, 1000, 10_000, 100_000):
            for bins in (10, 20):
                rng = np.random.default_rng([n, bins, shape])
                repeats = max(50, replicates // (4 if n >= 100_000 else 1))
                yield from _drift_rows(f"{name}, n {n}, {bins} bins", draw, n, bins, repeats, rng)


def _drift_rows(
    where: str,
    draw: Callable[[Rng, int], np.ndarray],
    n: int,
    bins: int,
    repeats: int,
    rng: Rng,
) -> Iterator[Row]:
    ours = bare = theirs = 0
    for _ in range(repeats):
        a, b = draw(rng, n), draw(rng, n)
        found = psi(a, b, bins)
        ours += found.verdict == "drift"
        bare += found.psi > 0.2
        theirs += bins == 10 and evidently_default(a, b)
    yield share(f"drift false alarms, rows, {where}", ours, repeats)
    yield share(f"drift false alarms, bare PSI > 0.2, {where}", bare, repeats)
    if bins == 10:
        yield share(f"drift false alarms, Evidently's default, {where}", theirs, repeats)


def drift_of_days(replicates: int) -> Iterator[Row]:
    """Days differ among themselves, and nothing else changes."""
    for bins in (10, 20):
        rng = np.random.default_rng(bins)
        hits = {"whole days permuted": 0, "rows taken as independent": 0, "bare PSI > 0.2": 0}
        for i in range(replicates):
            reference = [rng.normal(rng.normal(0, 0.5), 1, 200) for _ in range(22)]
            current = [rng.normal(rng.normal(0, 0.5), 1, 200) for _ in range(7)]
            pooled = psi(np.concatenate(reference), np.concatenate(current), bins)
            a, b = (_binned(days, pooled.edges) for days in (reference, current))
            hits["whole days permuted"] += day_permutation_p(a, b, draws=199, seed=i) <= 0.05
            hits["rows taken as independent"] += pooled.verdict == "drift"
            hits["bare PSI > 0.2"] += pooled.psi > 0.2
        for rule, count in hits.items():
            yield share(
                f"drift false alarms, clustered days, {rule}, {bins} bins", count, replicates
            )


def _binned(days: list[np.ndarray], edges: np.ndarray) -> np.ndarray:
    width = len(edges) + 1
    return np.stack([np.bincount(np.searchsorted(edges, d), minlength=width) for d in days])


# -- the gate on flights' own counts ------------------------------------------------------


def swapped(pair: Pair, first: int, count: int, rng: Rng) -> dict[str, dict[str, np.ndarray]]:
    """Champion and challenger change names on random days: neither is better."""
    flip = rng.random(count) < 0.5

    def turned(cells: np.ndarray) -> np.ndarray:
        part = cells[first : first + count].copy()
        part[flip] = part[flip][:, SWAPPED]
        return part

    return {c: {level: turned(x) for level, x in by.items()} for c, by in pair.cells.items()}


def shifted(days: np.ndarray, by: float, rng: Rng) -> np.ndarray:
    """The same days with the challenger's F1 moved by about `by`: decisions changed at random.

    Better: a share of its mistakes is mended. Worse: a share of its hits is missed.
    """
    moves = ((4, 5), (6, 7), (1, 0), (3, 2)) if by > 0 else ((5, 4), (7, 6))
    total = days.sum(axis=0).astype(float)
    low, high = 0.0, 1.0
    for _ in range(40):
        q = (low + high) / 2
        if abs(_f1_after(total, moves, q) - _f1_after(total, moves, 0.0)) < abs(by):
            low = q
        else:
            high = q
    changed = days.copy()
    for source, target in moves:
        moved = rng.binomial(days[:, source], low)
        changed[:, source] -= moved
        changed[:, target] += moved
    return changed


def _f1_after(total: np.ndarray, moves: Sequence[tuple[int, int]], q: float) -> float:
    cells = total.copy()
    for source, target in moves:
        moved = q * total[source]
        cells[source] -= moved
        cells[target] += moved
    hits = cells[5] + cells[7]
    return float(2 * hits / (cells[4:].sum() + cells[1::2].sum()))


def windows_of(pairs: list[Pair], days: int, rng: Rng) -> list[EarlierWindow | None]:
    """What later windows borrow from the first `days` days of each pair, swapped once."""
    return [
        earlier_window(pair.first_day, compare(day_cells(swapped(pair, 0, days, rng)[""][""])))
        for pair in pairs
    ]


def before(windows: list[EarlierWindow | None], index: int, days: int) -> tuple[EarlierWindow, ...]:
    """The newest half year of windows that share no day with each other or with this one."""
    apart = math.ceil(days / STEP_DAYS)
    return tuple(w for i in range(index - apart, -1, -apart) if (w := windows[i]))[:MOST]


def swapped_rows(rows: PairedRows, rng: Rng) -> PairedRows:
    """The same with scores: champion and challenger change names on random days."""
    assert rows.scores is not None
    flip = (rng.random(rows.n_days) < 0.5)[rows.day]
    (a, b), (c, d) = rows.scores, rows.decisions
    return replace(
        rows,
        scores=(np.where(flip, b, a), np.where(flip, a, b)),
        decisions=(np.where(flip, d, c), np.where(flip, c, d)),
    )


RULES = {
    "paired by days": GateRules(),
    "paired by days, moderated": GateRules(variance="moderated"),
    "paired by rows": GateRules(resample_unit="row"),
    "literal rule": GateRules(mode="literal"),
}


def gate_on_flights(pairs: list[Pair], swaps: int) -> Iterator[Row]:
    """False promotions and power over all windows of the year."""
    for days in (7, 14):
        for effect in (0.0, 0.02, 0.04):
            rng = np.random.default_rng([days, int(1000 * effect)])
            passed = dict.fromkeys(RULES, 0)
            n = 0
            windows = windows_of(pairs, days, rng)
            for i, pair in enumerate(pairs):
                earlier = before(windows, i, days)
                for _ in range(swaps):
                    cells = swapped(pair, 0, days, rng)[""][""]
                    cells = shifted(cells, effect, rng) if effect else cells
                    for name, rules in RULES.items():
                        report = judge({"": {"": cells}}, rules, earlier=earlier)
                        passed[name] += report.verdict == "pass"
                    n += 1
            what = "false promotions" if not effect else f"power at dF1 {effect}"
            for name, hits in passed.items():
                yield share(f"gate {what}, H {days}, {name}", hits, n)


AT_FLOOR = f"recall at a precision of {FLOOR:g}"
OTHER_METRICS = {
    "AUC": GateRules(metric="roc_auc", min_improvement=0),
    "average precision": GateRules(metric="average_precision", min_improvement=0),
    "KS distance": GateRules(metric="ks", min_improvement=0),
    "log-loss": GateRules(metric="log_loss", min_improvement=0),
    "Brier score": GateRules(metric="brier", min_improvement=0),
    "net benefit": GateRules(metric="net_benefit", costs=Costs(fp=1, fn=3), min_improvement=0),
    AT_FLOOR: GateRules(metric="recall", min_improvement=0),
}
"""Without a bar: the bound alone has to hold."""


def metrics_on_flights(pairs: list[Pair], swaps: int) -> Iterator[Row]:
    """The gate by other metrics, 7 days.

    Power is of metrics of scores, where log-odds move by 0.1 towards the label.
    """
    days = 7
    for name, window in OTHER_METRICS.items():
        metric = window.scored_by
        both = {"paired by days": window, "moderated": replace(window, variance="moderated")}
        for moved in (0.0, 0.1) if metric.kind else (0.0,):
            rng = np.random.default_rng([days, int(10 * moved), len(name)])
            passed, gains = dict.fromkeys(both, 0), []
            first = [_rows(pair, name).between(0, days) for pair in pairs]
            windows = [
                earlier_window(
                    pair.first_day, compare(swapped_rows(rows, rng).judged_by(metric), metric)
                )
                for pair, rows in zip(pairs, first, strict=True)
            ]
            for i, of_pair in enumerate(first):
                for _ in range(swaps):
                    rows = towards_labels(swapped_rows(of_pair, rng), moved)
                    cells, sums = count_tables(rows, {}, window)
                    for rule, rules in both.items():
                        earlier = before(windows, i, days)
                        report = judge(cells, rules, sums=sums, earlier=earlier)
                        passed[rule] += report.verdict == "pass"
                    gains.append(report.difference or 0.0)
            what = "false promotions" if not moved else f"power at d {np.mean(gains):.4f}"
            for rule, hits in passed.items():
                yield share(f"gate {what}, H {days}, {name}, {rule}", hits, len(gains))


AMOUNT_METRICS = {
    "MAE": GateRules(metric="mae", min_improvement=0),
    "RMSE": GateRules(metric="rmse", min_improvement=0),
    "pinball at .9": GateRules(metric="pinball", quantile=0.9, min_improvement=0),
}


def amounts_on_flights(weeks: list[PairedRows], swaps: int) -> Iterator[Row]:
    """The gate by metrics of the delay in minutes, 7 days.

    Power is at errors that are 1 and 2 % smaller.
    """
    days = 7
    for name, rules in AMOUNT_METRICS.items():
        for smaller in (0.0, 0.01, 0.02):
            rng = np.random.default_rng([days, int(1000 * smaller), len(name)])
            passed, gains = 0, []
            for week in weeks:
                for _ in range(swaps):
                    rows = closer(swapped_rows(week.between(0, days), rng), smaller)
                    report = _counted(rows, rules)
                    passed += report.verdict == "pass"
                    gains.append(report.difference or 0.0)
            what = "false promotions" if not smaller else f"power at d {np.mean(gains):.4f}"
            yield share(f"gate {what}, H {days}, {name}, paired by days", passed, len(gains))


def _counted(rows: PairedRows, rules: GateRules) -> GateReport:
    cells, sums = count_tables(rows, {}, rules)
    return judge(cells, rules, sums=sums)


def closer(rows: PairedRows, by: float) -> PairedRows:
    """The challenger with errors that are smaller by a share."""
    assert rows.scores is not None
    assert rows.target is not None
    old, new = rows.scores
    return replace(rows, scores=(old, new + by * (rows.target - new)))


def _rows(pair: Pair, name: str) -> PairedRows:
    rows = pair.at_floor if name == AT_FLOOR else pair.rows
    assert rows is not None
    return rows


def towards_labels(rows: PairedRows, by: float) -> PairedRows:
    """The challenger with its log-odds moved by `by` towards what happened."""
    assert rows.scores is not None
    old, new = rows.scores
    odds = np.log(new / (1 - new)) + by * (2.0 * rows.label - 1)
    return replace(rows, scores=(old, 1 / (1 + np.exp(-odds)))) if by else rows


def slices_on_flights(pairs: list[Pair], swaps: int) -> Iterator[Row]:
    """What slices do to a challenger that is exactly as good as the champion."""
    gate = load_spec(SPEC).gate
    for days in (7, 14):
        rng = np.random.default_rng(days)
        reports: list[GateReport] = []
        for pair in pairs:
            reports += [judge(swapped(pair, 0, days, rng), gate) for _ in range(swaps)]
        for role, name in (("watched", "false vetoes by watched carriers"), ("protected", "")):
            hits = sum(any(_against(s, role) for s in r.slices) for r in reports)
            name = name or "blocks by protected origins (margin .05)"
            yield share(f"slices, {name}, H {days}", hits, len(reports))


def _against(verdict: object, role: str) -> bool:
    stands = ("fail", "undecided") if role == "protected" else ("fail",)
    return verdict.role == role and verdict.verdict in stands  # type: ignore[attr-defined]


def degraded_on_flights(pairs: list[Pair], swaps: int) -> Iterator[Row]:
    """The degraded trigger where the champion is as good as the other model, and where not."""
    rules = DegradedRules()
    for effect in (0.0, 0.05, 0.1):
        rng = np.random.default_rng(int(100 * effect))
        hits = n = 0
        for pair in pairs:
            for _ in range(swaps):
                cells = swapped(pair, 0, 21, rng)[""][""]
                cells = shifted(cells, effect, rng) if effect else cells
                windows = [("", "", {}, cells[i : i + 7]) for i in (14, 7, 0)]
                hits += judge_degraded(windows, rules).triggered
                n += 1
        what = "without decay" if not effect else f"champion worse by {effect}"
        yield share(f"degraded trigger, {what}", hits, n)


def canary_on_flights(pairs: list[Pair], swaps: int) -> Iterator[Row]:
    """Days until a canary is rolled back; it is kept after `min_days`, 21 show what is missed."""
    rules = CanaryRules()
    for effect in (0.0, -0.1, -0.2, -0.4):
        rng = np.random.default_rng(int(-100 * effect))
        found: list[float] = []
        for pair in pairs:
            for _ in range(swaps):
                cells = swapped(pair, 0, 21, rng)[""][""]
                cells = shifted(cells, effect, rng) if effect else cells
                verdict = judge_canary(cells, rules)
                breach = verdict.numbers.get("breach_day")
                found.append(math.inf if breach is None else int(breach) + 1)
        what = "false rollbacks" if not effect else f"rolled back at dF1 {effect}"
        for days in (rules.min_days, 21):
            yield share(
                f"canary {what}, within {days} days", sum(d <= days for d in found), len(found)
            )
        seen = [d for d in found if d < math.inf]
        if effect and seen:
            quarter = [float(np.quantile(seen, q)) for q in (0.5, 0.05, 0.95)]
            yield _row(f"canary days to detection at dF1 {effect} (median; 5 %, 95 %)", *quarter)


def live_canaries(pairs: list[Pair], canaries: int) -> Iterator[Row]:
    """Canaries of an equal model on live requests, by what ended them; at most `alpha`, and half
    a point for the guards, beyond three standard errors of the count."""
    found = false_rollbacks(pairs, canaries)
    ended = canaries - found.pop("", 0)
    limit = CanaryRules().alpha + 0.005
    most = limit + 3 * math.sqrt(limit * (1 - limit) / canaries)
    holds = "held" if ended / canaries <= most else "MISSED"
    yield share(f"live canary false rollbacks, limit {most:.4f} {holds}", ended, canaries)
    for reason, n in sorted(found.items()):
        yield share(f"live canary false rollbacks by {reason}", n, canaries)


def main(arguments: Sequence[str]) -> int:
    """Runs every part and writes the rows; the canaries alone are printed."""
    parser = argparse.ArgumentParser(prog="bench_calibration", description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000, help="of each drift row")
    parser.add_argument("--canaries", type=int, default=2000, help="that are simulated")
    parser.add_argument("--only-canaries", action="store_true", help="nothing else, not written")
    options = parser.parse_args(arguments)
    replicates, pairs = options.replicates, load_pairs()
    canaries = list(live_canaries(pairs, options.canaries))
    if options.only_canaries:
        return 0
    swaps = max(2, replicates // 20)
    rows = [
        *drift_of_rows(replicates),
        *drift_of_days(replicates),
        *gate_on_flights(pairs, swaps),
        *metrics_on_flights(pairs, max(2, swaps // 2)),
        *amounts_on_flights(load_amounts(), max(2, swaps // 2)),
        *slices_on_flights(pairs, max(2, swaps // 5)),
        *degraded_on_flights(pairs, swaps),
        *canary_on_flights(pairs, max(2, swaps // 2)),
        *canaries,
    ]
    RESULT.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{len(rows)} rows, {len(pairs)} pairs of models: {RESULT.relative_to(SPEC.parents[1])}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
