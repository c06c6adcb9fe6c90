"""What users reported of files, validation, registries and schedulers, played on ours."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import retrain_ops.run
from devtools.doubles.registry_server import Client
from devtools.synthetic import FIRST, SPEC, write_days
from devtools.worlds import BOOTSTRAP, CHANGED, STORIES, Prepared, World, day
from retrain_ops.cli.main import main
from retrain_ops.data.expectations import ValidationRules, validate_table
from retrain_ops.data.source import Source, sha256_of_rows
from retrain_ops.errors import SourceError
from retrain_ops.mlflow.requests import metric
from retrain_ops.spec.spec import parse_spec
from tests.faults.tried import tried

DAYS = tuple(FIRST + timedelta(days=n) for n in range(3))
COLUMNS = ("a", "b", "c", "late")


@pytest.fixture
def rows(tmp_path):
    write_days(tmp_path / "rows", 3)
    return tmp_path / "rows"


def rewrite(rows, number, change):
    """Changes the table of a day."""
    file = rows / f"day={DAYS[number]}" / "part-0.parquet"
    pq.write_table(change(pq.read_table(file, partitioning=None)), file)


def read(rows) -> pa.Table:
    """The three days, as a run reads them."""
    spec = parse_spec(SPEC, where="toy.toml", folder=rows.parent)
    before = spec.window_at(DAYS[-1] + timedelta(days=1)).instant
    return Source(spec).read(DAYS, columns=COLUMNS, before=before)


def with_column(table, name, values) -> pa.Table:
    """The table with another column in a column's place."""
    return table.set_column(table.column_names.index(name), name, values)


@tried("apache/arrow#8741", "apache/arrow#11967", "astrolabsoftware/fink-client#234")
def test_a_day_whose_column_is_all_null_has_no_type_of_its_own(rows):
    whole = read(rows)
    rewrite(rows, 1, lambda t: with_column(t, "a", pa.nulls(len(t))))
    found = read(rows)
    assert found.schema == whole.schema
    assert found["a"].null_count == 300


@tried("dask/dask#5759")
def test_a_day_whose_texts_are_all_missing_is_still_texts(rows):
    missing = pa.array(np.full(300, np.nan))
    rewrite(rows, 0, lambda t: with_column(t, "c", missing))
    found = read(rows)
    assert found.schema.field("c").type == pa.string()
    assert found["c"].null_count == 300


@tried("dask/dask#3454")
def test_an_empty_day_has_whatever_types(rows):
    whole = read(rows)
    rewrite(rows, 1, lambda t: t.slice(0, 0).to_pandas().pipe(pa.Table.from_pandas))
    found = read(rows)
    assert (found.schema, found.num_rows) == (whole.schema, 600)


@tried("apache/arrow#35569", "apache/arrow#39670")
def test_more_columns_are_welcome_and_fewer_are_named(rows):
    whole = read(rows)
    rewrite(rows, 1, lambda t: t.append_column("more", t["a"]))
    assert read(rows).equals(whole)
    rewrite(rows, 2, lambda t: t.drop_columns(["b"]))
    with pytest.raises(SourceError, match=rf"day={DAYS[2]}/part-0.parquet has no column b"):
        read(rows)


@tried("NVIDIA-Merlin/NVTabular#429")
def test_a_column_that_may_not_be_null_is_the_same_column(rows):
    whole = read(rows)

    def strict(table):
        fields = [field.with_nullable(False) for field in table.schema]
        return table.cast(pa.schema(fields))

    rewrite(rows, 1, strict)
    found = read(rows)
    assert sha256_of_rows(found) == sha256_of_rows(whole)


@tried("apache/arrow#43574", "astronomy-commons/hats#367", "apache/arrow#47592")
def test_the_folder_says_the_day_whatever_the_file_says(rows):
    whole = read(rows)
    rewrite(rows, 0, lambda t: t.append_column("day", pa.array(["2020-01-01"] * len(t))))
    rewrite(rows, 1, lambda t: t.append_column("day", pa.array([7] * len(t))))
    found = read(rows)
    assert found.schema.field("day").type == pa.date32()
    assert found.equals(whole)


@tried("pola-rs/polars#17362")
def test_what_is_no_parquet_by_name_is_passed_over(rows):
    whole = read(rows)
    for name in ("_SUCCESS", ".part-0.parquet.crc", "_metadata", "._part-0.parquet", "notes.txt"):
        (rows / f"day={DAYS[0]}" / name).write_text("nothing to see")
    (rows / "README.md").write_text("ours")
    assert read(rows).equals(whole)


@tried("reichlab/variant-nowcast-hub#267")
def test_large_and_small_texts_are_texts(rows):
    whole = read(rows)
    rewrite(rows, 1, lambda t: with_column(t, "c", t["c"].cast(pa.large_string())))
    assert sha256_of_rows(read(rows)) == sha256_of_rows(whole)


# -- validation -------------------------------------------------------------------------


def rules(**changes) -> ValidationRules:
    """Rules for a small table; nothing is asked but what `changes` ask."""
    nothing = ValidationRules(
        columns={},
        not_null=(),
        ranges={},
        min_rows=1,
        max_rows=None,
        label="",
        label_rate=(0.0, 1.0),
    )
    return replace(nothing, **changes)


@tried("fivetran/great_expectations#72")
def test_a_missing_value_is_outside_no_range():
    table = pa.table({"x": pa.array([1.0, None, float("nan"), -2.0])})
    assert validate_table(table, rules(ranges={"x": (-5, 5)})).success


@tried("fivetran/great_expectations#2039")
def test_a_finding_beside_missing_values_can_be_said():
    frame = pd.DataFrame({"x": pd.array([1, None, 900], dtype="Int64"), "y": ["a", None, "b"]})
    wanted = rules(ranges={"x": (0, 5)}, not_null=("y",))
    found = validate_table(pa.Table.from_pandas(frame), wanted)
    assert [failure.column for failure in found.failures] == ["x", "y"]
    assert "900" in str(found.failures[0])
    assert json.dumps([str(failure) for failure in found.failures])


@tried("fivetran/great_expectations#5421")
def test_instants_with_a_zone_are_validated():
    noon = pd.Timestamp("2022-05-25 13:27:30.456", tz="UTC")
    table = pa.table({"at": pa.array([noon] * 3, pa.timestamp("us", "UTC"))})
    wanted = rules(columns={"at": "timestamp[us, tz=UTC]"}, not_null=("at",))
    assert validate_table(table, wanted).success


# -- the registry ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def second(tmp_path_factory) -> World:
    """Two champions, one after the other."""
    world = Prepared(tmp_path_factory.mktemp("tried")).world(STORIES[1])
    world.must_do(day(CHANGED))
    return world


@pytest.fixture
def world(second, tmp_path, monkeypatch) -> World:
    copied = second.copy(tmp_path / "world")
    monkeypatch.setattr(retrain_ops.run, "MlflowClient", lambda *_: Client(copied.server))
    monkeypatch.setenv("RETRAIN_OPS_WORKSPACE", str(copied.folder / "workspace"))
    return copied


def ask(world, capsys, *command):
    """What a command of ours prints, in this process: exit code and document."""
    code = main([command[0], "--spec", str(world.folder / "toy.toml"), *command[1:]])
    return code, json.loads(capsys.readouterr().out)


@tried("mlflow/mlflow#24825")
def test_an_alias_that_hangs_in_the_air_is_named_and_repaired(world, capsys):
    known = world.server.models["toy"]
    del world.server.versions["toy", "1"]  # and the alias stays, as it did
    assert known.aliases["previous"] == "1"
    code, found = ask(world, capsys, "verify")
    assert (code, found["ok"]) == (1, False)
    assert any("1" in finding for finding in found["findings"])
    code, found = ask(world, capsys, "status")
    assert (code, found["aliases"]["champion"]) == (0, "2")


@tried("mlflow/mlflow#2169")
def test_who_served_when_is_kept(world, capsys):
    _, found = ask(world, capsys, "history")
    events = found["events"]
    assert [(e["kind"], e["version"]) for e in events] == [("bootstrap", "1"), ("promote", "2")]
    assert events[0]["effective_from"].startswith(BOOTSTRAP.isoformat())
    assert events[1]["effective_from"] > events[0]["effective_from"]


@tried("mlflow/mlflow#22826", "mlflow/mlflow#26108")
def test_a_metric_that_mlflow_would_change_is_refused_and_none_is_nan(world):
    for value in (math.inf, -math.inf):
        with pytest.raises(ValueError, match="the metric 'f1' is"):
            metric("f1", value, 0, 0)
    logged = [value for run in world.server.runs.values() for value in run.metrics.values()]
    assert np.isfinite(logged).all()


@tried("mlflow/mlflow#16734", "mlflow/mlflow#9952")
def test_aliases_are_asked_of_the_model_which_knows_them(world, capsys):
    """A search of versions returns them without; ours never reads them there."""
    world.server.versions = {k: replace(v, aliases=()) for k, v in world.server.versions.items()}
    _, found = ask(world, capsys, "status")
    assert found["aliases"] == {"champion": "2", "previous": "1"}


# -- schedulers ------------------------------------------------------------------------


@tried("apache/airflow#47670", "apache/airflow#21062")
def test_a_day_that_runs_twice_is_one_day(world, capsys):
    before = len(world.server.runs), len(world.server.versions), world.server.models["toy"]
    for _ in range(2):
        code, found = ask(world, capsys, "run", "--date", CHANGED.isoformat())
        assert (code, found["outcome"]) == (0, "challenger")
    after = len(world.server.runs), len(world.server.versions), world.server.models["toy"]
    assert after == before


@tried("apache/airflow#44372", "apache/airflow#1380")
def test_what_a_dag_imports_loads_no_data_library():
    heavy = "{'numpy', 'pyarrow', 'pandas', 'scipy', 'mlflow', 'great_expectations'}"
    code = f"import sys, retrain_ops; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert found.strip() == "[]"
