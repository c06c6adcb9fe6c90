"""`retrain-ops run` ended by signals at random moments: a record, one alert, a free lock.

Real processes over a registry of their own. RETRAIN_OPS_SIGNALS=200 counts as the proof, with the
limit of a machine that does nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

from devtools.servers.slack_server import SlackServer
from devtools.synthetic import FIRST, SPEC, files_of, write_days

COUNT = int(os.environ.get("RETRAIN_OPS_SIGNALS", "8"))
LIMIT_S = 0.25 if COUNT >= 200 else 60.0
DAY = FIRST + timedelta(days=17)
# Training takes seconds, so that signals meet the C core too.
LONG = SPEC.replace("n_estimators = 20", "n_estimators = 1500")
RUN = """
import sys
import retrain_ops.run
from devtools.doubles.registry_server import Client, Server
server = Server()
retrain_ops.run.MlflowClient = lambda uri: Client(server)
from retrain_ops.cli.main import process
print("ready", file=sys.stderr, flush=True)
process()
"""


def start(folder: Path, workspace: Path, slack: SlackServer) -> subprocess.Popen[str]:
    """A bootstrap of the toy model, about to begin."""
    arguments = ["run", "--bootstrap", "--spec", str(folder / "toy.toml"), "--threads", "1"]
    arguments += ["--date", DAY.isoformat(), "--workspace", str(workspace)]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        env={**os.environ, "SLACK_WEBHOOK_URL": slack.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    return process


def check_record(workspace: Path, number: int, messages: list[str]) -> str:
    """What a cancelled run must leave; the step that the signal met."""
    record = workspace / "toy" / f"window_end={DAY}" / "run.json"
    failed = [text for text in messages if text.startswith("[FAILED]")]
    if not record.exists():  # nothing was begun
        assert failed == []
        return "nothing"
    steps = json.loads(record.read_bytes())["steps"]
    met = {name: step for name, step in steps.items() if step["status"] in ("running", "failed")}
    ((name, step),) = met.items()
    assert step["error"].startswith(f"cancelled by signal {number}"), step
    assert failed == [f"[FAILED] toy {DAY}: {name}: {step['error']}"]
    with open(workspace / "toy" / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not list(workspace.rglob("*.tmp"))
    return name


def test_a_signal_at_any_moment_leaves_a_record_one_alert_and_a_free_lock(tmp_path):
    write_days(tmp_path / "rows", 20)
    (tmp_path / "toy.toml").write_text(LONG)
    with SlackServer() as slack:
        begun = time.monotonic()
        out, err = start(tmp_path, tmp_path / "whole", slack).communicate(timeout=120)
        assert json.loads(out)["outcome"] == "challenger", err
        whole = time.monotonic() - begun
    moments, met, spans = random.Random(COUNT), Counter[str](), []
    for index in range(COUNT):
        number = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)[index % 3]
        workspace = tmp_path / f"w{index}"
        with SlackServer() as slack:
            process = start(tmp_path, workspace, slack)
            time.sleep(moments.uniform(0.0, whole))
            sent = time.monotonic()
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            spans.append(time.monotonic() - sent)
            texts = [message["text"] for message in slack.messages]
        if process.returncode == 0:  # it was over already
            met["over"] += 1
            continue
        if process.returncode == -number:  # not begun, or done and on its way out
            record = workspace / "toy" / f"window_end={DAY}" / "run.json"
            assert not record.exists() or "summarise" in json.loads(record.read_bytes())["steps"]
            met["outside"] += 1
            continue
        assert process.returncode == 128 + number, err
        assert json.loads(out)["error"] == "Cancelled"
        met[check_record(workspace, number, texts)] += 1
    print(f"met {dict(met)}; longest {max(spans):.3f} s")
    assert max(spans) < LIMIT_S
    assert met["over"] + met["outside"] + met["nothing"] < COUNT
    check_next_run(tmp_path, workspace)


def check_next_run(folder: Path, workspace: Path) -> None:
    """The day after the last signal comes to the bytes of the day that nobody ended."""
    with SlackServer() as slack:
        process = start(folder, workspace, slack)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    names = ("decision.json", "model.rtm", "reference.json")
    whole = files_of(folder / "whole" / "toy" / f"window_end={DAY}", names)
    again = files_of(workspace / "toy" / f"window_end={DAY}", names)
    assert {name: again[name] for name in whole} == whole
