"""A program starts with POST /places, follows the links of the answers, and never builds a URL."""

import pytest


def links_in(content):
    """All URLs under `links` in an answer, with their names."""
    if isinstance(content, list):
        return [pair for each in content for pair in links_in(each)]
    if not isinstance(content, dict):
        return []
    own = [(name, url) for name, url in content.get("links", {}).items() if url is not None]
    return own + [pair for each in content.values() for pair in links_in(each)]


@pytest.fixture
def opened(client):
    """The answer to POST /places, of a place with one of each."""
    body = {"name": "Corner Deli", "queue": "Deli", "call_list": "Follow-ups"}
    answer = client.post("/places", body | {"counter": {"name": "Shop", "capacity": 90}})
    assert answer.status == 201
    return answer.body


@pytest.mark.both_databases
def test_every_link_leads_somewhere_and_has_no_query(client, opened):
    manage = opened["links"]["manage"]
    client.post(f"{manage}/contacts", {"contacts": [{"name": "Zoë", "phone": "+49 30 1234567"}]})
    client.post(opened["links"]["staff"], {"name": "Ana", "desk": "Window 2"})
    client.post(opened["queues"][0]["links"]["take"], {})
    queue_links = opened["queues"][0]["links"]
    to_follow = links_in(opened)
    seen = set()
    while to_follow:
        name, url = to_follow.pop()
        if url in seen or name == "live":
            continue
        seen.add(url)
        assert url.startswith("http://localhost/"), url
        assert "?" not in url, url
        assert not url.endswith("/"), url
        answer = client.get(url)
        if url in (queue_links["queue"], queue_links["take"]):
            assert answer.status == 404  # only call lists have a page of their own
        else:
            assert answer.status in (200, 405), url  # 405 where only a POST does something
        to_follow += links_in(answer.body)
    assert len(seen) > 60


def test_a_servicer_serves_by_following_links(client, opened):
    desk = client.post(opened["links"]["staff"], {"name": "Ana", "desk": "Window 2"}).body["links"]["desk"]
    take = opened["queues"][0]["links"]["take"]
    for _ in range(2):
        client.post(take)
    links = client.get(desk).body["links"]

    def press(button, **content):
        answer = client.post(links[button], content)
        assert answer.status == 200, answer.body
        return answer.body

    assert press("next", finished=None)["current"]["number"] == "A1"
    assert press("call_again", number="A1")["current"]["state"] == "called"
    assert press("start", number="A1")["current"]["state"] == "serving"
    assert press("done", number="A1")["recent"][0]["state"] == "done"
    assert press("bring_back", number="A1")["line"][0]["number"] == "A1"
    assert press("next", finished=None)["current"]["number"] == "A1"
    assert press("put_back", number="A1")["current"] is None
    assert press("next", finished=None)["current"]["number"] == "A2"
    assert press("no_show", number="A2")["recent"][0]["state"] == "no_show"
    assert press("pause")["on_duty"] is False
    assert press("resume")["on_duty"] is True
    added = client.post(links["add"], {"queue": "deli"})
    assert (added.status, added.body["links"]) == (201, {"desk": desk})


@pytest.mark.both_databases
def test_an_owner_changes_queues_doors_and_servicers_by_following_links(client, opened):
    links = opened["links"]
    queue, counter = opened["queues"][0]["links"], opened["counters"][0]["links"]
    client.post(queue["take"])
    assert client.post(queue["close"]).body["open"] is False
    assert client.post(queue["open"]).body["open"] is True
    assert client.post(queue["cancel"], {"numbers": ["A1"]}).body == {"cancelled": ["A1"]}
    assert client.post(queue["restore"], {"number": "A1"}).status == 200
    assert client.post(queue["cancel"], {"numbers": ["A1"]}).status == 200
    assert client.post(queue["reset"]).status == 200
    assert client.post(queue["queue"], {"max_waiting": 9}).body["max_waiting"] == 9
    assert client.post(queue["delete"]).status == 200

    added = client.post(f"{counter['counter']}/doors", {"name": "Back"})
    assert added.status == 201
    replaced = client.post(added.body["links"]["replace"]).body
    assert replaced["links"]["door"] != added.body["links"]["door"]
    assert client.post(added.body["links"]["remove"]).status == 200

    client.post(links["staff"], {"name": "Ana"})
    servicer = client.get(links["manage"]).body["servicers"][0]["links"]
    assert client.post(servicer["servicer"], {"on_duty": False}).status == 200
    assert client.post(servicer["remove"]).body["servicers"] == []


def test_a_servicer_never_learns_the_owners_links(client, opened):
    token = opened["links"]["manage"].rpartition("/")[2]
    answer = client.post(opened["links"]["staff"], {"name": "Ana", "desk": "Window 2"})
    assert token not in str(answer.body)
    assert token not in str(client.get(answer.body["links"]["desk"]).body)
    assert token not in str(client.get(opened["counters"][0]["links"]["door"]).body)
    successor = client.post(f"{answer.body['links']['desk']}/hand-over", {"name": "Ben"})
    assert successor.status == 201
    assert token not in str(successor.body)
