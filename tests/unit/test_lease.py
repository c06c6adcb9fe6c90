"""The lock of an object store: one holder at a time, whoever pauses, dies or comes back."""

from __future__ import annotations

import io
import os
import random
import threading
import time
from types import SimpleNamespace

import pyarrow.fs as pafs
import pytest

from devtools.doubles.registry_server import ProcessDied
from devtools.histories import Actor
from retrain_ops import lease as leases
from retrain_ops.errors import BusyError
from retrain_ops.lease import LEASE_S, Ticket, lease

LOCAL = pafs.LocalFileSystem()


@pytest.fixture
def folder(tmp_path):
    for name in ("choosing", "tickets"):
        (tmp_path / name).mkdir()
    return tmp_path


def left_by_a_process(folder, seconds_ago):
    """The ticket of one that did not give it back, last touched then."""
    other = Ticket(LOCAL, str(folder))
    other.take()
    at = time.time() - seconds_ago
    os.utime(other.path, (at, at))
    return other


def objects(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_a_lock_leaves_nothing_behind_whatever_happens_under_it(folder):
    with lease(LOCAL, str(folder), patience_s=0.0):
        assert len(objects(folder)) == 1
    with pytest.raises(ZeroDivisionError), lease(LOCAL, str(folder), patience_s=0.0):
        raise ZeroDivisionError
    assert objects(folder) == []


def test_who_waits_in_vain_learns_who_holds_it_and_how_to_free_it(folder):
    other = left_by_a_process(folder, LEASE_S - 20)
    with pytest.raises(BusyError) as raised, lease(LOCAL, str(folder), patience_s=0.0):
        raise AssertionError
    text = str(raised.value)
    assert f"{other.path} was held by process {os.getpid()} on" in text
    assert f"free {LEASE_S:.0f} s after its end; delete that object" in text
    assert objects(folder) == [os.path.basename(other.path)]
    os.unlink(other.path)
    with lease(LOCAL, str(folder), patience_s=0.0):
        pass


def test_the_lock_of_a_dead_process_is_free_once_its_lease_is_over(folder, caplog):
    other = left_by_a_process(folder, LEASE_S + 5)
    with lease(LOCAL, str(folder), patience_s=0.0):
        assert not os.path.exists(other.path)
    assert "has expired" in caplog.text


def test_a_process_that_died_choosing_blocks_nobody_for_longer_than_its_lease(folder):
    other = Ticket(LOCAL, str(folder))
    other._put(other.choosing)
    with pytest.raises(BusyError), lease(LOCAL, str(folder), patience_s=0.0):
        raise AssertionError
    at = time.time() - LEASE_S - 5
    os.utime(other.choosing, (at, at))
    with lease(LOCAL, str(folder), patience_s=0.0):
        assert len(objects(folder)) == 1


def test_a_holder_touches_its_ticket_while_it_works(folder, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_S", 0.01)
    with lease(LOCAL, str(folder), patience_s=0.0):
        (ticket,) = (folder / "tickets").iterdir()
        os.utime(ticket, (1.0, 1.0))
        deadline = time.monotonic() + 60
        while ticket.stat().st_mtime == 1.0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ticket.stat().st_mtime > 1.0


def test_a_holder_that_lost_its_ticket_says_so_and_makes_none_anew(folder, monkeypatch, caplog):
    monkeypatch.setattr(leases, "BEAT_S", 0.01)
    with lease(LOCAL, str(folder), patience_s=0.0):
        (ticket,) = (folder / "tickets").iterdir()
        ticket.unlink()
        deadline = time.monotonic() + 60
        while "was lost" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "was lost" in caplog.text
    assert objects(folder) == []


def test_threads_enter_one_at_a_time(folder, monkeypatch):
    monkeypatch.setattr(leases, "POLL_S", 0.001)
    inside, most = [], []

    def work():
        for _ in range(20):
            with lease(LOCAL, str(folder), patience_s=60.0):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    assert objects(folder) == []


# -- generated interleavings ---------------------------------------------------------------


class Store:
    """Objects with times; its clock goes on by a second with every request."""

    def __init__(self):
        self.objects, self.now = {}, 0

    def tick(self, touched):
        """A second passes, in which those that live touch what they have of `touched`."""
        self.now += 1
        self.objects.update({path: self.now for path in touched if path in self.objects})

    def get_file_info(self, what):
        if isinstance(what, str):
            return self._info(what)
        folder = f"{what.base_dir}/"
        return [self._info(path) for path in sorted(self.objects) if path.startswith(folder)]

    def _info(self, path):
        kind = pafs.FileType.File if path in self.objects else pafs.FileType.NotFound
        at = self.objects.get(path, 0)
        name = path.rpartition("/")[2]
        return SimpleNamespace(path=path, base_name=name, type=kind, mtime_ns=at * 10**9)

    def open_output_stream(self, path):
        self.objects[path] = self.now
        return io.BytesIO()

    def open_input_stream(self, path):
        raise FileNotFoundError(path)

    def delete_file(self, path):
        if self.objects.pop(path, None) is None:
            raise FileNotFoundError(path)


class Slow:
    """A store as one process reaches it: others go on before every request."""

    def __init__(self, race, wait):
        self._race, self._wait = race, wait

    def __getattr__(self, name):
        def call(*args):
            self._wait()
            store = self._race.store
            store.tick([ticket.path for ticket in self._race.tickets.values()])
            return getattr(store, name)(*args)

        return call


class Race:
    """Processes that want one lock; some are killed, wherever they are."""

    def __init__(self, seed, make=Ticket):
        self.chance, self.make = random.Random(seed), make
        self.history = SimpleNamespace(pause=self.chance.choice((0.3, 0.7, 1.0)))
        self.store, self.inside, self.entered, self.overlaps = Store(), set(), 0, 0
        self.tickets = {}

    def run(self, name, wait):
        ticket = self.tickets[name] = self.make(Slow(self, wait), "lock")
        ticket.id = f"{self.chance.getrandbits(128):032x}"
        try:
            ticket.take()
            while ticket.ahead():
                pass
            self.inside.add(name)
            self.entered += 1
            self.overlaps += len(self.inside) > 1
            for _ in range(self.chance.randint(0, 5)):
                wait()
            self.inside.discard(name)
            ticket.drop()
        except ProcessDied:
            self.inside.discard(name)
            del self.tickets[name]

    def play(self, processes, kills):
        left, actors, killed = list(range(processes)), [], 0
        while left or actors:
            while left and len(actors) < 4:
                actors.append(Actor(self, left.pop()))
            actor = self.chance.choice([a for a in actors if not a.asleep] or actors)
            for other in actors:
                other.asleep = max(0, other.asleep - 1)
            if killed < kills and self.chance.random() < 0.02:
                actor.kill()
                killed += 1
            else:
                actor.move()
            actors = [a for a in actors if not a.done]
        return killed


@pytest.mark.parametrize("lease_s", [4, 8, LEASE_S])
@pytest.mark.parametrize("seed", range(70))
def test_no_interleaving_lets_two_in_and_a_kill_stops_nobody(seed, lease_s, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_S", lease_s)
    race = Race(seed)
    killed = race.play(processes=8, kills=2)
    assert race.overlaps == 0
    assert race.entered >= 8 - killed
    race.store.now += 1000
    race.play(processes=1, kills=0)
    assert race.store.objects == {}


class Hasty(Ticket):
    """Takes a number and does not say that it is choosing one."""

    def take(self):
        tickets = self._listed(self.tickets)
        self.number = 1 + max((leases._number(i) for i in tickets), default=0)
        self._put(self.path)


def test_the_interleavings_find_a_lock_without_a_choosing():
    overlaps = 0
    for seed in range(150):
        race = Race(seed, Hasty)
        race.play(processes=8, kills=0)
        overlaps += race.overlaps
    assert overlaps > 0
