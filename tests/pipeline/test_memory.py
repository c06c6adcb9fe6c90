"""Days that replay a sample of those before their window."""

import json
import shutil
from datetime import timedelta

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devtools.decisions import SCHEMA
from devtools.synthetic import FIRST, SPEC, bootstrap, files_of, toy_run, write_days
from retrain_ops.cli.main import run_day
from retrain_ops.data.memory import recalled, sample_of_day
from retrain_ops.data.processed import read_processed
from retrain_ops.decisions.explain import explain
from retrain_ops.errors import ConfigError, SourceError
from retrain_ops.run import RunContext
from retrain_ops.steps.train import train

DAY = FIRST + timedelta(days=30)
MEMORY = '\n[memory]\nreplay_share = 0.05\ncapacity = 40\nstrata = ["c"]\n'
CONTENT = ("decision.json", "model.rtm", "reference.json", "memory.json")


@pytest.fixture
def rows(tmp_path):
    write_days(tmp_path / "rows", 45)
    return tmp_path


def trained(folder, client, day=DAY, *, spec=SPEC + MEMORY, workspace="workspace"):
    context = RunContext(forced=True)
    run = toy_run(folder, client, day, spec=spec, workspace=workspace, context=context)
    run_day(run)
    return run


def memory_of(run):
    memory = recalled(run.spec, run.workspace, run.window)
    assert memory is not None
    return memory


def test_a_share_of_earlier_days_trains_and_the_record_names_it(rows, client, server, messages):
    bootstrap(rows, client, FIRST + timedelta(days=17))
    plain = trained(rows, client, spec=SPEC, workspace="plain").read("decision.json")
    run = trained(rows, client)
    found = run.read("decision.json")
    challenger = found["challenger"]
    assert challenger["replayed"] == int(plain["challenger"]["rows"] / 19)
    assert challenger["rows"] == plain["challenger"]["rows"] + challenger["replayed"]
    assert set(found["hashes"]) - set(plain["hashes"]) == {"memory_sha256"}
    assert "replayed" not in plain["challenger"]
    assert found["challenger"]["reference_sha256"] == plain["challenger"]["reference_sha256"]
    assert found["holdout"]["cells"] != plain["holdout"]["cells"]
    assert found["holdout"]["rows"] == plain["holdout"]["rows"]
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert list(server.runs.values())[-1].metrics["rows_replayed"] == challenger["replayed"]

    before = files_of(rows / "workspace", CONTENT)
    run_day(run)
    assert files_of(rows / "workspace", CONTENT) == before
    assert len(server.runs) == len({r.tags["retrain_key"] for r in server.runs.values()})


def test_a_sample_is_bounded_keeps_the_shares_and_no_row_of_the_window(rows, client, messages):
    bootstrap(rows, client, FIRST + timedelta(days=17))
    run = trained(rows, client)
    memory = memory_of(run)
    days = memory.table["day"].to_pylist()
    assert max(days) < run.window.train[0]
    assert min(days) == FIRST
    assert {days.count(day) for day in set(days)} == {40}
    whole = run.source.read(sorted(set(days)), columns=["late", "c"], before=None)
    for column, value in (("late", 1), ("c", "x")):
        kept, all_rows = (t[column].to_pylist().count(value) for t in (memory.table, whole))
        assert kept / memory.table.num_rows == pytest.approx(all_rows / whole.num_rows, abs=0.01)
    old = memory.replayed(10**6)["request_id"].to_pylist()
    judging = memory.judging(DAY)["request_id"].to_pylist()
    assert sorted(old + judging) == sorted(memory.table["request_id"].to_pylist())
    assert memory.replayed(100).num_rows == 100
    assert set(memory.replayed(100)["request_id"].to_pylist()) < set(old)
    window = read_processed(run.workspace, DAY)["request_id"].to_pylist()
    assert not {*old, *judging} & {*window}


def test_a_backfill_sees_the_memory_that_its_day_had(rows, client, messages):
    bootstrap(rows, client, FIRST + timedelta(days=17))
    alone = trained(rows, client, workspace="alone")
    trained(rows, client, DAY + timedelta(days=7))
    late = trained(rows, client)
    for name in ("memory.json", "model.rtm"):
        assert late.workspace.read(late.path(name)) == alone.workspace.read(alone.path(name))


def test_what_the_source_has_dropped_is_still_remembered(rows, client, messages):
    bootstrap(rows, client, FIRST + timedelta(days=17))
    run = trained(rows, client)
    before = files_of(rows / "workspace", CONTENT)
    gone = FIRST.isoformat()
    shutil.rmtree(rows / "rows" / f"day={gone}")
    run_day(run)
    assert files_of(rows / "workspace", CONTENT) == before
    write_days(rows / "rows", 3, first=FIRST - timedelta(days=3))  # history that came late
    run_day(run)
    assert files_of(rows / "workspace", CONTENT) == before

    (path,) = (rows / "workspace").rglob(f"memory/*/{gone}.parquet")
    path.write_bytes(b"damaged")
    with pytest.raises(SourceError, match=f"the source has no rows for {gone}"):
        train(run)


def test_order_and_layout_of_rows_change_no_sample(rows, client, messages):
    source = toy_run(rows, client, DAY, spec=SPEC + MEMORY).source

    def sample():
        table = source.read([FIRST], columns=["a", "c", "late"], before=None)
        return sample_of_day(table, source.spec)

    expected = sample()
    path = rows / "rows" / f"day={FIRST}" / "part-0.parquet"
    table = pq.ParquetFile(path).read()
    pq.write_table(table.take(pa.array(range(table.num_rows - 1, -1, -1))), path)
    assert sample().equals(expected)


FORGETFUL = SPEC.replace("[gate]", "[gate]\nmax_forgetting = 0.02") + MEMORY.replace("40", "200")


@pytest.mark.parametrize("season", ["month", "quarter"])
def test_what_a_challenger_has_forgotten_is_shown_and_stops_it(
    tmp_path, client, server, messages, season
):
    write_days(tmp_path / "rows", 60, rule_changes=38)
    bootstrap(tmp_path, client, FIRST + timedelta(days=35))
    spec = FORGETFUL + f'season = "{season}"\n'
    run = trained(tmp_path, client, FIRST + timedelta(days=58), spec=spec)
    decision = run.read("decision.json")
    name = {"month": "2020-01", "quarter": "2020-Q1"}[season]
    found = decision["seasons"][name]
    assert set(decision["seasons"]) == {name}  # neither window has a day of it
    assert found["change"] < -0.2
    assert found["judged"]
    assert decision["gate"]["checks"][0]["verdict"] == "fail"
    assert (decision["outcome"], decision["reason"]) == ("skipped", "forgetting")
    jsonschema.validate(decision, json.loads(SCHEMA.read_text()))
    metrics = list(server.runs.values())[-1].metrics
    assert metrics[f"f1_challenger_{name}"] == found["challenger"]
    assert f"<td>{name}</td>" in run.workspace.read(run.path("report.html")).decode()
    text = explain(decision)
    assert "Largest drop in a past season" in text
    assert "Earlier seasons" in text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("0.05", "1.0"), "replay_share: must lie in 0 to 1, 1 left out"),
        (("40", "1"), "capacity: must lie in 2"),
        (('["c"]', '["d"]'), "strata: 'd' is no feature and no slice column"),
        (("capacity", "size"), "unknown key"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path, change, text):
    with pytest.raises(ConfigError, match=rf"toy.toml, line \d+: .*{text}"):
        toy_run(tmp_path, None, DAY, spec=SPEC + MEMORY.replace(*change))


def test_a_bound_on_forgetting_needs_a_memory(tmp_path):
    spec = FORGETFUL[: FORGETFUL.index("[memory]")]
    with pytest.raises(ConfigError, match=r"line \d+: \[gate\] max_forgetting: needs a \[memory\]"):
        toy_run(tmp_path, None, DAY, spec=spec)
