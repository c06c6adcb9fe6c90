"""Whole days through all ten steps on synthetic rows, every outcome once."""

import json
import re
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from devtools.synthetic import FIRST, SPEC, bootstrap, files_of, toy_run, write_day, write_days
from devtools.trainers import with_train_table
from retrain_ops.cli.command import EXIT_DATA
from retrain_ops.cli.main import run_day
from retrain_ops.comparison.scoring import load_version
from retrain_ops.errors import DataError
from retrain_ops.run import RunContext
from retrain_ops.steps.runner import TRAINING, run_step

START = FIRST + timedelta(days=20)  # the first day with a whole window behind it
CONTENT = ("decision.json", "model.rtm", "reference.json", "part-0.parquet", "evaluate.json")


@pytest.fixture
def world(tmp_path, client, messages):
    write_days(tmp_path / "rows", 30)
    bootstrap(tmp_path, client, START)
    return tmp_path


def test_the_bootstrap_serves_at_once_and_is_recorded_as_such(world, client, server):
    (event,) = toy_run(world, client, START).registry.snapshot().events
    assert (event.kind, event.version, event.previous) == ("bootstrap", "1", None)
    assert server.models["toy"].aliases == {"champion": "1"}
    assert server.versions["toy", "1"].tags["outcome"] == "challenger"


def test_a_day_without_drift_trains_nothing(world, client, server, messages):
    output = run_day(toy_run(world, client, START + timedelta(days=1)))
    assert output["outcome"] == "no_train"
    assert [s["step"] for s in output["steps"]] == [
        "check_drift",
        "shadow_test",
        "promote_champion",
        "watch_canary",
        "summarise",
    ]
    assert messages[-1].startswith("[NO TRAIN, no drift] toy")
    assert len(server.versions) == len(server.runs) == 1


def test_a_forced_day_without_improvement_is_skipped_with_the_numbers(
    world, client, server, messages
):
    forced = RunContext(forced=True)
    output = run_day(toy_run(world, client, START + timedelta(days=1), context=forced))
    assert output["outcome"] == "skipped"
    assert messages[-1].startswith("[skipped] challenger is not significantly better")
    assert "f1 0." in messages[-1]
    assert server.models["toy"].aliases == {"champion": "1"}
    assert server.versions["toy", "2"].tags["retrain.state"] == "registered"


def test_what_is_odd_about_the_rows_is_said_everywhere(world, client, messages, caplog):
    thin, day = START - timedelta(days=4), START + timedelta(days=1)
    write_day(world / "rows", thin, rows=15)
    forced = RunContext(forced=True)
    output = run_day(toy_run(world, client, day, context=forced))
    text = f"{thin} has 15 rows, 5% of the 300 of the median day"
    entries = {entry["step"]: entry for entry in output["steps"]}
    assert entries["validate_data"]["warnings"] == [text]
    assert "warnings" not in entries["pull_data"]
    assert f"toy/{day} validate_data: {text}" in caplog.messages
    assert messages[-1].endswith(f" | warning: {text}")
    folder = world / "workspace" / "toy" / f"window_end={day}"
    assert json.loads((folder / "validate_data.json").read_bytes())["warnings"] == [text]
    assert f'<li class="warn">{text}</li>' in (folder / "report.html").read_text()
    strict = SPEC.replace("min_rows = 100\nlabel", 'min_rows = 100\nrefuse_days = ["rows"]\nlabel')
    output = run_day(toy_run(world, client, day, context=forced, spec=strict))
    assert output["exit_code"] == EXIT_DATA
    assert text in output["message"]


def test_a_quiet_day_says_what_is_odd_about_the_newest_rows(world, client, messages):
    day = START + timedelta(days=1)
    write_day(world / "rows", day - timedelta(days=2), rows=15)
    output = run_day(toy_run(world, client, day))
    text = f"{day - timedelta(days=2)} has 15 rows, 5% of the 300 of the median day"
    assert output["outcome"] == "no_train"
    assert output["steps"][0]["warnings"] == [text]
    assert messages[-1].endswith(f" | warning: {text}")
    folder = world / "workspace" / "toy" / f"window_end={day}"
    assert f'<li class="warn">{text}</li>' in (folder / "report.html").read_text()
    assert b"15 rows" not in (folder / "decision.json").read_bytes()
    output = run_day(toy_run(world, client, day, context=RunContext(forced=True)))
    assert output["steps"][2]["warnings"] == [text]
    assert messages[-1].endswith(f" | warning: {text}")  # once, whoever saw it


def stray(world, day):
    """All rows of the day before a run are of two days later."""
    path = world / "rows" / f"day={day - timedelta(days=1)}" / "part-0.parquet"
    table = pq.read_table(path, partitioning=None)
    later = pc.add(table["event_time"], pa.scalar(timedelta(days=2)))
    pq.write_table(table.set_column(1, "event_time", later), path)


def test_rows_that_strayed_are_counted_in_the_record(world, client):
    day = START + timedelta(days=1)
    stray(world, day)
    output = run_day(toy_run(world, client, day, context=RunContext(forced=True)))
    record = toy_run(world, client, day).read("pull_data.json")
    assert (record["outside_day"], record["after_instant"]) == (300, 300)
    assert record["warnings"] == output["steps"][1]["warnings"]
    assert "6.2%" in record["warnings"][0]


def test_a_quiet_day_counts_the_rows_that_strayed(world, client, messages):
    day = START + timedelta(days=1)
    stray(world, day)
    output = run_day(toy_run(world, client, day))
    assert output["outcome"] == "no_train"
    record = toy_run(world, client, day).read("check_drift.json")
    assert (record["outside_day"], record["after_instant"]) == (300, 300)
    assert record["warnings"] == output["steps"][0]["warnings"]
    text = "300 of 1500 rows of the newest 5 days (20.0%) lie outside their partition's day"
    assert record["warnings"][0].startswith(text)
    assert f" | warning: {text}" in messages[-1]
    strict = SPEC.replace("label_delay_days = 2", "label_delay_days = 2\nmax_stray_share = 0.19")
    output = run_day(toy_run(world, client, day, spec=strict))
    assert output["exit_code"] == EXIT_DATA
    assert "of 1500 rows 300 lie outside their partition's day and 300 at" in output["message"]


def test_a_quiet_day_refuses_rows_that_were_loaded_twice(world, client):
    day = START + timedelta(days=1)
    path = world / "rows" / f"day={day - timedelta(days=1)}" / "part-0.parquet"
    (path.parent / "part-1.parquet").write_bytes(path.read_bytes())
    output = run_day(toy_run(world, client, day))
    assert output["exit_code"] == EXIT_DATA
    assert re.search(r"300 row\(s\) repeat a request_id, .* on 2020-01-21;", output["message"])
    assert (world / "workspace" / "toy" / f"window_end={day}" / "decision.json").exists() is False


def test_a_quiet_day_refuses_what_the_spec_refuses(world, client):
    day = START + timedelta(days=1)
    write_day(world / "rows", day - timedelta(days=2), rows=15)
    strict = SPEC.replace("min_rows = 100\nlabel", 'min_rows = 100\nrefuse_days = ["rows"]\nlabel')
    output = run_day(toy_run(world, client, day, spec=strict))
    assert output["exit_code"] == EXIT_DATA
    assert f"{day - timedelta(days=2)} has 15 rows, 5% of the 300" in output["message"]


def test_a_day_like_the_others_has_no_word_of_warnings(world, client):
    quiet = toy_run(world, client, START + timedelta(days=1))
    run_day(quiet)
    assert quiet.read("check_drift.json").keys().isdisjoint(("outside_day", "warnings"))
    run = toy_run(world, client, START)
    assert run.read("pull_data.json").keys().isdisjoint(("outside_day", "warnings"))
    assert run.read("validate_data.json").keys() == {"expectations", "rows"}


@pytest.fixture
def changed_world(tmp_path, client, messages):
    """The rule of the labels reverses on day 18: the bootstrap's champion is soon wrong."""
    write_days(tmp_path / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    bootstrap(tmp_path, client, FIRST + timedelta(days=17))
    return tmp_path


CHANGED = FIRST + timedelta(days=36)  # all 15 labelled days of its window follow the new rule


def test_a_better_challenger_takes_over_after_its_shadow(changed_world, client, server, messages):
    output = run_day(toy_run(changed_world, client, CHANGED))
    assert output["outcome"] == "challenger"
    assert output["steps"][0]["reason"] == "drift"
    assert messages[-1].startswith("[OK] toy")
    assert server.models["toy"].aliases == {"champion": "2", "previous": "1"}
    assert server.versions["toy", "2"].tags["retrain.canary_share"] == "0.1"


def test_while_a_canary_is_open_the_next_challenger_is_queued(changed_world, client, server):
    early = CHANGED - timedelta(days=5)  # a first candidate that has seen little of the new rule
    run_day(toy_run(changed_world, client, early))
    assert server.versions["toy", "2"].tags["retrain.state"] == "canary"
    literal = SPEC.replace("[gate]", '[gate]\nmode = "literal"')
    forced = RunContext(forced=True)
    run = toy_run(changed_world, client, CHANGED, context=forced, spec=literal)
    assert run_day(run)["outcome"] == "queued"
    assert server.models["toy"].aliases["champion"] == "2"
    assert server.versions["toy", "3"].tags["retrain.state"] == "registered"


def test_a_canary_without_harm_is_kept_after_its_days(changed_world, client, server):
    run_day(toy_run(changed_world, client, CHANGED))
    verdicts = []
    for days in range(1, 12):
        output = run_day(toy_run(changed_world, client, CHANGED + timedelta(days=days)))
        verdicts.append(next(s for s in output["steps"] if s["step"] == "watch_canary"))
    words = [v.get("verdict") for v in verdicts]
    assert "kept" in words
    assert set(words[: words.index("kept")]) == {"open"}
    assert server.versions["toy", "2"].tags["retrain.canary_share"] == "1"
    assert server.versions["toy", "2"].tags["retrain.state"] == "promoted"


def test_a_canary_that_harms_is_rolled_back_by_itself(changed_world, client, server, messages):
    run_day(toy_run(changed_world, client, CHANGED))
    for index in range(37, 60):  # the world turns back: the new champion is wrong now
        write_day(changed_world / "rows", FIRST + timedelta(days=index))
    for days in range(1, 8):
        run_day(toy_run(changed_world, client, CHANGED + timedelta(days=days)))
    assert server.models["toy"].aliases["champion"] == "1"
    assert server.versions["toy", "2"].tags["retrain.state"] == "rolled_back"
    assert any("rolled_back" in m for m in messages)


def test_a_rerun_writes_the_same_bytes_and_doubles_nothing(changed_world, client, server):
    day = CHANGED
    run_day(toy_run(changed_world, client, day))
    before = files_of(changed_world / "workspace", CONTENT)
    counts = (len(server.versions), len(server.runs), dict(server.models["toy"].aliases))
    run_day(toy_run(changed_world, client, day))
    assert files_of(changed_world / "workspace", CONTENT) == before
    assert (len(server.versions), len(server.runs), server.models["toy"].aliases) == counts


def test_a_forced_day_stays_what_it_was_when_it_is_run_again(world, client, server):
    day = START + timedelta(days=1)
    assert run_day(toy_run(world, client, day))["outcome"] == "no_train"
    forced = run_day(toy_run(world, client, day, context=RunContext(forced=True)))
    before = files_of(world / "workspace", (*CONTENT, "check_drift.json", "report.html"))
    counts = len(server.versions), len(server.runs)
    for context in (RunContext(), RunContext(trigger="backfill"), RunContext(forced=True)):
        again = run_day(toy_run(world, client, day, context=context))
        assert (again["outcome"], again["summary"]) == (forced["outcome"], forced["summary"])
        kept = files_of(world / "workspace", (*CONTENT, "check_drift.json", "report.html"))
        assert kept == before
        assert (len(server.versions), len(server.runs)) == counts
    # Either record is enough: the other may be damaged, or of an attempt that went no further.
    run = toy_run(world, client, day)
    path = world / "workspace" / run.path("check_drift.json")
    path.write_bytes(b"damaged")
    assert run_step("check_drift", run)["reason"] == "forced"
    (world / "workspace" / run.path("decision.json")).unlink()
    assert run_step("check_drift", run)["reason"] == "forced"


def test_backfilling_every_day_again_changes_no_decision(changed_world, client, server):
    days = [CHANGED + timedelta(days=i) for i in range(4)]
    for day in days:
        run_day(toy_run(changed_world, client, day))
    before = files_of(changed_world / "workspace", CONTENT)
    aliases = dict(server.models["toy"].aliases)
    for day in days:
        run_day(toy_run(changed_world, client, day))
    assert files_of(changed_world / "workspace", CONTENT) == before
    assert server.models["toy"].aliases == aliases


def test_another_team_size_and_another_registry_decide_to_the_same_byte(
    changed_world, client, tmp_path
):
    from devtools.doubles.registry_server import Client, Server

    run_day(toy_run(changed_world, client, CHANGED))
    other = Client(Server())
    other.server.ids = iter(range(1000, 9999))  # other ids than the first registry gave
    bootstrap(changed_world, other, FIRST + timedelta(days=17), workspace="w2", n_threads=7)
    run_day(toy_run(changed_world, other, CHANGED, workspace="w2", n_threads=7))
    one = files_of(changed_world / "workspace", CONTENT)
    two = files_of(changed_world / "w2", CONTENT)
    assert one == two


def test_failed_validation_alerts_once_and_touches_nothing(world, client, server, messages):
    spec = SPEC.replace("label_rate = [0.05, 0.95]", "label_rate = [0.9, 0.95]")
    aliases = dict(server.models["toy"].aliases)
    day = START + timedelta(days=1)
    messages.clear()
    run = toy_run(world, client, day, spec=spec, context=RunContext(forced=True))
    output = run_day(run)
    assert output["exit_code"] == 20
    assert output["outcome"] == "failed"
    alerts = [m for m in messages if m.startswith("[FAILED]") and "validate_data" in m]
    assert len(alerts) == 1
    assert server.models["toy"].aliases == aliases
    assert len(server.versions) == 1
    assert run.read("decision.json") is None
    assert not run.workspace.exists(run.path("model.rtm"))


def test_without_a_champion_the_error_names_the_command(tmp_path, client, messages):
    write_days(tmp_path / "rows", 22)
    output = run_day(toy_run(tmp_path, client, START))
    assert output["exit_code"] == 2
    assert "retrain-ops run --bootstrap" in output["message"]


def test_a_missing_day_is_named(world, client):
    output = run_day(toy_run(world, client, FIRST + timedelta(days=33)))
    assert output["exit_code"] == 20
    assert "the source has no rows for 2020-01-31" in output["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('["c"]\nmin_rows', '["nosuch"]\nmin_rows'), "[gate] protected: 'nosuch' is no column"),
        (('name = "toy"', 'name = "toy"\ntrainer = "nosuch.module:train"'), "[model] trainer: "),
    ],
)
def test_a_quiet_day_refuses_a_spec_that_no_rows_fit(world, client, messages, change, words):
    spec = SPEC.replace(*change)
    assert spec != SPEC
    output = run_day(toy_run(world, client, START + timedelta(days=1), spec=spec))
    assert output["exit_code"] == 2
    assert output["message"].startswith("toy.toml, line ")
    assert words in output["message"]
    assert sum(m.startswith("[FAILED]") for m in messages) == 1


def test_a_fix_during_the_shadow_reopens_the_key_with_the_new_bytes(changed_world, client, server):
    for step in TRAINING:
        run_step(step, toy_run(changed_world, client, CHANGED))
    assert server.models["toy"].aliases["challenger"] == "2"
    fixed = toy_run(changed_world, client, CHANGED, spec=SPEC.replace("_leaf = 20", "_leaf = 25"))
    for step in TRAINING:
        run_step(step, fixed)
    assert server.models["toy"].aliases["challenger"] == "3"
    assert server.versions["toy", "2"].tags["retrain.state"] == "superseded"
    assert len(server.runs) == 2
    assert (fixed.read("decision.json") or {})["outcome"] == "challenger"


def test_a_bootstrap_has_no_champions_f1_and_its_equal_rerun_writes_nothing(
    tmp_path, client, server, messages
):
    write_days(tmp_path / "rows", 30)
    run = bootstrap(tmp_path, client, START)
    (logged,) = server.runs.values()
    assert "f1_challenger" in logged.metrics
    assert "f1_champion" not in logged.metrics
    assert "auc_champion" not in logged.metrics

    def state():
        found = (p for p in (tmp_path / "workspace").rglob("*") if p.is_file())
        kept = [p for p in found if p.name not in ("run.json", "alerts.json")]
        files = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in kept}
        return files, repr((server.runs, server.versions, server.models)), list(messages)

    before = state()
    run_day(toy_run(tmp_path, client, START, context=RunContext(bootstrap=True)))
    run_day(toy_run(tmp_path, client, START))
    assert state() == before
    assert run.read("decision.json")["outcome"] == "challenger"


def test_a_fix_of_the_version_that_serves_moves_nothing_silently(changed_world, client, server):
    run_day(toy_run(changed_world, client, CHANGED))
    for days in range(1, 12):  # until its canary is kept
        run_day(toy_run(changed_world, client, CHANGED + timedelta(days=days)))
    assert server.versions["toy", "2"].tags["retrain.state"] == "promoted"
    aliases = dict(server.models["toy"].aliases)
    fixed = toy_run(changed_world, client, CHANGED, spec=SPEC.replace("_leaf = 20", "_leaf = 25"))
    run_day(fixed)
    assert server.models["toy"].aliases == aliases
    assert server.versions["toy", "2"].tags["retrain.state"] == "promoted"
    served = fixed.registry.version("2")  # its files are still to be had, from MLflow
    bytes_now = fixed.workspace.read(fixed.path("model.rtm"))
    assert load_version(fixed, served).to_bytes() != bytes_now
    newest = server.versions["toy", str(len(server.versions))]
    assert newest.tags["retrain_key"] == fixed.retrain_key
    assert newest.tags["retrain.state"] == "registered"


class Plain:
    """A trainer's own model: one feature's logistic, kept as JSON."""

    threshold = 0.5

    def predict_proba(self, data, /, *, n_threads=0):
        return 1 / (1 + np.exp(-1.8 * data["a"].to_numpy().astype(np.float64)))

    def to_bytes(self):
        return b'{"plain": 1}'


def train_plain(data, *, params, seed, n_threads):
    return Plain()


def load_model(data):
    assert data == b'{"plain": 1}'
    return Plain()


def test_a_model_of_your_own_goes_through_the_same_day(tmp_path, client, server, messages):
    write_days(tmp_path / "rows", 30)
    spec = SPEC.replace('name = "toy"', f'name = "toy"\ntrainer = "{__name__}:train_plain"')
    bootstrap(tmp_path, client, START, spec=spec)
    assert server.models["toy"].aliases == {"champion": "1"}
    forced = RunContext(forced=True)
    output = run_day(
        toy_run(tmp_path, client, START + timedelta(days=1), spec=spec, context=forced)
    )
    assert output["outcome"] in ("skipped", "undecided")
    (mlmodel,) = {v for k, v in server.artifacts.items() if k.endswith("MLmodel")}
    assert f"loader_module: {__name__}".encode() in mlmodel


def test_logistic_regression_goes_through_the_same_day(tmp_path, client, server, messages):
    write_days(tmp_path / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    spec = SPEC.replace('name = "toy"', 'name = "toy"\ntrainer = "logistic"')
    spec = with_train_table(spec, "l2 = 2.0")
    bootstrap(tmp_path, client, FIRST + timedelta(days=17), spec=spec)
    run = toy_run(tmp_path, client, CHANGED, spec=spec)
    assert run_day(run)["outcome"] == "challenger"
    model = load_version(run, run.registry.version("2"))
    assert (model.kind, model.core.params["l2"]) == ("linear", 2.0)
    assert 0.0 < model.threshold < 1.0
    kept = {name: run.workspace.read(run.path(name)) for name in ("decision.json", "model.rtm")}
    run_day(toy_run(tmp_path, client, CHANGED, spec=spec))
    assert kept == {name: run.workspace.read(run.path(name)) for name in kept}
    assert len(server.versions) == 2
    assert all(
        b"loader_module: retrain_ops.models.mlflow_flavor" in data
        for name, data in server.artifacts.items()
        if name.endswith("MLmodel")
    )


def test_evaluate_without_a_usable_reference_says_which_file_and_what_to_run(world, client):
    run = toy_run(world, client, START + timedelta(days=1), context=RunContext(forced=True))
    for step in TRAINING[: TRAINING.index("evaluate")]:
        run_step(step, run)
    path = world / "workspace" / run.path("reference.json")
    frozen = json.loads(path.read_text())
    for left, words in ((None, "is not there"), ({**frozen, "slices": {}}, "the slice column c")):
        path.unlink() if left is None else path.write_text(json.dumps(left))
        # As an older release left it: with its hash it would be damaged, and set aside.
        path.with_name("sha256").joinpath("reference.json.sha256").unlink(missing_ok=True)
        with pytest.raises(DataError, match=rf"{run.retrain_key}: .*reference.json .*{words}"):
            run_step("evaluate", run)
    run_step("train", run)
    assert run_step("evaluate", run)["status"] == "ok"
