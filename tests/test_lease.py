"""The lease: one server may write, the others are standbys, and no answered request is lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from uuid import uuid4

import pytest
from helpers.fast_backups import LEASE_FACTOR, LEASE_TIMING
from helpers.forks import Forked, run_program
from helpers.soak import soak_after
from helpers.versions import rows
from helpers.waiting import wait_for

MOVING = "Moving to a new server, a moment please."
YEAR_S = 365 * 86400


class Customers:
    """Customers who keep taking numbers, and send each request again until a server has answered."""

    def __init__(self, shop, many=3, server=None, taken=None):
        self.server, self.take_url = server or shop.client, shop.take_url
        # for each number: the servers that answered, and the requests
        self.taken = {} if taken is None else taken
        self.paused, self._over, self.longest_wait = 0, threading.Event(), 0.0
        self._threads = [threading.Thread(target=self._take) for _ in range(many)]
        for thread in self._threads:
            thread.start()

    def _take(self):
        mine, asked_at = uuid4().hex, time.monotonic()
        while not self._over.wait(0.05):
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
            self.longest_wait = max(self.longest_wait, time.monotonic() - asked_at)
            mine, asked_at = uuid4().hex, time.monotonic()

    def are_served(self, more=5, within=30):
        """Wait until this many more requests were answered."""
        before = len(self.taken)
        wait_for(lambda: len(self.taken) >= before + more, within)

    def go_home(self):
        """Stop; return all the numbers that were answered."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        twice = {number: who for number, who in self.taken.items() if len({mine for _, mine in who}) > 1}
        assert twice == {}, "a number was given twice"
        return set(self.taken)


class Machines:
    """The machines on which servers of one shop run: the old one, and its replacements."""

    def __init__(self, start_quick, tmp_path, backup_url):
        self._start, self._tmp_path, self.url = start_quick, tmp_path, str(backup_url)

    def data(self, name):
        return self._tmp_path / name

    def serve(self, name, **settings):
        """Start a server with short backup intervals."""
        settings = {"backup_url": self.url} | settings
        return self._start(data=self.data(name), **settings)

    def wait_for_copy(self, tickets):
        """Wait until there is a copy with the place and this many tickets."""
        wait_for(lambda: any(f"-{tickets}t-" in path.name for path in Path(self.url).glob("0*/0*.db.gz")))

    def run(self, *words, data, **settings):
        """Run a command on a machine."""
        settings = {"backup_url": self.url, "data": self.data(data)} | settings
        variables = {f"TAKEANUMBER_{name.upper()}": str(value) for name, value in settings.items()}
        return run_program(words, variables)

    def restore(self, name, *words):
        """Restore on a machine, as its predeploy hook does; return the output."""
        ended = self.run("restore", "--or-new", *words, data=name)
        assert ended.returncode == 0, ended
        return ended.stdout

    def refused(self, name, **settings):
        """Start a server that must end with an error, and return that."""
        ended = self.run("serve", "--host", "127.0.0.1", "--port", "0", data=name, **settings)
        assert ended.returncode == 1, ended
        (sentence,) = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
        return sentence


@pytest.fixture
def machines(start_quick, tmp_path):
    """Machines that keep their backups in one directory."""
    (tmp_path / "backups").mkdir()
    return Machines(start_quick, tmp_path, tmp_path / "backups")


@pytest.fixture
def cloud(start_quick, tmp_path, bucket):
    """Machines that keep them in S3."""
    return Machines(start_quick, tmp_path, bucket.url)


def backup_of(server):
    return server.get("/healthz?verbose=1").body["backup"]


def role(server):
    return backup_of(server)["role"]


def open_shop(server):
    """Open a place on a server that keeps backups, and wait until a copy of it is stored."""
    shop = server.open_shop()
    time.sleep(1.2)  # changes that are not stored yet are older than a second from now on
    wait_for(lambda: backup_of(server)["last_at"] and backup_of(server)["behind_s"] == 0)
    return shop


def lease_of(path):
    """Return the states in the log of the lease, the oldest first."""
    return [json.loads(entry.read_text())["state"] for entry in sorted((path / "lease").glob("*.json"))]


def numbers(shop, server=None):
    """Return all numbers that were ever taken in a shop."""
    answer = (server or shop.client).get(f"{shop.links['manage']}/tickets.csv")
    assert answer.status == 200
    return set(re.findall(r"\b[A-Z]\d+\b", answer.body))


def owner_sees(shop, server):
    return server.get(shop.links["manage"]).body["backup"]


# ----- updates


@pytest.mark.parametrize(
    "words",
    [(), pytest.param(("--hand-over",), marks=pytest.mark.soak)],
    ids=["restore", "restore --hand-over"],
)
def test_nothing_that_was_answered_is_lost_in_a_clean_update(cloud, words):
    old = cloud.serve("old")
    shop = open_shop(old)
    customers = Customers(shop)
    customers.are_served()
    assert "Restored" in cloud.restore("new", *words)
    new = cloud.serve("new")
    customers.are_served()  # the new server gives no numbers while customers use the old one
    assert (role(old), role(new)) == ("holder", "standby")
    for page in ("customers", "board", "manage", "live"):  # otherwise a board would show a stale line
        answer = new.get(shop.links[page])
        assert (answer.status, answer.body["error"], answer.headers["retry-after"]) == (503, MOVING, "2")
    assert new.get("/healthz").status == 200
    assert (role(old), role(new)) == ("holder", "standby")

    answered = set(customers.taken)
    customers.server = new  # as the load balancer routes them
    customers.are_served(20)
    assert (role(old), role(new)) == ("standby", "holder")
    assert customers.longest_wait < 30 * LEASE_FACTOR + 5
    taken = customers.go_home()
    assert answered <= taken <= numbers(shop, new)
    assert len(numbers(shop, new)) == max(
        int(number[1:]) for number in numbers(shop, new)
    )  # none was skipped
    assert old.get(shop.links["board"]).status == old.post(shop.take_url).status == 503
    assert old.stop() == 0
    assert new.post(shop.take_url).status == 201


@pytest.mark.soak
def test_open_pages_of_the_old_one_are_led_to_the_new_one(machines):
    old = machines.serve("old")
    shop = open_shop(old)
    board = shop.watch()
    board.next()
    machines.restore("new")
    new = machines.serve("new")
    wait_for(lambda: new.post(shop.take_url).status == 201)
    assert board.ends(within=2)
    assert old.get(shop.links["live"]).status == 503


@pytest.mark.soak
def test_an_update_rolled_back_half_way_never_stops_the_old_server(machines, tmp_path):
    old = machines.serve("old")
    shop = open_shop(old)
    customers = Customers(shop)
    machines.restore("new")
    new = machines.serve("new")
    customers.are_served()
    new.kill()
    customers.are_served()
    time.sleep(LEASE_TIMING.take_s)
    assert customers.go_home() == numbers(shop)
    assert customers.paused == 0
    assert "releasing" not in lease_of(tmp_path / "backups")


@pytest.mark.parametrize(
    "end", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)], ids=["dies", "is ended"]
)
def test_after_a_failed_update_the_old_one_serves_again_with_what_the_new_one_stored(cloud, bucket, end):
    old = cloud.serve("old")
    shop = open_shop(old)
    customers = Customers(shop)
    customers.are_served()
    cloud.restore("new")
    new = cloud.serve("new")
    customers.server = new
    customers.are_served()
    wait_for(lambda: role(old) == "standby")
    if end == signal.SIGKILL:  # what isn't in a copy yet would be lost
        before = customers.go_home()
        wait_for(lambda: int(re.search(r"-(\d+)t-", bucket.copies()[-1])[1]) == len(before))
    before = set(customers.taken)
    new.stop(end)
    died_at = time.monotonic()
    if end == signal.SIGKILL:
        customers = Customers(shop, server=old, taken=customers.taken)
    customers.server = old
    customers.are_served()
    assert time.monotonic() - died_at < 120 * LEASE_FACTOR
    taken = customers.go_home()
    there = numbers(shop, old)
    assert before <= taken <= there
    assert role(old) == "holder"


@pytest.mark.soak
def test_of_two_new_servers_at_once_one_serves(machines):
    old = machines.serve("old")
    shop = open_shop(old)
    customers = Customers(shop)
    customers.are_served()
    for name in ("one", "two"):
        machines.restore(name)
    with ThreadPoolExecutor(2) as people:
        new = [*people.map(machines.serve, ("one", "two"))]
    earlier = customers.go_home()
    machines.wait_for_copy(len(earlier))  # changes that aren't in a copy would be lost with the old server
    old.kill()
    crowds = [Customers(shop, server=server) for server in new]
    wait_for(lambda: sorted(map(role, new)) == ["holder", "standby"], within=30)
    (holder,) = [server for server in new if role(server) == "holder"]
    for crowd in crowds:
        crowd.server = holder
    for crowd in crowds:
        crowd.are_served()
    assert not set.intersection(*(crowd.go_home() for crowd in crowds))
    assert not earlier & {number for crowd in crowds for number in crowd.taken}


@pytest.mark.soak
def test_a_new_server_serves_at_once_if_the_old_one_ended_cleanly(machines):
    old = machines.serve("old")
    shop = open_shop(old)
    taken = shop.take().body["number"]
    machines.restore("new")
    old.stop()
    new = machines.serve("new")
    assert new.post(shop.take_url).status == 201
    assert taken in numbers(shop, new)
    assert owner_sees(shop, new)["holder"]


@pytest.mark.soak
def test_a_shop_that_is_not_in_the_copy_yet_is_handed_over_to_its_customers(machines):
    old = machines.serve("old")
    wait_for(lambda: backup_of(old)["last_at"])
    machines.restore("new")
    new = machines.serve("new")
    shop = old.open_shop()
    wait_for(lambda: new.post(shop.take_url).status == 201)
    assert role(old) == "standby"


@pytest.mark.soak
def test_without_customers_a_new_one_only_asks_whether_the_old_one_is_there(machines, tmp_path):
    old = machines.serve("old")
    shop = open_shop(old)
    machines.restore("new")
    machines.serve("new")
    wait_for(lambda: lease_of(tmp_path / "backups") == ["held", "asked", "held"])
    time.sleep(LEASE_TIMING.quiet_s * 2)
    assert lease_of(tmp_path / "backups") == ["held", "asked", "held"]
    assert shop.take().status == 201


# ----- machines that fail


def test_a_frozen_server_that_wakes_up_answers_nothing_and_its_numbers_are_not_given_again(machines):
    old = machines.serve("old")
    shop = open_shop(old)
    customers = Customers(shop, many=1)
    customers.are_served()
    machines.wait_for_copy(len(customers.go_home()))
    lost = shop.take().body["number"]  # its copy is too late
    old.process.send_signal(signal.SIGSTOP)
    machines.restore("new")
    new = machines.serve("new")
    others = Customers(shop, many=1)
    others.server = new
    others.are_served()
    assert role(new) == "holder"
    waking = [threading.Thread(target=lambda: results.append(shop.take())) for _ in range(3)]
    results = []
    for thread in waking:
        thread.start()
    time.sleep(0.3)
    old.process.send_signal(signal.SIGCONT)
    for thread in waking:
        thread.join()
    assert [answer.status for answer in results] == [503] * 3
    wait_for(lambda: role(old) == "standby")

    taken = others.go_home()
    assert lost not in taken
    assert lost not in numbers(shop, new)
    assert min(int(number[1:]) for number in taken) > int(lost[1:]) + 10
    (orphan,) = wait_for(lambda: owner_sees(shop, new)["orphans"])
    assert re.fullmatch(r"daily/orphans/\d{8}/.*\.db\.gz", orphan["name"])
    told = owner_sees(shop, new)["said"]
    assert "took over from one that didn't answer" in told
    assert "every queue skipped 20 numbers" in told
    page = machines.run("backups", data="new").stdout
    assert f"orphan, {orphan['name']}" in page

    words = orphan["restore"].split()[2:]
    words[words.index("--data") + 1] = str(machines.data("orphan"))
    ended = machines.run(*words, data="orphan")
    assert ended.returncode == 0, ended
    kept = rows(machines.data("orphan") / "takeanumber.db", "SELECT number FROM ticket")
    assert lost in {number for (number,) in kept}


@pytest.mark.soak
def test_a_process_that_was_frozen_alone_goes_on_once_the_store_confirms_it(machines):
    old = machines.serve("old")
    shop = open_shop(old)
    old.process.send_signal(signal.SIGSTOP)
    time.sleep(LEASE_TIMING.stop_s * 1.5)
    old.process.send_signal(signal.SIGCONT)
    wait_for(lambda: shop.take().status == 201, within=5)
    assert (role(old), backup_of(old)["term"]) == ("holder", 1)


@pytest.mark.soak
def test_a_holder_that_was_killed_resumes_without_a_restore(machines, tmp_path):
    old = machines.serve("old")
    shop = open_shop(old)
    shop.take()
    old.kill()
    old.start()
    assert shop.take().body["number"] == "A2"
    assert lease_of(tmp_path / "backups") == ["held", "held"]
    assert [path for path in old.data.iterdir() if "before-restore" in path.name] == []


def test_a_lost_machine_is_replaced_by_one_that_nobody_visits(machines, tmp_path):
    old = machines.serve("old")
    shop = open_shop(old)
    shop.take()
    machines.wait_for_copy(1)
    old.kill()
    shutil.rmtree(old.data)
    machines.restore("new")
    new = machines.serve("new")
    wait_for(lambda: role(new) == "holder", within=60)
    assert new.post(shop.take_url).body["number"] == "A23"  # 20 more, and one for the one of the last minute
    assert "A1" in numbers(shop, new)


@pytest.mark.soak
def test_what_a_cut_off_server_answered_is_kept_as_an_orphan(machines, tmp_path):
    """Customers reach the old server, but it is cut off from the store; a new server reaches the store."""
    cable = tmp_path / "cable"
    cable.symlink_to(tmp_path / "backups")
    old = machines.serve("old", backup_url=cable)
    shop = open_shop(old)
    shop.take()
    machines.wait_for_copy(1)
    cable.unlink()
    time.sleep(LEASE_TIMING.stop_s + LEASE_TIMING.doubt_s)
    lost = shop.take()
    assert lost.status == 201
    told = owner_sees(shop, old)
    assert (told["state"], told["confirmed"]) == ("amber", False)
    assert "when a new server takes over" in told["problem"]
    machines.restore("new")
    new = machines.serve("new")
    wait_for(lambda: new.post(shop.take_url).status == 201, within=60)
    cable.symlink_to(tmp_path / "backups")
    wait_for(lambda: role(old) == "standby")
    assert shop.take().status == 503
    (orphan,) = wait_for(lambda: owner_sees(shop, new)["orphans"])
    assert orphan["tickets"] == 2
    assert new.post(shop.take_url).status == 201

    old.kill()
    cable.unlink()
    old.start()  # it can't ask, but knows that it was replaced
    assert shop.take().status == 503


@pytest.mark.soak
def test_a_holder_that_was_killed_and_replaced_keeps_its_rest_when_it_comes_back(machines):
    old = machines.serve("old")
    shop = open_shop(old)
    shop.take()
    machines.wait_for_copy(1)
    lost = shop.take().body["number"]
    old.kill()
    machines.restore("new")
    new = machines.serve("new")
    wait_for(lambda: new.post(shop.take_url).status == 201, within=60)
    old.start()
    assert shop.take().status == 503
    (orphan,) = wait_for(lambda: owner_sees(shop, new)["orphans"])
    new.stop()
    wait_for(lambda: shop.take().status == 201)  # it takes over again, with the data of the new one
    assert lost not in numbers(shop)
    kept = [path for path in old.data.iterdir() if "before-restore" in path.name]
    assert lost in {number for path in kept for (number,) in rows(path, "SELECT number FROM ticket")}
    assert orphan["name"] in machines.run("backups", "--all", data="old").stdout


@pytest.mark.parametrize(
    "offsets",
    [
        (YEAR_S, 0),
        *(pytest.param(each, marks=pytest.mark.soak) for each in [(-YEAR_S, 0), (0, YEAR_S), (0, -YEAR_S)]),
    ],
    ids=str,
)
def test_a_clock_that_is_wrong_by_a_year_changes_nothing(machines, offsets):
    old = machines.serve("old", clock_offset=offsets[0])
    shop = open_shop(old)
    taken = shop.take().body["number"]
    machines.restore("new")
    new = machines.serve("new", clock_offset=offsets[1])
    wait_for(lambda: new.post(shop.take_url).status == 201)
    assert role(old) == "standby"
    assert taken in {ticket for (ticket,) in rows(new.data / "takeanumber.db", "SELECT number FROM ticket")}


STOPPED_WHILE_IT_STARTS = """
import os
import signal
import takeanumber

takeanumber.print_address = lambda *_: os.kill(os.getpid(), signal.SIGTERM)
takeanumber.cli()
"""


def test_a_server_that_is_stopped_while_it_starts_releases_the_lease(machines, tmp_path):
    settings = {"TAKEANUMBER_DATA": str(machines.data("old")), "TAKEANUMBER_BACKUP_URL": machines.url}
    environment = {**os.environ, **settings, "HOST": "127.0.0.1", "PORT": "0"}
    with (tmp_path / "log").open("wb") as log:
        process = Forked(["serve"], env=environment, stdout=log, stderr=log, code=STOPPED_WHILE_IT_STARTS)
        assert process.wait(30) == 0
    assert lease_of(tmp_path / "backups") == ["held", "released"]


# ----- storage that fails


def begin_handover(cloud, bucket, way, monkeypatch):
    """Let a new server ask for the lease while the old one can't store its last copy.

    Return the old server, the new one, and the shop at the old one.
    """
    old = cloud.serve("old")  # through the failing proxy
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.client.meta.endpoint_url)
    shop = open_shop(old)
    wait_for(bucket.copies)
    cloud.restore("new")
    new = cloud.serve("new")
    way.of, way.where, way.wrong = {"PUT"}, "db.gz", (403, "AccessDenied")
    shop.take()
    time.sleep(LEASE_TIMING.quiet_s)
    wait_for(lambda: new.post(shop.take_url).status == 503 and role(old) == "handing over")
    return old, new, shop


@pytest.mark.soak
def test_a_server_that_cannot_store_its_last_copy_does_not_hand_over(cloud, bucket, way, monkeypatch):
    """The old server can't store its last copy, so it goes on serving and hands over later."""
    old, new, shop = begin_handover(cloud, bucket, way, monkeypatch)
    assert shop.take().status == 503
    wait_for(lambda: shop.take().status == 201)
    assert role(old) == "holder"
    way.wrong = None
    wait_for(lambda: new.post(shop.take_url).status == 201)
    assert numbers(shop, new) >= {"A1", "A2"}


@pytest.mark.soak
def test_a_last_copy_that_took_too_long_is_not_the_last_one_of_the_next_attempt(
    cloud, bucket, way, monkeypatch
):
    """The old server keeps the lease, and takes a number that the slow copy doesn't hold."""
    old, new, shop = begin_handover(cloud, bucket, way, monkeypatch)
    way.wrong = "hangs"  # from the next attempt to store the last copy on
    wait_for(lambda: shop.take().status == 201)
    time.sleep(LEASE_TIMING.quiet_s)
    wait_for(lambda: new.post(shop.take_url).status == 503 and role(old) == "handing over")
    way.wrong = None
    way.freed.set()
    wait_for(lambda: new.post(shop.take_url).status == 201)
    assert numbers(shop, new) == {"A1", "A2", "A3"}


@pytest.mark.soak
def test_a_server_that_loses_the_lease_while_it_restores_does_not_serve_what_it_restored(
    cloud, bucket, way, monkeypatch
):
    """Otherwise it would take itself for the holder when it is started again while the store is away."""
    slow_url = way.url
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.client.meta.endpoint_url)
    old = cloud.serve("old")
    shop = open_shop(old)
    cloud.restore("slow")
    cloud.restore("new")
    old.kill()
    way.of, way.where, way.wrong = {"GET"}, "db.gz", "hangs"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", slow_url)
    slow = cloud.serve("slow")
    wait_for(lambda: slow.post(shop.take_url).status == 503 and role(slow) == "restoring")
    wait_for(lambda: any("db.gz" in path for _, path in way.asked))
    slow.process.send_signal(signal.SIGSTOP)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.client.meta.endpoint_url)
    new = cloud.serve("new")
    wait_for(lambda: new.post(shop.take_url).status == 201)
    slow.process.send_signal(signal.SIGCONT)
    wait_for(lambda: role(slow) == "standby")
    way.wrong = None
    way.freed.set()
    time.sleep(2)  # for what is still on its way
    assert "Restored" not in slow.log
    slow.kill()
    way.of, way.where, way.wrong = {"GET", "PUT"}, "", (503, "SlowDown")
    slow.start()
    time.sleep(LEASE_TIMING.doubt_woken_s + 1)
    assert slow.post(shop.take_url).status == 503


@pytest.mark.soak
def test_a_server_that_starts_while_the_storage_is_away(cloud, bucket, way):
    old = cloud.serve("old")
    shop = open_shop(old)
    assert shop.take().status == 201
    old.kill()
    way.wrong = (503, "SlowDown")
    old.start()
    wait_for(lambda: shop.take().status == 201)  # nobody had asked for its lease
    assert backup_of(old)["confirmed"] is False
    cloud.restore_is_refused = cloud.run("restore", "--or-new", data="new")
    assert cloud.restore_is_refused.returncode == 1
    way.wrong = None
    wait_for(lambda: backup_of(old)["confirmed"])
    assert shop.take().status == 201

    old.kill()
    shutil.copytree(old.data, cloud.data("elsewhere"))
    way.wrong = (503, "SlowDown")
    ended = cloud.serve("empty")  # never restored and never served, so no other server can hold its lease
    assert ended.post("/places", {"name": "Deli"}).status == 201


@pytest.mark.parametrize(
    ("wrong", "word"),
    soak_after(1, [("careless", "overwrites what is there"), ((501, "NotImplemented"), "If-None-Match")]),
    ids=["overwrites", "answers 501"],
)
def test_a_store_without_conditional_writes_is_refused(cloud, way, wrong, word):
    way.of, way.wrong = {"PUT"}, wrong
    sentence = cloud.refused("old")
    assert word in sentence
    assert "If-None-Match" in sentence


@pytest.mark.soak
def test_a_newer_schema_is_not_taken_over(cloud, bucket):
    old = cloud.serve("old")
    shop = open_shop(old)
    cloud.restore("new")
    new = cloud.serve("new")
    wait_for(bucket.copies)
    (name, *_) = bucket.copies()
    newer = re.sub(r"-\d{4}-(\d+t)", r"-9999-\1", name.replace("/00000000", "/99999999"))
    bucket.put(newer, b"whatever")
    new.post(shop.take_url)
    wait_for(lambda: backup_of(new)["problem"])
    assert backup_of(new)["state"] == "amber"
    assert shop.take().status == 201
    assert role(old) == "holder"


# ----- environments


def name_environment(data, name):
    """Store the name of the environment, as the hook does."""
    data.mkdir(exist_ok=True)
    (data / "environment").write_text(f"{name}\n")


@pytest.mark.soak
def test_a_cloned_environment_is_refused_with_a_sentence(machines, tmp_path):
    name_environment(machines.data("old"), "shop")
    old = machines.serve("old")
    shop = open_shop(old)
    shop.take()
    machines.wait_for_copy(1)
    name_environment(machines.data("clone"), "shop-test")
    refused = machines.run("restore", "--or-new", data="clone")
    assert refused.returncode == 1
    assert "The environment 'shop' keeps its backups" in refused.stderr
    assert "this is 'shop-test'" in refused.stderr
    shutil.copytree(old.data, machines.data("copied"))
    name_environment(machines.data("copied"), "shop-test")
    assert machines.run("restore", "--replace", data="copied").returncode == 1

    old.stop()  # even while production is being restarted
    machines.restore("clone", "--take-over", "shop")
    assert "'shop'" in machines.refused("clone")
    assert "'shop'" in machines.refused("clone", take_over="another")
    old.start()
    assert shop.take().body["number"] == "A2"
    old.stop()
    new = machines.serve("clone", take_over="shop")
    assert new.post(shop.take_url).body["number"] == "A3"
    assert "'shop-test'" in machines.refused("old")


@pytest.mark.soak
def test_a_server_without_an_environment_takes_over_from_any(machines):
    name_environment(machines.data("old"), "shop")
    old = machines.serve("old")
    shop = open_shop(old)
    old.stop()
    machines.restore("laptop")
    assert machines.serve("laptop").post(shop.take_url).status == 201


@pytest.mark.soak
def test_an_earlier_backup_chosen_by_hand_is_served(machines):
    old = machines.serve("old")
    shop = open_shop(old)
    shop.take()
    machines.wait_for_copy(1)
    time.sleep(1.1)
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    time.sleep(1.1)
    shop.take()
    machines.wait_for_copy(2)
    for end in (old.stop, old.kill):
        end()
        assert machines.run("restore", "--replace", "--at", until, data="old").returncode == 0
        old.start()
        assert numbers(shop) == {"A1"} if end == old.stop else True
        wait_for(lambda: shop.take().status == 201, within=60)
        assert numbers(shop) == {"A1", "A2"}


@pytest.mark.soak
def test_a_standby_has_nothing_to_back_up(machines):
    old = machines.serve("old")
    old.open_shop()
    machines.restore("new")
    ended = machines.run("backup", data="new")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Nothing to back up" in ended.stdout


# ----- from the protocol of earlier versions


def serve_by_the_old_protocol(machines, path, claim="c0ffee"):
    """Leave a database and its backups as a server of an earlier version does."""
    old = machines.serve("old")
    shop = open_shop(old)
    shop.take()
    wait_for(lambda: (path / "hourly" / "00000001").exists() and (path / "daily" / "00000001").exists())
    old.stop()
    shutil.rmtree(path / "lease")
    for folder in (path, path / "hourly", path / "daily"):
        (folder / "00000001").rename(folder / "00000002")
    record = path / "masters" / "00000002"
    record.mkdir(parents=True)
    (record / "claim").write_text(json.dumps({"claim": claim}))
    (record / "decided").write_text(json.dumps({"decided": "taken"}))
    code = f"""import sqlite3
db = sqlite3.connect({str(old.data / "takeanumber.db")!r})
db.execute("DELETE FROM fact WHERE name LIKE 'lease%'")
db.execute("INSERT INTO fact (name, value) VALUES ('backup_generation', '2'), ('backup_claim', '{claim}')")
db.commit()"""
    subprocess.run([sys.executable, "-c", code], check=True)
    return old, shop


@pytest.mark.soak
def test_an_update_in_place_turns_the_old_protocol_into_the_lease(machines, tmp_path):
    path = tmp_path / "backups"
    old, shop = serve_by_the_old_protocol(machines, path)
    shutil.copytree(old.data, machines.data("other"))
    (path / "masters" / "00000003").mkdir()
    (path / "masters" / "00000003" / "claim").write_text('{"claim": "one that gave up"}')
    assert machines.run("backup", data="old").returncode == 0  # made by the hook while the old version serves
    assert not (path / "lease").exists()
    old.start()
    assert shop.take().body["number"] == "A2"
    assert sorted(entry.name for entry in (path / "lease").iterdir()) == ["00000005.json", "00000006.json"]
    assert json.loads((path / "masters/00000003/decided").read_text())["decided"] == "withdrawn"
    assert json.loads((path / "masters/00000004/decided").read_text())["decided"] == "taken"
    old.restart()
    assert shop.take().body["number"] == "A3"
    machines.restore("new")
    new = machines.serve("new")
    wait_for(lambda: new.post(shop.take_url).status == 201)
    assert numbers(shop, new) == {"A1", "A2", "A3", "A4"}


@pytest.mark.soak
def test_a_newcomer_refuses_beside_a_server_of_an_earlier_version(machines, tmp_path):
    _, shop = serve_by_the_old_protocol(machines, tmp_path / "backups")
    machines.restore("new")
    assert "update that server in place first" in machines.refused("new")
    assert not (tmp_path / "backups" / "lease").exists()
    new = machines.serve("new", take_over="earlier-version")
    wait_for(lambda: new.post(shop.take_url).status == 201)
    assert "A1" in numbers(shop, new)


@pytest.mark.soak
def test_settings_of_the_old_protocol_do_no_harm(machines):
    server = machines.serve("old", handover_s=30, rollback_s=180)
    assert server.open_shop().take().status == 201


def test_a_server_without_backups_has_no_lease(start_server):
    server = start_server()
    shop = server.open_shop()
    assert server.get("/healthz?verbose=1").body["backup"] is None
    assert owner_sees(shop, server) is None


# ----- many repetitions


@pytest.mark.soak
def test_twenty_lost_machines_lose_at_most_what_was_not_copied_and_give_no_number_twice(machines):
    server = machines.serve("machine-0")
    shop = open_shop(server)
    customers = Customers(shop, many=2)
    for count in range(1, 21):
        customers.are_served(10)
        server.kill()
        machines.restore(f"machine-{count}")
        server = machines.serve(f"machine-{count}")
        customers.server = server
    customers.are_served(10)
    taken = customers.go_home()
    lost = taken - numbers(shop, server)
    assert len(lost) < 20 * 20 * 4


@pytest.mark.soak
def test_ten_updates_under_load_lose_nothing(machines):
    server = machines.serve("machine-0")
    shop = open_shop(server)
    customers = Customers(shop)
    for count in range(1, 11):
        customers.are_served(10)
        machines.restore(f"machine-{count}")
        new = machines.serve(f"machine-{count}")
        customers.server = new
        customers.are_served(10)
        server.stop()
        server = new
    taken = customers.go_home()
    assert taken == numbers(shop, server)
