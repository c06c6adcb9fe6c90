"""A step in its container: parameters, tries and outputs, without kfp and without a cluster."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devtools.doubles.steps import SPEC, Recorder
from retrain_ops.cli.main import main
from retrain_ops.errors import ConfigError, DataError, NetworkError, NotYet, OutOfOrderError
from retrain_ops.kubeflow import step as container
from retrain_ops.kubeflow.executor import Task, read_task
from retrain_ops.kubeflow.step import Place, perform, window_end_of

DAY = {"window_end": "2020-01-18", "run_id": "abc"}


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(container, "run_step", recorder.run_step)
    monkeypatch.setattr(container, "alert_failure", recorder.alert_failure)
    return recorder


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "toy.toml").write_text(SPEC)
    return Place(
        spec=str(tmp_path / "toy.toml"),
        workspace=str(tmp_path / "workspace"),
        tracking_uri="http://127.0.0.1:9",
        retry_delay_seconds=0,
    )


def task(folder: Path, artifacts: dict[str, Any] | None = None, **values: Any) -> Task:
    names = ("triggered", "summary", "outcome")
    outputs = {
        "parameters": {name: {"outputFile": str(folder / name)} for name in names},
        "artifacts": artifacts or {},
        "outputFile": str(folder / "deep" / "executor_output.json"),
    }
    text = json.dumps({"inputs": {"parameterValues": DAY | values}, "outputs": outputs})
    return read_task(text)


def output(folder: Path) -> Any:
    return json.loads((folder / "deep" / "executor_output.json").read_bytes())


def test_a_step_leaves_its_parameters(recorder: Recorder, place: Place, tmp_path: Path) -> None:
    perform("train", place, task(tmp_path, trigger="schedule", force=True))
    assert output(tmp_path)["parameterValues"] == {"triggered": True, "summary": "train"}
    ((name, run),) = recorder.calls
    assert (name, run.retrain_key) == ("train", "toy/2020-01-18")
    assert run.context.dag_run_id == "abc"
    assert (run.context.trigger, run.context.forced) == ("schedule", True)


def test_an_artifact_lies_where_the_launcher_looks_for_it(tmp_path: Path) -> None:
    at = {"uri": f"{tmp_path}/page.html", "name": "x"}
    slots = {"report": {"artifacts": [at]}, "metrics": {"artifacts": [{"uri": "s3://b/m"}]}}
    task(tmp_path, slots).write({}, {"psi_max": 0.25}, b"<h1>day</h1>")
    assert (tmp_path / "page.html").read_bytes() == b"<h1>day</h1>"
    found = output(tmp_path)["artifacts"]
    assert found["report"] == {"artifacts": [at]}
    assert found["metrics"]["artifacts"] == [{"uri": "s3://b/m", "metadata": {"psi_max": 0.25}}]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://bucket/a/b", "/s3/bucket/a/b"),
        ("gs://bucket/a", "/gcs/bucket/a"),
        ("minio://mlpipeline/v2/a", "/minio/mlpipeline/v2/a"),
        ("/tmp/out/a", "/tmp/out/a"),
    ],
)
def test_stores_are_mounted_by_scheme(uri: str, path: str) -> None:
    from retrain_ops.kubeflow.executor import _local

    assert str(_local({"uri": uri})) == path


def test_refused_data_is_not_tried_again(recorder: Recorder, place: Place, tmp_path: Path) -> None:
    recorder.fails("pull_data", DataError("no rows"))
    with pytest.raises(DataError):
        perform("pull_data", place, task(tmp_path))
    assert recorder.steps_run == ["pull_data", "summarise"]
    assert recorder.alerts == [("pull_data", "no rows")]


def test_what_the_world_may_mend_is_tried_again_with_one_alert_at_the_end(
    recorder: Recorder, place: Place, tmp_path: Path
) -> None:
    recorder.fails("train", NetworkError("gone"))
    perform("train", place, task(tmp_path))
    assert recorder.steps_run == ["train", "train"]
    assert [run.context.try_number for _, run in recorder.calls] == [1, 2]
    assert recorder.alerts == []
    recorder.fails("train", NetworkError("gone"), NetworkError("still gone"))
    with pytest.raises(NetworkError):
        perform("train", place, task(tmp_path))
    assert recorder.alerts == [("train", "still gone")]


def test_a_step_that_waits_ends_well(recorder: Recorder, place: Place, tmp_path: Path) -> None:
    recorder.fails("shadow_test", NotYet("tomorrow", until=datetime(2020, 1, 19, tzinfo=UTC)))
    assert perform("shadow_test", place, task(tmp_path))["status"] == "not_yet"
    assert output(tmp_path)["parameterValues"] == {"summary": "tomorrow"}


def test_a_refused_day_is_neither_tried_again_nor_reported(
    recorder: Recorder, place: Place, tmp_path: Path
) -> None:
    recorder.fails("check_drift", OutOfOrderError("waits"))
    with pytest.raises(OutOfOrderError):
        perform("check_drift", place, task(tmp_path, trigger="backfill"))
    assert recorder.steps_run == ["check_drift"]
    assert recorder.calls[0][1].context.ordered
    assert recorder.alerts == []


def test_a_signal_in_a_first_try_is_reported_and_nothing_is_tried_again(
    recorder: Recorder, place: Place, tmp_path: Path
) -> None:
    def stopped(run: Any) -> dict[str, Any]:
        raise KeyboardInterrupt("cancelled by signal 15 (SIGTERM)")

    recorder.outcomes["train"] = stopped
    with pytest.raises(KeyboardInterrupt):
        perform("train", place, task(tmp_path))
    assert recorder.steps_run == ["train"]
    assert recorder.alerts == [("train", "cancelled by signal 15 (SIGTERM)")]


def test_a_look_is_of_the_newest_day_whose_instant_has_come(
    recorder: Recorder, place: Place, tmp_path: Path
) -> None:
    for instant, day in (("2020-01-18T01:45:00Z", "17"), ("2020-01-18T02:00:00Z", "18")):
        given = read_task(
            json.dumps(
                {
                    "inputs": {"parameterValues": {"as_of": instant, "run_id": "x"}},
                    "outputs": {"outputFile": str(tmp_path / "out.json")},
                }
            )
        )
        perform("watch_canary", place, given)
        run = recorder.calls[-1][1]
        assert (run.window.end.isoformat(), run.context.look) == (f"2020-01-{day}", True)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"window_end": "[[ScheduledTime.2006-01-02]]"}, "2.16 or newer"),
        ({"window_end": 20200118}, "must be text"),
        ({"window_end": "2020-01-18T02:00:00"}, "must be a day"),
        ({"window_end": "2020-01-18\n"}, "must be a day"),
        ({"trigger": "sudo"}, "must be one of schedule, manual, backfill, asset"),
        ({"force": "yes"}, "must be true or false"),
        ({"as_of": "[[ScheduledTime.2006-01-02T15:04:05Z]]"}, "2.16 or newer"),
        ({"as_of": "2020-01-18T02:00:00"}, "no time zone"),
        ({"as_of": "soon"}, "must be an instant"),
    ],
)
def test_hostile_parameters_are_refused_before_anything_runs(
    recorder: Recorder, place: Place, tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        perform("check_drift", place, task(tmp_path, **values))
    assert recorder.calls == []


@pytest.mark.parametrize(
    "text", ["", "{{$}}", "[]", "{}", '{"outputs": {}}', '{"outputs": {"outputFile": 1}}', "null"]
)
def test_what_is_no_executor_input_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="none of Kubeflow's"):
        read_task(text)


def test_a_day_is_a_day() -> None:
    assert window_end_of("2020-02-29").isoformat() == "2020-02-29"


def test_compiling_without_kfp_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "kfp", None)
    assert main(["kubeflow", "compile", "--spec", "/toy.toml", "--image", "retrain:1"]) == 2
    assert "pip install 'retrain-ops[kubeflow]'" in json.loads(capsys.readouterr().out)["message"]
