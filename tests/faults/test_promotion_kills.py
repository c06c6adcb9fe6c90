"""Real processes, killed and stopped in the middle of promotions on a real MLflow server.

`python -m proofs registry` does the same after every single request.
"""

from __future__ import annotations

import pytest

from devtools import drops, promoters

pytestmark = pytest.mark.mlflow


def test_a_killed_promotion_or_rollback_is_finished_by_its_replay(mlflow_server):
    kills = promoters.prove_kills(mlflow_server.url, "killed", every=9)
    assert kills["bootstrap"] >= 2
    assert kills["promotion"] >= 2
    assert kills["rollback"] >= 1


def test_racing_promoters_some_killed_some_late_end_at_the_highest_epoch(mlflow_server, tmp_path):
    told = promoters.Race()
    promoters.race(mlflow_server.url, "raced", tmp_path / "a", locked=False, promoters=6, told=told)
    assert (told.killed, told.paused) == (1, 1)
    assert told.epochs >= 2


def test_writers_inside_the_lock_never_conflict(mlflow_server, tmp_path):
    told = promoters.Race()
    promoters.race(mlflow_server.url, "locked", tmp_path / "a", locked=True, promoters=4, told=told)
    assert told.conflicts == 0


def test_a_race_that_leaves_wrong_aliases_would_be_seen(mlflow_server):
    world = promoters.registry_at(mlflow_server.url, "planted")
    promoters.promote(world, promoters.FIRST, first=True)
    promoters.promote(world, promoters.FIRST.replace(day=12))
    world.client.set_registered_model_alias("planted", "champion", "1")
    with pytest.raises(RuntimeError, match="not at rest"):
        promoters.check_at_rest(world)


def test_connections_that_break_around_creates_leave_one_version_per_key(mlflow_server):
    found = drops.prove(mlflow_server.url, drops_wanted=20, threads=4, stem="dropped")
    assert found["drops"] >= 20
    assert found["keys_without_exactly_one_version"] == 0
