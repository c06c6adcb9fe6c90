"""Model files with a fault, served: watch_canary takes each off by what was answered alone.

`python -m proofs faults_under_traffic` does the same on flights over HTTP.
"""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from devtools import planted_models
from devtools.serving import promoted, wait_until
from devtools.synthetic import AMOUNTS, FIRST, SPEC, toy_run, write_days
from retrain_ops.serving import Router
from retrain_ops.steps.runner import run_step

LIVE = '\n[serving]\nlog = "live"\nsegment_s = 1\n'
STRICT = SPEC.replace("max_flips = 0.95\nmax_rate_change = 0.95\n", "latency_slack_ms = 0.2\n")
REQUESTS = 900


@pytest.fixture
def rows(tmp_path):
    write_days(tmp_path / "rows", 3)
    table = pq.ParquetDataset(tmp_path / "rows", partitioning=None).read()
    return table.select(["a", "b", "c"]), table["late"].to_numpy().astype(np.int8)


def serve_and_watch(folder, client, spec, models, table, requests=REQUESTS):
    """Champion and canary answer, then one look."""
    name = toy_run(folder, client, FIRST, spec=spec).model
    now = datetime.now(UTC)
    promoted(client, name, models[0])
    promoted(client, name, models[1], share=0.3, effective=now)
    statuses = []
    asked = table.to_pylist()
    today = (now - timedelta(hours=2)).date()
    run = toy_run(folder, client, today, spec=spec)
    with closing(Router(run.spec, client=client)) as router:
        for i in range(requests):
            body = json.dumps({"dataframe_records": [asked[i % len(asked)]]}).encode()
            statuses.append(router.answer(body, unit=b"unit-%d" % i).status)
    answered = datetime.now(UTC)
    wait_until(lambda: datetime.now(UTC) - answered > timedelta(seconds=1))  # looks see whole ones
    run_step("watch_canary", run)
    return run, statuses, run.workspace.read_json(run.path("watch_canary.json"))


FAULTS = {
    "inverted": (planted_models.inverted, {"flips", "score_drift"}),
    "errors": (lambda t, y: planted_models.failing(t, y, "c"), {"errors"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_canary_with_a_fault_is_taken_off_by_one_look(tmp_path, client, messages, rows, fault):
    planted, reasons = FAULTS[fault]
    models = planted_models.sound(*rows), planted(*rows)
    run, _, result = serve_and_watch(tmp_path, client, STRICT + LIVE, models, rows[0])
    assert result["verdict"] == "rolled_back"
    assert reasons & set(result["reason"].split(", "))
    assert run.registry.snapshot().aliases["champion"] == "1"
    with closing(Router(run.spec, client=client)) as router:
        assert router.health()["champion"] == "1"
        assert router.health()["share"] == 1.0


def test_a_canary_that_answers_no_numbers_is_taken_off_by_one_look(tmp_path, client, rows):
    table, labels = rows
    champion = planted_models.amounts(table, 1.0 + labels)
    models = champion, planted_models.overflowing(champion, "x")
    _, statuses, result = serve_and_watch(tmp_path, client, AMOUNTS + LIVE, models, table, 200)
    assert set(statuses) == {200}
    assert (result["verdict"], "bad_scores" in result["reason"]) == ("rolled_back", True)


def test_a_canary_without_a_fault_stays(tmp_path, client, rows):
    models = planted_models.sound(*rows), planted_models.sound(*rows, seed=2)
    _, _, result = serve_and_watch(tmp_path, client, STRICT + LIVE, models, rows[0])
    assert (result["verdict"], result["reason"]) == ("open", "too_few_days")


def test_the_slow_model_says_what_a_sound_one_says(rows):
    """Whether it is slow is a matter of the machine; the proof has it rolled back."""
    table = rows[0].set_column(2, "c", [["none"] * rows[0].num_rows])
    slow = planted_models.slow(table, rows[1], times=7)
    np.testing.assert_allclose(
        slow.scores(table), planted_models.sound(table, rows[1]).scores(table)
    )
