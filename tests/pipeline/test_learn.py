"""`retrain-ops learn`: each day is learnt once, and what was learnt is a model like any other."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devtools.synthetic import FIRST, files_of, toy_run, write_days
from devtools.worlds import LEARN
from retrain_ops.cli.main import run_day
from retrain_ops.comparison import online
from retrain_ops.data.labels import label_values
from retrain_ops.errors import ConfigError
from retrain_ops.models import LogisticRegression, load_model
from retrain_ops.run import RunContext

BEGIN = FIRST + timedelta(days=17)
FORCED = RunContext(forced=True)
CONTENT = ("decision.json", "model.rtm", "reference.json")


@pytest.fixture
def rows(tmp_path):
    write_days(tmp_path / "rows", 45)
    return tmp_path


def learn(folder, client, day, **options):
    context = RunContext(forced=True, bootstrap=day == BEGIN)
    run = toy_run(folder, client, day, **{"spec": LEARN, **options}, context=context)
    output = run_day(run)
    assert output.get("status") != "failed", output
    return run


def states(folder, workspace="workspace"):
    found = (folder / workspace / "toy" / "online").rglob("*.rtm")
    return {path.name: path.read_bytes() for path in found}


@pytest.mark.parametrize("remember", ["nothing", "full", "diagonal"])
def test_the_model_is_that_of_partial_fit_day_by_day(rows, client, messages, remember):
    spec = LEARN.replace("[learn]", f'[learn]\nremember = "{remember}"')
    first, later = (learn(rows, client, BEGIN + timedelta(days=n), spec=spec) for n in (0, 4))
    by_hand = LogisticRegression(remember=remember, categorical_features=["c"])
    source, end = first.source, first.window.train[-1]
    batches = [first.window.train, *((end + timedelta(days=n),) for n in range(1, 5))]
    for days in batches:
        table = source.read(days, columns=["a", "b", "c", "late"], before=None)
        by_hand.partial_fit(table.select(["a", "b", "c"]), label_values(table, "late"), [0, 1])
    model = load_model(later.workspace.read(later.path("model.rtm")))
    assert model.with_threshold(0.5).to_bytes() == by_hand.model_.with_threshold(0.5).to_bytes()
    assert model.threshold != 0.5
    assert len(states(rows)) == 5


def test_a_day_is_learnt_once_whatever_runs_again(rows, client, messages, monkeypatch):
    runs = [learn(rows, client, BEGIN + timedelta(days=n)) for n in (0, 3, 6)]
    before, known = files_of(rows / "workspace", CONTENT), states(rows)

    def never(*_, **__):
        raise AssertionError("a day was learnt twice")

    monkeypatch.setattr(online, "learn_batch", never)
    for run in runs:  # the middle one is a backfill: later days have been learnt
        run_day(run)
    assert files_of(rows / "workspace", CONTENT) == before
    assert states(rows) == known


def test_days_that_no_run_came_for_are_learnt_by_the_next(rows, client, messages):
    for n in range(8):
        daily = learn(rows, client, BEGIN + timedelta(days=n), workspace="daily")
    learn(rows, client, BEGIN, workspace="late")
    late = learn(rows, client, BEGIN + timedelta(days=7), workspace="late")
    assert states(rows, "late") == states(rows, "daily")
    assert late.workspace.read(late.path("model.rtm")) == daily.workspace.read(
        daily.path("model.rtm")
    )


def test_a_damaged_state_is_learnt_anew(rows, client, messages):
    run = [learn(rows, client, BEGIN + timedelta(days=n)) for n in (0, 3)][-1]
    known = states(rows)
    newest = max(known)
    (path,) = (rows / "workspace" / "toy" / "online").rglob(newest)
    path.write_bytes(b"damaged")
    run_day(run)
    assert {name: states(rows)[name] for name in known} == known


def test_teams_learn_the_same_states(rows, client, messages):
    found = []
    for team in (1, 2, 7):
        for n in (0, 2):
            learn(rows, client, BEGIN + timedelta(days=n), workspace=f"of{team}", n_threads=team)
        found.append(states(rows, f"of{team}"))
    assert found[0] == found[1] == found[2]


def test_a_window_before_the_first_batch_is_refused(rows, client, messages):
    run = learn(rows, client, BEGIN)
    earlier = toy_run(rows, client, BEGIN - timedelta(days=1), spec=LEARN)
    data = type("Rows", (), {"label": np.zeros(0), "problem": "binary"})()
    with pytest.raises(ConfigError, match=r"the first that were learnt end with 2020-01-\d\d"):
        online.learnt(earlier, data, run.spec.learn)


ODD = BEGIN - timedelta(days=5)  # the second run learns it by itself


def with_column(folder, day, name, values):
    path = folder / "rows" / f"day={day}" / "part-0.parquet"
    table = pq.ParquetFile(path).read()
    values = pa.array(values(table.num_rows))
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, values), path)


@pytest.mark.parametrize("remember", ["nothing", "full"])
def test_days_with_one_label_or_unknown_values_are_learnt(rows, client, messages, remember):
    with_column(rows, ODD, "late", lambda count: np.zeros(count, np.int8))
    with_column(rows, ODD + timedelta(days=1), "c", lambda count: ["new"] * count)
    with_column(rows, ODD + timedelta(days=2), "a", lambda count: np.full(count, np.nan, "f4"))
    spec = LEARN.replace("[learn]", f'[learn]\nremember = "{remember}"')
    run = [learn(rows, client, BEGIN + timedelta(days=n), spec=spec) for n in (0, 4)][-1]
    table = run.source.read([BEGIN], columns=["a", "b", "c"], before=None)
    model = load_model(run.workspace.read(run.path("model.rtm")))
    assert 0 < model.threshold < 1
    assert model.scores(table).std() > 0.1
    assert len(states(rows)) == 5


def test_a_day_without_rows_is_no_batch(rows, client, messages):
    path = rows / "rows" / f"day={ODD}" / "part-0.parquet"
    pq.write_table(pq.ParquetFile(path).read().slice(0, 0), path)
    for n in (0, 3):
        learn(rows, client, BEGIN + timedelta(days=n))
    assert len(states(rows)) == 3


def test_an_infinite_number_stops_the_day_by_name_and_the_chain_goes_on_once_it_is_gone(
    rows, client, messages
):
    for n in (0, 3):
        learn(rows, client, BEGIN + timedelta(days=n), workspace="clean")
    learn(rows, client, BEGIN)
    path = rows / "rows" / f"day={ODD}" / "part-0.parquet"
    sound = path.read_bytes()
    with_column(rows, ODD, "b", lambda count: np.where(np.arange(count) == 7, np.inf, 1.0))
    run = toy_run(rows, client, BEGIN + timedelta(days=3), spec=LEARN, context=FORCED)
    output = run_day(run)
    assert f"b of {ODD} is inf (1 of 300 rows are infinite)" in output["message"]
    assert output["exit_code"] == 1  # a failed step; the message says how to fix it
    path.write_bytes(sound)
    learn(rows, client, BEGIN + timedelta(days=3))
    assert states(rows) == states(rows, "clean")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (('"logistic"', '"gbdt"'), 'needs trainer = "logistic" or "linear"'),
        (("[learn]", "[learn]\ngamma = 2.0"), "gamma: must lie in 0 to 1"),
        (("[learn]", "[noise]\n[learn]"), "scores whole windows"),
        (("[learn]", "[memory]\n[learn]"), "replay_share: must be 0"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path, change, text):
    with pytest.raises(ConfigError, match=rf"toy.toml, line \d+: .*{text}"):
        toy_run(tmp_path, None, BEGIN, spec=LEARN.replace(*change))
