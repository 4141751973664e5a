"""The estimated wait, as customers and the owner see it."""

import gc
import subprocess
import sys

import pytest
from helpers.forks import ROOT

from app.core import wait as wait_module
from app.core.wait_range import RangeOutcome, learn_levels, range_of
from app.core.wait_services import PastTicket, learn
from app.storage.sql import run


def minutes(wait):
    return wait["from"] / 60, wait["to"] / 60


def expected(place, queue="deli"):
    """Return the range for a customer who would join now, in minutes."""
    return minutes(place.queue(queue)["estimated_wait"])


def serve(place, desk, clock, *seconds, queue="deli"):
    """Serve customers one after the other, with these durations in seconds; leave the desk free."""
    for each in seconds:
        place.customer(queue)
        number = desk.call_next()["number"]
        clock.advance(seconds=each)
        desk.post("done", number=number)
    clock.advance(seconds=60)  # until the cached estimate is computed again


def test_nobody_waits_long_for_a_free_desk(place, ana):
    assert expected(place) == (0, 1)
    place.customer()
    assert place.queue()["waits"] == [{"from": 0, "to": 60}]


def test_the_first_customer_of_the_first_day_sees_the_owners_guess(place, ana):
    place.customer()
    ana.call_next()
    low, high = expected(place)
    assert low <= 3 <= high
    assert high >= 6  # nothing is known yet
    place.owner_post("/queues/deli", usual_service_s=1200)
    low, high = expected(place)
    assert low <= 20 <= high


def test_a_range_is_whole_minutes_and_never_empty(place, ana, ben):
    for _ in range(12):
        place.customer()
    for wait in [place.queue()["estimated_wait"], *place.queue()["waits"]]:
        assert wait["from"] % 60 == wait["to"] % 60 == 0
        assert 0 <= wait["from"] < wait["to"]


def test_the_estimate_moves_towards_measured_times(place, ana, clock):
    serve(place, ana, clock, *[600] * 10)
    for _ in range(4):
        place.customer()
    ana.call_next()
    low, high = expected(place)
    assert low <= 40 <= high
    assert high - low <= 15


def test_the_estimate_counts_how_long_the_current_service_has_lasted(place, ana, clock):
    serve(place, ana, clock, *[600] * 30)
    place.customer()
    ana.call_next()
    before = expected(place)
    clock.advance(minutes=8)
    after = expected(place)
    assert before[0] <= 10 <= before[1]
    assert after[0] <= 2 <= after[1] < before[0]


def test_a_ticket_that_nobody_ended_counts_as_one_long_service_only(place, ana, clock):
    serve(place, ana, clock, *[120] * 10, 14 * 3600 - 4000)
    clock.set("2026-11-22 10:00")
    place.customer()
    ana.call_next()
    assert expected(place)[1] <= 15


def test_two_desks_are_quicker_than_one_and_a_pause_counts(place, ana):
    for _ in range(9):
        place.customer()
    ana.call_next()
    one = expected(place)
    ben = place.desk("Ben", "Window 3")
    ben.call_next()
    two = expected(place)
    assert two[1] < one[1]
    ben.post("pause")
    assert expected(place)[1] > two[1]
    ana.post("pause")
    assert place.queue()["estimated_wait"] is None
    assert place.queue()["waits"] == []


def test_a_desk_that_calls_nobody_while_people_wait_does_not_count(place, ana, ben, clock):
    """Its servicer left without pressing Pause."""
    for _ in range(8):
        place.customer()
    ana.call_next()
    assert place.queue()["waits"][0] == {"from": 0, "to": 60}
    clock.advance(minutes=6)
    assert minutes(place.queue()["waits"][0])[1] > 1
    ana.post("done", number="A1")
    clock.advance(minutes=6)
    assert minutes(place.queue()["waits"][0])[1] > 1


def test_an_abandoned_call_does_not_count_as_a_service(clinic, clock):
    ana, others = clinic.desk("Ana", queues=["deli"]), [clinic.caller(name) for name in ("Cleo", "Dan")]
    clinic.put_on_list("Ida", "Joe")
    assert all(other.next_call() for other in others)
    clock.advance(hours=3)
    for _ in range(5):
        clinic.customer()
    ana.call_next()
    left_lying = clinic.customer().get()["estimated_wait"]
    for other in others:
        other.post("pause")
    assert clinic.customer().get()["estimated_wait"]["to"] > left_lying["to"] > 60


def test_customers_who_left_are_not_counted(place, ana, clock):
    serve(place, ana, clock, *[180] * 20)
    patient = [place.customer() for _ in range(12)]
    ana.call_next()
    before = expected(place)
    clock.advance(minutes=10)
    for each in patient[1:]:
        each.cancel()
    ana.post("done", number=patient[0].number)
    clock.advance(minutes=5)
    for _ in range(12):
        place.customer()
    ana.call_next()
    after = expected(place)
    assert after[0] < before[0]
    assert after[1] < before[1]


def test_who_waits_in_another_line_of_the_same_desks_is_ahead_too(bakery, clock):
    desk = bakery.desk()
    for _ in range(10):
        bakery.customer("bakery")
    desk.call_next()
    clock.advance(seconds=1)
    assert expected(bakery, "deli") == expected(bakery, "bakery")
    late = bakery.customer("deli")
    assert late.ticket["ahead"] == 0
    assert late.ticket["estimated_wait"] == late.get()["estimated_wait"]
    assert minutes(late.get()["estimated_wait"])[0] >= 5
    assert bakery.queue("deli")["waits"] == [late.get()["estimated_wait"]]


def test_lines_with_desks_of_their_own_do_not_wait_for_each_other(bakery):
    bakery.desk(queues=["bakery"])
    bakery.desk("Ben", "Window 3", queues=["deli"])
    for _ in range(10):
        bakery.customer("bakery")
    assert expected(bakery, "deli") == (0, 1)


def test_what_was_learned_of_queues_is_not_kept_for_ever(place, ana, clock, monkeypatch):
    monkeypatch.setattr(wait_module, "MAX_LEARNED", 3)

    def learned():
        return [each for each in gc.get_objects() if isinstance(each, wait_module._Learned)]

    before = len(learned())
    for number in range(6):
        assert place.owner_post("/queues", name=f"Counter {number}").status == 201
        clock.advance(minutes=2)
        assert place.take(f"counter-{number}").status == 201
    gc.collect()
    assert len(learned()) - before <= 3


def test_the_ticket_its_page_and_the_picture_say_the_same(place, ana, ben, clock):
    serve(place, ana, clock, 100, 200, 150)
    customers = [place.customer() for _ in range(9)]
    ana.call_next(), ben.call_next()
    clock.advance(seconds=90)
    assert [each.get()["estimated_wait"] for each in customers[2:]] == place.queue()["waits"]
    now = place.queue()["estimated_wait"]
    assert place.customer().ticket["estimated_wait"] == now


def test_waits_are_in_order_and_do_not_jump_while_nothing_happens(place, ana, ben, clock):
    serve(place, ana, clock, *[100, 300, 180, 150, 250] * 4)
    for _ in range(20):
        place.customer()
    ana.call_next(), ben.call_next()
    before = place.queue()["waits"]
    for _ in range(3):
        assert before == sorted(before, key=lambda wait: (wait["to"], wait["from"]))
        clock.advance(minutes=1)
        after = place.queue()["waits"]
        assert all(new["to"] <= old["to"] for old, new in zip(before, after, strict=True))
        before = after


# ----- several queues at the same desks


def test_a_quick_customer_behind_long_ones_is_told_of_the_long_ones(bakery, clock):
    """Each of those ahead counts as long as a service takes in their own queue."""
    desk = bakery.desk()
    serve(bakery, desk, clock, *[60] * 25, queue="deli")
    serve(bakery, desk, clock, *[1200] * 25, queue="bakery")
    bakery.customer("bakery")
    desk.call_next()
    clock.advance(minutes=10)
    low, high = expected(bakery, "deli")
    assert low <= 10 <= high < 15, "what is left of the long service at the desk"
    bakery.customer("bakery")
    low, high = expected(bakery, "deli")
    assert 25 <= low <= 30 <= high
    for _ in range(5):
        bakery.customer("deli")
    low, high = expected(bakery, "bakery")
    assert 30 <= low <= 35 <= high < 45


# ----- contradictions


def test_the_first_services_that_contradict_the_guess_widen_the_range_at_once(place, ana, ben, clock):
    for _ in range(6):
        place.customer()
    ana.call_next(), ben.call_next()
    before = expected(place)
    clock.advance(minutes=12)  # four times the guess, and nobody is done
    after = expected(place)
    assert after[1] >= 2 * before[1]
    clock.advance(minutes=3)
    ana.post("done", number=ana.current_number())
    ben.post("done", number=ben.current_number())
    ana.call_next(), ben.call_next()
    low, high = expected(place)  # behind two who wait, and two who have just been called
    assert low < 22 < high


def test_a_first_service_of_many_times_the_guess_may_be_of_a_much_larger_mean(place, ana, clock):
    for _ in range(4):
        place.customer()
    ana.call_next()
    clock.advance(minutes=9)  # three times the guess, which may happen
    low, high = expected(place)
    assert low > 5
    assert high < 75
    clock.advance(minutes=9)
    low, high = expected(place)
    assert low <= 5, "the others may be served within three minutes, as the owner guessed"
    assert high > 3 * 45, "each of the three others may take fifteen times the guess"


def test_ranges_that_were_too_short_make_the_next_ones_wider():
    """Adaptive conformal inference: the tickets keep the range that was shown."""
    hit = RangeOutcome(600, 300, 900)
    late = RangeOutcome(1000, 300, 900)
    early = RangeOutcome(200, 300, 900)
    usual = learn_levels([hit] * 50)
    assert learn_levels([hit] * 40 + [late] * 10).high > usual.high + 0.2
    assert learn_levels([hit] * 40 + [early] * 10).low > usual.low + 0.2
    assert learn_levels([]).high > usual.high > 1, "hits make it narrower, but never by much"
    assert learn_levels([RangeOutcome(300, 0, 60)] * 50) == learn_levels([]), "a minute tells nothing"


def test_long_services_are_believed_if_they_are_usual():
    """A single one that takes hours was forgotten; a tenth that take fifteen times as long are not."""

    def mean_s(*durations):
        return learn([PastTicket(0, False, duration) for duration in durations], 60).mean_s

    forgotten = mean_s(*[60] * 25, 36_000, *[60] * 25)
    assert 60 < forgotten < 72
    usual = mean_s(*[60, 60, 60, 60, 900, 60, 60, 60, 60, 60] * 4)
    assert 135 < usual < 155


def test_a_change_is_followed_the_more_the_longer_it_has_lasted():
    """Services take twice as long, maybe for an hour only."""

    def learned(changed):
        latest = [*[200, 280] * (changed // 2), *[100, 140] * 100]
        return learn([PastTicket(0, False, duration) for duration in latest], 120)

    assert 155 < learned(20).mean_s < 180 < 220 < learned(160).mean_s < 235
    assert learned(20).mean_scv > 0.05 > 0.02 > learned(160).mean_scv, "at first, both are possible"


def test_a_change_counts_within_its_day_or_with_whole_days():
    """Who was quick in the afternoon may be slow in the morning. Who was quick for a day may stay so."""

    def learned(today, *days):
        latest = [
            PastTicket(0, False, duration * factor, f"2026-11-{25 - age}")
            for age, durations in enumerate(days)
            for duration in durations
            for factor in (0.7, 1.3)
        ]
        return learn(latest, 120, today).mean_s

    usual, quick = [120] * 40, [60] * 40
    halves = [*[60] * 20, *[120] * 20]  # newest first
    morning, afternoon = learned("2026-11-26", halves, halves), learned("2026-11-25", halves, halves)
    assert 85 < morning < 95, "nobody came yet today"
    assert afternoon < 80
    assert learned("2026-11-26", quick, usual, usual, usual) < 80
    assert learned("2026-11-25", quick[:8], usual, usual, usual) < 110, "less than twenty, but all of today's"
    assert learned("2026-11-26", quick[:8], quick, usual, usual, usual) < 75


def test_a_quick_afternoon_does_not_shorten_the_waits_of_the_next_morning(place, ana, clock):
    serve(place, ana, clock, *[280, 320] * 20, *[130, 170] * 20)
    for _ in range(6):
        place.customer()
    afternoon = expected(place)
    for _ in range(6):
        number = ana.call_next()["number"]
        clock.advance(seconds=150)
        ana.post("done", number=number)
    clock.advance(hours=18)
    for _ in range(6):
        place.customer()
    morning = expected(place)
    assert afternoon[1] < morning[1]
    assert afternoon[0] < 6 * 2.5 < morning[0]


def test_where_services_vary_much_an_end_moves_only_when_it_has_become_unlikely():
    vary_much = learn_levels([], scv=2)

    def end(promised):
        return range_of(20 * 60, (13 * 60) ** 2, vary_much, 60 * promised).to_s / 60

    assert range_of(20 * 60, (13 * 60) ** 2, vary_much).to_s / 60 > 35
    assert [end(promised) for promised in (34, 36, 70, 100)] == [34, 36, 70, 100]
    assert end(20) == 25, "a rise by a quarter is made early"
    assert 30 < end(27) == end(30) < 34, "one that is smaller too"
    assert 20 < end(5) == end(-5) < 25, "one that is larger, only when it's likely to be needed"
    assert 150 < end(200) == end(300) < 190


def test_an_end_is_kept_the_more_the_more_services_vary():
    """If they vary less than exponential ones, it isn't kept at all."""

    def end(scv, promised):
        return range_of(20 * 60, (13 * 60) ** 2, learn_levels([], scv=scv), 60 * promised).to_s / 60

    shown = end(1, 20)
    assert end(1, 5) == shown == end(1, 70)
    assert end(2, 5) < end(1.25, 5) < shown < end(1.25, 70) <= end(2, 70) == 70


def test_where_services_vary_much_a_ticket_keeps_the_end_that_it_was_shown_first(place, ana, clock):
    """Each quick service brings good news, but the next one may be long again."""
    serve(place, ana, clock, *[60, 60, 60, 60, 900, 60, 60, 60, 60, 60] * 4)
    for _ in range(7):
        place.customer()
    mine = place.customer()
    ends = [minutes(mine.ticket["estimated_wait"])[1]]
    for _ in range(5):
        number = ana.call_next()["number"]
        clock.advance(minutes=1)
        ana.post("done", number=number)
        wait = mine.get()["estimated_wait"]
        assert place.queue()["waits"][-1] == wait
        ends.append(minutes(wait)[1])
    assert ends == [ends[0] - passed for passed in range(6)]
    for _ in range(2):
        number = ana.call_next()["number"]
        ana.post("done", number=number)
    assert minutes(mine.get()["estimated_wait"])[1] < ends[-1], (
        "but not if it's almost certain that it's sooner"
    )


# ----- a queue that a counter admits


@pytest.fixture
def full_shop(shop, door):
    """There is room for four, four are inside, and the counter admits the queue."""
    shop.owner_post("/counters/shop", capacity=4, admits="deli")
    door.tap(1, 1, 1, 1)
    return shop


def test_the_taps_at_the_door_tell_how_long_to_wait(full_shop, door, clock):
    assert full_shop.queue()["estimated_wait"] is None
    for _ in range(20):
        clock.advance(minutes=2)
        door.tap(-1)
        clock.advance(minutes=1)
        door.tap(1)
    customers = [full_shop.customer() for _ in range(5)]
    waits = full_shop.queue()["waits"]
    assert len(waits) == 5
    for number, wait in enumerate(waits, start=1):  # one leaves every three minutes
        assert minutes(wait)[0] <= 3 * number <= minutes(wait)[1] <= 8 * number
    assert [each.get()["estimated_wait"] for each in customers] == waits
    assert full_shop.queue()["no_estimate"] is None
    clock.advance(minutes=2)
    door.tap(-1)
    assert len(full_shop.queue()["waits"]) == 4


def test_who_comes_while_there_is_room_does_not_wait(shop):
    shop.owner_post("/counters/shop", capacity=4, admits="deli")
    assert minutes(shop.queue()["estimated_wait"]) == (0, 1)


def test_a_page_says_why_it_cannot_tell(full_shop):
    mine = full_shop.customer()
    assert mine.ticket["estimated_wait"] is None
    assert full_shop.queue()["waits"] == []
    reason = "We can't say how long you'll wait: too few people have left Shop lately."
    assert full_shop.queue()["no_estimate"] == reason
    for url in (mine.ticket["links"]["ticket"], f"/{full_shop.slug}?stay=1"):
        html = full_shop.client.flask_client.get(url, headers={"Accept": "text/html"}).text
        assert reason.replace("'", "&#39;") in html


# ----- the hit rate


def test_the_owner_sees_how_often_the_range_was_right(place, ana, clock):
    assert place.owner_get()["queues"][0]["hit_rate"] == {"called": 0, "within": 0}
    for late in (0, 0, 40):
        place.customer()
        clock.advance(minutes=late)
        ana.call_next()
        ana.post("done", number=ana.current_number())
    assert place.owner_get()["queues"][0]["hit_rate"] == {"called": 3, "within": 2}
    html = place.client.flask_client.get(
        f"{place.links['manage']}/queues", headers={"Accept": "text/html"}
    ).text
    assert "Wait estimates correct: 2 of 3 this week." in html
    clock.advance(days=8)
    assert place.owner_get()["queues"][0]["hit_rate"] == {"called": 0, "within": 0}


def test_customers_without_a_shown_range_do_not_count(place, clock):
    place.customer()
    ana = place.desk()
    ana.post("add", queue="deli")
    ana.call_next()
    ana.call_next()
    assert place.owner_get()["queues"][0]["hit_rate"] == {"called": 0, "within": 0}


# ----- the owner's guess


def test_a_new_queue_takes_the_owners_guess(place):
    place.owner_post("/queues", name="Repairs", usual_service_s=900)
    found = {queue["slug"]: queue["usual_service_s"] for queue in place.owner_get()["queues"]}
    assert found == {"deli": 180, "repairs": 900}


@pytest.mark.parametrize("wrong", [0, 9, 14_401, -180, "180", 1.5, True])
def test_an_invalid_guess(place, wrong):
    assert place.owner_post("/queues/deli", usual_service_s=wrong).status == 400
    assert place.owner_get()["queues"][0]["usual_service_s"] == 180


# ----- why am I still waiting?


def told(customer):
    return [step["text"] for step in customer.get()["steps"]]


def test_the_last_steps_of_the_line_newest_first_without_names(place, ana, clock):
    place.customer(), place.customer()
    mine = place.customer(name="Zoë")
    assert told(mine) == []
    ana.call_next()
    clock.advance(minutes=1)
    ana.post("no-show", number="A1")
    ana.post("bring-back", number="A1")
    ana.post("pause")
    clock.advance(minutes=2)
    ana.post("resume")
    ana.call_next()
    assert told(mine) == [
        "A1 was called",
        "Window 2 is open again",
        "Window 2 is paused",
        "A1 came back",
        "A1 wasn't here",
    ]
    newest = mine.get()["steps"][0]
    assert (newest["kind"], newest["number"], newest["at"]) == ("call", "A1", "2026-11-21T10:03:00+00:00")
    assert "Ana" not in str(mine.get()["steps"])
    html = place.client.flask_client.get(mine.ticket["links"]["ticket"], headers={"Accept": "text/html"}).text
    assert "Why am I still waiting?" in html
    assert "Window 2 is open again" in html


def test_a_customer_called_out_of_turn_is_told(place, ana):
    mine = place.customer()
    place.customer()
    ana.call_next(number="A2")
    assert told(mine) == ["A2 was called, before its turn"]


@pytest.mark.both_databases
def test_priority_is_told(place, ana, app):
    mine = place.customer()
    place.customer()
    first = "UPDATE ticket SET priority = 1 WHERE number = 'A2'"  # no page sets it yet
    app.extensions["takeanumber"].database.write(run, first)
    ana.call_next()
    assert told(mine) == ["A2 was called: priority"]


def test_events_of_other_lines_or_before_the_ticket_are_not_shown(bakery):
    desk = bakery.desk(queues=["deli"])
    baker = bakery.desk("Ben", "Oven", queues=["bakery"])
    bakery.customer("deli"), bakery.customer("bakery")
    desk.call_next()
    mine = bakery.customer("deli")
    baker.call_next()
    baker.post("pause")
    assert told(mine) == []


def test_a_called_customer_sees_no_steps(place, ana):
    mine = place.customer()
    other = place.customer()
    other.cancel()
    assert told(mine) == ["A2 left the line"]
    ana.call_next()
    assert mine.get()["steps"] == []


# ----- the benchmark


def test_the_benchmark_meets_its_goals():
    bench = [sys.executable, ROOT / "tests" / "bench" / "wait.py", "--seeds", "2", "--only", "3 desks, log"]
    ended = subprocess.run(bench, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
