"""A small world with a known truth: daily rows whose label follows two features.

`quality` is how much the label depends on the features from a day on, `shift`
moves feature `a` from a day on: drift that everybody can see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retrain_ops.registry.registry import Registry
from retrain_ops.run import Run, RunContext
from retrain_ops.spec.spec import load_spec, parse_spec
from retrain_ops.spec.window import days_between
from retrain_ops.workspace import Workspace

FIRST = date(2020, 1, 1)
Label = Literal["binary", "amounts", "classes"]

SPEC = """\
[model]
name = "toy"
seed = 1

[source]
path = "rows"
label = "late"
label_delay_days = 2

[features]
numeric = ["a", "b"]
categorical = ["c"]

[window]
train_days = 10
holdout_days = 5

[drift]
current_days = 5
draws = 199

[validate]
min_rows = 100
label_rate = [0.05, 0.95]

[train]
n_estimators = 20
learning_rate = 0.12
min_samples_leaf = 20
max_leaf_nodes = 8
l2_regularization = 5.0
colsample = 0.8
subsample = 0.8
max_bins = 63

[gate]
protected = ["c"]
min_rows = 100
min_positives = 20

[shadow]
min_rows = 50
max_flips = 0.95
max_rate_change = 0.95

[canary]
min_labelled = 100
"""


AMOUNTS = (
    SPEC.replace("seed = 1\n", 'seed = 1\nproblem = "regression"\n')
    .replace("label_rate = [0.05, 0.95]\n", "")
    .replace("min_positives = 20\n", 'metric = "mae"\nmin_improvement = 0.1\nslice_margin = 0.5\n')
    .replace("max_flips = 0.95\nmax_rate_change = 0.95\n", "")
    + "max_f1_drop = 2.0\ngross_drop = 8.0\n"
)
"""The same days with an amount to predict."""

CLASSES = (
    SPEC.replace("seed = 1\n", 'seed = 1\nproblem = "multiclass"\n')
    .replace("label_rate = [0.05, 0.95]\n", "")
    .replace('protected = ["c"]\n', 'metric = "macro_f1"\nprotected = ["c"]\nwatched = ["late"]\n')
    .replace("min_positives = 20\n", 'guards = [{ metric = "log_loss", max_drop = 0.2 }]\n')
)
"""The same days with one of three classes to predict."""

NAMES = ("on time", "late", "very late")


def write_days(
    folder: Path,
    count: int,
    *,
    rows: int = 300,
    shift_from: int = 10**6,
    shift: float = 0.0,
    rule_changes: int = 10**6,
    first: date = FIRST,
    label: Label = "binary",
) -> None:
    """Writes `count` daily partitions; from day `rule_changes` on the label's rule is reversed.

    Of "amounts" the label is ten times what the probability of a yes follows, and noise; of
    "classes" it says whether that is below -5, above 10, or neither.
    """
    for index, day in enumerate(days_between(first, first + timedelta(days=count - 1))):
        write_day(
            folder,
            day,
            rows=rows,
            shift=shift if index >= shift_from else 0.0,
            reversed_rule=index >= rule_changes,
            label=label,
        )


def write_day(
    folder: Path,
    day: date,
    *,
    rows: int = 300,
    shift: float = 0.0,
    reversed_rule: bool = False,
    label: Label = "binary",
) -> None:
    target = folder / f"day={day.isoformat()}"
    target.mkdir(parents=True, exist_ok=True)
    content = _content_of_day(day, rows, shift, reversed_rule, label)
    (target / "part-0.parquet").write_bytes(content)


@lru_cache(maxsize=2048)
def _content_of_day(day: date, rows: int, shift: float, reversed_rule: bool, label: Label) -> bytes:
    """The file's bytes, kept: tests of a session ask for the same days over and over."""
    rng = np.random.default_rng(day.toordinal())
    a = rng.normal(size=rows) + shift
    b = rng.normal(size=rows)
    c = rng.choice(["x", "y"], size=rows)
    sign = -1.0 if reversed_rule else 1.0
    logit = sign * (1.8 * (a - shift) - 1.2 * b) - 0.3 + 0.5 * (c == "x")
    late = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    if label != "binary":
        late = 10 * logit + 5 * rng.standard_t(5, rows)
    if label == "classes":
        late = np.array(NAMES)[np.digitize(late, (-5, 10))]
    begin = datetime.combine(day, time(6), tzinfo=UTC)
    times = [begin + timedelta(seconds=int(s)) for s in np.sort(rng.integers(0, 50000, rows))]
    table = pa.table(
        {
            "request_id": [f"{day}-{i:05d}" for i in range(rows)],
            "event_time": pa.array(times, type=pa.timestamp("us", tz="UTC")),
            "a": a.astype(np.float32),
            "b": b.astype(np.float32),
            "c": c.tolist(),
            "late": late,
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def toy_run(
    folder: Path,
    client: object,
    day: date,
    *,
    spec: str = SPEC,
    workspace: str = "workspace",
    n_threads: int = 1,
    context: RunContext | None = None,
) -> Run:
    """The run of one day over the rows in `folder/rows`."""
    read = parse_spec(spec, where="toy.toml", folder=folder)
    return Run(
        spec=read,
        window=read.window_at(day),
        workspace=Workspace.open(str(folder / workspace), read.model.name),
        registry=Registry(client=client, name=read.model.name),  # type: ignore[arg-type]
        context=context or RunContext(),
        n_threads=n_threads,
    )


def same_process_run(client: object, folder: Path) -> Callable[..., Run]:
    """Opens runs of any spec against a registry that lives in this process."""

    def opened(spec_path: Path, *, date: date, model: str, context: RunContext) -> Run:
        spec = load_spec(spec_path)
        spec = replace(spec, model=replace(spec.model, name=model))
        return Run(
            spec=spec,
            window=spec.window_at(date),
            workspace=Workspace.open(str(folder / "workspace"), model),
            registry=Registry(client=client, name=model),  # type: ignore[arg-type]
            context=context,
        )

    return opened


def bootstrap(folder: Path, client: object, day: date, **options: object) -> Run:
    """Trains the first champion of the toy model."""
    from retrain_ops.cli.main import run_day

    run = toy_run(folder, client, day, context=RunContext(bootstrap=True), **options)  # type: ignore[arg-type]
    output = run_day(run)
    assert output["outcome"] == "challenger", output
    return run


def files_of(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Content of some files below a folder, by path."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name in names
    }
