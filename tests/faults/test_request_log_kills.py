"""kill -9 of processes that serve: no answered request is lost, none is in the log twice."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.serving import promoted, small_model, wait_until
from retrain_ops.data.live_log import read_live
from retrain_ops.serving import Router
from retrain_ops.spec.spec import load_spec

SPEC = """
[model]
name = "served"
[source]
path = "live/answers"
label = "y"
[features]
numeric = ["x0", "x1", "x2"]
[serving]
log = "live"
[registry]
tracking_uri = "http://127.0.0.1:9"
"""
SERVER = """
import os, sys
from retrain_ops.data import segments
from retrain_ops.serving import Router, request_log
segments.SEGMENT_BYTES, request_log.COMPACT_EVERY_S = 40_000, 0.01
router = Router(sys.argv[1])
number = 0
while True:
    name = b"%s-%d" % (sys.argv[2].encode(), number)
    body = b'{"inputs": {"x0": 1.5, "x1": %d, "x2": null}}' % number
    assert router.answer(body, unit=name, request_id=name).status == 200
    os.write(1, name + b"\\n")
    number += 1
"""
KILLS = 5


@pytest.fixture
def spec(tmp_path):
    """A canary of a half, which every process serves without a registry."""
    (tmp_path / "spec.toml").write_text(SPEC)
    client = Client(Server())
    promoted(client, "served", small_model(3))
    promoted(client, "served", small_model(3, seed=2), share=0.5)
    found = load_spec(tmp_path / "spec.toml")
    Router(found, client=client).close()
    return found


def killed(spec_file, name, answers):
    """A process that is killed after so many answers: the ids that it had answered."""
    command = [sys.executable, "-c", SERVER, str(spec_file), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        seen = [process.stdout.readline() for _ in range(answers)]
        process.kill()
        seen += process.stdout.read().splitlines(keepends=True)
    return [line.decode().strip() for line in seen if line.endswith(b"\n")]


def test_no_answer_is_lost_and_none_is_doubled(spec, tmp_path):
    answered = []
    for run in range(KILLS):
        answered += killed(tmp_path / "spec.toml", f"run{run}", 1 + 397 * run)
    assert all(answered)
    with closing(Router(spec)) as router:  # who comes next takes over what they left behind
        wait_until(lambda: router.log.compact() or not leftovers(tmp_path, router))
    now = datetime.now(UTC)
    live = read_live(spec, now - timedelta(hours=1), now + timedelta(hours=1))
    logged = live.answers[spec.source.request_id].to_pylist()
    assert set(answered) <= set(logged)
    assert len(logged) <= len(answered) + KILLS  # one was logged, and its answer under way
    assert live.repeated == 0
    raw = sum(pq.read_metadata(p).num_rows for p in (tmp_path / "live/answers").rglob("*.parquet"))
    assert raw == len(logged)
    keys = ["log_writer", "log_sequence", "log_row"]
    both = live.answers.join(live.shadows, keys, right_suffix="_2", join_type="inner")
    others = both.filter(pc.not_equal(both["log_version"], both["log_version_2"]))
    assert len(set(others[spec.source.request_id].to_pylist())) == others.num_rows


def leftovers(folder, router):
    """Segments of processes that are gone: all but this one's."""
    return list((folder / "serving" / "served" / "log").glob("*.log"))[1:]
