"""Shadow and canary judged by what a server answered, instead of by rows of the source."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from devtools.synthetic import FIRST, SPEC, bootstrap, toy_run, write_days
from devtools.traffic import FAULTS, SOUND, Fault, write_traffic
from retrain_ops.errors import SourceError
from retrain_ops.registry.events import utc_instant
from retrain_ops.rollout.shadow import judge_once
from retrain_ops.steps.runner import TRAINING, run_step

CHANGED = FIRST + timedelta(days=36)  # the rule of the labels reversed long ago
LIVE = SPEC.replace("max_flips = 0.95", "max_flips = 0.5") + '\n[serving]\nlog = "live"\n'
REASONS = {
    "nan": "bad_scores",
    "constant": "constant_score",
    "slow": "latency",
    "errors": "errors",
}
DAY = timedelta(days=1)


@pytest.fixture
def world(tmp_path, client, messages):
    """A champion that is wrong by now, and a challenger in shadow."""
    write_days(tmp_path / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    bootstrap(tmp_path, client, FIRST + timedelta(days=17), spec=LIVE)
    run = toy_run(tmp_path, client, CHANGED, spec=LIVE)
    for step in TRAINING:
        run_step(step, run)
    return tmp_path


# The champion's labels are reversed, so an honest challenger flips most of its decisions.
HONEST = LIVE.replace("max_flips = 0.5", "max_flips = 0.95").replace(
    "[canary]", "[canary]\nmax_flips = 0.95\nmax_score_psi = 50.0"
)


def log_shadow(world, client, **options):
    run = toy_run(world, client, CHANGED, spec=HONEST)
    old, new = (run.registry.version(n) for n in ("1", "2"))
    opened = new.opened_at
    write_traffic(run, old, new, opened, opened + DAY, **options)
    return run


def judged(world, part):
    """What the newest look says."""
    looks = (world / "workspace" / "toy" / f"window_end={CHANGED}" / "rollout").glob("*.json")
    return json.loads(max(looks).read_bytes())[part]


def test_a_shadow_on_live_requests_passes_and_says_so(world, client):
    run = log_shadow(world, client)
    assert run_step("shadow_test", run)["verdict"] == "pass"
    look = judged(world, "shadow")
    assert look["traffic"] == "live"
    live = look["live"]
    assert live["answered"] == live["matched"] == look["numbers"]["rows"] == 300
    assert (live["noise_rows"], live["noise_differing"], live["noise_largest"]) == (150, 0, 0)
    assert (live["failed"], live["late"], live["repeated"]) == (0, 0, 0)
    assert "latency_not_measured" not in look["warnings"]


def test_it_counts_what_a_replay_of_the_same_requests_counts(world, client):
    run_step("shadow_test", log_shadow(world, client))
    live = judged(world, "shadow")["numbers"]
    client.server.versions["toy", "2"].tags["retrain.state"] = "shadow"
    replayed = toy_run(world, client, CHANGED, spec=HONEST.replace('log = "live"', ""))
    old, new = (replayed.registry.version(n) for n in ("1", "2"))
    verdict, traffic = judge_once(replayed, new, old, new.opened_at + DAY)
    assert traffic == {}
    same = set(live) - {"champion_p99_ms", "challenger_p99_ms"}
    assert {k: live[k] for k in same} == {k: verdict.to_json()["numbers"][k] for k in same}


@pytest.mark.parametrize("fault", REASONS)
def test_a_shadow_with_a_fault_fails(world, client, fault):
    run = log_shadow(world, client, fault=FAULTS[fault])
    assert run_step("shadow_test", run)["verdict"] == "fail"
    assert REASONS[fault] in judged(world, "shadow")["reasons"]


def test_without_traffic_a_shadow_fails(world, client):
    run = toy_run(world, client, CHANGED, spec=HONEST)
    assert run_step("shadow_test", run)["verdict"] == "fail"
    assert judged(world, "shadow")["reasons"] == ["too_few_rows"]
    assert judged(world, "shadow")["live"]["answered"] == 0


def verdict_bytes(world, client, n_threads):
    run = toy_run(world, client, CHANGED, spec=HONEST, n_threads=n_threads)
    old, new = (run.registry.version(n) for n in ("1", "2"))
    verdict, traffic = judge_once(run, new, old, new.opened_at + DAY)
    return json.dumps({**verdict.to_json(), **traffic}).encode()


def test_split_shuffled_and_doubled_logs_give_the_same_bytes(world, client):
    log_shadow(world, client)
    first = verdict_bytes(world, client, 1)
    assert b'"matched": 300' in first
    rng = np.random.default_rng(1)
    for path in sorted((world / "live").rglob("*.parquet")):
        table = pq.read_table(path, partitioning=None)
        table = table.take(rng.permutation(table.num_rows))
        path.unlink()
        for i in range(0, table.num_rows, 37):  # in other files, and every third of them twice
            part = table.slice(i, 37)
            pq.write_table(part, path.with_name(f"{rng.integers(10**9)}-{i}.parquet"))
            if i % 3 == 0:
                pq.write_table(part, path.with_name(f"again-{i}.parquet"))
    assert verdict_bytes(world, client, 1) == verdict_bytes(world, client, 7) == first


def test_a_damaged_log_is_an_error_and_no_verdict(world, client):
    run = log_shadow(world, client)
    path = next((world / "live" / "answers").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match="no part of the request log"):
        run_step("shadow_test", run)


@pytest.fixture
def canary(world, client):
    """The challenger on trial, beside the champion that it replaced."""
    run = log_shadow(world, client)
    assert run_step("shadow_test", run)["verdict"] == "pass"
    run_step("promote_champion", run)
    assert run.registry.version("2").state == "canary"
    return world


def watch(world, client, days, spec=HONEST):
    return run_step("watch_canary", toy_run(world, client, CHANGED + days * DAY, spec=spec))


def log_canary(world, client, days, *, fault=SOUND, share=0.3, first=1):
    run = toy_run(world, client, CHANGED + days * DAY, spec=HONEST)
    previous, newest = (run.registry.version(n) for n in ("1", "2"))
    since = utc_instant(run.registry.snapshot().newest.effective_from) + (first - 1) * DAY
    before = run.instant
    write_traffic(
        run, previous, newest, since, before, share=share, fault=fault, name=f"canary{days}"
    )


@pytest.mark.parametrize("fault", REASONS)
def test_a_canary_with_a_fault_is_rolled_back_at_once(canary, client, fault):
    log_canary(canary, client, 3, fault=FAULTS[fault])
    result = watch(canary, client, 3)
    assert result["verdict"] == "rolled_back"
    assert REASONS[fault] in result["reason"]
    assert client.server.models["toy"].aliases["champion"] == "1"
    assert client.server.versions["toy", "2"].tags["retrain.state"] == "rolled_back"


def test_a_canary_has_limits_on_flips_of_its_own(canary, client):
    log_canary(canary, client, 3)
    strict = HONEST.replace("max_flips = 0.95", "max_flips = 0.5", 1)  # of [shadow]
    assert watch(canary, client, 3, spec=strict)["verdict"] == "open"
    assert judged(canary, "canary")["guards"]["whole"]["reasons"] == ["flips"]
    stricter = HONEST.replace("max_flips = 0.95\nmax_score", "max_flips = 0.5\nmax_score")
    assert watch(canary, client, 3, spec=stricter)["reason"] == "flips"


def test_units_that_do_not_meet_their_share_roll_a_canary_back(canary, client):
    log_canary(canary, client, 5, fault=Fault(share_off=0.5))
    assert watch(canary, client, 5)["reason"] == "sample_ratio"


def test_a_sound_canary_is_kept_by_its_labels(canary, client):
    verdicts = []
    for days in range(2, 13):
        log_canary(canary, client, days, first=days - 1)
        verdicts.append(watch(canary, client, days)["verdict"])
    assert set(verdicts[: verdicts.index("kept")]) == {"open"}


def test_a_canary_that_nobody_asks_is_never_kept(canary, client):
    log_canary(canary, client, 9)
    result = watch(canary, client, 11)
    assert (result["verdict"], result["reason"]) == ("open", "no_traffic")
    keeping = HONEST.replace("[canary]", '[canary]\non_expiry = "keep"')
    result = watch(canary, client, 40, spec=keeping)
    assert (result["verdict"], result["reason"]) == ("rolled_back", "no_traffic")


def test_a_canary_that_fails_on_every_row_leaves_none_to_compare_and_is_rolled_back(canary, client):
    log_canary(canary, client, 3, fault=Fault(fails=1.0))
    assert "errors" in watch(canary, client, 3)["reason"]


def test_a_canary_is_not_rolled_back_for_what_its_predecessor_fails_on(canary, client):
    log_canary(canary, client, 3, fault=Fault(older_fails=1.0))
    assert watch(canary, client, 3)["verdict"] == "open"


def drifted(scores):
    """Other scores, the same decisions at .5."""
    return np.where(scores < 0.5, scores * 1e-3, 1 - (1 - scores) * 1e-3)


def test_scores_that_drift_roll_a_canary_back_though_no_decision_does(canary, client):
    log_canary(canary, client, 3, fault=Fault(scores=drifted))
    assert watch(canary, client, 3)["verdict"] == "open"
    strict = HONEST.replace("max_score_psi = 50.0", "max_score_psi = 0.5")
    assert watch(canary, client, 3, spec=strict)["reason"] == "score_drift"


def test_a_fault_that_begins_late_does_not_hide_behind_sound_days(canary, client):
    log_canary(canary, client, 6)
    assert watch(canary, client, 6)["verdict"] == "open"
    log_canary(canary, client, 7, first=6, fault=FAULTS["constant"])
    result = watch(canary, client, 7)
    assert (result["verdict"], result["reason"]) == ("rolled_back", "constant_score")
    guards = judged(canary, "canary")["guards"]
    assert guards["whole"]["verdict"] == "pass"
    assert guards["lately"]["reasons"] == ["constant_score"]


def test_a_canary_that_is_compared_with_nobody_is_never_kept(canary, client):
    log_canary(canary, client, 12)
    for path in (canary / "live" / "shadows").rglob("*.parquet"):
        if path.parent.name > f"day={CHANGED + 9 * DAY}":
            path.unlink()
    result = watch(canary, client, 12)
    assert (result["verdict"], result["reason"]) == ("open", "no_scores")


STEPS = HONEST.replace("[canary]", "[canary]\nsteps = [0.5, 0.8]\nstep_days = 2")


def test_a_canary_widens_step_by_step_and_not_without_traffic(canary, client):
    shares = []
    for days in (2, 3, 4, 5, 6):
        log_canary(canary, client, days, first=days - 1)
        result = watch(canary, client, days, spec=STEPS)
        assert result["verdict"] == "open"
        shares.append(registry_of(canary, client).serving().share)
    assert shares == [0.1, 0.5, 0.5, 0.8, 0.8]
    looks = (canary / "workspace" / "toy" / f"window_end={CHANGED}" / "rollout").glob("*.json")
    found = [json.loads(path.read_bytes()).get("canary", {}) for path in sorted(looks)]
    assert [look["widened_to"] for look in found if "widened_to" in look] == [0.5, 0.8]


def test_a_canary_without_traffic_is_not_widened(canary, client):
    assert watch(canary, client, 6, spec=STEPS)["reason"] == "no_traffic"
    assert registry_of(canary, client).serving().share == 0.1


def registry_of(world, client):
    return toy_run(world, client, CHANGED, spec=HONEST).registry
