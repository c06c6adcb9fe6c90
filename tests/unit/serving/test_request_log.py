"""The request log: every answer in it once, the other model's scores beside, as Parquet by day."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.serving import challenged, promoted, small_model, wait_until
from retrain_ops.data.live_log import read_live
from retrain_ops.data.source import Source
from retrain_ops.errors import ConfigError
from retrain_ops.serving import Router
from retrain_ops.serving.compaction import compact, expire
from retrain_ops.spec.spec import parse_spec
from retrain_ops.stats.rules import recorded

SPEC = """
[model]
name = "served"
[source]
path = "live/answers"
label = "y"
request_id = "trip"
event_time = "at"
[features]
numeric = ["x0", "x1", "x2"]
[serving]
log = "live"
"""
HOUR = timedelta(hours=1)


def body_of(i, **more):
    return json.dumps({"dataframe_records": [{"x0": 1.5, "x1": i, "x2": None, **more}]}).encode()


@pytest.fixture
def client():
    client = Client(Server())
    promoted(client, "served", small_model(3))
    return client


@pytest.fixture
def spec(tmp_path):
    return parse_spec(SPEC, where="spec", folder=tmp_path)


@pytest.fixture
def start(spec, client):
    """Makes routers, closed in the end."""
    with ExitStack() as closing_all:
        yield lambda: closing_all.enter_context(closing(Router(spec, client=client)))


def read(spec):
    now = datetime.now(UTC)
    return read_live(spec, now - HOUR, now + HOUR)


def counted(router, name):
    lines = router.metrics().splitlines()
    return int(next(line for line in lines if line.split(" ")[0].endswith(name)).split(" ")[1])


def test_every_answer_is_in_the_log_once(start, spec):
    routers = start(), start()
    said = {}
    for i in range(50):
        answer = routers[i % 2].answer(body_of(i), request_id=f"r{i}".encode())
        said[f"r{i}"] = json.loads(answer.body)["predictions"][0]
        assert answer.request_id == f"r{i}".encode()
    for router in routers:
        router.close()
    live = read(spec)
    found = live.answers.select(["trip", "log_score"]).to_pydict()
    assert dict(zip(found["trip"], found["log_score"], strict=True)) == said
    assert live.shadows.num_rows == live.repeated == 0
    assert len(set(live.answers["log_writer"].to_pylist())) == 2


def test_days_beyond_those_to_keep_are_removed_whole(tmp_path, client):
    kept = SPEC.replace('log = "live"', 'log = "live"\nkeep_days = 60')
    spec = parse_spec(kept, where="spec", folder=tmp_path)
    today = datetime.now(UTC).date()
    for kind in ("answers", "shadows"):
        for age in (0, 60, 61, 400):
            day = tmp_path / "live" / kind / f"day={today - timedelta(days=age)}"
            day.mkdir(parents=True)
            (day / "a.parquet").touch()
    (tmp_path / "live" / "answers" / f".day={today}.expired").mkdir()
    (tmp_path / "live" / "answers" / "notes").mkdir()
    expire(spec, today)
    left = {p.name for p in (tmp_path / "live").rglob("*") if p.is_dir()}
    days = {f"day={today}", f"day={today - timedelta(days=60)}"}
    assert left == {"answers", "shadows", "notes", *days}
    expire(parse_spec(SPEC, where="spec", folder=tmp_path), today + timedelta(days=999))
    assert {p.name for p in (tmp_path / "live" / "shadows").iterdir()} == days


def test_a_server_removes_old_days_by_itself(tmp_path, client):
    kept = SPEC.replace('log = "live"', 'log = "live"\nkeep_days = 60')
    old = tmp_path / "live" / "answers" / "day=2020-01-01"
    old.mkdir(parents=True)
    spec = parse_spec(kept, where="spec", folder=tmp_path)
    with closing(Router(spec, client=client)) as router:
        router.log.compact()
    assert not old.exists()


def test_a_column_that_is_left_out_is_not_in_the_parquet(tmp_path, client):
    less = SPEC.replace('log = "live"', 'log = "live"\nleave_out = ["x1"]')
    spec = parse_spec(less, where="spec", folder=tmp_path)
    with closing(Router(spec, client=client)) as router:
        router.answer(body_of(7, trip="mine"))
    [path] = (tmp_path / "live" / "answers").rglob("*.parquet")
    names = pq.read_schema(path).names
    assert {"x0", "x2", "trip"} <= set(names)
    assert "x1" not in names
    assert read(spec).answers["trip"].to_pylist() == ["mine"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("keep_days = 20", "keep_days: window and canary go back 51 days: keep as many"),
        ('leave_out = ["x9"]', "leave_out: 'x9' is not a feature of"),
    ],
)
def test_what_the_log_cannot_keep_is_refused(tmp_path, line, problem):
    text = SPEC.replace('log = "live"', f'log = "live"\n{line}')
    with pytest.raises(ConfigError, match=re.escape(problem)):
        parse_spec(text, where="spec", folder=tmp_path)


def test_the_log_is_a_source(start, spec):
    with closing(start()) as router:
        router.answer(body_of(7, trip="mine"))
    today = datetime.now(UTC).date()
    rows = Source(spec).read(
        [today - timedelta(days=1), today],
        columns=spec.features.all,
        before=None,
        allow_missing=True,
    )
    assert rows["trip"].to_pylist() == ["mine"]
    assert rows["x1"].to_pylist() == [7.0]


def test_ids_come_from_the_row_the_header_or_chance(start, spec):
    router = start()
    two = {"x0": [1, 2], "x1": [1, 2], "x2": [1, 2]}
    router.answer(json.dumps({"inputs": {**two, "trip": [17, None]}}).encode(), request_id=b"q")
    router.answer(json.dumps({"inputs": two}).encode(), request_id=b"p")
    strange = [b"", b"a b", b"x" * 129, "\u00e9".encode(), None]
    made = [router.answer(body_of(1), request_id=i).request_id.decode() for i in strange]
    router.answer(b"x0,x1,x2,trip\n1,2,,csv\n", "text/csv")
    router.close()
    expected = ["17", "q.1", "p.0", "p.1", "csv", *made]
    assert sorted(read(spec).answers["trip"].to_pylist()) == sorted(expected)
    assert len(set(made)) == len(strange)


def test_who_asks_again_is_counted_and_the_first_answer_holds(start, spec):
    router = start()
    first = json.loads(router.answer(body_of(1), request_id=b"same").body)["predictions"]
    router.answer(body_of(9), request_id=b"same")
    router.close()
    live = read(spec)
    assert live.answers["log_score"].to_pylist() == first
    assert live.repeated == 1


def test_a_challenger_scores_what_the_champion_answered(start, spec, client):
    challenged(client, "served", small_model(3, seed=2))
    router = start()
    wait_until(lambda: router.health()["shadow"] == "2")
    for i in range(64):
        assert router.answer(body_of(i), request_id=f"r{i}".encode()).version == "1"
    router.close()
    live = read(spec)
    other = live.shadows.filter(pa.compute.equal(live.shadows["log_version"], 2))
    again = live.shadows.filter(pa.compute.equal(live.shadows["log_version"], 1))
    assert (other.num_rows, again.num_rows) == (64, 4)
    both = live.answers.join(other, ["log_writer", "log_sequence", "log_row"], right_suffix="_2")
    table = pa.table({"x0": [1.5] * 64, "x1": np.arange(64.0), "x2": [np.nan] * 64})
    expected = small_model(3, seed=2).scores(table)
    order = [int(name[1:]) for name in both["trip"].to_pylist()]
    assert both["log_score_2"].to_pylist() == expected[order].tolist()
    assert counted(router, "shadow_rows_total") == 68
    assert counted(router, 'scoring_seconds_count{arm="shadow"}') == 68


def test_the_model_that_does_not_answer_a_canary_scores_it(start, spec, client):
    promoted(client, "served", small_model(3, seed=2), share=0.5)
    router = start()
    versions = [router.answer(body_of(i), unit=b"%d" % i).version for i in range(100)]
    router.close()
    live = read(spec)
    assert sorted(map(str, live.answers["log_version"].to_pylist())) == sorted(versions)
    assert set(live.answers["log_share"].to_pylist()) == {0.5}
    keys = ["log_writer", "log_sequence", "log_row"]
    both = live.answers.join(live.shadows, keys, right_suffix="_2", join_type="inner")
    others = both.filter(pa.compute.not_equal(both["log_version"], both["log_version_2"]))
    assert others.num_rows == 100


def test_a_champion_that_changes_leaves_nothing_unscored(start, spec, client):
    challenged(client, "served", small_model(3, seed=2))
    router = start()
    for i in range(200):
        router.answer(body_of(i))
        if i == 100:
            promoted(client, "served", small_model(3, seed=3), share=0.5)
    wait_until(lambda: router.health()["champion"] == "3")
    for i in range(100):
        router.answer(body_of(i))
    router.close()
    live = read(spec)
    assert live.answers.num_rows == 300
    keys = ["log_writer", "log_sequence", "log_row"]
    joined = live.answers.join(live.shadows, keys, right_suffix="_2", join_type="inner")
    other = joined.filter(pa.compute.not_equal(joined["log_version"], joined["log_version_2"]))
    assert other.num_rows == 300


def test_a_challenger_that_cannot_score_stops_nothing(start, client):
    challenged(client, "served", small_model(4))
    router = start()
    wait_until(lambda: "version 2 is no shadow" in (router.health()["problem"] or ""))
    assert router.answer(body_of(1)).version == "1"
    promoted(client, "served", small_model(3, seed=5))
    wait_until(lambda: router.answer(body_of(1)).version == "3")


def test_what_is_compacted_twice_is_there_once(start, spec, tmp_path):
    router = start()
    for i in range(10):
        router.answer(body_of(i))
    router.log.core.close()
    folder = tmp_path / "serving" / "served" / "log"
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    first = list(compact(spec, folder))
    assert [done.rows for done in first] == [10]
    assert not list(folder.iterdir())
    parts = {path: path.read_bytes() for path in (tmp_path / "live").rglob("*.parquet")}
    shutil.copytree(kept, folder, dirs_exist_ok=True)  # killed before it was removed
    assert [done.rows for done in compact(spec, folder)] == [10]
    assert {p: p.read_bytes() for p in (tmp_path / "live").rglob("*.parquet")} == parts
    assert read(spec).answers.num_rows == 10


def test_a_torn_tail_is_dropped_kept_aside_and_counted(start, spec, tmp_path):
    router = start()
    for i in range(10):
        router.answer(body_of(i))
    router.log.core.close()
    folder = tmp_path / "serving" / "served" / "log"
    [segment] = folder.glob("*.log")
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 7)
    router.log.compact()
    assert read(spec).answers.num_rows == 9
    assert counted(router, "log_torn_bytes_total") > 0
    assert [path.suffix for path in folder.iterdir()] == [".torn"]


def test_a_segment_that_is_being_written_is_left_alone(start, spec, tmp_path):
    router = start()
    router.answer(body_of(1))
    assert list(compact(spec, tmp_path / "serving" / "served" / "log")) == []


def test_a_full_disk_costs_the_log_and_no_answer(start, spec):
    router = start()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        answers = [router.answer(body_of(i)) for i in range(100)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {answer.status for answer in answers} == {200}
    dropped = counted(router, "log_dropped_total")
    assert dropped > 50
    assert counted(router, "log_requests_total") == 100 - dropped
    assert counted(router, "log_troubles_total") > 0
    router.answer(body_of(1), request_id=b"after")
    router.close()
    ids = read(spec).answers["trip"].to_pylist()
    assert len(ids) == 101 - dropped
    assert "after" in ids


def test_a_forked_process_answers_and_logs_nothing(start):
    router = start()
    router.answer(body_of(1))
    child = os.fork()
    if child == 0:
        os._exit(0 if router.answer(body_of(2)).status == 200 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert counted(router, "log_requests_total") == 1
    assert counted(router, "log_dropped_total") == 1


def test_a_file_that_is_none_of_the_log_is_named(spec, tmp_path):
    day = tmp_path / "live" / "answers" / f"day={datetime.now(UTC).date()}"
    day.mkdir(parents=True)
    (day / "note.parquet").write_bytes(b"none")
    with pytest.raises(Exception, match=r"note\.parquet is no part of the request log"):
        read(spec)
    pq.write_table(pa.table({"a": [1]}), day / "note.parquet")
    with pytest.raises(Exception, match=r"note\.parquet is no part of the request log"):
        read(spec)


def test_a_table_without_a_log_keeps_its_record(tmp_path):
    without = parse_spec(SPEC.replace('log = "live"', ""), where="spec", folder=tmp_path)
    assert "log" not in recorded(without.serving)
    assert "id_header" not in recorded(without.serving)
