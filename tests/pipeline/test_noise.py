"""A day that leaves doubtful labels out of training, and out of nothing else."""

import json
from datetime import timedelta

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devtools.decisions import SCHEMA
from devtools.synthetic import FIRST, SPEC, bootstrap, toy_run, write_days
from retrain_ops.cli.main import run_day
from retrain_ops.errors import ConfigError
from retrain_ops.run import RunContext

DAY = FIRST + timedelta(days=25)
NOISE = "\n[noise]\ndays = 3\nmax_share = 0.2\n"
DROPPED = 180  # a fifth of 3 days of 300 rows


def flip(folder, days):
    """A tenth of the labels of some days, the first rows."""
    for day in days:
        path = folder / f"day={day.isoformat()}" / "part-0.parquet"
        table = pq.ParquetFile(path).read()
        label = table["late"].to_numpy().copy()
        label[: len(label) // 10] ^= 1
        place = table.schema.get_field_index("late")
        pq.write_table(table.set_column(place, "late", pa.array(label)), path)


@pytest.fixture
def flipped(tmp_path):
    write_days(tmp_path / "rows", 40)
    window = toy_run(tmp_path, None, DAY).window
    flip(tmp_path / "rows", window.train[-3:])
    return tmp_path


def test_doubtful_labels_are_left_out_of_training_and_counted(flipped, client, server, messages):
    bootstrap(flipped, client, FIRST + timedelta(days=17))
    runs = {}
    for name, text in (("plain", SPEC), ("noise", SPEC + NOISE)):
        run = toy_run(
            flipped, client, DAY, spec=text, workspace=name, context=RunContext(forced=True)
        )
        output = run_day(run)
        runs[name] = run
    plain, found = (runs[name].read("decision.json") for name in ("plain", "noise"))
    challenger = found["challenger"]
    newest = {day.isoformat() for day in run.window.train[-3:]}
    assert set(challenger["left_out"]) == {"day", "c"}
    assert set(challenger["left_out"]["day"]) == newest
    dropped = sum(challenger["left_out"]["day"].values())
    assert 0 < dropped <= DROPPED
    assert dropped == sum(challenger["left_out"]["c"].values())
    assert challenger["rows"] == plain["challenger"]["rows"] - dropped
    assert challenger["model_sha256"] != plain["challenger"]["model_sha256"]
    assert found["holdout"]["rows"] == plain["holdout"]["rows"]
    assert "left_out" not in plain["challenger"]
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert f"without {dropped} whose labels are doubtful" in str(output)
    assert list(server.runs.values())[-1].metrics["rows_left_out"] == dropped

    before = run.workspace.read(run.path("decision.json"))
    run_day(run)
    assert run.workspace.read(run.path("decision.json")) == before


def test_flipped_labels_are_the_ones_that_go(flipped, client):
    from retrain_ops.comparison.noise import without_noise
    from retrain_ops.data.processed import read_processed
    from retrain_ops.models.training import resolve_trainer
    from retrain_ops.steps.check_drift import check_drift
    from retrain_ops.steps.pull_data import pull_data
    from retrain_ops.steps.train import training_data

    run = toy_run(flipped, client, DAY, spec=SPEC + NOISE, context=RunContext(bootstrap=True))
    check_drift(run)
    pull_data(run)
    data = training_data(run, read_processed(run.workspace, DAY, days=run.window.train))
    kept, _ = without_noise(run, data, resolve_trainer("gbdt"), run.spec.noise)
    gone = np.setdiff1d(data.table["request_id"].to_numpy(), kept.table["request_id"].to_numpy())
    were_flipped = np.array([int(name.rpartition("-")[2]) < 30 for name in gone])
    assert were_flipped.mean() > 0.3  # of rows at random a tenth would be


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("days = 3", "days = 11"), "train_days is 10"),
        (("max_share = 0.2", "max_share = 0.7"), "max_share: must lie above 0, up to 0.5"),
        (("max_share", "share"), "unknown"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path, change, text):
    with pytest.raises(ConfigError, match=rf"toy.toml, line \d+: .*{text}"):
        toy_run(tmp_path, None, DAY, spec=SPEC + NOISE.replace(*change))
