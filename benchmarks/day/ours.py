"""python -m benchmarks.day.ours SOURCE WORKSPACE URL THREADS: a bootstrap and a judged day."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from benchmarks.day import rows
from benchmarks.day.phases import arguments, phase, said
from retrain_ops.run import RunContext, open_run
from retrain_ops.steps.runner import STEPS, run_step

SPEC = f"""
[model]
name = "day"
seed = 1

[source]
path = "{{source}}"
label = "label"
label_delay_days = {rows.LABEL_DELAY_DAYS}

[features]
numeric = {json.dumps(rows.NUMERIC)}
categorical = {json.dumps(list(rows.CATEGORICAL))}

[window]
train_days = {rows.TRAIN_DAYS}
holdout_days = {rows.HOLDOUT_DAYS}

[drift]
current_days = {rows.CURRENT_DAYS}

[validate]
min_rows = 100
label_rate = [0.05, 0.95]
ranges = {{{{ x0 = [-20.0, 20.0], x1 = [-20.0, 20.0] }}}}
max_null_share = {{{{ x12 = 0.5, x13 = 0.5 }}}}

[train]
{{train}}

[gate]
protected = ["{rows.PROTECTED}"]

[registry]
tracking_uri = "{{url}}"
"""


def spec_file(folder: Path, source: Path, url: str) -> Path:
    train = "\n".join(f"{key} = {value}" for key, value in rows.PARAMS.items())
    path = folder / "day.toml"
    path.write_text(SPEC.format(source=source, train=train, url=url))
    return path


def run_day(spec: Path, workspace: Path, day: date, context: RunContext, threads: int) -> None:
    run = open_run(spec, date=day, workspace=str(workspace), context=context, n_threads=threads)
    for step in STEPS:
        with phase(f"{day} {step}"):
            entry = run_step(step, run)
        said(step=step, summary=entry["summary"])


def main() -> None:
    source, workspace, url, threads = arguments()
    workspace.mkdir(parents=True, exist_ok=True)
    spec = spec_file(workspace, source, url)
    run_day(spec, workspace, rows.BOOTSTRAP_DAY, RunContext(bootstrap=True), threads)
    run_day(spec, workspace, rows.JUDGED_DAY, RunContext(forced=True), threads)


if __name__ == "__main__":
    main()
