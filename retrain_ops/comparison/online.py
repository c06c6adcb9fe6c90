"""The days that a linear model has learnt, each once, as a chain of states in the workspace.

The state after a day lies at ``<model>/online/<recipe>/<day>.rtm``: it follows from the state
before and the day's rows alone, and is written once, whole. A run that is killed, repeated or
late finds the days that are learnt and goes on behind them; a backfill finds the state that its
day had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs

from retrain_ops.data.labels import labels_of
from retrain_ops.data.memory import labelled_day
from retrain_ops.data.source import day_index
from retrain_ops.data.window_rows import pulled_columns
from retrain_ops.errors import ConfigError
from retrain_ops.models.online import learn_batch
from retrain_ops.models.tabular import TabularModel, load_model
from retrain_ops.models.training import TrainingData
from retrain_ops.run import Run
from retrain_ops.spec.learn import LearnTable
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.workspace import canonical_json


def learnt(run: Run, data: TrainingData, rules: LearnTable) -> TabularModel:
    """The model that has learnt all days up to the window's last training day.

    Args:
        run: of the window.
        data: the rows of its training days: the first batch, and what the threshold is chosen on,
            each day by the state before it.
        rules: the `[learn]` table.

    Raises:
        ConfigError: the window ends before the first day that was learnt.
    """
    chain = _Chain(run, rules, _folder(run.spec, rules))
    last = run.window.train[-1]
    found = chain.before(last + timedelta(days=1), chain.days())
    if found is None:
        chain.check_begins(last)
        model = chain.learn(None, data, last)
    else:
        model = _caught_up(chain, *found, data, last)
    if data.problem != "binary":
        return model
    return model.with_threshold(_threshold(chain, model, data))


def _caught_up(
    chain: _Chain, day: date, model: TabularModel, data: TrainingData, last: date
) -> TabularModel:
    """The state after the days behind `day` that have labelled rows, up to `last`."""
    days = [d for d in chain.run.source.days() if day < d <= last]
    for table in chain.rows_of(days):
        label = labels_of(chain.run.spec).values(table, chain.run.spec.source.label)
        batch = replace(data, table=table, day=day_index(table)[0], label=label)
        model = chain.learn(model, batch, table["day"][0].as_py())
    return model


def _threshold(chain: _Chain, model: TabularModel, data: TrainingData) -> float:
    """By scores of each day's rows before they were learnt; of the first days, by the model's."""
    scores = np.full(len(data.label), np.nan)
    learnt_days = chain.days()  # a store is asked once, not once a day
    for code, day in enumerate(day_index(data.table)[1]):
        found = chain.before(day, learnt_days)
        if found is not None:
            rows = data.day == code
            part = data.table.filter(pa.array(rows))
            scores[rows] = found[1].scores(part, n_threads=chain.run.n_threads)
    known = ~np.isnan(scores)
    if len(np.unique(data.label[known])) < 2:
        known[:] = True
        scores = model.scores(data.table, n_threads=chain.run.n_threads)
    return data.threshold.choose(scores[known], data.label[known])


@dataclass(frozen=True, slots=True)
class _Chain:
    """The states of one recipe."""

    run: Run
    rules: LearnTable
    folder: str

    def days(self) -> list[date]:
        """The days that have been learnt, oldest first."""
        workspace = self.run.workspace
        selector = pafs.FileSelector(workspace.absolute(self.folder), allow_not_found=True)
        names = [info.base_name for info in workspace.filesystem.get_file_info(selector)]
        return sorted(date.fromisoformat(n[:10]) for n in names if n[10:] == ".rtm")

    def before(self, end: date, days: list[date]) -> tuple[date, TabularModel] | None:
        """The newest state of one of `days` before `end`; a damaged one is set aside and learnt
        anew."""
        for day in reversed([d for d in days if d < end]):
            data = self.run.workspace.recover(self._path(day))
            if data is not None:
                return day, load_model(data)
        return None

    def learn(self, model: TabularModel | None, batch: TrainingData, day: date) -> TabularModel:
        """The state after a day's rows, kept."""
        params, n_threads = self.run.spec.train, self.run.n_threads
        model = learn_batch(model, batch, params=params, rules=self.rules, n_threads=n_threads)
        self.run.workspace.write(self._path(day), model.to_bytes())
        return model

    def rows_of(self, days: list[date]) -> Iterator[pa.Table]:
        """The labelled rows of each day that has any."""
        if not days:
            return
        spec = self.run.spec
        for table in self.run.source.read_by_day(days, columns=pulled_columns(spec)):
            rows = labelled_day(table, spec) if table.num_rows else table
            if rows.num_rows:
                yield rows

    def check_begins(self, last: date) -> None:
        """Raises ConfigError where later days have been learnt: there is no way back."""
        known = self.days()
        if known:
            raise ConfigError(
                f"{self.run.retrain_key}: its training days end with {last}, and the first that "
                f"were learnt end with {known[0]}; remove "
                f"{self.run.workspace.absolute(self.folder)} to begin anew"
            )

    def _path(self, day: date) -> str:
        return f"{self.folder}/{day.isoformat()}.rtm"


def _folder(spec: RetrainSpec, rules: LearnTable) -> str:
    """By all that a state follows from, beside the rows."""
    recipe = {
        "features": [spec.features.numeric, spec.features.categorical],
        "label": spec.source.label,
        "trainer": [spec.model.trainer, spec.model.problem],
        "train": dict(spec.train),
        "learn": [rules.remember, rules.gamma, rules.learning_rate],
    }
    digest = hashlib.sha256(canonical_json(recipe)).hexdigest()
    return f"{spec.model.name}/online/{digest[:16]}"
