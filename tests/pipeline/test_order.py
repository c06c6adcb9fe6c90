"""Days in their order: none begins behind one that failed, where the caller asks for that."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest

from devtools.synthetic import FIRST, SPEC, bootstrap, files_of, toy_run, write_day, write_days
from retrain_ops.cli.main import run_day
from retrain_ops.errors import OutOfOrderError
from retrain_ops.run import RunContext, run_record
from retrain_ops.steps.runner import run_step

BEGIN = 18
ORDERED = RunContext(trigger="backfill", ordered=True)


@pytest.fixture
def world(tmp_path, client, messages):
    """A champion, and days of which the rows of the third are away."""
    write_days(tmp_path / "rows", 30)
    bootstrap(tmp_path, client, FIRST + timedelta(days=BEGIN - 1))
    shutil.rmtree(tmp_path / "rows" / f"day={FIRST + timedelta(days=BEGIN + 1)}")
    return tmp_path


def day_run(world, client, index, context=ORDERED):
    return toy_run(world, client, FIRST + timedelta(days=BEGIN + index), context=context)


def test_a_backfill_stops_behind_the_day_that_failed_and_goes_on_after_the_fix(
    world, client, messages
):
    ended = [run_day(day_run(world, client, i)).get("exit_code", 0) for i in range(5)]
    assert [code == 0 for code in ended] == [True, True, False, False, False]
    failed, refused = day_run(world, client, 2), day_run(world, client, 3)
    assert run_record(failed)["steps"]["check_drift"]["status"] == "failed"
    assert run_record(refused) == {}
    assert [text.split(":")[0] for text in messages if "[FAILED]" in text] == [
        f"[FAILED] toy {failed.window.end}"
    ]
    write_day(world / "rows", FIRST + timedelta(days=BEGIN + 1))
    before = files_of(world / "workspace", ["decision.json"])
    assert [run_day(day_run(world, client, i)).get("exit_code", 0) for i in range(5)] == [0] * 5
    after = files_of(world / "workspace", ["decision.json"])
    assert len(after) == 6
    assert {name: after[name] for name in before} == before


def test_a_refused_day_names_the_one_that_it_waits_for(world, client):
    run_day(day_run(world, client, 2))
    refused, failed = (FIRST + timedelta(days=BEGIN + i) for i in (4, 2))
    waits = f"toy/{refused} waits for toy/{failed}, which failed: check_drift"
    for step in ("check_drift", "train", "summarise"):
        with pytest.raises(OutOfOrderError, match=waits):
            run_step(step, day_run(world, client, 4))


def test_who_does_not_ask_for_order_is_not_refused(world, client):
    run_day(day_run(world, client, 2))
    with pytest.raises(OutOfOrderError):
        run_step("check_drift", day_run(world, client, 5))
    write_day(world / "rows", FIRST + timedelta(days=BEGIN + 1))
    assert run_step("check_drift", day_run(world, client, 5, RunContext()))["status"] == "skipped"


def test_a_killed_day_counts_as_failed_and_a_look_as_no_day(world, client):
    assert run_day(day_run(world, client, 0)).get("exit_code", 0) == 0
    look = RunContext(look=True)
    run_step("watch_canary", day_run(world, client, 1, look))
    assert run_step("check_drift", day_run(world, client, 1))["status"] == "skipped"
    run = day_run(world, client, 1)
    record = run_record(run)
    record["steps"]["check_drift"] = {"status": "running"}
    run.workspace.overwrite_json(run.path("run.json"), record)
    with pytest.raises(OutOfOrderError, match="check_drift: it did not end"):
        run_step("check_drift", day_run(world, client, 2))


def test_the_command_line_asks_for_order(tmp_path):
    from retrain_ops.cli.command import run_of
    from retrain_ops.cli.main import build_parser

    (tmp_path / "toy.toml").write_text(SPEC)
    where = ["--spec", str(tmp_path / "toy.toml"), "--workspace", str(tmp_path)]
    server = ["--tracking-uri", "http://127.0.0.1:9", "--date", "2020-02-01"]
    for further, ordered in ([], False), (["--in-order"], True):
        options = build_parser().parse_args(["run", *where, *server, *further])
        assert run_of(options).context.ordered is ordered
