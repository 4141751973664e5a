"""What all tests share: a clock to be set, the service on a database of its own, and people who use it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import uuid4

import flask
import pytest
from helpers.clock import REAL_PROCESSES, Clock
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Rule

import takeanumber
from app import clock as app_clock

HERE = Path(takeanumber.__file__).parent


class Answer(NamedTuple):
    """What came back from the server."""

    status: int
    body: Any
    headers: Any


class Api:
    """A JSON client without cookies. It checks each answer: an error is a sentence, and never ours."""

    def __init__(self, app: flask.Flask):
        self.client = app.test_client(use_cookies=False)

    def get(self, url: str, **headers: str) -> Answer:
        return self.send("GET", url, headers=headers)

    def post(self, url: str, content: Any = None, **headers: str) -> Answer:
        return self.send("POST", url, json={} if content is None else content, headers=headers)

    def send(self, method: str, url: str, headers: dict[str, str] | None = None, **request: Any) -> Answer:
        named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        heads = {"Accept": "application/json"} | named
        answer = self.client.open(url, method=method, headers=heads, **request)
        assert answer.status_code != 500, answer.text
        assert "Traceback" not in answer.text
        body = answer.json if answer.is_json and answer.data else answer.text
        if answer.status_code >= 400 and isinstance(body, dict):
            assert body["error"].endswith((".", "?")) or ": " in body["error"], body
        return Answer(answer.status_code, body, answer.headers)


class Customer:
    """Somebody with a number and its page."""

    def __init__(self, api: Api, ticket: dict[str, Any]):
        self.api, self.ticket, self.number = api, ticket, ticket["number"]

    def sees(self) -> dict[str, Any]:
        return self.api.get(self.ticket["links"]["ticket"]).body

    def leaves(self) -> Answer:
        return self.api.post(self.ticket["links"]["cancel"])


class Desk:
    """A servicer with the link of her desk."""

    def __init__(self, api: Api, servicer: dict[str, Any]):
        self.api, self.id, self.link = api, servicer["id"], servicer["links"]["desk"]

    def sees(self) -> dict[str, Any]:
        return self.api.get(self.link).body

    def serves(self) -> str | None:
        """The number that is at this desk."""
        current = self.sees()["current"]
        return current and current["number"]

    def presses(self, button: str, **content: Any) -> Answer:
        return self.api.post(f"{self.link}/{button}", content)

    def calls_next(self, **which: str) -> dict[str, Any] | None:
        """Presses "Next customer" on a page that is up to date; returns the customer called."""
        answer = self.presses("next", finished=self.serves(), **which)
        assert answer.status == 200, answer.body
        return answer.body["current"]


class Caller(Desk):
    """A servicer who makes calls."""

    def page(self) -> dict[str, Any]:
        """What her page of calls shows."""
        return self.api.get(f"{self.link}/calls").body

    def asks(self, **which: str) -> dict[str, Any] | None:
        """Presses "Next call"; returns the call that is hers then."""
        answer = self.presses("calls/next", **which)
        assert answer.status == 200, answer.body
        return answer.body["call"]

    def says(self, call: dict[str, Any], outcome: str = "Reached", **more: Any) -> Answer:
        """Reports a call."""
        return self.presses("calls/report", claim=call["claim"], outcome=outcome, **more)

    def calls(self, outcome: str = "Reached", **more: Any) -> str | None:
        """Makes the next call and reports it; returns whom she called."""
        call = self.asks()
        if call is None:
            return None
        answer = self.says(call, outcome, **more)
        assert (answer.status, answer.body.get("closed")) == (200, True), answer.body
        return call["name"]


def tap(delta: int = 1, **more: Any) -> dict[str, Any]:
    """A tap with an id of its own, as a device makes it."""
    return {"id": str(uuid4()), "delta": delta, **more}


class Door:
    """Somebody who counts, with the link of a door."""

    def __init__(self, api: Api, door: dict[str, Any]):
        self.api, self.id, self.link = api, door["id"], door["links"]["door"]

    def sees(self) -> dict[str, Any]:
        return self.api.get(self.link).body

    def sends(self, *taps: Any) -> Answer:
        """Sends these taps in one request."""
        return self.api.post(f"{self.link}/taps", {"taps": list(taps)})

    def taps(self, *deltas: int, **more: Any) -> int:
        """Taps so often, at once; returns the count."""
        answer = self.sends(*(tap(delta, **more) for delta in deltas))
        assert answer.status == 200, answer.body
        return answer.body["count"]

    def recounts(self, count: int) -> Answer:
        return self.api.post(f"{self.link}/recount", {"count": count})

    def not_here(self, number: str) -> Answer:
        return self.api.post(f"{self.link}/no-show", {"number": number})


class Place:
    """A place that was opened, with all its links."""

    def __init__(self, api: Api, opened: dict[str, Any]):
        self.api, self.slug, self.links = api, opened["slug"], opened["links"]
        self.take_links: dict[str, str] = {}  # by queue: those that were looked up, as a page has them

    def picture(self) -> dict[str, Any]:
        return self.api.get(self.links["customers"]).body

    def line(self, queue: str = "deli") -> dict[str, Any]:
        """One queue of the picture."""
        return next(each for each in self.picture()["queues"] if each["slug"] == queue)

    def take(self, queue: str = "deli", **asked: Any) -> Answer:
        if queue not in self.take_links:
            self.take_links[queue] = self.line(queue)["links"]["take"]
        return self.api.post(self.take_links[queue], asked)

    def customer(self, queue: str = "deli", **asked: Any) -> Customer:
        """Somebody who just took a number."""
        answer = self.take(queue, **asked)
        assert answer.status == 201, answer.body
        return Customer(self.api, answer.body)

    def desk(self, name: str = "Ana", desk: str | None = "Window 2", **more: Any) -> Desk:
        """Somebody who just started serving."""
        answer = self.api.post(self.links["staff"], {"name": name, "desk": desk, **more})
        assert answer.status == 201, answer.body
        return Desk(self.api, answer.body)

    def counter(self, counter: str = "shop") -> dict[str, Any]:
        """One counter, as the owner sees it."""
        return next(each for each in self.owner_sees()["counters"] if each["slug"] == counter)

    def door(self, name: str = "Shop", counter: str = "shop") -> Door:
        """Whoever has the link of a door that is there."""
        return Door(self.api, next(each for each in self.counter(counter)["doors"] if each["name"] == name))

    def owner_sees(self) -> dict[str, Any]:
        return self.api.get(self.links["manage"]).body

    def owner_sends(self, path: str = "", **content: Any) -> Answer:
        return self.api.post(self.links["manage"] + path, content)

    def adds(self, *contacts: dict[str, Any]) -> dict[str, Any]:
        """The owner adds contacts, or changes those she has; returns what became of them."""
        answer = self.owner_sends("/contacts", contacts=list(contacts))
        assert answer.status == 200, answer.body
        return answer.body

    def contacts(self, **filters: Any) -> dict[str, Any]:
        """The owner's list of contacts."""
        answer = self.api.get(f"{self.links['manage']}/contacts?{urlencode(filters)}")
        assert answer.status == 200, answer.body
        return answer.body

    def caller(self, name: str = "Cleo", **more: Any) -> Caller:
        """Somebody who just started calling."""
        answer = self.api.post(self.links["staff"], {"name": name, **more})
        assert answer.status == 201, answer.body
        return Caller(self.api, answer.body)

    def puts_on(self, *names: str, list: str = "follow-ups", **more: Any) -> dict[str, Any]:
        """The owner puts those with these names on a call list, one after the other; new ones are added."""
        known = {each["name"]: each["id"] for each in self.contacts(sort="name")["contacts"]}
        fresh = [name for name in names if name not in known]
        many = len(known)
        self.adds(*({"name": name, "phone": f"030 {1000001 + many + n}"} for n, name in enumerate(fresh)))
        known = {each["name"]: each["id"] for each in self.contacts()["contacts"]}
        for name in names:
            asked = {"action": "add_to_list", "list": list, "ids": [known[name]], **more}
            answer = self.owner_sends("/contacts/actions", **asked)
            assert answer.status == 200, answer.body
        return answer.body

    def list(self, slug: str = "follow-ups", **days: str) -> dict[str, Any]:
        """The owner's page of a call list."""
        answer = self.api.get(f"{self.links['manage']}/queues/{slug}?{urlencode(days)}")
        assert answer.status == 200, answer.body
        return answer.body

    def names(self, **filters: Any) -> list[str]:
        """The names of those on its first page."""
        return [contact["name"] for contact in self.contacts(**filters)["contacts"]]

    def export(self) -> dict[str, list[dict[str, Any]]]:
        return self.api.get(self.owner_sees()["links"]["export"]).body

    def history(self) -> list[str]:
        """What happened, in words."""
        return [event["kind"] for event in self.export()["event"]]


@pytest.fixture(scope="session", autouse=True)
def no_settings_from_outside() -> Iterator[None]:
    """A setting of whoever runs the tests changes none of them."""
    with pytest.MonkeyPatch.context() as changed:
        for name in [
            name for name in os.environ if name.startswith("TAKEANUMBER_") or name in ("HOST", "PORT")
        ]:
            changed.delenv(name)
        yield


class Compiled(BytecodeCache):
    """Templates, as an earlier service of these tests has compiled them."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self.kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.kept[bucket.key, bucket.checksum] = bucket.code


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Addresses and templates are the same in each of a thousand services: the first compiles them."""
    compile_builder, builders = Rule._compile_builder, {}

    def once(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        of = rule.rule, str(rule.defaults), append_unknown
        if of not in builders:
            builders[of] = compile_builder(rule, append_unknown)
        return builders[of]

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(Rule, "_compile_builder", once)
        changed.setattr(flask.Flask, "jinja_options", {"bytecode_cache": Compiled()})
        yield


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Clock:
    """The clock of the service: a fixed time, or the real one in a test that also starts a real process."""
    clock = Clock()
    if REAL_PROCESSES & set(request.fixturenames):
        clock.set_to_now()
    monkeypatch.setattr(app_clock, "source", clock)
    return clock


@pytest.fixture
def start(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., flask.Flask]]:
    """Starts the service with these settings, on the database of this test; closes all it started."""
    apps = []

    def start(**settings: Any) -> flask.Flask:
        apps.append(
            takeanumber.create_app(**{"data": tmp_path / "data", "takes_per_minute": 10**9} | settings)
        )
        return apps[-1]

    yield start
    for app in apps:
        app.extensions["takeanumber"].live.close()
        app.extensions["takeanumber"].database.close()


@pytest.fixture
def app(start: Callable[..., flask.Flask]) -> flask.Flask:
    """The service as it comes."""
    return start()


@pytest.fixture
def api(app: flask.Flask) -> Api:
    return Api(app)


def open_deli(api: Api, **asked: Any) -> Place:
    """Opens "Corner Deli", with one queue named "Deli"."""
    answer = api.post("/places", {"name": "Corner Deli", "queue": "Deli", "timezone": "UTC", **asked})
    assert answer.status == 201, answer.body
    return Place(api, answer.body)


@pytest.fixture
def place(api: Api, clock: Clock) -> Place:
    return open_deli(api, timezone=clock.noon_zone)


@pytest.fixture
def clinic(api: Api) -> Place:
    """A place in Berlin with a call list named "Follow-ups"."""
    place = open_deli(api, timezone="Europe/Berlin")
    assert place.owner_sends("/queues", name="Follow-ups", kind="calls").status == 201
    return place


@pytest.fixture
def bakery(place: Place) -> Place:
    """The same place with a second queue."""
    assert place.owner_sends("/queues", name="Bakery").status == 201
    return place


@pytest.fixture
def shop(place: Place) -> Place:
    """The same place with a counter: ten people may be inside."""
    assert place.owner_sends("/counters", name="Shop", capacity=10).status == 201
    return place


@pytest.fixture
def door(shop: Place) -> Door:
    """Somebody at the only door of that counter."""
    return shop.door()


@pytest.fixture
def ana(place: Place) -> Desk:
    """A servicer at Window 2."""
    return place.desk("Ana", "Window 2")


@pytest.fixture
def ben(place: Place) -> Desk:
    """Another one, at Window 3."""
    return place.desk("Ben", "Window 3")


@pytest.fixture
def cleo(clinic: Place) -> Caller:
    """A caller of that place."""
    return clinic.caller("Cleo")


@pytest.fixture
def dan(clinic: Place) -> Caller:
    """Another one."""
    return clinic.caller("Dan")


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python takeanumber.py …` to its end, on the data directory of this test."""

    def run(*words: str, program: Path = HERE, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, program / "takeanumber.py", *words],
            env={**os.environ, "TAKEANUMBER_DATA": str(tmp_path / "data"), **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    return run
