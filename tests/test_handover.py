"""An instance is replaced while customers write: no answered request is lost, and there is one master."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from uuid import uuid4

import pytest
from helpers.fast_backups import wait_for
from helpers.server import ROOT

MOVING = "Moving to a new server, a moment please."


class Customers:
    """People who take numbers all the time; who is told to wait sends the same again, to who serves then."""

    def __init__(self, shop, many=4):
        self.server, self.take_url = shop.client, shop.take_url
        self.taken = {}  # number -> by whom it was answered
        self.paused, self._over = 0, threading.Event()
        self._threads = [threading.Thread(target=self._take) for _ in range(many)]
        for thread in self._threads:
            thread.start()

    def _take(self):
        mine = uuid4().hex
        while not self._over.wait(0.01):
            server = self.server
            try:
                answer = server.post(self.take_url, {"request_id": mine})
            except (OSError, HTTPException):
                time.sleep(0.05)
                continue
            if answer.status == 503:
                self.paused += 1
                time.sleep(0.05)
                continue
            assert answer.status in (200, 201), answer
            self.taken.setdefault(answer.body["number"], []).append((server, mine))
            mine = uuid4().hex

    def go_home(self):
        """Ends it; returns all the numbers that were answered."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        twice = {number: who for number, who in self.taken.items() if len({mine for _, mine in who}) > 1}
        assert twice == {}, "a number was given twice"
        return set(self.taken)


class Machines:
    """Where servers of one shop run: the old one, and those that are to replace it."""

    def __init__(self, start_quick, tmp_path, backup_url):
        self._start, self._tmp_path, self.url = start_quick, tmp_path, str(backup_url)
        self.waits = {"handover_s": 20, "rollback_s": 60}

    def serve(self, name, **settings):
        """Starts a server; its keeper is a quick one."""
        settings = {"backup_url": self.url} | self.waits | settings
        return self._start(data=self._tmp_path / name, **settings)

    def restore(self, name, *words, **settings):
        """Begins to restore on a machine, as its predeploy hook does."""
        settings = {"backup_url": self.url, "data": self._tmp_path / name} | self.waits | settings
        variables = {f"TAKEANUMBER_{name.upper()}": str(value) for name, value in settings.items()}
        return subprocess.Popen(
            [sys.executable, str(ROOT / "takeanumber.py"), "restore", "--hand-over", "--or-new", *words],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def refused(self, name, **settings):
        """Starts a server that has to end with a sentence, and returns that."""
        settings = {"backup_url": self.url, "data": self._tmp_path / name} | settings
        variables = {f"TAKEANUMBER_{name.upper()}": str(value) for name, value in settings.items()}
        ended = subprocess.run(
            [sys.executable, str(ROOT / "takeanumber.py"), "serve", "--host", "127.0.0.1", "--port", "0"],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended
        return ended.stderr


@pytest.fixture
def machines(start_quick, tmp_path):
    """Machines that keep their backups in one directory."""
    (tmp_path / "backups").mkdir()
    return Machines(start_quick, tmp_path, tmp_path / "backups")


@pytest.fixture
def cloud(start_quick, tmp_path, bucket):
    """Machines that keep them in S3."""
    return Machines(start_quick, tmp_path, bucket.url)


def done(process, status=0):
    """Waits until a command has ended, and returns what it said."""
    said, errors = process.communicate(timeout=60)
    assert process.returncode == status, said + errors
    return said + errors


def role(server):
    return server.get("/healthz?verbose=1").body["backup"]["role"]


def numbers(shop, server=None):
    """All numbers that were ever taken there."""
    answer = (server or shop.client).get(f"{shop.links['manage']}/tickets.csv")
    assert answer.status == 200
    return set(re.findall(r"\b[A-Z]\d+\b", answer.body))


def test_nothing_that_was_answered_is_lost_when_an_instance_is_replaced(cloud):
    old = cloud.serve("old")
    shop = old.open_shop()
    customers = Customers(shop)
    time.sleep(1)
    assert "Restored" in done(cloud.restore("new"))
    wait_for(lambda: role(old) == "handing over")
    answered = set(customers.taken)
    answer = old.post(shop.take_url)
    assert (answer.status, answer.body["error"]) == (503, MOVING)
    assert int(answer.headers["retry-after"]) == 2
    assert shop.waiting()  # who only looks sees all
    with shop.watch() as watching:
        watching.next()

    new = cloud.serve("new")
    customers.server = new  # as the balancer leads them
    wait_for(lambda: len(customers.taken) > len(answered) + 20)
    wait_for(lambda: role(old) == "read-only")
    assert (role(new), old.post(shop.take_url).status) == ("master", 503)

    taken = customers.go_home()
    assert customers.paused
    assert taken <= numbers(shop, new)
    assert answered <= numbers(shop, new)
    assert len(numbers(shop, new)) == max(int(number[1:]) for number in numbers(shop, new))

    old.restart()  # and stays so
    assert role(old) == "read-only"
    assert old.post(shop.take_url).status == 503
    assert new.post(shop.take_url).status == 201


def test_rolled_back_half_way_the_old_one_goes_on_by_itself(machines):
    old = machines.serve("old", rollback_s=3)
    shop = old.open_shop()
    customers = Customers(shop)
    time.sleep(0.5)
    done(machines.restore("new"))
    wait_for(lambda: role(old) == "handing over")
    many = len(customers.taken)
    old.kill()  # though it is started again meanwhile
    old.start()
    answer = old.post(shop.take_url)
    assert (answer.status, answer.body["error"]) == (503, MOVING)
    assert len(customers.taken) == many

    wait_for(lambda: role(old) == "master")
    wait_for(lambda: len(customers.taken) > many)
    assert "The old server went on" in machines.refused("new")
    assert customers.go_home() <= numbers(shop)


def test_started_again_in_the_middle_it_hands_over_to_the_next_that_asks(machines, tmp_path):
    """The first is given up meanwhile; what was stored for it is still the last copy."""
    old = machines.serve("old", rollback_s=1)
    old.open_shop()
    first, second = (tmp_path / "backups" / "masters" / name for name in ("00000002", "00000003"))
    first.mkdir()
    (first / "claim").write_text('{"claim": "the first"}')
    wait_for((first / "handed").exists)
    assert (first / "heard").exists()  # for a last copy that takes a while
    old.kill()
    second.mkdir()
    (second / "claim").write_text('{"claim": "the second"}')
    old.start()
    wait_for((second / "handed").exists)
    assert "nobody" not in (second / "handed").read_text()


def test_of_two_new_ones_at_once_one_wins(machines):
    old = machines.serve("old", rollback_s=5)
    shop = old.open_shop()
    customers = Customers(shop)
    time.sleep(0.5)
    both = {name: machines.restore(name, handover_s=2) for name in ("one", "two")}
    restored = [name for name, process in both.items() if process.wait(60) == 0]
    assert restored
    for process in both.values():
        said, errors = process.communicate()
        assert process.returncode == 0 or "Another server is taking over" in errors, said + errors

    with ThreadPoolExecutor(2) as people:
        started = list(people.map(lambda name: try_to_serve(machines, name), restored))
    servers = [old, *filter(None, started)]
    wait_for(lambda: sorted(role(server) for server in servers).count("master") == 1, within=30)
    time.sleep(2.5)  # another look
    masters = [server for server in servers if role(server) == "master"]
    assert len(masters) == 1
    assert [server.post(shop.take_url).status == 201 for server in servers].count(True) == 1
    assert customers.go_home() <= numbers(shop, masters[0])


def try_to_serve(machines, name):
    try:
        return machines.serve(name)
    except AssertionError as problem:  # it didn't start
        if "The old server went on" in str(problem):
            return None
        raise


def test_an_old_one_that_was_cut_off_and_comes_back_is_read_only(machines, tmp_path):
    cable = tmp_path / "cable"
    cable.symlink_to(tmp_path / "backups")
    old = machines.serve("old", backup_url=cable)
    shop = old.open_shop()
    before = shop.take().body["number"]
    wait_for(lambda: list((tmp_path / "backups").glob("0*/*-1t-*")))  # the copy of one ticket
    cable.unlink()
    assert "Restored" in done(machines.restore("new", handover_s=0))
    new = machines.serve("new")
    assert shop.take().status == 201  # it can't know, and its owner's page says what that risks
    wait_for(lambda: "when a new server takes over" in (problem_of(shop) or ""))
    cable.symlink_to(tmp_path / "backups")
    wait_for(lambda: role(old) == "read-only")
    assert shop.take().status == 503
    assert old.get(shop.links["manage"]).body["backup"]["state"] == "red"
    assert "A new server has taken over" in problem_of(shop)
    assert before in numbers(shop, new)
    assert new.post(shop.take_url).status == 201

    old.kill()
    cable.unlink()
    old.start()  # and can't ask: it remembers
    assert shop.take().status == 503


def problem_of(shop):
    """What the owner reads."""
    return shop.client.get(shop.links["manage"]).body["backup"]["problem"]


def test_an_old_one_that_is_ended_in_the_middle_of_it(machines):
    """As when its machine is shut down: it stores its last copy all the same."""
    old = machines.serve("old")
    shop = old.open_shop()
    customers = Customers(shop)
    time.sleep(0.5)
    asks = machines.restore("new", handover_s=4)
    time.sleep(0.7)
    assert old.stop(signal.SIGTERM) == 0
    done(asks)
    taken = customers.go_home()
    new = machines.serve("new")
    assert taken
    assert taken <= numbers(shop, new)


def test_what_can_not_be_stored_is_not_handed_over(cloud, bucket, way, monkeypatch):
    """The old one can't store its last copy: it goes on, and who restored without that must not serve."""
    old = cloud.serve("old")  # behind the bad way
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.client.meta.endpoint_url)
    shop = old.open_shop()
    wait_for(bucket.copies)
    way.of, way.wrong = {"PUT"}, (403, "AccessDenied")
    asks = cloud.restore("new", handover_s=2)
    wait_for(lambda: "Writes are paused" in old.log)
    wait_for(lambda: shop.take().status == 201)
    assert "Restored" in done(asks)
    way.wrong = None
    wait_for(lambda: bucket.names("masters/00000002/decided"))
    assert "The old server went on" in cloud.refused("new")
    assert role(old) == "master"

    assert "Restored" in done(cloud.restore("newer"))
    assert numbers(shop, cloud.serve("newer")) == numbers(shop)


def test_a_new_one_that_can_not_decide_waits_with_its_first_write(cloud, bucket, way):
    """The storage is away when it starts; the old one may go on, until it can take over."""
    old = cloud.serve("old", rollback_s=60)
    shop = old.open_shop()
    done(cloud.restore("new"))
    way.wrong = (403, "AccessDenied")
    new = cloud.serve("new")
    answer = new.post(shop.take_url)
    assert (answer.status, answer.body["error"]) == (503, MOVING)
    assert shop.take().status == 503
    way.wrong = None
    wait_for(lambda: new.post(shop.take_url).status == 201)
    wait_for(lambda: role(old) == "read-only")
    way.wrong = (403, "AccessDenied")
    new.restart()  # it has decided before
    assert new.post(shop.take_url).status == 201
