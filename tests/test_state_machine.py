"""Random days of customers, two desks and an owner, compared with a model of the queue."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from helpers.client import AppClient
from helpers.clock import Clock
from helpers.places import Customer, open_deli
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import takeanumber

OPEN = ("waiting", "called", "serving")
# The state of a ticket after each kind of event; None leaves the state as it is.
STATE_AFTER = {
    "take": "waiting",
    "call": "called",
    "call-again": None,
    "start": "serving",
    "done": "done",
    "no-show": "no_show",
    "cancel": "cancelled",
    "expire": "expired",
    "put-back": "waiting",
    "move": "waiting",
    "plan": None,
    "bring-back": "waiting",
}
BUTTONS = ["start", "done", "no-show", "call-again", "put-back"]
LIMIT = 6  # of the bakery


@dataclass(eq=False)
class ModelTicket:
    """What the model knows of a customer."""

    customer: Customer
    queue: str
    series: str
    number: str
    state: str = "waiting"
    desk: int | None = None
    ended_at: float = 0
    in_turn: bool = True  # it was never put back, brought back or moved
    step: int | None = None  # of its plan
    to_come: list[str] = field(default_factory=list)  # the queues that follow


desks = st.sampled_from([0, 1])
queues = st.sampled_from(["deli", "bakery"])
somebody = st.integers(0, 30)  # one of all tickets, the newest first, or an unknown one
mostly = st.sampled_from([True] * 5 + [False])
CUSTOMERS = ["come", "come", "ask again", "leave"]
SERVICERS = (
    ["next"] * 4 + ["start"] + BUTTONS + ["move", "move", "plan", "plan", "bring-back", "bring-back", "pause"]
)
OWNERS = ["close", "cancel", "reset", "reset"]
MAX_RUNS = 10
SELDOM = [None] * 5 + [0, 1, 2, 3]
# The steps that a desk sends, by such a choice: absent, none, or queues that follow.
STEPS = {None: None, 0: [], 1: ["bakery"], 2: ["deli", "bakery"], 3: ["bakery", "deli", "bakery"]}


class Day(RuleBasedStateMachine):
    """A random day: each request to the service is compared with the model."""

    clock: Clock
    happened: Counter[str]  # in all days together

    def __init__(self) -> None:
        super().__init__()
        self.clock.set("2026-11-21 10:00")
        self.data = tempfile.TemporaryDirectory()
        self.app = takeanumber.create_app(data=self.data.name, takes_per_minute=10**9)
        self.place = open_deli(AppClient(self.app))
        self.place.owner_post("/queues", name="Bakery", max_waiting=LIMIT)
        self.take_links = {each["slug"]: each["links"]["take"] for each in self.place.picture()["queues"]}
        self.desks = [self.place.desk("Ana", "Window 1"), self.place.desk("Ben", "Window 2")]
        self.on_duty = [True, True]
        self.tickets: list[ModelTicket] = []
        self.lines: dict[str, list[ModelTicket]] = {"deli": [], "bakery": []}
        self.open = {"deli": True, "bakery": True}
        self.requests: dict[tuple[str, str], ModelTicket] = {}
        self.day, self.part, self.given = self._today(), 1, Counter()

    def teardown(self) -> None:
        try:
            self._the_pages_agree()
            self._the_history_replays()
        finally:
            service = self.app.extensions["takeanumber"]
            service.live.close()
            service.database.close()
            self.data.cleanup()

    # ----- the model

    def _today(self) -> str:
        return (datetime.fromtimestamp(self.clock.at, UTC) - timedelta(hours=4)).date().isoformat()

    def _turn_of_day(self) -> None:
        if self.day != self._today():
            for ticket in self.lines["deli"] + self.lines["bakery"]:
                ticket.state = "expired"
            self.lines = {"deli": [], "bakery": []}
            self.day, self.part, self.given = self._today(), 1, Counter()

    @property
    def series(self) -> str:
        return self.day if self.part == 1 else f"{self.day}.{self.part}"

    def at(self, desk: int) -> ModelTicket | None:
        """Return the ticket at a desk."""
        here = [each for each in self.tickets if each.desk == desk and each.state in ("called", "serving")]
        assert len(here) <= 1
        return here[0] if here else None

    def waits(self, number: str) -> ModelTicket | None:
        """Return the waiting ticket with a number."""
        return next((each for line in self.lines.values() for each in line if each.number == number), None)

    def recent(self, desk: int) -> list[ModelTicket]:
        """Return the last ten tickets that ended at a desk, newest first."""
        ended = [each for each in self.tickets if each.desk == desk and each.state not in OPEN]
        return sorted(ended, key=lambda each: (each.ended_at, self.tickets.index(each)), reverse=True)[:10]

    def ends(self, ticket: ModelTicket, state: str) -> None:
        if ticket.state == "waiting":
            self.lines[ticket.queue].remove(ticket)
        ticket.state, ticket.ended_at = state, self.clock.at

    def finishes(self, ticket: ModelTicket) -> None:
        """Let a customer go on to the next step, or end their ticket."""
        if ticket.to_come and ticket.series >= self.day:
            self.goes_to(ticket, ticket.to_come[0], ticket.to_come[1:])
        else:
            self.ends(ticket, "done")

    def goes_to(self, ticket: ModelTicket, queue: str, to_come: list[str]) -> None:
        at_desk = ticket.state != "waiting"
        if not at_desk:
            self.lines[ticket.queue].remove(ticket)
        if ticket.step or to_come:
            ticket.step = (ticket.step or 1) + at_desk
            if ticket.step == 1 and not to_come:
                ticket.step = None
        ticket.queue, ticket.to_come = queue, to_come
        self.waits_again(ticket, len(self.lines[queue]))

    def waits_again(self, ticket: ModelTicket, place: int) -> None:
        ticket.state, ticket.desk, ticket.in_turn = "waiting", None, False
        self.lines[ticket.queue].insert(place, ticket)

    def number(self, which: int, of: ModelTicket | None = None, right: bool = False) -> str:
        """Return a number to send: the right one, or another."""
        if right and of:
            return of.number
        which %= len(self.tickets) + 1
        return self.tickets[-1 - which].number if which < len(self.tickets) else "A999"

    def refused(self, answer, *statuses: int) -> None:
        """Check that a refusal changed nothing and shows the ticket at the desk."""
        assert answer.status in (statuses or (409,)), answer.body
        assert self.place.picture()["version"] == self.version

    # ----- few rules with many choices, since hypothesis leaves out rules at random

    @rule(action=st.sampled_from(CUSTOMERS), queue=queues, which=somebody, count=st.integers(1, 4))
    def a_customer(self, action, queue, which, count):
        if action == "come":
            self.come(queue, count)
        elif action == "ask again":
            self.takes_a_number(queue, f"request {count}")
        elif self.tickets:
            self.leaves(which)

    @rule(
        action=st.sampled_from(SERVICERS),
        desk=desks,
        right=mostly,
        which=somebody,
        queue=queues,
        choice=st.sampled_from(SELDOM),
    )
    def a_servicer(self, action, desk, right, which, queue, choice):
        if action == "next":
            self.presses_next(desk, right, which, queue if choice == 0 else None, choice)
        elif action == "move":
            self.moves(desk, right, which, queue, STEPS[choice])
        elif action == "plan":
            self.plans(desk, right, which, STEPS[choice] or ["deli"])
        elif action == "bring-back":
            self.brings_back(desk, which, right)
        elif action == "pause":
            self.pauses_or_resumes(desk, right)
        else:
            self.presses_a_button(desk, action, right, which)

    @rule(
        action=st.sampled_from(OWNERS),
        queue=queues,
        which=st.lists(somebody, min_size=1, max_size=3),
        right=mostly,
    )
    def the_owner(self, action, queue, which, right):
        if action == "cancel":
            self.cancels_many(queue, which)
        elif action == "reset":
            self.resets(queue)
        else:
            self.closes_or_opens(queue, right)

    @rule(minutes=st.sampled_from([1, 1, 20, 20, 61, 24 * 60]))
    def time_passes(self, minutes):
        self.clock.advance(minutes=minutes)
        self._turn_of_day()

    @initialize(seed=st.integers(0, 2**32))
    def a_busy_hour(self, seed):
        """Each day begins with this hour, since hypothesis alone rarely reaches "bring back"."""
        chance = random.Random(seed)
        for _ in range(60):
            self.the_picture_is_the_model()
            desk, queue, which = (
                chance.randint(0, 1),
                chance.choice(("deli", "bakery")),
                chance.randint(0, 30),
            )
            right, choice, count = chance.random() < 0.9, chance.choice(SELDOM), chance.randint(1, 3)
            who = chance.choices(("customer", "servicer", "owner", "clock"), (6, 16, 1, 2))[0]
            if who == "customer":
                self.a_customer(chance.choice(CUSTOMERS), queue, which, count)
            elif who == "servicer":
                self.a_servicer(chance.choice(SERVICERS), desk, right, which, queue, choice)
            elif who == "owner":
                self.the_owner(chance.choice(OWNERS), queue, [which], right)
            else:
                self.time_passes(chance.choice((1, 61, 61, 24 * 60)))

    # ----- what customers do

    def come(self, queue, count):
        for _ in range(count):
            self.version = self.place.picture()["version"]
            self.takes_a_number(queue, None)

    def takes_a_number(self, queue, request):
        answer = self.place.client.post(self.take_links[queue], {"request_id": request})
        earlier = self.requests.get((queue, request)) if request else None
        if earlier:
            assert (answer.status, answer.body["number"]) == (200, earlier.number)
            assert answer.body["series"] == earlier.series
        elif not self.open[queue] or (queue == "bakery" and len(self.lines[queue]) >= LIMIT):
            self.refused(answer)
        else:
            assert answer.status == 201
            self.given[queue] += 1
            number = f"{'A' if queue == 'deli' else 'B'}{self.given[queue]}"
            assert (answer.body["number"], answer.body["series"]) == (number, self.series)
            assert answer.body["ahead"] == len(self.lines[queue])
            ticket = ModelTicket(Customer(self.place.client, answer.body), queue, self.series, number)
            self.tickets.append(ticket)
            self.lines[queue].append(ticket)
            if request:
                self.requests[queue, request] = ticket

    def leaves(self, which):
        at_desks = [each for each in map(self.at, (0, 1)) if each]
        among = at_desks if at_desks and which % 3 == 0 else self.tickets
        ticket = among[-1 - which % len(among)]
        answer = ticket.customer.cancel()
        if ticket.state in (*OPEN, "cancelled"):
            assert (answer.status, answer.body["state"]) == (200, "cancelled")
            if ticket.state != "cancelled":
                self.ends(ticket, "cancelled")
        else:
            self.refused(answer)
            assert answer.body["state"] == ticket.state

    # ----- what servicers do

    def presses_next(self, desk, right, which, queue, wanted):
        here = self.at(desk)
        finished = (here and here.number) if right else self.number(which)
        number = None if wanted is None else self.number(wanted)
        answer = self.desks[desk].post("next", finished=finished, queue=queue, number=number)
        heads = [line[0] for name, line in self.lines.items() if line and queue in (None, name)]
        if number:
            found = self.waits(number)
            heads = [found] if found and queue in (None, found.queue) else []
        if finished != (here and here.number) or not self.on_duty[desk] or (number and not heads):
            self.refused(answer)
            assert (answer.body["current"] or {}).get("number") == (here and here.number)
            return
        assert answer.status == 200, answer.body
        if here:
            self.finishes(here)
        current = answer.body["current"]
        assert bool(current) == bool(heads)
        if current:
            called = next(each for each in heads if each.number == current["number"])
            if called.in_turn:  # among untouched tickets with the same priority, the one taken first
                assert called == min((each for each in heads if each.in_turn), key=self.tickets.index)
            self.lines[called.queue].remove(called)
            called.state, called.desk = "called", desk

    def presses_a_button(self, desk, button, right, which):
        here = self.at(desk)
        number = self.number(which, here, right)
        answer = self.desks[desk].post(button, number=number)
        if not here or here.number != number or (button == "put-back" and here.series < self.day):
            self.refused(answer)
            assert (answer.body["current"] or {}).get("number") == (here and here.number)
            return
        assert answer.status == 200, answer.body
        if button == "start":
            here.state = "serving"
        elif button == "put-back":
            self.waits_again(here, min(2, len(self.lines[here.queue])))
        elif button == "done":
            self.finishes(here)
        elif STATE_AFTER[button]:
            self.ends(here, STATE_AFTER[button])

    def moves(self, desk, right, which, queue, steps):
        here = self.at(desk)
        number = self.number(which, here, right)
        content = {} if steps is None else {"steps": steps}
        answer = self.desks[desk].post("move", number=number, queue=queue, **content)
        ticket = here if here and here.number == number else self.waits(number)
        if not ticket or ticket.series < self.day or ticket.queue == queue:
            self.refused(answer, 400, 409)
            return
        assert answer.status == 200, answer.body
        if steps is not None:
            to_come = steps[1:] if steps[:1] == [queue] else steps
        elif queue in ticket.to_come:
            to_come = ticket.to_come[ticket.to_come.index(queue) + 1 :]
        else:
            to_come = ticket.to_come
        self.goes_to(ticket, queue, to_come)

    def plans(self, desk, right, which, steps):
        here = self.at(desk)
        number = self.number(which, here, right)
        answer = self.desks[desk].post("plan", number=number, steps=steps)
        ticket = here if here and here.number == number else self.waits(number)
        if not ticket:
            self.refused(answer)
            return
        if steps[:1] == [ticket.queue]:
            self.refused(answer, 400)
            return
        assert answer.status == 200, answer.body
        ticket.to_come = steps
        if ticket.step is None and ticket.to_come:
            ticket.step = 1
        elif ticket.step == 1 and not ticket.to_come:
            ticket.step = None

    def brings_back(self, desk, which, right):
        recent = self.recent(desk)
        number = recent[which % len(recent)].number if right and recent else self.number(which)
        answer = self.desks[desk].post("bring-back", number=number)
        fits = [each for each in recent if each.number == number and self.clock.at - each.ended_at <= 3600]
        if not fits or fits[0].series < self.day:
            self.refused(answer)
        else:
            assert answer.status == 200, answer.body
            self.waits_again(fits[0], 0)

    def pauses_or_resumes(self, desk, on_duty):
        self.on_duty[desk] = on_duty
        answer = self.desks[desk].post("resume" if self.on_duty[desk] else "pause")
        assert answer.body["on_duty"] is self.on_duty[desk]

    # ----- what the owner does

    def closes_or_opens(self, queue, is_open):
        self.open[queue] = is_open
        answer = self.place.owner_post(f"/queues/{queue}/{'open' if self.open[queue] else 'close'}")
        assert answer.body["open"] is self.open[queue]

    def cancels_many(self, queue, which):
        numbers = {self.number(each) for each in which}
        assert self.place.owner_post(f"/queues/{queue}/cancel", numbers=sorted(numbers)).status == 200
        for ticket in self.tickets:
            if ticket.queue == queue and ticket.state in OPEN and ticket.number in numbers:
                self.ends(ticket, "cancelled")

    def resets(self, queue):
        letter = "A" if queue == "deli" else "B"
        if any(
            each.state in OPEN and each.number[0] == letter and each.queue != queue for each in self.tickets
        ):
            return  # a moved ticket: otherwise its number would exist twice
        answer = self.place.owner_post(f"/queues/{queue}/reset")
        if any(each.state in OPEN and each.queue == queue for each in self.tickets):
            self.refused(answer)
        else:
            assert answer.status == 200
            self.part += 1
            self.given[queue] = 0

    # ----- what must hold after each step

    @invariant()
    def the_picture_is_the_model(self):
        self.clock.advance(seconds=2)
        self._turn_of_day()
        picture = self.place.picture()
        self.version = picture["version"]
        assert picture["series"] == self.series
        for queue in picture["queues"]:
            assert queue["waiting"] == [each.number for each in self.lines[queue["slug"]]]
            assert queue["open"] == self.open[queue["slug"]]
            assert sorted(
                (each["number"], each["state"], each["desk"]) for each in queue["called"]
            ) == sorted(
                (each.number, each.state, f"Window {each.desk + 1}")
                for each in self.tickets
                if each.queue == queue["slug"] and each.state in ("called", "serving")
            )

    def _the_pages_agree(self) -> None:
        for ticket in self.tickets:
            sees = ticket.customer.get()
            assert (sees["number"], sees["state"], sees["queue"]) == (
                ticket.number,
                ticket.state,
                ticket.queue,
            )
            plan = sees["plan"] and (sees["plan"]["step"], sees["plan"]["of"])
            assert plan == (ticket.step and (ticket.step, ticket.step + len(ticket.to_come)))
            waiting = ticket.state == "waiting"
            assert sees["ahead"] == (self.lines[ticket.queue].index(ticket) if waiting else None)
        for desk in (0, 1):
            assert self.desks[desk].current_number() == (self.at(desk) and self.at(desk).number)
            recent = self.desks[desk].get()["recent"]
            assert [each["number"] for each in recent] == [each.number for each in self.recent(desk)]

    def _the_history_replays(self) -> None:
        export = self.place.export()
        tickets = export.get("ticket", [])
        assert max(Counter((each["series"], each["number"]) for each in tickets).values(), default=1) == 1
        states: dict[int, str] = {}
        at_desk: dict[int, int] = {}
        for event in export["event"]:
            self.happened[event["kind"]] += 1
            if event["ticket_id"] is None:
                continue
            states[event["ticket_id"]] = STATE_AFTER[event["kind"]] or states[event["ticket_id"]]
            assert event["state"] == states[event["ticket_id"]]
            if event["kind"] == "call":
                assert event["servicer_id"] not in at_desk.values()
                at_desk[event["ticket_id"]] = event["servicer_id"]
            elif states[event["ticket_id"]] not in ("called", "serving"):
                at_desk.pop(event["ticket_id"], None)
        assert states == {each["id"]: each["state"] for each in tickets}
        called = {
            each["id"]: each["servicer_id"] for each in tickets if each["state"] in ("called", "serving")
        }
        assert at_desk == called
        stored = [
            "expired" if each["state"] == "waiting" and each["series"] < self.day else each["state"]
            for each in tickets
        ]
        assert stored == [each.state for each in self.tickets]


def test_random_days_match_the_model(clock):
    """Days are added until each kind of event has happened: mostly it has in the first run."""
    # Without shrinking: it takes minutes, and the seed of the busy hour reproduces the failure.
    machine = type("Machine", (Day,), {"clock": clock, "happened": Counter()})
    checks = {"phases": [Phase.generate], "deadline": None, "suppress_health_check": list(HealthCheck)}
    for _ in range(MAX_RUNS):
        run_state_machine_as_test(machine, settings=settings(max_examples=6, stateful_step_count=8, **checks))
        never = {kind for kind in (*STATE_AFTER, "reset-numbers") if not machine.happened[kind]}
        if not never:
            break
    assert never == set(), machine.happened
