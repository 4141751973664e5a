"""Rate limits by address, and which address counts behind a proxy."""

import dataclasses

import pytest
from helpers.client import AppClient
from helpers.places import open_deli

from app.web.limits import RateLimiter


def from_address(client, address, **headers):
    """Return the same client at another address."""
    client.flask_client.environ_base["REMOTE_ADDR"] = address
    return client


def statuses(ask, times):
    return [ask().status for _ in range(times)]


@pytest.fixture
def small(start):
    """A place where one address may take three numbers a minute."""
    return open_deli(AppClient(start(takes_per_minute=3)))


def test_too_many_takes_from_one_address(small):
    assert statuses(small.take, 5) == [201, 201, 201, 429, 429]
    assert small.queue()["waiting"] == ["A1", "A2", "A3"]


def test_a_refused_request_says_when_to_retry(small):
    statuses(small.take, 3)
    answer = small.take()
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.body["error"]


def test_another_address_has_a_limit_of_its_own(small):
    statuses(small.take, 4)
    from_address(small.client, "198.51.100.9")
    assert small.take().status == 201


def test_a_repeated_request_counts_for_the_limit(small):
    assert statuses(lambda: small.take(request_id="abc"), 4) == [201, 200, 200, 429]


def test_looking_and_serving_are_not_limited(small):
    statuses(small.take, 4)
    desk = small.desk()
    for _ in range(150):
        assert small.client.get(small.links["customers"]).status == 200
        assert desk.post("add", queue="deli").status == 201


def test_one_address_may_take_120_numbers_a_minute(start):
    place = open_deli(AppClient(start(takes_per_minute=120)))
    assert statuses(place.take, 121) == [201] * 120 + [429]


def test_setup_codes_cannot_be_guessed(start):
    careful = AppClient(start(setup_code="open sesame"))
    guesses = statuses(lambda: careful.post("/", {"setup_code": "guess"}), 21)
    assert guesses == [403] * 20 + [429]
    assert careful.post("/", {"setup_code": "open sesame"}).status == 429
    assert from_address(careful, "198.51.100.9").post("/", {"setup_code": "open sesame"}).status == 200


def test_setup_codes_cannot_be_guessed_by_opening_places(start):
    careful = AppClient(start(setup_code="open sesame"))
    guess = {"name": "Deli", "setup_code": "guess"}
    assert statuses(lambda: careful.post("/places", guess), 21) == [403] * 20 + [429]


def test_twenty_places_an_hour(start):
    many = AppClient(start(places="open"))
    opened = statuses(lambda: many.post("/places", {"name": "Deli"}), 22)
    assert opened == [201] * 20 + [429] * 2
    assert int(many.post("/places", {"name": "Deli"}).headers["Retry-After"]) <= 3600


# ----- one-time codes


def tries(place, code="12345678"):
    """Type a code; return the status."""
    return place.client.post(f"{place.links['customers']}/code", {"code": code})


def test_codes_cannot_be_guessed(place, clock):
    right = place.owner_post("/links/staff/code").body["staff_code"]["code"]
    wrong = "11111111" if right == "22222222" else "22222222"
    assert statuses(lambda: tries(place, wrong), 22) == [400] * 20 + [429] * 2
    refused = tries(place, right)
    assert (refused.status, "links" in refused.body) == (429, False)
    assert 1 <= int(refused.headers["Retry-After"]) <= 600
    from_address(place.client, "198.51.100.9")
    assert tries(place, right).status == 200


def test_after_ten_minutes_codes_may_be_tried_again(place, clock):
    statuses(lambda: tries(place), 21)
    clock.advance(minutes=10, seconds=1)
    right = place.owner_post("/links/staff/code").body["staff_code"]["code"]
    assert tries(place, right).status == 200


def test_right_codes_count_too(place):
    right = place.owner_post("/links/staff/code").body["staff_code"]["code"]
    assert statuses(lambda: tries(place, right), 21) == [200] * 20 + [429]


def test_many_addresses_do_not_free_a_place_of_its_limit(place, clock):
    """Guesses from 60,000 addresses don't reset the count of a place."""
    wrong = "11111111"
    limiter = place.client.flask_client.application.extensions["takeanumber"].limiter
    for _ in range(5000):
        limiter.hit(("code of", place.slug), 5000, 600)
    for n in range(60_000):
        limiter.hit(("code", f"10.{n // 65536}.{n // 256 % 256}.{n % 256}"), 20, 600)
    from_address(place.client, "203.0.113.1")
    assert tries(place, wrong).status == 429
    clock.advance(minutes=10, seconds=1)
    assert tries(place, wrong).status == 400


def test_an_address_at_its_limit_stays_limited_while_others_come_and_go(clock):
    limiter = RateLimiter(max_keys=1000)
    for _ in range(20):
        assert limiter.hit(("code", "198.51.100.1"), 20, 600) == 0
    for n in range(60_000):
        limiter.hit(("code", f"10.{n}"), 20, 600)
    assert 590 <= limiter.hit(("code", "198.51.100.1"), 20, 600) <= 600


def test_taps_are_not_limited(start):
    place = open_deli(AppClient(start(takes_per_minute=1)), counter={"name": "Shop", "capacity": 10})
    door = place.door()
    assert [door.tap(1) for _ in range(40)] == list(range(1, 41))


# ----- addresses behind proxies


def take_as(place, forwarded):
    return place.client.post(place.queue()["links"]["take"], X_Forwarded_For=forwarded).status


def test_without_a_proxy_forwarded_headers_are_ignored(small):
    assert [take_as(small, f"203.0.113.{n}") for n in range(4)] == [201, 201, 201, 429]


def test_behind_a_proxy_each_client_counts_for_itself(start):
    place = open_deli(AppClient(start(takes_per_minute=1, proxies=1)))
    assert [take_as(place, f"203.0.113.{n}") for n in range(3)] == [201, 201, 201]
    assert take_as(place, "203.0.113.1") == 429


def test_behind_a_proxy_only_its_own_header_counts(start):
    place = open_deli(AppClient(start(takes_per_minute=1, proxies=1)))
    assert [take_as(place, f"203.0.113.{n}, 198.51.100.7") for n in range(2)] == [201, 429]


def test_behind_two_proxies_both_headers_count(start):
    place = open_deli(AppClient(start(takes_per_minute=1, proxies=2)))
    assert [take_as(place, f"6.6.6.{n}, 203.0.113.{n}, 198.51.100.7") for n in range(2)] == [201, 201]
    assert take_as(place, "6.6.6.6, 203.0.113.1, 198.51.100.7") == 429


@pytest.mark.parametrize(("proxies", "scheme"), [(0, "http"), (1, "https")])
def test_links_have_the_scheme_that_a_proxy_reports(start, proxies, scheme):
    client = AppClient(start(proxies=proxies))
    body = client.post("/places", {"name": "Deli"}, X_Forwarded_Proto="https").body
    assert body["links"]["manage"].startswith(f"{scheme}://localhost/")


# ----- streams


def test_too_many_streams_of_one_address(start):
    client = AppClient(start(streams_per_address=2))
    live = open_deli(client).links["live"]
    open_streams = [client.flask_client.get(live) for _ in range(2)]
    assert [stream.status_code for stream in open_streams] == [200, 200]
    refused = client.get(live)
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) >= 1
    open_streams.pop().close()
    again = client.flask_client.get(live)
    assert again.status_code == 200
    for stream in (*open_streams, again):
        stream.close()


@pytest.mark.both_databases
def test_streams_leave_threads_for_everything_else(start):
    client = AppClient(start(threads=66))
    live = open_deli(client).links["live"]
    streams = [from_address(client, f"198.51.100.{n}").flask_client.get(live) for n in range(3)]
    assert [stream.status_code for stream in streams] == [200, 200, 429]
    for stream in streams:
        stream.close()


def test_a_missing_place_holds_no_stream(start):
    client = AppClient(start(streams_per_address=1))
    live = open_deli(client).links["live"]
    assert client.get("/nobody/live").status == 404
    stream = client.flask_client.get(live)
    assert stream.status_code == 200
    stream.close()


class LostLease:
    """A lease that is lost while a request is answered."""

    def __init__(self):
        self.answers = iter([True, False])

    def serves_pages(self):
        return next(self.answers, True)

    def note_request(self):
        pass


def test_a_stream_that_a_standby_refuses_at_the_last_moment_is_not_held(start):
    app = start(streams_per_address=1)
    client = AppClient(app)
    live = open_deli(client).links["live"]
    parts = app.extensions["takeanumber"]
    app.extensions["takeanumber"] = dataclasses.replace(parts, lease=LostLease())
    assert client.get(live).status == 503
    stream = client.flask_client.get(live)
    assert stream.status_code == 200
    stream.close()
