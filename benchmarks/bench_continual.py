"""Frozen, trained every night, or learning every day; and what each forgets of the winter.

    python -m benchmarks.bench_continual build/data/flights [part ...]

June to December of flights: scores of each day's rows by the model of two nights before, labels
being two days late. Then a winter champion and models of the 30 days before 28 July, with and
without replay, elastic weight consolidation and anchored leaves, on rows of winter, summer and
December that none has seen. A part is "forgetting", or a way of WAYS; default: all. Writes
build/bench/continual.json, and the tables and the plot of docs/online-or-continual.md whose parts
are there.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from retrain_ops import _core  # noqa: E402
from retrain_ops.comparison.replay import by_importance  # noqa: E402
from retrain_ops.data.labels import label_values, labelled  # noqa: E402
from retrain_ops.data.memory import Memory, recall  # noqa: E402
from retrain_ops.data.source import Source, day_index  # noqa: E402
from retrain_ops.models import GBDTClassifier, LogisticRegression  # noqa: E402
from retrain_ops.models.online import learn_batch  # noqa: E402
from retrain_ops.models.tabular import TabularModel  # noqa: E402
from retrain_ops.models.training import (  # noqa: E402
    TrainingData,
    train_gbdt,
    train_logistic,
)
from retrain_ops.spec.learn import LearnTable  # noqa: E402
from retrain_ops.spec.memory import MemoryTable  # noqa: E402
from retrain_ops.spec.spec import RetrainSpec, load_spec  # noqa: E402
from retrain_ops.spec.window import days_between  # noqa: E402
from retrain_ops.stats.ranks import roc_auc  # noqa: E402
from retrain_ops.workspace import Workspace  # noqa: E402

FIRST, LAST = date(2013, 6, 1), date(2013, 12, 31)
DELAY, TRAINED = 2, 22
SUMMER, MONTH, SEEDS = date(2013, 7, 28), 30, range(1, 6)
RESULT = ROOT / "build" / "bench" / "continual.json"
PAGE = ROOT / "docs" / "online-or-continual.md"
PLOT = PAGE.with_suffix(".svg")

Scores = NDArray[np.float64]
Row = dict[str, Any]


class Year:
    """The labelled rows of flights, by days."""

    def __init__(self, spec: RetrainSpec) -> None:
        self.spec = spec
        columns = [*spec.features.all, spec.source.label]
        days = Source(spec).days()
        table = Source(spec).read(days, columns=columns, before=None)
        self.table = labelled(table, spec)
        self.days = self.table["day"].to_numpy()

    def rows(self, first: date, count: int = 1, *, half: int | None = None) -> pa.Table:
        """Of so many days, or of every other one of them."""
        chosen = [first + timedelta(days=n) for n in range(count) if half in (None, n % 2)]
        return self.table.filter(pa.array(np.isin(self.days, np.array(chosen, "datetime64[D]"))))

    def data(self, table: pa.Table) -> TrainingData:
        features = self.spec.features
        return TrainingData(
            table=table,
            day=day_index(table)[0],
            label=label_values(table, self.spec.source.label),
            numeric=features.numeric,
            categorical=features.categorical,
        )

    def label(self, table: pa.Table) -> NDArray[np.uint8]:
        return label_values(table, self.spec.source.label)


def gbdt(year: Year, table: pa.Table, seed: int = 7) -> TabularModel:
    return train_gbdt(year.data(table), params=year.spec.train, seed=seed, n_threads=0)


def logistic(year: Year, table: pa.Table, seed: int = 7) -> TabularModel:
    return train_logistic(year.data(table), params={}, seed=seed, n_threads=0)


# -- every day ------------------------------------------------------------------------


def frozen(train: Callable[..., TabularModel]) -> Callable[[Year], Any]:
    def models(year: Year) -> Any:
        model = train(year, year.rows(FIRST - timedelta(days=TRAINED + DELAY - 1), TRAINED))
        while True:
            yield model

    return models


def nightly(train: Callable[..., TabularModel]) -> Callable[[Year], Any]:
    def models(year: Year) -> Any:
        for day in days_between(FIRST, LAST):
            yield train(year, year.rows(day - timedelta(days=TRAINED + DELAY - 1), TRAINED))

    return models


def daily(**rules: Any) -> Callable[[Year], Any]:
    """By the state before each day; the threshold by scores of the last days before learning."""

    def models(year: Year) -> Any:
        begun = year.rows(FIRST - timedelta(days=TRAINED + DELAY - 1), TRAINED)
        model, seen = learnt(year, None, begun, rules), []
        threshold = logistic(year, begun).threshold
        for day in days_between(FIRST, LAST):
            yield model.with_threshold(threshold)
            table = year.rows(day - timedelta(days=DELAY - 1))
            seen = [*seen, (model.scores(table), year.label(table))][-TRAINED:]
            scores, labels = (np.concatenate(part) for part in zip(*seen, strict=True))
            if len(seen) >= 7:
                threshold = _core.f1_threshold(scores, labels)[0]
            model = learnt(year, model, table, rules)

    return models


def learnt(
    year: Year, model: TabularModel | None, table: pa.Table, rules: dict[str, Any]
) -> TabularModel:
    data = year.data(table)
    return learn_batch(model, data, params={}, rules=LearnTable(**rules), n_threads=0)


WAYS: dict[str, Callable[[Year], Any]] = {
    "trees, frozen": frozen(gbdt),
    "trees, every night": nightly(gbdt),
    "logistic, frozen": frozen(logistic),
    "logistic, every night": nightly(logistic),
    "logistic, row by row": daily(),
    "logistic, EWC": daily(remember="full"),
    "logistic, EWC, gamma 0.97": daily(remember="full", gamma=0.97),
}


def through_the_year(year: Year, name: str) -> Row:
    """One way: its scores over all rows, and by month."""
    begun, models = time.process_time(), WAYS[name](year)
    scores, said, labels, month = [], [], [], []
    for day in days_between(FIRST, LAST):
        model, table = next(models), year.rows(day)
        scores.append(model.scores(table))
        said.append(scores[-1] >= model.threshold)
        labels.append(year.label(table))
        month.append(np.full(len(labels[-1]), day.month))
    seconds = time.process_time() - begun
    whole = [np.concatenate(part) for part in (scores, said, labels, month)]
    row = {"model": name, **measured(*whole[:3]), "CPU s": seconds}
    return {"row": row, "AUC by month": [float(roc_auc(y, s)) for s, _, y in by(whole)]}


def by(whole: list[NDArray[Any]]) -> list[tuple[NDArray[Any], ...]]:
    return [tuple(p[whole[3] == m] for p in whole[:3]) for m in range(FIRST.month, LAST.month + 1)]


def measured(score: Scores, said: NDArray[np.bool_], y: NDArray[np.uint8]) -> Row:
    clipped = np.clip(score, 1e-6, 1 - 1e-6)
    loss = -np.mean(np.where(y == 1, np.log(clipped), np.log1p(-clipped)))
    return {"F1": f1(said, y), "AUC": float(roc_auc(y, score)), "log-loss": float(loss)}


def f1(said: NDArray[np.bool_], y: NDArray[np.uint8]) -> float:
    return float(2 * np.sum(said & (y == 1)) / max(1, said.sum() + y.sum()))


# -- what is forgotten ----------------------------------------------------------------


def replayed(year: Year, table: pa.Table, alone: TabularModel | None = None) -> pa.Table:
    """A fifth of the rows from the memory of the days before; by importance where there is a
    model of the month alone."""
    memory, order = remembered(year), None
    if alone is not None:
        order = by_importance(year.spec, memory, alone, n_threads=0)
    old = memory.replayed(table.num_rows // 4, order).select(table.column_names)
    return pa.concat_tables([old, table], promote_options="permissive").combine_chunks()


@lru_cache(maxsize=1)
def remembered(year: Year) -> Memory:
    """The memory at the month's first day; of winter its taught half."""
    memory = MemoryTable(replay_share=0.2, capacity=400)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        rows.mkdir()
        untaught = {date(2013, 1, 1) + timedelta(days=n) for n in range(1, 59, 2)}
        for path in Path(os.environ["FLIGHTS_SOURCE"]).glob("day=*"):
            if date.fromisoformat(path.name[4:]) not in untaught:
                (rows / path.name).symlink_to(path)
        source = replace(year.spec.source, path=str(rows))
        spec = replace(year.spec, memory=memory, source=source)
        window = spec.window_at(SUMMER)
        window = replace(window, train=days_between(SUMMER - timedelta(days=MONTH), SUMMER))
        found = recall(Source(spec), Workspace.open(folder, "flights"), window)
    assert found is not None
    return found


def consolidated(remember: str) -> Callable[..., TabularModel]:
    """Winter's fit as the prior of the month; the threshold of the month's own fit."""

    def train(year: Year, winter: pa.Table, month: pa.Table, _: int) -> TabularModel:
        shared = {
            "remember": remember,
            "categorical_features": list(year.spec.features.categorical),
        }
        names = list(year.spec.features.all)
        first = LogisticRegression(**shared).fit(winter.select(names), year.label(winter))
        both = LogisticRegression(**shared).fit(
            month.select(names), year.label(month), anchor=first
        )
        scores = both.model_.scores(month)
        return both.model_.with_threshold(_core.f1_threshold(scores, year.label(month))[0])

    return train


def anchored(year: Year, winter: pa.Table, month: pa.Table, seed: int) -> TabularModel:
    """Winter's trees with their leaves refitted to the month; the threshold of its scores."""
    trees = GBDTClassifier()
    trees.go_on_from(gbdt(year, winter, seed))
    model = trees.refit_leaves(month, year.label(month)).model_
    return model.with_threshold(_core.f1_threshold(model.scores(month), year.label(month))[0])


FORGETTING: dict[str, tuple[Callable[..., TabularModel], bool]] = {
    "trees, winter": (lambda year, winter, month, seed: gbdt(year, winter, seed), True),
    "trees, 30 days": (lambda year, winter, month, seed: gbdt(year, month, seed), True),
    "trees, 30 days and replay": (
        lambda year, winter, month, seed: gbdt(year, replayed(year, month), seed),
        True,
    ),
    "trees, 30 days and replay by importance": (
        lambda year, winter, month, seed: gbdt(
            year, replayed(year, month, gbdt(year, month, seed)), seed
        ),
        True,
    ),
    "trees, 30 days, anchored leaves": (anchored, True),
    "logistic, winter": (lambda year, winter, month, seed: logistic(year, winter), False),
    "logistic, 30 days": (lambda year, winter, month, seed: logistic(year, month), False),
    "logistic, 30 days and replay": (
        lambda year, winter, month, seed: logistic(year, replayed(year, month)),
        False,
    ),
    "logistic, 30 days and replay by importance": (
        lambda year, winter, month, seed: logistic(
            year, replayed(year, month, logistic(year, month))
        ),
        False,
    ),
    "logistic, 30 days, EWC full": (consolidated("full"), False),
    "logistic, 30 days, EWC diagonal": (consolidated("diagonal"), False),
}


def forgetting(year: Year) -> list[Row]:
    """Means over seeds; a linear model draws nothing."""
    winter = year.rows(date(2013, 1, 1), 59, half=0)
    month = year.rows(SUMMER - timedelta(days=MONTH), MONTH)
    tests = {
        "winter": year.rows(date(2013, 1, 1), 59, half=1),
        "summer": year.rows(SUMMER + timedelta(days=1), 21),
        "December": year.rows(date(2013, 12, 1), 31),
    }
    found = []
    for name, (train, draws) in FORGETTING.items():
        rows = [
            judged(year, train(year, winter, month, s), tests) for s in SEEDS if draws or s == 1
        ]
        mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        found.append({"model": name, **mean})
    return found


def judged(year: Year, model: TabularModel, tests: dict[str, pa.Table]) -> dict[str, float]:
    row = {}
    for name, table in tests.items():
        score, y = model.scores(table), year.label(table)
        row[f"{name} F1"] = f1(score >= model.threshold, y)
        row[f"{name} best F1"] = f1(score >= _core.f1_threshold(score, y)[0], y)
        row[f"{name} AUC"] = float(roc_auc(y, score))
    return row


# -- the page -------------------------------------------------------------------------


def table_of(rows: list[Row]) -> str:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|---|" + "---|" * (len(names) - 1)]
    for row in rows:
        cells = [f"{v:.0f}" if k == "CPU s" else v if k == "model" else f"{v:.3f}"
                 for k, v in row.items()]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot_of(by_month: dict[str, list[float]]) -> str:
    """AUC by month as lines, for light pages and dark ones."""
    colours = ("#999999", "#1b6ca8", "#c9a227", "#2a9d5c", "#b8336a", "#e07a1f", "#6a4fb3")
    low = min(min(v) for v in by_month.values()) - 0.01
    high = max(max(v) for v in by_month.values()) + 0.01
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 330" font-size="12" '
             'font-family="sans-serif" fill="#808080">']  # fmt: skip
    for n, month in enumerate(("June", "July", "Aug", "Sept", "Oct", "Nov", "Dec")):
        parts.append(f'<text x="{50 + 60 * n}" y="315" text-anchor="middle">{month}</text>')
    for level in np.arange(np.ceil(low * 20) / 20, high, 0.05):
        y = 290 - 270 * (level - low) / (high - low)
        parts.append(f'<line x1="40" x2="420" y1="{y:.1f}" y2="{y:.1f}" stroke="#80808040"/>')
        parts.append(f'<text x="34" y="{y + 4:.1f}" text-anchor="end">{level:.2f}</text>')
    for n, (name, values) in enumerate(by_month.items()):
        colour = colours[n]
        at = [(50 + 60 * i, 290 - 270 * (v - low) / (high - low)) for i, v in enumerate(values)]
        line = " ".join(f"{x},{y:.1f}" for x, y in at)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="436" y="{40 + 22 * n}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def write_table(name: str, rows: list[Row]) -> None:
    """Puts a table between its two markers on the page."""
    marker = f"<!-- {name} -->\n"
    head, _, rest = PAGE.read_text().partition(marker)
    _, _, tail = rest.partition("<!-- end -->")
    PAGE.write_text(f"{head}{marker}{table_of(rows)}\n<!-- end -->{tail}")


def main() -> None:
    os.environ["FLIGHTS_SOURCE"] = str(Path(sys.argv[1]).resolve())
    year = Year(load_spec(ROOT / "dags" / "flights.toml"))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    for part in sys.argv[2:] or ["forgetting", *WAYS]:
        found = forgetting(year) if part == "forgetting" else through_the_year(year, part)
        print(json.dumps(found, indent=1), flush=True)
        known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        RESULT.write_text(json.dumps({**known, part: found}, indent=1) + "\n")
    known = json.loads(RESULT.read_text())
    if "forgetting" in known:
        write_table("forgetting", known["forgetting"])
    ways = [name for name in WAYS if name in known]
    if ways:
        PLOT.write_text(plot_of({name: known[name]["AUC by month"] for name in ways}))
        write_table("days", [known[name]["row"] for name in ways])


if __name__ == "__main__":
    main()
