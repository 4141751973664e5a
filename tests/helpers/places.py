"""A place and the people who use it, through any client: customers, servicers, callers, doors and the owner.

place.take(name="Zoë")
desk = place.desk("Ana")
assert desk.call_next()["number"] == "A1"
"""

from __future__ import annotations

import csv
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from helpers.client import Client, Response
from helpers.streams import Stream
from helpers.waiting import wait_for


class Customer:
    """A customer with a ticket."""

    def __init__(self, client: Client, ticket: dict[str, Any]):
        self.client, self.ticket, self.number = client, ticket, ticket["number"]

    def get(self) -> dict[str, Any]:
        """Return the ticket as its page shows it now."""
        return self.client.get(self.ticket["links"]["ticket"]).body

    def cancel(self) -> Response:
        """Leave the line."""
        return self.client.post(self.ticket["links"]["cancel"])


class Desk:
    """A servicer at a desk."""

    def __init__(self, client: Client, servicer: dict[str, Any]):
        self.client, self.id, self.link = client, servicer["id"], servicer["links"]["desk"]

    def get(self) -> dict[str, Any]:
        """Return what the desk's page shows."""
        return self.client.get(self.link).body

    def current_number(self) -> str | None:
        """Return the number that is called to this desk or served there."""
        current = self.get()["current"]
        return current and current["number"]

    def post(self, button: str, **content: Any) -> Response:
        """Press a button of the page."""
        return self.client.post(f"{self.link}/{button}", content)

    def call_next(self, **which: str) -> dict[str, Any] | None:
        """Press "Next customer" on a page that is up to date; return the customer who is called."""
        response = self.post("next", finished=self.current_number(), **which)
        assert response.status == 200, response.body
        return response.body["current"]


class Caller(Desk):
    """A servicer who makes calls."""

    def get_calls(self) -> dict[str, Any]:
        """Return what the page of calls shows."""
        return self.client.get(f"{self.link}/calls").body

    def next_call(self, **which: str) -> dict[str, Any] | None:
        """Press "Next call"; return the call that this caller has then."""
        response = self.post("calls/next", **which)
        assert response.status == 200, response.body
        return response.body["call"]

    def report(self, call: dict[str, Any], outcome: str = "Reached", **more: Any) -> Response:
        """Report the outcome of a call."""
        return self.post("calls/report", claim=call["claim"], outcome=outcome, **more)

    def make_call(self, outcome: str = "Reached", **more: Any) -> str | None:
        """Request the next call and report it; return the name of the contact."""
        call = self.next_call()
        if call is None:
            return None
        response = self.report(call, outcome, **more)
        assert (response.status, response.body.get("closed")) == (200, True), response.body
        return call["name"]


def new_tap(delta: int = 1, **more: Any) -> dict[str, Any]:
    """Return a tap with an id of its own, as a device makes it."""
    return {"id": str(uuid4()), "delta": delta, **more}


class Door:
    """Somebody who counts at a door."""

    def __init__(self, client: Client, door: dict[str, Any]):
        self.client, self.id, self.link = client, door["id"], door["links"]["door"]

    def get(self) -> dict[str, Any]:
        """Return what the door's page shows."""
        return self.client.get(self.link).body

    def send_taps(self, *taps: Any) -> Response:
        """Send these taps in one request."""
        return self.client.post(f"{self.link}/taps", {"taps": list(taps)})

    def tap(self, *deltas: int, **more: Any) -> int:
        """Send new taps of these deltas in one request; return the count."""
        response = self.send_taps(*(new_tap(delta, **more) for delta in deltas))
        assert response.status == 200, response.body
        return response.body["count"]

    def recount(self, count: int) -> Response:
        """Set the count."""
        return self.client.post(f"{self.link}/recount", {"count": count})

    def no_show(self, number: str) -> Response:
        """Report that an admitted customer did not come."""
        return self.client.post(f"{self.link}/no-show", {"number": number})


class Place:
    """A place that was opened, with all its links."""

    def __init__(self, client: Client, opened: dict[str, Any]):
        self.client, self.slug, self.links = client, opened["slug"], opened["links"]
        # By queue: filled when a queue is opened, or from the picture when somebody takes a number.
        self.take_links: dict[str, str] = {
            queue["slug"]: queue["links"]["take"]
            for queue in opened.get("queues", [])
            if "take" in queue.get("links", {})
        }

    # ----- customers and the public

    @property
    def take_url(self) -> str:
        """The URL at which a customer takes a number of the first queue."""
        return next(iter(self.take_links.values()))

    def picture(self) -> dict[str, Any]:
        """Return the public state of the place."""
        return self.client.get(self.links["customers"]).body

    def queue(self, slug: str = "deli") -> dict[str, Any]:
        """Return one queue of the picture."""
        return next(each for each in self.picture()["queues"] if each["slug"] == slug)

    def waiting(self) -> list[str]:
        """Return the numbers that wait in the first queue."""
        return self.picture()["queues"][0]["waiting"]

    def take(self, queue: str = "deli", **content: Any) -> Response:
        """Take a number."""
        if queue not in self.take_links:
            self.take_links[queue] = self.queue(queue)["links"]["take"]
        return self.client.post(self.take_links[queue], content)

    def customer(self, queue: str = "deli", **content: Any) -> Customer:
        """Return somebody who just took a number."""
        response = self.take(queue, **content)
        assert response.status == 201, response.body
        return Customer(self.client, response.body)

    def watch(self, address: str = "127.0.0.1", encoding: str = "identity") -> Stream:
        """Open the live stream of a real server, as a page at that address does."""
        return Stream(self.links["live"], address, encoding)

    # ----- staff

    def desk(self, name: str = "Ana", desk: str | None = "Window 2", **more: Any) -> Desk:
        """Return a servicer who just started serving."""
        return Desk(self.client, self._start(name, desk=desk, **more))

    def caller(self, name: str = "Cleo", **more: Any) -> Caller:
        """Return a caller who just started."""
        return Caller(self.client, self._start(name, **more))

    def _start(self, name: str, **more: Any) -> dict[str, Any]:
        response = self.client.post(self.links["staff"], {"name": name, **more})
        assert response.status == 201, response.body
        return response.body

    def door(self, name: str = "Shop", counter: str = "shop") -> Door:
        """Return the door of this name."""
        doors = self.counter(counter)["doors"]
        return Door(self.client, next(each for each in doors if each["name"] == name))

    # ----- the owner

    def owner_get(self) -> dict[str, Any]:
        """Return what the owner's page shows."""
        return self.client.get(self.links["manage"]).body

    def owner_post(self, path: str = "", **content: Any) -> Response:
        """Send a change as the owner."""
        return self.client.post(self.links["manage"] + path, content)

    def counter(self, slug: str = "shop") -> dict[str, Any]:
        """Return a counter as the owner sees it."""
        return next(each for each in self.owner_get()["counters"] if each["slug"] == slug)

    def add_queue(self, name: str, **more: Any) -> dict[str, Any]:
        """Add a queue."""
        response = self.owner_post("/queues", name=name, **more)
        assert response.status == 201, response.body
        return response.body

    def tickets(self) -> list[dict[str, str]]:
        """Return all tickets, as the owner downloads them."""
        text = self.client.get(f"{self.links['manage']}/tickets.csv").body
        return list(csv.DictReader(text.splitlines()))

    def export(self) -> dict[str, list[dict[str, Any]]]:
        """Return the whole place, as the owner downloads it."""
        return self.client.get(f"{self.links['manage']}/export.json").body

    def events(self) -> list[dict[str, Any]]:
        """Return the history, each event with the number of its ticket."""
        export = self.export()
        numbers = {ticket["id"]: ticket["number"] for ticket in export.get("ticket", [])}
        return [event | {"number": numbers.get(event["ticket_id"])} for event in export["event"]]

    def event_kinds(self) -> list[str]:
        """Return the kinds of all events of the history."""
        return [event["kind"] for event in self.export()["event"]]

    # ----- contacts and call lists

    def add_contacts(self, *contacts: dict[str, Any]) -> dict[str, Any]:
        """Add contacts, or change those that are there; return how many of each."""
        response = self.owner_post("/contacts", contacts=list(contacts))
        assert response.status == 200, response.body
        return response.body

    def contacts(self, **filters: Any) -> dict[str, Any]:
        """Return the owner's list of contacts."""
        response = self.client.get(f"{self.links['manage']}/contacts?{urlencode(filters)}")
        assert response.status == 200, response.body
        return response.body

    def contact_names(self, **filters: Any) -> list[str]:
        """Return the names on the first page of that list."""
        return [contact["name"] for contact in self.contacts(**filters)["contacts"]]

    def put_on_list(self, *names: str, call_list: str = "follow-ups", **more: Any) -> dict[str, Any]:
        """Put contacts of these names on a call list, one after the other; add those that are new."""
        known = {each["name"]: each["id"] for each in self.contacts(sort="name")["contacts"]}
        new = [name for name in names if name not in known]
        many = len(known)
        self.add_contacts(
            *({"name": name, "phone": f"030 {1000001 + many + n}"} for n, name in enumerate(new))
        )
        known = {each["name"]: each["id"] for each in self.contacts()["contacts"]}
        for name in names:
            content = {"action": "add_to_list", "list": call_list, "ids": [known[name]], **more}
            response = self.owner_post("/contacts/actions", **content)
            assert response.status == 200, response.body
        return response.body

    def call_list(self, slug: str = "follow-ups", **days: str) -> dict[str, Any]:
        """Return the owner's page of a call list."""
        response = self.client.get(f"{self.links['manage']}/queues/{slug}?{urlencode(days)}")
        assert response.status == 200, response.body
        return response.body


def open_deli(client: Client, **content: Any) -> Place:
    """Open "Corner Deli", with one queue named "Deli", as soon as the server can store it.

    A server that keeps backups begins to answer while it may still be acquiring the lease.
    """
    wanted = {"name": "Corner Deli", "queue": "Deli", "timezone": "UTC", **content}

    def opened() -> Response | None:
        response = client.post("/places", wanted)
        return None if response.status == 503 else response

    response: Response = wait_for(opened)
    assert response.status == 201, response.body
    return Place(client, response.body)
