"""Routers of a folder: one asks the registry, all follow; what served last goes on."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyarrow as pa
import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.serving import FIRST, promoted, small_model, wait_until
from retrain_ops.errors import CorruptError, NetworkError
from retrain_ops.registry.registry import Registry
from retrain_ops.serving import Router
from retrain_ops.serving.state import read_state
from retrain_ops.spec.spec import parse_spec

BODY = b'{"inputs": {"x0": 1.5, "x1": -0.25, "x2": null}}'
SPEC = """
[model]
name = "served"
[source]
path = "rows"
label = "y"
[features]
numeric = ["x0", "x1", "x2"]
"""


class Fragile(Client):
    """A registry that can be switched off; it counts the calls that a look makes."""

    down = False
    calls = 0

    def get_registered_model(self, name):
        self.calls += 1
        if self.down:
            raise NetworkError("the registry does not answer")
        return super().get_registered_model(name)


class Slow(Client):
    """A registry that answers once `fetched` is set; `asked` is set by the first call."""

    def __init__(self, server):
        super().__init__(server)
        self.asked, self.fetched = threading.Event(), threading.Event()

    def get_registered_model(self, name):
        self.asked.set()
        assert self.fetched.wait(60)
        return super().get_registered_model(name)


@pytest.fixture
def client():
    client = Fragile(Server())
    promoted(client, "served", small_model(3))
    return client


@pytest.fixture
def start(tmp_path, client):
    """Makes routers of one folder, closed in the end."""
    made = []

    def make(own=client, text=SPEC):
        spec = parse_spec(text, where="spec", folder=tmp_path)
        made.append(Router(spec, client=own))
        return made[-1]

    yield make
    for router in made:
        router.close()


def answers_by(router, version):
    return lambda: router.answer(BODY).version == version


def roll_back(client):
    later = FIRST + timedelta(days=100)
    Registry(client, "served").rollback(effective_from=later, recorded_at=later)


def test_promotion_and_rollback_reach_every_router(start, client):
    asking, following = start(), start()
    assert asking.answer(BODY).version == following.answer(BODY).version == "1"
    old = asking.answer(BODY).body
    promoted(client, "served", small_model(3, seed=2))
    wait_until(answers_by(asking, "2"))
    wait_until(answers_by(following, "2"))
    assert asking.answer(BODY).body == following.answer(BODY).body != old
    roll_back(client)
    wait_until(answers_by(following, "1"))
    assert following.answer(BODY).body == old


def test_a_canary_that_grows_reaches_every_router_and_moves_nobody_back(start, client):
    routers = start(), start()
    canary = promoted(client, "served", small_model(3, seed=2), share=0.1)
    units = [b"%d" % i for i in range(400)]
    met = []
    for share in (0.1, 0.5, 0.8):
        if share > 0.1:
            Registry(client, "served").widen(canary, share, at=FIRST)
        for router in routers:
            wait_until(lambda router=router, share=share: router.health()["share"] == share)
        one, other = (
            {unit for unit in units if router.answer(BODY, unit=unit).version == "2"}
            for router in routers
        )
        assert one == other
        met.append(one)
    assert met[0] < met[1] < met[2]


def test_one_router_alone_asks(start, client):
    start()
    quiet = Fragile(client.server)
    second = start(own=quiet)
    promoted(client, "served", small_model(3, seed=2))
    wait_until(answers_by(second, "2"))
    assert quiet.calls == 0


def test_a_router_waits_for_the_first_model_that_another_one_fetches(start, client):
    asking = Slow(client.server)
    with ThreadPoolExecutor(1) as other:
        first = other.submit(start, own=asking)
        assert asking.asked.wait(60)
        threading.Timer(0.2, asking.fetched.set).start()
        assert start().answer(BODY).status == 200
        first.result()


def test_another_router_asks_when_that_one_is_closed(start, client):
    first, second = start(), start()
    first.close()
    promoted(client, "served", small_model(3, seed=2))
    wait_until(answers_by(second, "2"))


def test_the_last_known_model_serves_while_the_registry_is_down(start, client):
    router = start()
    client.down = True
    wait_until(lambda: router.health()["problem"] == "the registry does not answer")
    assert "retrain_ops_serving_problem 1\n" in router.metrics()
    assert router.answer(BODY).version == "1"
    promoted(Client(client.server), "served", small_model(3, seed=2))
    client.down = False
    wait_until(answers_by(router, "2"))
    wait_until(lambda: router.health()["problem"] is None)


def test_a_server_that_starts_without_a_registry_serves_what_served_last(start, client):
    first = start()
    expected = first.answer(BODY).body
    client.down = True
    again = start()
    assert again.answer(BODY).body == expected
    assert again.ready


def test_without_any_model_it_is_not_ready(start):
    router = start(own=Fragile(Server()))
    assert not router.ready
    assert router.answer(BODY).status == 503
    assert "no champion yet" in router.health()["problem"]


def test_a_model_that_is_not_what_was_registered_is_not_served(start, client):
    router = start()
    client.down = True
    promoted(Client(client.server), "served", small_model(3, seed=2))
    newest = list(client.server.artifacts)[-1]
    client.server.artifacts[newest] = small_model(3, seed=9).to_bytes()
    client.down = False
    wait_until(lambda: "not what was registered" in (router.health()["problem"] or ""))
    assert router.answer(BODY).version == "1"


def test_a_canary_meets_its_share_and_the_same_units_always(start, client):
    promoted(client, "served", small_model(3, seed=2), share=0.25)
    routers = start(), start()
    assert routers[0].health()["share"] == 0.25
    units = [str(i).encode() for i in range(2000)]
    arms = [[r.answer(BODY, unit=unit).version for unit in units] for r in routers]
    assert arms[0] == arms[1]
    assert abs(arms[0].count("2") / len(units) - 0.25) < 0.05
    champion = Registry(client, "served").version("2")
    Registry(client, "served").set_state(champion, "promoted", closed_at=FIRST)
    wait_until(lambda: routers[1].health()["previous"] is None)
    assert {routers[1].answer(BODY, unit=unit).version for unit in units} == {"2"}


def test_rows_meet_the_arm_of_their_unit(start, client):
    promoted(client, "served", small_model(3, seed=2), share=0.5)
    router = start(text=f'{SPEC}[serving]\nunit = "customer"\n')
    rows = [{"x0": 1.5, "x1": -0.25, "x2": i, "customer": i // 2} for i in range(40)]
    both = router.answer(json.dumps({"instances": rows}).encode())
    assert both.version == "2, 1"
    single = [router.answer(json.dumps({"instances": [row]}).encode()) for row in rows]
    assert {answer.version for answer in single} == {"1", "2"}
    assert [a.version for a in single[::2]] == [a.version for a in single[1::2]]
    assert json.loads(both.body)["predictions"] == [
        json.loads(answer.body)["predictions"][0] for answer in single
    ]
    models = {"1": small_model(3), "2": small_model(3, seed=2)}
    for row, answer in zip(rows, single, strict=True):
        table = pa.table({name: [float(row[name])] for name in ("x0", "x1", "x2")})
        expected = models[answer.version].scores(table).tolist()
        assert json.loads(answer.body)["predictions"] == expected
    assert b"column 'customer' is missing" in router.answer(BODY).body
    by_champion = 2 * sum(answer.version == "2" for answer in single)
    assert f'rows_total{{arm="champion"}} {by_champion}\n' in router.metrics()
    assert f'rows_total{{arm="previous"}} {80 - by_champion}\n' in router.metrics()


def test_models_that_serve_no_more_leave_the_folder(start, client, tmp_path):
    router = start()
    promoted(client, "served", small_model(3, seed=2))
    wait_until(answers_by(router, "2"))
    state = json.loads((tmp_path / "serving" / "served" / "state.json").read_text())
    assert [p.stem for p in (tmp_path / "serving" / "served").glob("*.rtm")] == [
        state["champion"]["sha256"]
    ]


def test_a_damaged_state_is_named_and_written_anew(start, client, tmp_path):
    router = start()
    (tmp_path / "serving" / "served" / "state.json").write_text("{")
    assert router.answer(BODY).version == "1"
    wait_until(lambda: read_state(tmp_path / "serving" / "served") is not None, CorruptError)
    wait_until(lambda: router.health()["problem"] is None)
    assert router.answer(BODY).version == "1"


def test_counts_of_all_routers_are_added_up_and_kept(start):
    first, second = start(), start()
    for router in (first, second, second):
        assert router.answer(BODY).status == 200
    assert 'requests_total{status="200"} 3\n' in first.counters.render()
    assert start().counters.render() == first.counters.render()
