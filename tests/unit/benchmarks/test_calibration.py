"""The bench's own machinery: what it calls equal is equal, what it moves moves by that much."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_calibration as bench
from benchmarks.flights_pairs import Pair
from devtools import year
from devtools.decisions import SPEC, random_cells, scored, split
from retrain_ops.spec.spec import parse_spec
from retrain_ops.stats.cells import day_cells
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.paired import compare

RNG = np.random.default_rng(0)
DAYS = random_cells(RNG, 21)
ROWS = scored(RNG, DAYS)
PAIR = Pair(
    first_day="2020-01-01",
    cells={"": {"": DAYS}, "p": split(RNG, DAYS, 2)},
    rows=ROWS,
    at_floor=ROWS,
)


def difference(cells):
    return float(compare(day_cells(cells)).difference)


def test_a_swap_keeps_rows_and_labels_and_swaps_slices_with_their_days():
    cells = bench.swapped(PAIR, 7, 7, np.random.default_rng(1))
    whole, part = cells[""][""], DAYS[7:14]
    assert (whole.sum(axis=1) == part.sum(axis=1)).all()
    assert (whole[:, 4:].sum(axis=1) == part[:, 4:].sum(axis=1)).all()
    assert (sum(cells["p"].values()) == whole).all()
    assert any((a != b).any() for a, b in zip(whole, part, strict=True))


def test_swapping_at_random_leaves_no_difference_on_average():
    rng = np.random.default_rng(2)
    better = Pair(first_day="", cells={"": {"": random_cells(rng, 7, gain=1)}})
    found = [difference(bench.swapped(better, 0, 7, rng)[""][""]) for _ in range(400)]
    assert abs(np.mean(found)) < 4 * np.std(found) / 20


@pytest.mark.parametrize("by", [0.02, 0.04, -0.1, -0.2, -0.4])
def test_an_effect_is_as_large_as_it_says(by):
    rng = np.random.default_rng(3)
    moved = bench.shifted(DAYS, by, rng)
    assert difference(moved) - difference(DAYS) == pytest.approx(by, abs=0.01)
    assert (moved.sum(axis=1) == DAYS.sum(axis=1)).all()
    assert moved.min() >= 0


def test_rows_carry_their_monte_carlo_interval(capsys):
    row = bench.share("x", 5, 100)
    assert set(row) == {"row", "value", "low", "high"}
    assert row["low"] == pytest.approx(0.0215, abs=1e-3)
    assert row["high"] == pytest.approx(0.1118, abs=1e-3)
    assert bench.share("x", 0, 10)["low"] == 0


def test_every_part_gives_rows_on_small_counts(capsys):
    pairs = [PAIR]
    rows = [
        *bench.drift_of_days(3),
        *bench.gate_on_flights(pairs, 2),
        *bench.metrics_on_flights(pairs, 2),
        *bench.degraded_on_flights(pairs, 2),
        *bench.canary_on_flights(pairs, 2),
    ]
    names = [r["row"] for r in rows]
    assert len(names) == len(set(names))
    assert all(r["low"] <= r["value"] <= r["high"] for r in rows)
    assert any("false promotions, H 14, paired by days" in n for n in names)


def test_a_year_promotes_the_model_that_is_better_and_counts_its_gain():
    """Model 0 knows nothing, model 1 everything, model 2 nothing again."""
    rng = np.random.default_rng(0)
    days = tuple(date(2020, 1, 1) + timedelta(days=i) for i in range(60))
    day = np.repeat(np.arange(60, dtype=np.int32), 200)
    label = (rng.random(len(day)) < 0.4).astype(np.uint8)
    noise = [(rng.random(len(day)) < 0.4).astype(np.uint8) for _ in range(2)]
    world = year.World(
        days=days,
        day=day,
        label=label,
        levels={},
        runs=tuple(date(2020, 1, 1) + timedelta(days=n) for n in (31, 38, 45)),
        decisions=np.stack([noise[0], label, noise[1]]),
    )
    spec = parse_spec(SPEC, where="m.toml", folder=Path("."))
    played = year.play(world, spec, GateRules())
    assert played["promotions"] == 1
    assert played["win_share"] == 1
    assert played["mean_gain"] > 0.4
    assert 0.7 < played["pooled_f1"] < 1
    assert year.summary([])["promotions"] == 0


def test_windows_that_lend_come_before_and_share_no_day():
    windows = [bench.EarlierWindow(f"w{i}", 7, 1.0) for i in range(6)]
    assert [w.window_end for w in bench.before(windows, 5, 7)] == ["w4", "w3", "w2", "w1", "w0"]
    assert [w.window_end for w in bench.before(windows, 5, 14)] == ["w3", "w1"]
    assert bench.before(windows, 0, 7) == ()


def test_log_odds_that_move_towards_labels_raise_every_metric_of_scores():
    moved = bench.towards_labels(ROWS, 0.3)
    for rules in bench.OTHER_METRICS.values():
        metric = rules.scored_by
        if metric.kind:
            before = compare(ROWS.judged_by(metric), metric).difference
            assert compare(moved.judged_by(metric), metric).difference > before
