"""Actions on many contacts at once, and the result that the owner sees."""

import pytest
from helpers.html_browser import Browser, Forms


@pytest.fixture
def six(clinic):
    """Six contacts; the last is marked do-not-call, and three are tagged."""
    rows = [{"name": f"Ana {n}", "phone": f"030 {1000000 + n}", "tags": "odd" * (n % 2)} for n in range(6)]
    rows[5]["do_not_call"] = True
    assert clinic.add_contacts(*rows)["added"] == 6
    return clinic


def ids(place, **filters):
    return [contact["id"] for contact in place.contacts(**filters)["contacts"]]


def acts(place, action, **content):
    """Return the result of an action."""
    answer = place.owner_post("/contacts/actions", action=action, **content)
    assert answer.status == 200, answer.body
    return answer.body


def upcoming(place):
    """Return the names of waiting calls in order, with their priority."""
    found = place.client.get(f"{place.links['manage']}/queues/follow-ups").body["upcoming"]
    return [(each["contact"]["name"], each["priority"]) for each in found]


def test_all_that_match_are_put_on_a_list(six):
    put = {"list": "follow-ups", "reason": "Flu shot", "priority": 2}
    assert acts(six, "add_to_list", match={"tag": "odd"}, **put) == {
        "added": 2,
        "skipped": {"must not be called": 1},
    }
    assert acts(six, "add_to_list", match="all", list="follow-ups") == {
        "added": 3,
        "skipped": {"already on it": 2, "must not be called": 1},
    }
    assert upcoming(six) == [("Ana 1", 2), ("Ana 3", 2), ("Ana 0", 3), ("Ana 2", 3), ("Ana 4", 3)]
    assert [each["name"] for each in six.owner_get()["reasons"]] == ["Flu shot"]
    acts(six, "add_to_list", match="all", **put)
    assert len(six.owner_get()["reasons"]) == 1
    assert six.contacts(in_list="follow-ups")["total"] == 5


def test_taken_off_raised_and_lowered(six):
    acts(six, "add_to_list", match="all", list="follow-ups")
    first, second, *_, last = ids(six)
    assert acts(six, "raise", ids=[second], list="follow-ups") == {"changed": 1, "skipped": {}}
    acts(six, "raise", ids=[second], list="follow-ups")
    assert acts(six, "raise", ids=[second, last], list="follow-ups") == {
        "changed": 0,
        "skipped": {"not on it": 1, "first already": 1},
    }
    acts(six, "lower", ids=[first], list="follow-ups")
    assert upcoming(six) == [("Ana 1", 1), ("Ana 2", 3), ("Ana 3", 3), ("Ana 4", 3), ("Ana 0", 4)]
    assert acts(six, "take_off", ids=[first, last, 999], list="follow-ups") == {
        "changed": 1,
        "skipped": {"not on it": 1, "not there any more": 1},
    }
    assert six.contacts(in_list="follow-ups")["total"] == 4


@pytest.mark.both_databases
def test_do_not_call_is_set_and_lifted_for_many(six):
    acts(six, "add_to_list", match="all", list="follow-ups")
    assert acts(six, "do_not_call", match={"tag": "odd"}) == {"changed": 2, "skipped": {"so already": 1}}
    assert [name for name, _ in upcoming(six)] == ["Ana 0", "Ana 2", "Ana 4"]
    assert acts(six, "may_call", match="all")["changed"] == 3
    assert six.contacts(do_not_call=1)["total"] == 0


@pytest.mark.both_databases
def test_tags_are_added_and_removed(six):
    assert acts(six, "tag", match="all", tag="odd") == {"changed": 3, "skipped": {"tagged so already": 3}}
    assert acts(six, "tag", match="all", tag="odd one")["changed"] == 6
    assert acts(six, "untag", match={"q": "1000001"}, tag="odd") == {"changed": 1, "skipped": {}}
    assert acts(six, "untag", match="all", tag="none")["skipped"] == {"without it already": 6}
    assert six.contacts(tag="odd")["total"] == 5
    assert {tuple(each["tags"]) for each in six.contacts()["contacts"]} == {("odd", "odd one"), ("odd one",)}
    acts(six, "untag", match="all", tag="odd one")
    assert six.contacts()["contacts"][1]["tags"] == []


def test_many_contacts_are_erased(six):
    assert acts(six, "forget", match={"tag": "odd"}) == {"changed": 3, "skipped": {}}
    assert six.contact_names() == ["Ana 0", "Ana 2", "Ana 4"]


def test_the_same_id_twice_counts_once(six):
    first = ids(six)[0]
    assert acts(six, "add_to_list", ids=[first, first], list="follow-ups") == {"added": 1, "skipped": {}}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"action": "dance", "match": "all"},
        {"action": "tag", "tag": "x"},
        {"action": "tag", "tag": "x", "ids": []},
        {"action": "tag", "tag": "x", "ids": ["1"]},
        {"action": "tag", "tag": "x", "ids": [True]},
        {"action": "tag", "tag": "x", "ids": [10**30]},
        {"action": "tag", "tag": "x", "ids": 1},
        {"action": "tag", "tag": "x", "ids": [1], "match": "all"},
        {"action": "tag", "tag": "x", "match": "some"},
        {"action": "tag", "tag": "x", "match": {"never_called": 1}},
        {"action": "tag", "tag": "x", "match": {"called_before": "soon"}},
        {"action": "tag", "tag": "x", "match": []},
        {"action": "forget", "match": {}},
        {"action": "forget", "match": {"tagged": "odd"}},
        {"action": "forget", "match": {"tag": "odd", "list": "follow-ups"}},
        {"action": "tag", "match": "all"},
        {"action": "tag", "tag": " , ", "match": "all"},
        {"action": "tag", "tag": "a,b", "match": "all"},
        {"action": "add_to_list", "match": "all"},
        {"action": "add_to_list", "match": "all", "list": "follow-ups", "priority": 6},
        {"action": "add_to_list", "match": "all", "list": "follow-ups", "priority": "1"},
        {"action": "raise", "match": "all"},
    ],
)
def test_an_invalid_action_changes_nothing(six, wrong):
    before = six.contacts()
    answer = six.owner_post("/contacts/actions", **wrong)
    assert answer.status == 400
    assert {each: answer.body[each] for each in before} == before if "contacts" in answer.body else True
    assert six.contacts() == before


@pytest.mark.parametrize("slug", ["deli", "nothing"])
def test_contacts_are_added_to_call_lists_of_the_place_only(six, slug):
    assert six.owner_post("/contacts/actions", action="add_to_list", list=slug, match="all").status == 404


# ----- on the page


@pytest.fixture
def owner(six, app):
    """The owner's page of contacts."""
    return Browser(app).open(f"{six.links['manage']}/contacts")


def presses(owner, action, **typed):
    """Press one of the buttons under the list."""
    form = next(each for each in Forms(owner.html).all if each["action"].endswith("/actions"))
    fields = {"ids": None, "all": None, "tag_named": "", "reason": ""} | typed
    return owner.send(form | {"fields": [*form["fields"]]}, action=action, **fields)


def test_the_page_says_what_it_did(owner, six):
    ana = ids(six)
    presses(
        owner, "add_to_list", ids=[str(ana[0]), str(ana[1]), str(ana[5])], list="follow-ups", reason="Flu"
    )
    assert owner.redirects == [303]
    assert "Added 2 to Follow-ups, 1 skipped: 1 do-not-call." in owner.html
    presses(owner, "add_to_list", all="1", list="follow-ups")
    assert "Added 3 to Follow-ups, 3 skipped: 2 already on it, 1 do-not-call." in owner.html


@pytest.mark.both_databases
def test_all_that_match_are_those_of_the_filters(owner, six):
    owner.open(f"{owner.url}?tag=odd&never_called=1")
    presses(owner, "tag", all="1", tag_named="new")
    assert "Tagged 3 with new." in owner.html
    assert "Ana 2" not in owner.html  # with the same filters
    assert six.contacts(tag="new")["total"] == 3


@pytest.mark.both_databases
def test_the_page_names_the_filter_last_called_before(owner):
    assert "Last called before <input" in owner.html
    owner.open(f"{owner.url}?called_before=2026-11-21")
    assert "Filters: last called before" in owner.html


def test_an_action_without_contacts_is_refused_on_the_same_page(owner):
    presses(owner, "do_not_call")
    assert (owner.status, "Choose at least one contact." in owner.html) == (400, True)
    assert "Ana 4" in owner.html


def test_one_contact_is_added_by_a_form(owner, six):
    form = next(
        each
        for each in Forms(owner.html).all
        if each["action"].endswith("/contacts") and each["method"] == "post"
    )
    owner.send(form, name="Zoë", phone="030 7654321", tags="a, b", do_not_call="1")
    assert "Added." in owner.html
    zoe = six.contacts(q="zoë")["contacts"][0]
    assert (zoe["tags"], zoe["do_not_call"]) == (["a", "b"], True)
    owner.send(form, name="Zoë", phone="12")
    assert (owner.status, "Enter a full phone number" in owner.html) == (400, True)
    owner.open(zoe["links"]["contact"].partition("localhost")[2])
    owner.press("Save", phone="030 5555555", do_not_call=None, email="")
    assert "Saved." in owner.html
    assert six.contacts(q="zoë")["contacts"][0]["do_not_call"] is False
    owner.press("Erase this contact")
    assert "Erased" in owner.html
