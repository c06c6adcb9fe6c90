"""The spec, the drawing and the DAG of README, held against the product."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from devtools.doubles.registry_server import Client, Server
from devtools.pages import ROOT, blocks
from devtools.synthetic import toy_run
from retrain_ops.cli.main import run_day
from retrain_ops.run import RunContext
from retrain_ops.spec.spec import parse_spec

README = ROOT / "README.md"
END = date(2026, 2, 1)


def _write(folder, spec, day, rows=200):
    """Rows of every column that the spec names."""
    rng = np.random.default_rng(day.toordinal())
    numbers = {name: rng.normal(size=rows) for name in spec.features.numeric}
    texts = {name: rng.choice(["x", "y", "z"], rows) for name in spec.features.categorical}
    score = sum(numbers.values()) + rng.normal(size=rows)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    target = folder / f"{spec.source.partition}={day}"
    target.mkdir(parents=True)
    table = {
        spec.source.request_id: [f"{day}-{i}" for i in range(rows)],
        spec.source.event_time: pa.array([noon] * rows, pa.timestamp("us", tz="UTC")),
        spec.source.label: score > 0,
        **numbers,
        **texts,
    }
    pq.write_table(pa.table(table), target / "part-0.parquet")


def test_the_spec_trains_a_first_champion_and_runs_a_day(tmp_path, messages):
    text = next(block.text for block in blocks(README) if block.language == "toml")
    spec = parse_spec(text, where="README.md", folder=tmp_path)
    local = text.replace(spec.source.path, str(tmp_path / "rows"))
    for day in spec.window_at(END).days:
        _write(tmp_path / "rows", spec, day)
    _write(tmp_path / "rows", spec, END)
    client = Client(Server())
    first = toy_run(tmp_path, client, END, spec=local, context=RunContext(bootstrap=True))
    assert run_day(first)["outcome"] == "challenger"
    second = toy_run(tmp_path, client, END + timedelta(days=1), spec=local)
    assert run_day(second)["outcome"] == "no_train"


def test_the_drawing_is_the_default_window():
    text = README.read_text()
    spec = next(block.text for block in blocks(README) if block.language == "toml")
    bare = "".join(line for line in spec.splitlines(True) if "label_delay" not in line)
    window = parse_spec(bare, where="README.md", folder=ROOT).window_at(END)
    for days in (window.train, window.holdout):
        assert f"{days[0]:%b %d} .. {days[-1]:%b %d}" in text
    assert [f"{day:%b %d}" for day in window.unlabelled] == ["Jan 31"]
    assert "Jan 31" in text


def test_the_dags_are_python_and_no_hint_names_a_package_that_is_ours():
    dags = [block.text for block in blocks(README) if block.language == "python"]
    assert all(ast.parse(text) for text in dags)
    pages = [README, *(ROOT / "docs").glob("*.md"), *(ROOT / "retrain_ops").rglob("*.py")]
    hints = [
        line for page in pages for line in page.read_text().splitlines() if "pip install" in line
    ]
    assert hints
    assert not [line for line in hints if "pip install retrain" in line.replace('"', "")]
