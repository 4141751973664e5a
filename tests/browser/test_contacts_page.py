"""The owner's contacts: actions on many at once, and the import of a file."""

import pytest
from call_list import Calling
from playwright.sync_api import expect

NAMES = ["Ann Lee", "Ben Okafor", "Chloe Jones", "Dora Jones", "Emil Jones", "Finn Lee"]


@pytest.fixture
def calling(shop):
    """A call list, and six contacts."""
    calling = Calling(shop)
    calling.add(*NAMES)
    return calling


@pytest.fixture
def owner(calling, visit):
    """The owner's page of contacts."""
    return visit(calling.contacts_link, "desktop")


def tick(page, name, **options):
    page.get_by_role("checkbox", name=name).click(**options)


def presses(page, button):
    page.get_by_role("button", name=button, exact=True).click()


def on_the_list(calling):
    return [each["name"] for each in calling.contacts() if each["lists"]]


def test_shift_ticks_a_range(calling, owner):
    tick(owner, "Ben Okafor")
    expect(owner.get_by_role("status").get_by_text("1 selected")).to_be_visible()
    tick(owner, "Emil Jones", modifiers=["Shift"])
    expect(owner.get_by_text("4 selected")).to_be_visible()
    tick(owner, "Dora Jones")
    expect(owner.get_by_text("3 selected")).to_be_visible()
    owner.get_by_placeholder("Reason").fill("Blood results")
    presses(owner, "Add to list")
    expect(owner.get_by_text("Added 3 to Follow-ups.")).to_be_visible()
    assert on_the_list(calling) == ["Ben Okafor", "Chloe Jones", "Emil Jones"]


def test_a_range_is_unticked_as_well(owner):
    owner.get_by_role("checkbox", name="All on this page").check()
    expect(owner.get_by_text("6 selected")).to_be_visible()
    tick(owner, "Finn Lee")
    tick(owner, "Dora Jones", modifiers=["Shift"])
    expect(owner.get_by_text("3 selected")).to_be_visible()
    expect(owner.get_by_role("checkbox", name="Ann Lee")).to_be_checked()


def test_all_that_match_are_put_on_the_list(calling, visit):
    calling.add(*(f"Customer {n}" for n in range(60)))
    phone = visit(calling.contacts_link)
    phone.get_by_role("searchbox").fill("customer")
    presses(phone, "Search")
    expect(phone.get_by_text("60 contacts found")).to_be_visible()
    phone.get_by_label("Select all 60 that match").check()
    button = phone.get_by_role("button", name="Add to list")
    expect(button).to_be_in_viewport(ratio=1)
    button.click()
    expect(phone.get_by_text("Added 60 to Follow-ups.")).to_be_visible()
    expect(phone.get_by_text("60 contacts found")).to_be_visible()  # the search is still there
    assert calling.server.get(calling.link).body["waiting"] == 60
    phone.get_by_label("Select all 60 that match").check()
    phone.get_by_text("More actions", exact=True).click()
    phone.get_by_label("Tag", exact=True).last.fill("spring")
    presses(phone, "Add tag")
    expect(phone.get_by_text("Tagged 60 with spring.")).to_be_visible()


def test_filters_and_order_stay_in_the_address(calling, owner):
    owner.get_by_role("link", name="Name").click()
    rows = owner.get_by_role("rowheader")
    expect(rows.first).to_contain_text("Finn Lee")
    owner.get_by_text("Filters", exact=True).click()
    owner.get_by_label("On the list").select_option("Follow-ups")
    presses(owner, "Show")
    expect(owner.get_by_text("No contacts match.")).to_be_visible()
    owner.get_by_role("link", name="Clear filters").last.click()
    expect(rows).to_have_count(6)


def test_the_ticked_ones_go_on_the_list_without_javascript(calling, visit):
    page = visit(calling.contacts_link, java_script_enabled=False)
    presses_nobody = page.get_by_role("checkbox", name="Select all 6 that match")
    expect(presses_nobody).not_to_be_checked()
    for name in ("Ann Lee", "Finn Lee"):
        page.get_by_role("checkbox", name=name).check()
    presses(page, "Add to list")
    expect(page.get_by_text("Added 2 to Follow-ups.")).to_be_visible()
    assert on_the_list(calling) == ["Ann Lee", "Finn Lee"]


def test_a_file_is_read_looked_at_and_stored(calling, owner, tmp_path):
    rows = [f"Customer {n};+49 30 5550{n:04};spring" for n in range(6000)]
    file = tmp_path / "customers.csv"
    file.write_text("\n".join(["Name;Phone;Tags", *rows, "Nobody;12;"]))
    owner.get_by_text("Upload CSV", exact=True).click()
    owner.get_by_label("CSV file").set_input_files(file)
    presses(owner, "Upload")
    expect(owner.get_by_role("progressbar", name="Rows read")).to_be_visible()
    expect(owner.get_by_role("heading", level=1)).to_have_text("Review import", timeout=60_000)
    expect(owner.get_by_text("6,000", exact=True)).to_be_visible()
    expect(owner.get_by_text("Row 6002")).to_be_visible()
    assert len(calling.contacts()) == 6
    presses(owner, "Import 6,000 contacts")
    expect(owner.get_by_role("heading", level=1)).to_have_text("Imported")
    owner.get_by_role("link", name="Go to contacts").click()
    expect(owner.get_by_text("6,006 contacts")).to_be_visible()


def test_an_import_that_could_not_be_fetched_once_goes_on(owner, tmp_path):
    rows = [f"Customer {n};+49 30 5550{n:04}" for n in range(3000)]
    file = tmp_path / "customers.csv"
    file.write_text("\n".join(["Name;Phone", *rows]))
    failed = []

    def fail_once(route):
        """Fail once when the page is fetched; how many rows were read comes as JSON."""
        request = route.request
        if failed or request.resource_type != "fetch" or "html" not in request.headers["accept"]:
            route.continue_()
            return
        failed.append(request)
        route.abort()

    owner.route("**/contacts/import/*", fail_once)
    owner.get_by_text("Upload CSV", exact=True).click()
    owner.get_by_label("CSV file").set_input_files(file)
    presses(owner, "Upload")
    expect(owner.get_by_role("heading", level=1)).to_have_text("Review import", timeout=60_000)
    assert failed


def test_a_contact_is_changed_and_forgotten(calling, owner):
    owner.get_by_role("link", name="Ben Okafor").click()
    owner.get_by_label("Tags (comma-separated)").fill("spring, home visit")
    presses(owner, "Save")
    expect(owner.get_by_text("Saved.")).to_be_visible()
    owner.get_by_text("Erase permanently").click()
    presses(owner, "Erase this contact")
    expect(owner.get_by_text("5 contacts")).to_be_visible()
    assert "Ben Okafor" not in [each["name"] for each in calling.contacts()]
