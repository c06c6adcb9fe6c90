"""Publishing features: a key has one set of rows, whatever is run again or at once."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from devtools.servers.postgres_server import postgres
from retrain_ops.data import publish
from retrain_ops.data.publish import publish_features
from retrain_ops.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/features.db"
        return
    found = str(request.getfixturevalue("server"))
    yield found
    engine = sa.create_engine(found)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()


def features(rows: int, value: float = 0.5) -> pa.Table:
    day = dt.datetime(2013, 8, 14, 2, tzinfo=dt.UTC)
    return pa.table(
        {
            "request_id": pa.array([f"r{i}" for i in range(rows)], pa.string()),
            "event_time": pa.array([day] * rows, pa.timestamp("us", tz="UTC")),
            "origin": pa.array(["EWR"] * rows, pa.string()).dictionary_encode(),
            "wind": pa.array([value] * rows, pa.float32()),
            "label": pa.array([None] * rows, pa.int8()),
        }
    )


def stored(url: str, table: str = "features") -> dict[str, int]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        query = f"SELECT retrain_key, count(*) FROM {table} GROUP BY retrain_key"
        found = {row[0]: row[1] for row in connection.execute(sa.text(query))}
    engine.dispose()
    return found


def put(url: str, table: pa.Table, key: str = "m/2013-08-14") -> int:
    return publish_features(table, url=url, table_name="features", retrain_key=key)


def test_publishing_twice_leaves_as_many_rows_as_once(url: str) -> None:
    assert put(url, features(3)) == 3
    assert put(url, features(3)) == 3
    assert stored(url) == {"m/2013-08-14": 3}


def test_a_fix_replaces_the_rows_of_its_key_and_of_no_other(url: str) -> None:
    put(url, features(3), "m/2013-08-13")
    put(url, features(5))
    put(url, features(2, value=0.25))
    assert stored(url) == {"m/2013-08-13": 3, "m/2013-08-14": 2}


def test_values_come_back_as_they_went_in(url: str) -> None:
    put(url, features(1, value=0.1))
    engine = sa.create_engine(url)
    table = sa.Table("features", sa.MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        row = connection.execute(sa.select(table)).mappings().one()
    engine.dispose()
    assert row["event_time"].replace(tzinfo=dt.UTC) == dt.datetime(2013, 8, 14, 2, tzinfo=dt.UTC)
    assert (row["request_id"], row["origin"], row["label"]) == ("r0", "EWR", None)
    assert row["wind"] == pytest.approx(0.1, rel=1e-6)


def test_a_table_without_rows_empties_its_key(url: str) -> None:
    put(url, features(3))
    assert put(url, features(0)) == 0
    assert stored(url) == {}


def test_a_failure_half_way_leaves_the_old_rows(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(url, features(3))
    batches = publish._batches

    def broken(*arguments: object) -> Iterator[list[dict[str, object]]]:
        yield from batches(*arguments)  # type: ignore[arg-type]
        raise RuntimeError("the worker was killed")

    monkeypatch.setattr(publish, "_batches", broken)
    with pytest.raises(RuntimeError):
        put(url, features(7))
    assert stored(url) == {"m/2013-08-14": 3}


def test_writers_of_one_key_at_one_time_end_with_one_set_of_rows(url: str) -> None:
    """Processes and threads, on a table that does not exist yet."""
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=put, args=(url, features(500))) for _ in range(2)]
    threads = [threading.Thread(target=put, args=(url, features(500))) for _ in range(4)]
    for worker in [*workers, *threads]:
        worker.start()
    for worker in [*workers, *threads]:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert stored(url) == {"m/2013-08-14": 500}


def test_a_writer_that_waits_sees_the_rows_of_the_one_before(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first holds its transaction open until the second has had time to go wrong."""
    put(url, features(1), "other")
    batches, inside, go_on = publish._batches, threading.Event(), threading.Event()

    def slow(table: pa.Table, key: str) -> Iterator[list[dict[str, object]]]:
        yield from batches(table, key)
        if not inside.is_set():
            inside.set()
            assert go_on.wait(30)

    monkeypatch.setattr(publish, "_batches", slow)
    first = threading.Thread(target=put, args=(url, features(4)))
    first.start()
    assert inside.wait(30)
    second = threading.Thread(target=put, args=(url, features(4)))
    second.start()
    second.join(0.5)
    assert second.is_alive()
    go_on.set()
    first.join()
    second.join()
    assert stored(url) == {"m/2013-08-14": 4, "other": 1}


def test_a_table_with_other_columns_is_refused_and_untouched(url: str) -> None:
    put(url, features(3))
    with pytest.raises(DataError, match="no column gust"):
        put(url, features(3).append_column("gust", pa.array([1.0, 2.0, 3.0])))
    assert stored(url) == {"m/2013-08-14": 3}


def test_names_types_and_columns_that_cannot_work_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="table name"):
        publish_features(features(1), url=url, table_name="x; DROP TABLE y", retrain_key="k")
    with pytest.raises(DataError, match="retrain_key"):
        put(url, features(1).append_column("retrain_key", pa.array(["x"])))
    with pytest.raises(DataError, match="'many'"):
        put(url, features(1).append_column("many", pa.array([[1, 2]])))


def test_no_message_shows_the_password_or_a_row() -> None:
    secret = "postgresql+psycopg2://me:hunter2@127.0.0.1:1/db"
    with pytest.raises(DataError) as caught:
        put(secret, features(1))
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    for wrong in ("not a url hunter2", "mysql://me:hunter2@host/db"):
        with pytest.raises(ConfigError) as refused:
            put(wrong, features(1))
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "+05:30", None])
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_instants_are_stored_in_utc(url: str, zone: str | None, unit: str) -> None:
    instant = dt.datetime(2024, 1, 2, 6, tzinfo=dt.UTC)
    wall = pa.array([instant.replace(tzinfo=None)], pa.timestamp(unit))
    column = wall if zone is None else wall.cast(pa.timestamp(unit, "UTC"))
    column = column.cast(pa.timestamp(unit, zone))
    publish_features(pa.table({"t": column}), url=url, table_name="instants", retrain_key="m/1")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        (held,) = connection.execute(sa.text("SELECT t FROM instants")).one()
        connection.execute(sa.text("DROP TABLE instants"))
    engine.dispose()
    if isinstance(held, str):  # SQLite
        assert held.startswith("2024-01-02 06:00:00")
    else:
        assert held in (instant, instant.replace(tzinfo=None)) or held.astimezone(dt.UTC) == instant
