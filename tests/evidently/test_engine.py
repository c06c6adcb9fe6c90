"""Evidently's statistics decide whether a day retrains, and its report is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jsonschema import validate

from devtools.synthetic import SPEC, write_day
from retrain_ops.decisions.record import ColumnScore
from retrain_ops.decisions.replay import replay
from retrain_ops.errors import ConfigError, SourceError
from retrain_ops.spec.evidently_config import drift_table_of
from retrain_ops.steps.check_drift import check_drift
from tests.evidently.conftest import BOOTSTRAP, DAY, World, spec_with

ENGINE = 'engine = "evidently"'
REPORT = 'report = "evidently"'
SCHEMA = Path(__file__).parents[2] / "retrain_ops" / "decisions" / "decision.schema.json"
DEAF = "[drift.evidently]\nthreshold = 1000.0\nmethod = 'psi'"


def test_its_statistics_decide_and_our_psi_stands_beside_them(world: World) -> None:
    ours = world.run(SPEC)
    decision = world.run(spec_with(ENGINE))
    validate(decision, json.loads(SCHEMA.read_bytes()))
    engine = decision["drift"]["engine"]
    assert (engine["name"], engine["version"]) == ("evidently", "0.7.23")
    assert engine["columns"]["a"]["drifted"]
    assert engine["columns"]["a"]["method"] == "Wasserstein distance (normed)"
    assert not engine["columns"]["c"]["drifted"]
    assert decision["drift"]["reason"] == "drift"
    assert decision["drift"]["psi_max"] == ours["drift"]["psi_max"]
    assert [f["psi"] for f in decision["drift"]["features"]] == [
        f["psi"] for f in ours["drift"]["features"]
    ]
    assert "engine" not in ours["drift"]


def test_its_threshold_can_keep_a_day_quiet_that_our_psi_would_train(world: World) -> None:
    decision = world.run(spec_with(ENGINE, DEAF))
    assert decision["outcome"] == "no_train"
    assert decision["drift"]["psi_max"] > 0.2
    assert not any(feature["triggers"] for feature in decision["drift"]["features"])


def test_methods_and_thresholds_go_by_column(world: World) -> None:
    table = '[drift.evidently]\nmethods = { a = "ks" }\nthresholds = { a = 1e-300, b = 0.9 }'
    columns = world.run(spec_with(ENGINE, table))["drift"]["engine"]["columns"]
    assert columns["a"]["method"] == "ks"
    assert (columns["a"]["threshold"], columns["b"]["threshold"]) == (1e-300, 0.9)
    assert not columns["a"]["drifted"]


def test_a_share_of_the_columns_can_be_asked_for(world: World) -> None:
    drift = world.run(spec_with(ENGINE, "[drift.evidently]\nshare = 0.5"))["drift"]
    assert (drift["reason"], drift["triggered"]) == ("none", False)
    drift = world.run(spec_with(ENGINE, "[drift.evidently]\nshare = 0.3"))["drift"]
    assert drift["reason"] == "drift"


def test_a_decision_is_judged_again_as_it_was(world: World) -> None:
    for table in ("", DEAF):
        spec = spec_with(ENGINE, table)
        world.run(spec)
        run = world.open(spec)
        found = replay(run.spec, run.workspace, DAY)
        assert (found.differences, found.notes) == ([], ())


def test_a_re_run_writes_nothing(world: World) -> None:
    spec = spec_with(f"{ENGINE}\n{REPORT}", f'[drift.evidently]\nworkspace = "{world.folder}/ui"')
    world.run(spec)
    names = ("decision.json", "evidently.json", "evidently.html", "evidently_snapshot.json")
    before = [world.file(name).read_bytes() for name in names]
    world.run(spec)
    assert [world.file(name).read_bytes() for name in names] == before
    assert len(runs_of(world)) == 1


def runs_of(world: World) -> list[str]:
    """Names of the runs in Evidently's workspace."""
    from evidently.ui.workspace import Workspace

    home = Workspace(f"{world.folder}/ui")
    (project,) = home.search_project("toy")
    return [home.get_run(project.id, found).name for found in home.list_runs(project.id)]


def test_its_report_is_kept_though_ours_decide(world: World) -> None:
    ours = world.run(SPEC)
    spec = spec_with(REPORT, f'[drift.evidently]\nworkspace = "{world.folder}/ui"')
    decision = world.run(spec)
    assert {**decision, "spec_sha256": 0, "hashes": 0} == {**ours, "spec_sha256": 0, "hashes": 0}
    assert "<html" in world.file("evidently.html").read_text()[:200].lower()
    snapshot = world.file("evidently_snapshot.json").read_bytes()
    assert json.loads(snapshot)["name"] == f"toy/{DAY}"
    uploaded = {path.rpartition("/")[2] for path in world.client.server.artifacts}
    assert {"evidently.html", "evidently_snapshot.json"} <= uploaded

    # Other rows are another report, in the place of the first.
    write_day(world.folder / "rows", DAY.replace(day=1), shift=3.0)
    world.run(spec)
    assert world.file("evidently_snapshot.json").read_bytes() != snapshot
    assert runs_of(world) == [f"toy/{DAY}"]


def test_a_workspace_that_does_not_answer_is_logged_and_asked_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    table = '[drift.evidently]\nworkspace = "{}"'
    world.run(spec_with(REPORT, table.format("http://127.0.0.1:9")))
    assert "not in Evidently's workspace" in caplog.text
    world.run(spec_with(REPORT, table.format(f"{world.folder}/ui")))
    assert runs_of(world) == [f"toy/{DAY}"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('method = "ksx"', "No stattest found of name ksx"),
        ('methods = { c = "ks" }', "isn't applicable to feature of type"),
    ],
)
def test_a_method_that_it_refuses_is_an_error_of_the_spec(
    world: World, table: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=rf"toy.toml, line \d+: \[drift\] evidently: .*{said}"):
        check_drift(world.open(spec_with(ENGINE, f"[drift.evidently]\n{table}")))


def test_rows_of_the_champion_that_are_gone_are_an_error_that_says_so(world: World) -> None:
    shutil.rmtree(world.folder / "workspace" / "toy" / "processed", ignore_errors=True)
    for file in (world.folder / "workspace").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(SourceError, match=f"those of the champion toy/{BOOTSTRAP} cannot be read"):
        check_drift(world.open(spec_with(ENGINE)))


def compared(world: World, spec: str) -> dict[str, ColumnScore]:
    """What the first step says of each column; a later one may refuse such rows."""
    engine = check_drift(world.open(spec)).engine
    assert engine is not None
    return engine["columns"]


def rewrite(world: World, name: str, values: object) -> None:
    """One column of the newest days, by a function of its values."""
    for day in range(28, 32):
        file = world.folder / "rows" / f"day=2020-01-{day}" / "part-0.parquet"
        table = pq.read_table(file)
        old = table[name].to_numpy(zero_copy_only=False)
        new = pa.array(values(old), type=table[name].type, from_pandas=True)  # type: ignore[operator]
        pq.write_table(table.set_column(table.schema.get_field_index(name), name, new), file)


def test_gaps_constants_and_unseen_categories_are_compared(world: World) -> None:
    rewrite(world, "a", lambda old: np.where(np.arange(len(old)) % 3 == 0, np.nan, old))
    rewrite(world, "b", lambda old: np.zeros(len(old)))
    rewrite(world, "c", lambda old: np.where(np.arange(len(old)) % 2 == 0, "unseen", old))
    columns = compared(world, spec_with(f"{ENGINE}\n{REPORT}"))
    assert all(column["score"] is not None for column in columns.values())
    assert columns["b"]["drifted"]
    assert columns["c"]["drifted"]


def test_a_column_without_any_value_is_not_compared_and_the_others_are(world: World) -> None:
    rewrite(world, "b", lambda old: np.full(len(old), np.nan))
    write_day_without_b(world)
    columns = compared(world, spec_with(ENGINE))
    assert columns["b"] == {"method": None, "score": None, "threshold": None, "drifted": False}
    assert columns["a"]["drifted"]


def write_day_without_b(world: World) -> None:
    """The one day of the newest five that `rewrite` leaves alone."""
    file = world.folder / "rows" / "day=2020-02-01" / "part-0.parquet"
    table = pq.read_table(file)
    empty = pa.nulls(table.num_rows, table["b"].type)
    pq.write_table(table.set_column(table.schema.get_field_index("b"), "b", empty), file)


def test_a_preset_that_is_converted_decides_as_it_did(world: World, tmp_path: Path) -> None:
    from evidently.presets import DataDriftPreset

    preset = DataDriftPreset(
        columns=["a", "b"], num_method="psi", per_column_threshold={"b": 1e-6}, drift_share=1.0
    )
    given = json.loads(preset.json())
    head, _, tables = drift_table_of(given, where="preset.json").partition("\n\n")
    engine = world.run(spec_with(head.removeprefix("[drift]\n"), tables))["drift"]["engine"]
    assert {name: column["drifted"] for name, column in engine["columns"].items()} == {
        "a": True,
        "b": True,
    }
    assert engine["columns"]["b"]["threshold"] == 1e-6
    assert engine["share"] == 1.0
