"""Rate limits hold for a guesser with many addresses, and don't lock out others."""

import pytest
from helpers.client import AppClient
from helpers.places import open_deli
from test_rate_limits import from_address, statuses, tries

from app.network import client_of, network_of

WINDOW_S = 600


def guesser(number):
    """Return the n-th address of somebody who has very many."""
    return f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"


def right_code(place):
    return place.owner_post("/links/staff/code").body["staff_code"]["code"]


def test_a_limited_address_stays_limited_while_60_000_others_come(place):
    from_address(place.client, "203.0.113.7")
    assert statuses(lambda: tries(place), 21) == [400] * 20 + [429]
    limiter = place.client.flask_client.application.extensions["takeanumber"].limiter
    for number in range(60_000):
        limiter.hit(("code", guesser(number)), 20, WINDOW_S)
    from_address(place.client, "203.0.113.7")
    assert tries(place, right_code(place)).status == 429


def test_60_000_addresses_get_no_more_guesses_than_a_place_allows(place):
    """Each guesses once. Only the last ones send real requests."""
    limiter = place.client.flask_client.application.extensions["takeanumber"].limiter
    allowed = 0
    for number in range(60_000):
        if not limiter.hit(("code", guesser(number)), 20, WINDOW_S):
            allowed += not limiter.hit(("code of", "corner-deli"), 5000, WINDOW_S)
    assert allowed == 5000
    answers = []
    for number in range(60_000, 60_020):
        from_address(place.client, guesser(number))
        answers.append(tries(place).status)
    assert answers == [429] * 20


def test_a_place_allows_5_000_guesses_of_many_networks(place):
    limiter = place.client.flask_client.application.extensions["takeanumber"].limiter
    for _ in range(4980):
        limiter.hit(("code of", "corner-deli"), 5000, WINDOW_S)
    answers = []
    for number in range(30):
        from_address(place.client, f"{11 + number}.0.0.1")
        answers.append(tries(place).status)
    assert (answers.count(400), answers.count(429)) == (20, 10)


def test_one_network_keeps_nobody_from_typing_the_right_code(place):
    right = right_code(place)
    answers = []
    for number in range(52):
        from_address(place.client, f"198.51.100.{number}")
        answers += statuses(lambda: tries(place), 20)
    assert answers == [400] * 1000 + [429] * 40
    from_address(place.client, "203.0.113.9")
    assert tries(place, right).status == 200


def test_an_ipv6_network_counts_as_one_address(place):
    for number in range(20):
        from_address(place.client, f"2001:db8:1:2:{number}::{number}")
        assert tries(place).status == 400
    from_address(place.client, "2001:db8:1:2:ffff::1")
    assert tries(place).status == 429
    from_address(place.client, "2001:db8:1:3::1")
    assert tries(place).status == 400


def test_an_ipv6_provider_s_customer_with_65_536_networks_is_stopped_too(place):
    right = right_code(place)
    answers = []
    for number in range(1050):
        from_address(place.client, f"2001:db8:5:{number:x}::1")
        answers.append(tries(place).status)
    assert (answers.count(400), answers.count(429)) == (1000, 50)
    from_address(place.client, "2001:db8:6::1")
    assert tries(place, right).status == 200


def test_takes_count_ipv6_by_network_too(start):
    place = open_deli(AppClient(start(takes_per_minute=3)))
    answers = []
    for number in range(5):
        from_address(place.client, f"2001:db8::{number:x}")
        answers.append(place.take().status)
    assert answers == [201, 201, 201, 429, 429]


def test_a_right_code_works_with_and_without_the_space(place):
    code = right_code(place)
    assert len(code) == 8
    for typed in (code, f"{code[:4]} {code[4:]}", f" {code[:2]}-{code[2:]} "):
        assert tries(place, typed).status == 200
    html = place.client.get(f"{place.links['manage']}/team", Accept="text/html").body
    assert f"{code[:4]} {code[4:]}" in html


@pytest.mark.parametrize(
    ("address", "client", "network"),
    [
        ("203.0.113.7", "203.0.113.7/32", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.7/32", "203.0.113.0/24"),
        ("203.0.113.7:51234", "203.0.113.7/32", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("[2001:db8:1:2:3::4]:443", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/64", "fe80::/48"),
        ("unknown", "unknown", "unknown"),
        ("", "", ""),
        ("x" * 5000, "x" * 64, "x" * 64),
    ],
)
def test_the_network_that_an_address_counts_for(address, client, network):
    assert (client_of(address), network_of(address)) == (client, network)
