"""The desk: which ticket "Next customer" calls, and what every other button does."""

import pytest
from helpers.html_browser import Browser
from helpers.places import open_deli


def customers(place, count, queue="deli"):
    return [place.customer(queue) for _ in range(count)]


def nothing_changed(place, action):
    """Press a button and check that neither the picture nor the history changes; return the response."""
    before = place.picture(), place.export()
    answer = action()
    assert (place.picture(), place.export()) == before
    return answer


# ----- next


@pytest.mark.both_databases
def test_next_calls_the_first_in_line(place, ana):
    customers(place, 2)
    status, body, _ = ana.post("next", finished=None)
    assert status == 200
    assert (body["current"]["number"], body["current"]["state"]) == ("A1", "called")
    assert [ticket["number"] for ticket in body["line"]] == ["A2"]


def test_next_ends_the_previous_ticket_as_done(place, ana):
    first, second = customers(place, 2)
    ana.call_next()
    assert ana.post("next", finished="A1").body["current"]["number"] == "A2"
    assert (first.get()["state"], second.get()["state"]) == ("done", "called")
    assert [(each["number"], each["state"]) for each in ana.get()["recent"]] == [("A1", "done")]


def test_next_with_nobody_waiting_ends_and_calls_nobody(place, ana):
    (customer,) = customers(place, 1)
    ana.call_next()
    status, body, _ = ana.post("next", finished="A1")
    assert (status, body["current"], customer.get()["state"]) == (200, None, "done")
    assert ana.post("next", finished=None).status == 200


def test_a_second_press_of_next_changes_nothing(place, ana):
    customers(place, 3)
    ana.post("next", finished=None)
    answer = nothing_changed(place, lambda: ana.post("next", finished=None))
    assert answer.status == 409
    assert answer.body["current"]["number"] == "A1"
    assert answer.body["error"]


def test_next_must_say_what_is_finished(place, ana):
    customers(place, 1)
    assert nothing_changed(place, lambda: ana.post("next")).status == 400


def test_two_desks_get_two_customers(place, ana, ben):
    customers(place, 3)
    assert [ana.call_next()["number"], ben.call_next()["number"]] == ["A1", "A2"]
    assert [(each["number"], each["desk"]) for each in place.queue()["called"]] == [
        ("A2", "Window 3"),
        ("A1", "Window 2"),
    ]


def test_a_customer_of_another_desk_cannot_be_finished(place, ana, ben):
    customers(place, 2)
    ana.call_next()
    answer = nothing_changed(place, lambda: ben.post("next", finished="A1"))
    assert (answer.status, answer.body["current"]) == (409, None)


def test_next_from_one_of_several_queues(bakery):
    desk = bakery.desk()
    customers(bakery, 2, "deli")
    customers(bakery, 1, "bakery")
    assert desk.call_next(queue="bakery")["number"] == "B1"
    assert desk.call_next()["number"] == "A1"


def test_next_from_any_queue_calls_the_first_in_line(bakery, clock):
    desk = bakery.desk()
    for queue in ("bakery", "deli", "deli", "bakery"):
        bakery.customer(queue)
        clock.advance(seconds=1)
    assert [desk.call_next()["number"] for _ in range(4)] == ["B1", "A1", "A2", "B2"]


def test_tickets_taken_at_the_same_instant_are_called_in_order(place, ana):
    customers(place, 12)  # the clock stands still
    assert [ana.call_next()["number"] for _ in range(12)] == [f"A{n}" for n in range(1, 13)]


def test_a_desk_calls_only_from_its_queues(bakery):
    desk = bakery.desk(queues=["bakery"])
    customers(bakery, 1, "deli")
    assert desk.get()["queues"] == ["bakery"]
    assert desk.call_next() is None
    assert nothing_changed(bakery, lambda: desk.post("next", finished=None, queue="deli")).status == 400


@pytest.mark.parametrize("queue", ["nonsense", "bakery/../deli", "x" * 60])
def test_next_from_a_missing_queue(place, ana, queue):
    customers(place, 1)
    assert nothing_changed(place, lambda: ana.post("next", finished=None, queue=queue)).status == 400


# ----- calling a number


def test_a_certain_number_is_called_before_the_others(place, ana):
    customers(place, 3)
    assert ana.call_next(number="A2")["number"] == "A2"
    assert place.queue()["waiting"] == ["A1", "A3"]


def test_a_number_that_does_not_wait_leaves_everything_as_it_was(place, ana, ben):
    customers(place, 3)
    ana.call_next()
    ben.call_next()
    for number in ("A1", "A9"):
        answer = nothing_changed(place, lambda number=number: ben.post("next", finished="A2", number=number))
        assert answer.status == 409
        assert answer.body["current"]["number"] == "A2"


# ----- start, done, no-show, call again, put back


@pytest.mark.parametrize(
    ("button", "state", "at_desk"),
    [
        ("start", "serving", "A1"),
        ("done", "done", None),
        ("no-show", "no_show", None),
        ("call-again", "called", "A1"),
        ("put-back", "waiting", None),
    ],
)
@pytest.mark.parametrize("started", [False, True])
def test_each_button_changes_the_state_of_the_ticket(place, ana, button, state, at_desk, started):
    (customer,) = customers(place, 1)
    ana.call_next()
    if started:
        ana.post("start", number="A1")
        state = "serving" if at_desk else state
    assert ana.post(button, number="A1").status == 200
    assert (customer.get()["state"], ana.current_number()) == (state, at_desk)


@pytest.mark.parametrize("button", ["done", "no-show", "put-back"])
def test_a_second_press_of_a_button_that_ends_it(place, ana, button):
    customers(place, 3)
    ana.call_next()
    ana.post(button, number="A1")
    answer = nothing_changed(place, lambda: ana.post(button, number="A1"))
    assert (answer.status, answer.body["current"]) == (409, None)


def test_a_second_press_of_start_is_fine(place, ana, clock):
    customers(place, 1)
    ana.call_next()
    started = ana.post("start", number="A1").body["current"]["started_at"]
    clock.advance(seconds=3)
    again = nothing_changed(place, lambda: ana.post("start", number="A1"))
    assert (again.status, again.body["current"]["started_at"]) == (200, started)


@pytest.mark.parametrize("button", ["start", "done", "no-show", "call-again", "put-back"])
@pytest.mark.parametrize("number", ["A2", "A3", "A9"])
def test_a_late_press_changes_nothing_and_shows_the_current_state(place, ana, ben, button, number):
    customers(place, 3)
    ana.call_next()
    ben.call_next()
    answer = nothing_changed(place, lambda: ana.post(button, number=number))
    assert answer.status == 409
    assert answer.body["current"]["number"] == "A1"
    assert number in answer.body["error"]


@pytest.mark.parametrize(
    "button", ["start", "done", "no-show", "call-again", "put-back", "bring-back", "move"]
)
def test_a_button_needs_a_number(place, ana, button):
    customers(place, 1)
    ana.call_next()
    for content in ({}, {"number": None}, {"number": ""}):
        answer = nothing_changed(place, lambda content=content: ana.post(button, **content, queue="deli"))
        assert answer.status == 400
    assert ana.current_number() == "A1"


def test_the_times_of_a_ticket_are_kept(place, ana, clock):
    customers(place, 1)
    clock.advance(minutes=1)
    ana.call_next()
    clock.advance(minutes=1)
    ana.post("start", number="A1")
    clock.advance(minutes=1)
    ana.post("done", number="A1")
    ticket = ana.get()["recent"][0]
    assert [ticket[name][14:19] for name in ("taken_at", "called_at", "started_at", "ended_at")] == [
        "00:00",
        "01:00",
        "02:00",
        "03:00",
    ]


# ----- put back


@pytest.mark.parametrize(
    ("others", "line"),
    [(0, ["A1"]), (1, ["A2", "A1"]), (2, ["A2", "A3", "A1"]), (4, ["A2", "A3", "A1", "A4", "A5"])],
)
def test_a_customer_put_back_waits_behind_the_next_two(place, ana, others, line):
    customers(place, 1 + others)
    ana.call_next()
    ana.post("put-back", number="A1")
    assert place.queue()["waiting"] == line
    assert [ana.call_next()["number"] for _ in line] == line


@pytest.mark.parametrize(("first", "second"), [("A1", "A2"), ("A2", "A1")])
def test_two_who_are_put_back_one_after_the_other(place, ana, ben, first, second):
    customers(place, 5)
    ana.call_next()
    ben.call_next()
    desks = {"A1": ana, "A2": ben}
    desks[first].post("put-back", number=first)
    desks[second].post("put-back", number=second)
    assert place.queue()["waiting"] == ["A3", "A4", second, first, "A5"]


def test_many_customers_put_back_at_the_same_position(place, clock):
    for _ in range(25):
        place.customer()
        clock.advance(seconds=2)
    desks = [place.desk(f"Servicer {n}", None) for n in range(20)]
    for desk in desks:
        desk.call_next()
    for n, desk in enumerate(desks, 1):
        desk.post("put-back", number=f"A{n}")
    back = [f"A{n}" for n in range(20, 0, -1)]
    assert place.queue()["waiting"] == ["A21", "A22", *back, "A23", "A24", "A25"]


@pytest.mark.both_databases
def test_later_customers_stay_behind_those_put_back(place, ana):
    customers(place, 2)
    ana.call_next()
    ana.post("put-back", number="A1")
    customers(place, 1)
    assert place.queue()["waiting"] == ["A2", "A1", "A3"]


# ----- move


def test_moving_keeps_the_number_and_goes_to_the_end(bakery):
    desk = bakery.desk()
    (customer,) = customers(bakery, 1, "deli")
    customers(bakery, 2, "bakery")
    desk.call_next(queue="deli")
    status, body, _ = desk.post("move", number="A1", queue="bakery")
    assert (status, body["current"]) == (200, None)
    assert bakery.queue("bakery")["waiting"] == ["B1", "B2", "A1"]
    sees = customer.get()
    assert (sees["number"], sees["queue"], sees["state"], sees["ahead"]) == ("A1", "bakery", "waiting", 2)


def test_a_waiting_customer_of_the_desks_queue_can_be_moved(bakery):
    desk = bakery.desk(queues=["deli"])
    customers(bakery, 2, "deli")
    assert desk.post("move", number="A1", queue="bakery").status == 200
    assert (bakery.queue("deli")["waiting"], bakery.queue("bakery")["waiting"]) == (["A2"], ["A1"])


def test_a_second_press_of_move_changes_nothing(bakery):
    for desk in (bakery.desk(), bakery.desk("Ben", queues=["deli"])):
        number = customers(bakery, 1, "deli")[0].number
        desk.post("move", number=number, queue="bakery")
        press = {"number": number, "queue": "bakery"}
        answer = nothing_changed(bakery, lambda desk=desk, press=press: desk.post("move", **press))
        assert answer.status in (400, 409)


def test_a_customer_at_another_desk_cannot_be_moved(bakery):
    ana, ben = bakery.desk(), bakery.desk("Ben")
    customers(bakery, 1, "deli")
    ana.call_next()
    answer = nothing_changed(bakery, lambda: ben.post("move", number="A1", queue="bakery"))
    assert (answer.status, answer.body["current"]) == (409, None)


def test_a_customer_is_not_moved_to_a_missing_queue(place, ana):
    customers(place, 1)
    ana.call_next()
    assert nothing_changed(place, lambda: ana.post("move", number="A1", queue="bakery")).status in (400, 404)
    for content in ({}, {"queue": None}, {"queue": ""}):
        press = {"number": "A1"} | content
        assert nothing_changed(place, lambda press=press: ana.post("move", **press)).status == 400


def test_the_history_of_a_moved_ticket_names_both_queues(bakery):
    desk = bakery.desk()
    customers(bakery, 1, "deli")
    desk.post("move", number="A1", queue="bakery")
    export = bakery.export()
    queues = {queue["id"]: queue["slug"] for queue in export["queue"]}
    assert [(each["kind"], queues[each["queue_id"]]) for each in export["event"] if each["ticket_id"]] == [
        ("take", "deli"),
        ("move", "bakery"),
    ]


# ----- bring back


@pytest.mark.parametrize("button", ["done", "no-show"])
def test_a_customer_brought_back_waits_first(place, ana, button):
    customer, *_ = customers(place, 3)
    ana.call_next()
    ana.post(button, number="A1")
    assert ana.post("bring-back", number="A1").status == 200
    assert place.queue()["waiting"] == ["A1", "A2", "A3"]
    assert (customer.get()["state"], customer.get()["ahead"], customer.get()["ended_at"]) == (
        "waiting",
        0,
        None,
    )
    assert ana.call_next()["number"] == "A1"


@pytest.mark.both_databases
def test_a_customer_who_left_after_the_call_can_be_brought_back(place, ana):
    (customer,) = customers(place, 1)
    ana.call_next()
    customer.cancel()
    assert ana.post("bring-back", number="A1").status == 200
    assert customer.get()["state"] == "waiting"


def test_the_last_who_was_brought_back_is_first(place, ana):
    customers(place, 4)
    for _ in range(3):
        ana.call_next()
    for number in ("A1", "A2"):
        assert ana.post("bring-back", number=number).status == 200
    assert place.queue()["waiting"] == ["A2", "A1", "A4"]


def test_a_second_press_of_bring_back_changes_nothing(place, ana):
    customers(place, 1)
    ana.call_next()
    ana.post("done", number="A1")
    ana.post("bring-back", number="A1")
    assert nothing_changed(place, lambda: ana.post("bring-back", number="A1")).status == 409


def test_only_the_last_ten_can_be_brought_back(place, ana):
    customers(place, 11)
    for _ in range(12):
        ana.call_next()
    assert [each["number"] for each in ana.get()["recent"]] == [f"A{n}" for n in range(11, 1, -1)]
    assert nothing_changed(place, lambda: ana.post("bring-back", number="A1")).status == 409
    assert ana.post("bring-back", number="A2").status == 200


@pytest.mark.parametrize(("minutes", "status"), [(60, 200), (61, 409)])
def test_only_those_of_the_last_hour_can_be_brought_back(place, ana, clock, minutes, status):
    customers(place, 1)
    ana.call_next()
    ana.post("done", number="A1")
    clock.advance(minutes=minutes)
    assert ana.post("bring-back", number="A1").status == status


def test_only_the_desk_where_it_ended_brings_it_back(place, ana, ben):
    customers(place, 1)
    ana.call_next()
    ana.post("done", number="A1")
    assert nothing_changed(place, lambda: ben.post("bring-back", number="A1")).status == 409


def test_nobody_is_brought_back_to_a_queue_that_was_deleted(bakery):
    desk = bakery.desk()
    customers(bakery, 1, "bakery")
    desk.call_next()
    desk.post("done", number="B1")
    assert bakery.owner_post("/queues/bakery/delete").status == 200
    assert nothing_changed(bakery, lambda: desk.post("bring-back", number="B1")).status == 409


def test_a_desk_says_that_its_only_queue_was_deleted(bakery, app):
    desk = bakery.desk(queues=["bakery"])
    assert "You don't serve any queue." not in Browser(app).open(desk.link).html
    assert bakery.owner_post("/queues/bakery/delete").status == 200
    page = Browser(app).open(desk.link)
    assert "You don't serve any queue. The owner can choose queues for you, under Team." in page.html
    assert not page.has("Add a customer")
    assert bakery.owner_post(f"/servicers/{desk.id}", queues=["deli"]).status == 200
    page.open(desk.link)
    assert "You don't serve any queue." not in page.html
    assert page.has("Add a customer")


def test_a_desk_says_that_the_place_has_no_queue_yet(client, app):
    shop = open_deli(client, queue=None, counter={"name": "Shop", "capacity": 5})
    page = Browser(app).open(shop.desk().link)
    assert "There is no queue yet. The owner can add one, under Queues." in page.html
    assert "You don't serve any queue." not in page.html
    shop.add_queue("Deli")
    assert "There is no queue yet." not in page.open(page.url).html


# ----- pause


def test_a_paused_desk_calls_nobody_and_keeps_its_customer(place, ana):
    customers(place, 2)
    ana.call_next()
    assert ana.post("pause").body["on_duty"] is False
    answer = nothing_changed(place, lambda: ana.post("next", finished="A1"))
    assert (answer.status, answer.body["current"]["number"]) == (409, "A1")
    assert ana.post("done", number="A1").status == 200
    assert ana.post("resume").body["on_duty"] is True
    assert ana.call_next()["number"] == "A2"


@pytest.mark.parametrize("button", ["pause", "resume"])
def test_a_second_press_of_pause_or_resume_is_fine(place, ana, button):
    ana.post(button)
    assert nothing_changed(place, lambda: ana.post(button)).status == 200


def test_a_paused_desk_does_not_shorten_the_wait(place, ana):
    customers(place, 1)
    ana.post("pause")
    assert place.queue()["estimated_wait"] is None


# ----- call again


def test_calling_again_is_one_more_call(place, ana):
    customers(place, 1)
    ana.call_next()
    ana.post("call-again", number="A1")
    calls = place.picture()["calls"]
    assert [(call["number"], call["desk"]) for call in calls] == [("A1", "Window 2")] * 2
    assert calls[0]["id"] < calls[1]["id"]


# ----- add a customer


def test_a_customer_without_a_phone_gets_a_number(place, ana):
    status, body, _ = ana.post("add", queue="deli", name="Mr. Lee", party=2)
    assert status == 201
    assert (body["number"], body["state"], body["queue"]) == ("A1", "waiting", "deli")
    assert [(each["number"], each["name"], each["party"]) for each in ana.get()["line"]] == [
        ("A1", "Mr. Lee", 2)
    ]


@pytest.mark.both_databases
def test_adding_the_same_request_twice_makes_one(place, ana):
    numbers = [ana.post("add", queue="deli", request_id="abc").body["number"] for _ in range(2)]
    assert numbers == ["A1", "A1"]
    assert place.queue()["waiting"] == ["A1"]


@pytest.mark.parametrize(
    ("content", "status"),
    [({}, 400), ({"queue": None}, 400), ({"queue": ""}, 400), ({"queue": "nonsense"}, 404)],
)
def test_adding_needs_a_queue(place, ana, content, status):
    assert nothing_changed(place, lambda: ana.post("add", **content)).status == status


def test_nobody_is_added_to_a_closed_queue(place, ana):
    place.owner_post("/queues/deli/close")
    answer = nothing_changed(place, lambda: ana.post("add", queue="deli"))
    assert (answer.status, answer.body["current"]) == (409, None)


# ----- the desk


def test_a_desk_shows_who_and_where(place):
    sees = place.desk("Ana", "Window 2").get()
    assert (sees["name"], sees["desk"], sees["on_duty"]) == ("Ana", "Window 2", True)
    assert (sees["queues"], sees["current"], sees["recent"], sees["line"]) == (["deli"], None, [], [])


def test_a_desk_may_have_no_name(place):
    desk = place.desk("Ana", None)
    customer = place.customer()
    desk.call_next()
    assert (customer.get()["state"], customer.get()["desk"]) == ("called", None)


@pytest.mark.parametrize("queues", [["nonsense"], ["deli", "nonsense"]])
def test_a_servicer_cannot_serve_a_missing_queue(place, queues):
    before = place.owner_get()["servicers"]
    assert place.client.post(place.links["staff"], {"name": "Ana", "queues": queues}).status in (400, 404)
    assert place.owner_get()["servicers"] == before


def test_without_named_queues_a_servicer_serves_all_queues_new_ones_too(place, ana):
    place.owner_post("/queues", name="Bakery")
    assert ana.get()["queues"] == ["deli", "bakery"]
