"""Days whose rows come from sources of other kinds decide what Parquet decides, and pin them."""

import json
import logging
from datetime import timedelta

import jsonschema
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from devtools.decisions import SCHEMA
from devtools.doubles.registry_server import Client, Server
from devtools.servers.postgres_server import postgres
from devtools.source_kinds import (
    FILES,
    all_days,
    in_delta,
    in_duckdb,
    in_iceberg,
    in_postgres,
    sql_keys,
    with_source,
)
from devtools.synthetic import FIRST, SPEC, bootstrap, files_of, toy_run, write_days
from retrain_ops.cli.main import run_day
from retrain_ops.run import RunContext
from retrain_ops.steps.runner import run_step

FIRST_END = FIRST + timedelta(days=17)
END = FIRST_END + timedelta(days=7)
KEPT = ("decision.json", "source.json", "model.rtm", "reference.json", "pull_data.json")


def play(folder, client, spec):
    """Bootstraps and runs one forced day; the run."""
    bootstrap(folder, client, FIRST_END, spec=spec)
    return again(folder, client, spec)


def again(folder, client, spec, **context):
    run = toy_run(folder, client, END, spec=spec, context=RunContext(forced=True, **context))
    run_day(run)
    return run


def decided(run):
    decision = run.read("decision.json")
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(decision)
    return decision


@pytest.fixture
def rows(tmp_path):
    write_days(tmp_path / "rows", 26)
    return tmp_path / "rows"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Rows in Parquet and in sources of every other kind; `[source]` by kind."""
    folder = tmp_path_factory.mktemp("sources")
    write_days(folder / "rows", 26)
    table = all_days(folder / "rows")
    with postgres() as url:
        in_postgres(table, url)
        in_duckdb(table, folder / "rows.duckdb")
        yield {
            "parquet": {"path": f'"{folder}/rows"'},
            **{kind: write(folder / "rows", folder / kind) for kind, write in FILES.items()},
            "postgresql": sql_keys(url),
            "duckdb": sql_keys(f"duckdb+adbc:///{folder}/rows.duckdb"),
            "delta": in_delta(table, folder / "delta"),
            "iceberg": in_iceberg(table, folder / "iceberg"),
        }


@pytest.fixture(scope="module")
def expected(world, tmp_path_factory):
    """What Parquet decides."""
    spec = with_source(SPEC, world["parquet"])
    return decided(play(tmp_path_factory.mktemp("parquet"), Client(Server()), spec))


KINDS = {"postgresql": "sql", "duckdb": "sql", "delta": "delta", "iceberg": "iceberg"}


@pytest.mark.parametrize("name", [*FILES, *KINDS])
def test_every_kind_decides_what_parquet_decides(tmp_path, world, expected, name, client, messages):
    run = play(tmp_path, client, with_source(SPEC, world[name]))
    found = decided(run)
    source, pins = found.pop("source"), run.read("source.json")
    assert found == expected
    kind = KINDS.get(name, name)
    assert (source["kind"], source["rows"]) == (kind, 300 * len(run.window.days))
    assert source.get("version") == run.read("check_drift.json").get("source_version")
    assert list(pins["days"]) == [day.isoformat() for day in run.window.days]
    digests = [sha for day in pins["days"].values() for sha in _digests(day)]
    assert len(digests) == len(run.window.days)
    assert all(len(sha) == 64 for sha in digests)


def _digests(day):
    return list(day.get("files", {"rows": day.get("sha256")}).values())


def test_a_rerun_pins_the_same_and_one_after_a_fix_says_what_is_new(
    tmp_path, rows, client, messages, caplog
):
    spec = with_source(SPEC, FILES["csv"](rows, tmp_path / "csv"))
    run = play(tmp_path, client, spec)
    before = files_of(tmp_path / "workspace", KEPT)
    again(tmp_path, client, spec)
    assert files_of(tmp_path / "workspace", KEPT) == before
    assert "NEW SOURCE" not in caplog.text

    file = tmp_path / "csv" / "day=2020-01-20" / "rows.csv"
    file.write_text(file.read_text().replace("\n", "\r\n"))
    with caplog.at_level(logging.WARNING):
        again(tmp_path, client, spec)
    assert "[NEW SOURCE] toy/2020-01-25 is not read from what it was" in caplog.text
    assert run.read("run.json")["source_change"] == "other rows on 2020-01-20"
    after = files_of(tmp_path / "workspace", KEPT)
    changed = {name.rpartition("/")[2] for name in after if after[name] != before.get(name)}
    assert changed >= {"decision.json", "source.json"}
    assert all(after[n] == before[n] for n in before if n.endswith("model.rtm"))


def test_parquet_days_keep_their_pins_beside_the_decision(tmp_path, rows, client, messages):
    run = play(tmp_path, client, SPEC)
    assert "source" not in run.read("decision.json")
    pins = run.read("source.json")
    assert pins["kind"] == "parquet"
    assert set(pins["days"]["2020-01-10"]["files"]) == {"day=2020-01-10/part-0.parquet"}


@pytest.mark.parametrize("write", [in_delta, in_iceberg])
def test_a_rerun_reads_the_pinned_version_and_a_backfill_the_newest(
    tmp_path, rows, write, client, messages, caplog
):
    """All labels were the wrong way round: the fix is a new version of the table."""
    table = all_days(rows)
    wrong = pc.subtract(pa.scalar(1, pa.int8()), table["late"])
    at = table.schema.get_field_index("late")
    spec = with_source(SPEC, write(table.set_column(at, "late", wrong), tmp_path / "table"))
    run = play(tmp_path, client, spec)
    before = files_of(tmp_path / "workspace", KEPT)
    write(table, tmp_path / "table")
    again(tmp_path, client, spec)
    assert files_of(tmp_path / "workspace", KEPT) == before
    assert "NEW SOURCE" not in caplog.text

    first = run.read("source.json")["version"]
    with caplog.at_level(logging.WARNING):
        again(tmp_path, client, spec, trigger="backfill")
    newest = run.read("source.json")["version"]
    change = f"version {newest} (was {first})"
    assert f"[NEW SOURCE] toy/2020-01-25 is not read from what it was: {change}" in caplog.text
    noted = run.read("run.json")["source_change"]
    assert noted.startswith(f"{change}; other rows on 2020-01-09, 2020-01-10")
    assert run.read("decision.json")["source"]["version"] == newest != first
    after = files_of(tmp_path / "workspace", KEPT)
    assert {n for n in before if after[n] != before[n] and "2020-01-18" in n} == set()

    again(tmp_path, client, spec)
    assert files_of(tmp_path / "workspace", KEPT) == after


def test_a_step_alone_reads_what_check_drift_pinned(tmp_path, rows, client, messages):
    """A table that changes between two steps of a run changes nothing for the second."""
    table = all_days(rows)
    spec = with_source(SPEC, in_delta(table, tmp_path / "table"))
    run = toy_run(tmp_path, client, FIRST_END, spec=spec, context=RunContext(bootstrap=True))
    run_step("check_drift", run)
    in_delta(table.slice(0, 300 * 5), tmp_path / "table")
    run_step("pull_data", run)
    assert run.read("pull_data.json")["rows"] == 300 * len(run.window.days)
    assert run.read("source.json")["version"] == "0"
