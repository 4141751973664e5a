"""Phone numbers as people write them: what is dialled is the number in the cell, or the cell is refused."""

from html import unescape

import pytest
from helpers.html_browser import Browser
from helpers.places import open_deli

# The text of a cell, and the number that a person would dial; None if that is unclear.
CELLS = {
    "America/Mexico_City": {
        "+52 1 55 1234 5678": "+525512345678",
        "5215512345678": "+525512345678",
        "044 55 1234 5678": "+525512345678",
        "01 55 1234 5678": "+525512345678",
        "55 1234 5678": "+525512345678",
    },
    "Europe/Berlin": {
        "+52 1 55 1234 5678": "+525512345678",
        "0171 2345678 (Mama)": "+491712345678",
        "030 1234567 privat": "+49301234567",
        "0171 2345678 Büro": "+491712345678",
        "491712345678": "+491712345678",
        "1712345678.0": "+491712345678",
        "1) 0171 2345678": "+491712345678",
        "030 1234567": "+49301234567",
        "1. 0171 2345678": "+491712345678",
        "a) 0171 2345678": "+491712345678",
        "\u2022 0171 2345678": "+491712345678",
        "- 0171 2345678": "+491712345678",
        "(1) 0171 2345678": "+491712345678",
        "\u2460 0171 2345678": "+491712345678",
        "4.91712E+11": None,
        "0171 234567O": None,
        "4,91712E+11": None,
        "4.91712345678E+11": None,
        "'01712345678": "+491712345678",
        '="01712345678"': "+491712345678",
        '="0171 2345678"': "+491712345678",
        "0171 2345678 / 030 1234567": "+491712345678",
        "0171 2345678; 030 1234567": "+491712345678",
        "0171 2345678, 030 1234567": "+491712345678",
        "0171 2345678 oder 030 1234567": "+491712345678",
        "0171 2345678 or 030 1234567": "+491712345678",
        "0171 2345678\n030 1234567": "+491712345678",
        "+49 30 1234567 ::: +49 30 7654321": "+49301234567",
        "030 1234567 ext. 12": "+49301234567;ext=12",
        "030 1234567 Durchwahl 12": "+49301234567;ext=12",
        "030 1234567 x12": "+49301234567;ext=12",
        "030 12345-67": "+49301234567",
        "0049 171 2345678": "+491712345678",
        "+49 (0)30 1234567": "+49301234567",
        "+49(0)171/2345678": "+491712345678",
        "٠١٧١ ٢٣٤٥٦٧٨": "+491712345678",
        "\uff10\uff11\uff17\uff11\u3000\uff12\uff13\uff14\uff15\uff16\uff17\uff18": "+491712345678",
        "0171\u20132345678": "+491712345678",
        "0171\u2011234\u20125678": "+491712345678",
        "\u202a0171 2345678\u202c": "+491712345678",
        "0171\u200b2345678": "+491712345678",
        "\ufeff0171 2345678": "+491712345678",
        "2026-11-21": None,
        "21.11.2026": None,
        "21/11/2026": None,
        "01.02.1980 0171 2345678": "+491712345678",
        "0171 2345678 (seit 01.02.2020)": "+491712345678",
        "0171 2345678 ab 18 Uhr": "+491712345678",
        "0171 2345678 (bis 18:30)": "+491712345678",
        "Tel. 0171 2345678": "+491712345678",
        "Tel0171 2345678": "+491712345678",
        "tel:+49-171-2345678": "+491712345678",
        "Fax 030 1234567, Tel 030 7654321": "+49307654321",
        "Fax: 030 1234567": None,
        "030 1234567 (Fax) 030 7654321": "+49307654321",
        "Tel. 030 1234567 Fax 030 7654321": "+49301234567",
        "Tel./Fax: 030 1234567": "+49301234567",
        "9h-17h: 030 1234567": "+49301234567",
        "030 1234567/68": "+49301234567",
        "030/1234567": "+49301234567",
        "030/1234567/0171 2345678": "+49301234567",
        "030 / 1234567": "+49301234567",
        "0171/2345678": "+491712345678",
        "089/12 34 56 78": "+498912345678",
        "030 PRIVAT": None,
        "030 Berlin 1234567": None,
        "0171 234xxxx": None,
        "030 12345xx": None,
        "030 1234…": None,
        "0171 23456O8": None,
        "n/a": None,
        "-": None,
        "unbekannt": None,
        "112": None,
        "0171 2345678 2x klingeln": "+491712345678",
        "030 1234567 2x": "+49301234567",
        "030 1234567b": "+49301234567",
        "0171 2345678privat": "+491712345678",
        "Mama 1712345678": "+491712345678",
        "1 0171 2345678": "+491712345678",
        "Kd-Nr 4711 0171 2345678": "+491712345678",
        "0171 2345678 030 1234567": "+491712345678",
        "0171 2345678 2": None,
        "5551234": None,
        "2345678": None,
        "030 1234567 - 0171 2345678": "+49301234567",
        "0171 - 2345678": "+491712345678",
        "+491712345678": "+491712345678",
        "(+49) 171 2345678": "+491712345678",
        "49 (0)171 2345678": "+491712345678",
        "++49 171 2345678": "+491712345678",
        "+ 49 171 2345678": "+491712345678",
        "*31#0171 2345678": "+491712345678",
        "0800 REWEDE1": "+498007393331",
        "0800-FLOWERS": "+498003569377",
        "0171 2345678 MAMA": "+491712345678",
        "4930123456": "+4930123456",
        "+1 212 555 0100": "+12125550100",
        "01712345678.00": "+491712345678",
        "1712345678,0": "+491712345678",
        "1.712.345.678": "+491712345678",
        "0171²2345678": None,
        "030 1234567, 12": "+49301234567",
        "030 12345 67 (Nr. 2)": "+49301234567",
        "0171 2345678 #2": "+491712345678;ext=2",
        "Haus 5, 030 1234567": "+49301234567",
        "030 1234567 Zimmer 12": "+49301234567",
        "030 1234567 App. 12": "+49301234567;ext=12",
        "030 1234567-0": "+493012345670",
        "1: 0171 2345678": "+491712345678",
        "#1 0171 2345678": "+491712345678",
        "2 - 0171 2345678": "+491712345678",
        "0171 2345678\t": "+491712345678",
        "0171_2345678": "+491712345678",
        "0199 1234567": "+491991234567",
        "nan": None,
        "1712345678e0": None,
        "1.712345678E+9": None,
        "1712345678.5": None,
        "171234567800": None,
        "0171 2345678 (1)": "+491712345678",
        "wa.me/491712345678": "+491712345678",
        "0171-2345678 od. 0172-2345678": "+491712345678",
        "0171 2345678 bzw. 030/1234567": "+491712345678",
        "h: 030 1234567 m: 0171 2345678": "+49301234567",
        "030 1234567 Mo-Fr 9-17": "+49301234567",
        "030 1234567 (Mo-Fr 9-17 Uhr)": "+49301234567",
        "alt: 030 1234567": "+49301234567",
        "030 1234567 Tochter, 0171 2345678 Sohn": "+49301234567",
        "0171 2345678 (Tochter Anna, Tel. 3)": "+491712345678",
        "2. Nummer 0171 2345678": "+491712345678",
        "Handy 2: 0171 2345678": "+491712345678",
        "0171 2345678 1 0172 2345678": "+491722345678",
    },
    "Asia/Tokyo": {
        "17時以降 090-1234-5678": "+819012345678",
        "03（1234）5678": "+81312345678",
        "０９０ー１２３４ー５６７８": "+819012345678",
        "090-1234-5678（9時半～17時）": "+819012345678",
    },
    "Europe/Vienna": {
        "0664 1234567 (Mama)": "+436641234567",
        "1) 0664 1234567": "+436641234567",
        "6641234567.0": "+436641234567",
        "01 5123456": "+4315123456",
        "01 Wien 5123456": None,
        "+43 (0)664/1234567": "+436641234567",
        "01/5123456-12": "+431512345612",
        "01 5123456 DW 12": "+4315123456;ext=12",
        "01 5123456 Klappe 12": "+4315123456;ext=12",
        "436641234567": "+436641234567",
        "01 5123456 privat": "+4315123456",
        "5123456": None,
    },
    "Europe/Rome": {
        "333 1234567 (Mamma)": "+393331234567",
        "06 12345678 ufficio": "+390612345678",
        "1) 333 1234567": "+393331234567",
        "3331234567.0": "+393331234567",
        "612345678.0": None,
        "393331234567": "+393331234567",
        "+39 (0)6 12345678": "+390612345678",
        "06 12345678 int. 12": "+390612345678;ext=12",
        "333 1234567 - 06 12345678": "+393331234567",
        "+39 06 12345678": "+390612345678",
        "333 1234567 o 334 1234567": "+393331234567",
        "06/12345678": "+390612345678",
    },
    "Asia/Calcutta": {
        "98765 43210 (Amma)": "+919876543210",
        "1) 98765 43210": "+919876543210",
        "9876543210.0": "+919876543210",
        "919876543210": "+919876543210",
        "098765 43210": "+919876543210",
        "+91-98765-43210": "+919876543210",
        "98765 43210 / 98765 43211": "+919876543210",
        "022 2345 6789": "+912223456789",
        "9876543210 office": "+919876543210",
    },
    "Europe/Stockholm": {
        "070-174 06 05 (mamma)": "+46701740605",
        "08-123 456 78 jobb": "+46812345678",
        "1) 070-174 06 05": "+46701740605",
        "701740605.0": "+46701740605",
        "46701740605": "+46701740605",
        "0046 70 174 06 05": "+46701740605",
        "+46 (0)70-174 06 05": "+46701740605",
        "08-123 456 78 ankn 12": "+46812345678;ext=12",
    },
    "Australia/Sydney": {
        "0412 345 678 (Mum)": "+61412345678",
        "(02) 9374 4000 work": "+61293744000",
        "1) 0412 345 678": "+61412345678",
        "412345678.0": "+61412345678",
        "61412345678": "+61412345678",
        "02 Sydney 9374 4000": None,
        "0011 49 171 2345678": "+491712345678",
        "1300 FLOWERS": None,
        "0412345678x12": "+61412345678;ext=12",
    },
    "America/New_York": {
        "(212) 555-0100": "+12125550100",
        "030 1234567": None,
        "0171 2345678": None,
        "+1 030 123 4567": None,
        "(123) 456-7890": None,
        "1-800-FLOWERS": "+18003569377",
        "1-800-flowers": "+18003569377",
        "212 private": None,
        "212-555-0100 ext 12": "+12125550100;ext=12",
        "212.555.0100 cell": "+12125550100",
        "2125550100.0": "+12125550100",
        "12125550100.0": "+12125550100",
        "1) 212-555-0100": "+12125550100",
        "212-555-0100 / 646-555-0101": "+12125550100",
        "555-0100": None,
        "011 49 171 2345678": "+491712345678",
        "0049 171 2345678": "+491712345678",
        "212-555-0100-12": None,
        "2.12555E+09": None,
        "(555) 123-4567": "+15551234567",
        "1-800-FLOWERS (shop)": None,
        "212 555 0100 #12": "+12125550100;ext=12",
        "1 (212) 555-0100": "+12125550100",
        "call 212 555 0100 after 5pm": "+12125550100",
        "212-555-0100 or 5551234": "+12125550100",
        "11/21/2026": None,
        "212 555 0100 or 0101": "+12125550100",
        "212-555-0100x": None,
    },
    "Europe/Paris": {
        "01 23 45 67 89": "+33123456789",
        "01.23.45.67.89": "+33123456789",
        "01/23/45/67/89": "+33123456789",
        "06 12 34 56 78 (perso)": "+33612345678",
        "612345678.0": "+33612345678",
        "1er 06 12 34 56 78": "+33612345678",
    },
    "Europe/Brussels": {"0475/12.34.56": "+32475123456", "0475/12/34/56": "+32475123456"},
    "Europe/Oslo": {
        "21112026": "+4721112026",
        "21.11.2026": None,
        "22 33 44 55 hjemme": "+4722334455",
        "22 Oslo 334455": None,
    },
    "UTC": {
        "030 1234567": None,
        "+49 30 1234567": "+49301234567",
        "0049 30 1234567": "+49301234567",
        "12345678901": None,
    },
    "Europe/Warsaw": {"12 345 67 89 (mama)": "+48123456789"},
    "America/Sao_Paulo": {"(11) 98765-4321 casa": "+5511987654321"},
    "Europe/Moscow": {"8 (916) 123-45-67": "+79161234567"},
    "Europe/Budapest": {"06 1 234 5678": "+3612345678"},
    "Europe/London": {
        "07400 123456 (mum)": "+447400123456",
        "0121 234 5678 x12": "+441212345678;ext=12",
        "7400123456.0": "+447400123456",
        "447400123456": "+447400123456",
    },
}


def read(place, cells):
    """Return how each cell is read. In JSON, an unlikely number needs no confirmation."""
    rows = [{"name": f"Row {n}", "phone": cell, "reference": str(n)} for n, cell in enumerate(cells, 1)]
    refused = {each["row"] for each in place.add_contacts(*rows)["refused"]}
    lines = place.export().get("contact", [])
    numbers = {contact["reference"]: contact["phone"] for contact in lines}
    assert len(numbers) == len(cells) - len(refused)
    return [numbers.get(str(n)) for n in range(1, len(cells) + 1)]


@pytest.mark.parametrize("zone", CELLS)
def test_the_number_that_a_person_would_dial_or_none(client, zone):
    place = open_deli(client, timezone=zone)
    cells = list(CELLS[zone])
    assert dict(zip(cells, read(place, cells), strict=True)) == CELLS[zone]


# ----- a number that is merely possible


UNSURE = "0199 1234567"  # no such number range is known
QUESTION = "was read as +49 1991234567. If that is right, press the button again."


def test_a_form_asks_once_more(clinic, app):
    owner = Browser(app).open(f"{clinic.links['manage']}/contacts")
    owner.press("Add the contact", name="Ana", phone=UNSURE)
    assert (owner.status, QUESTION in unescape(owner.html), clinic.contact_names()) == (400, True, [])
    owner.press("Add the contact")
    assert (owner.redirects, clinic.contact_names()) == ([303], ["Ana"])
    contact = clinic.contacts()["contacts"][0]
    owner.open(contact["links"]["contact"].partition("localhost")[2])
    owner.press("Save", name="Ana María")  # it is confirmed by now
    assert clinic.contact_names() == ["Ana María"]


def test_another_number_than_the_confirmed_one_is_asked_about_again(clinic, app):
    owner = Browser(app).open(f"{clinic.links['manage']}/contacts")
    owner.press("Add the contact", name="Ana", phone=UNSURE)
    owner.press("Add the contact", phone="0199 7654321")
    assert (owner.status, "+49 1997654321" in unescape(owner.html), clinic.contact_names()) == (400, True, [])


def test_everybody_who_types_a_number_is_asked(clinic, cleo, app):
    clinic.owner_post("/queues/follow-ups", public_form=True)
    form = Browser(app).open(f"/{clinic.slug}/follow-ups/tickets")
    form.press("Call me back", name="Ana", phone=UNSURE)
    assert (form.status, QUESTION in unescape(form.html)) == (400, True)
    assert form.press("Call me back").redirects == [303]
    caller = Browser(app).open(f"{cleo.link}/calls")
    caller.press("Log the call", phone="0199 7654321", outcome="Reached")
    assert (caller.status, "press the button again" in caller.html) == (400, True)
    assert caller.press("Log the call", outcome="Reached").redirects == [303]
    customer = clinic.customer()
    ticket = Browser(app).open(customer.ticket["links"]["ticket"])
    ticket.press("Phone me when it's my turn", phone="0199 1111111")
    assert (ticket.status, customer.get()["by_phone"]) == (400, False)
    ticket.press("Phone me when it's my turn")
    assert customer.get()["by_phone"] is True


def test_a_program_is_not_asked(clinic):
    assert clinic.add_contacts({"name": "Ana", "phone": UNSURE})["added"] == 1


# ----- the country


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("Asia/Calcutta", "IN"),
        ("Asia/Saigon", "VN"),
        ("Europe/Kiev", "UA"),
        ("America/Buenos_Aires", "AR"),
        ("Asia/Katmandu", "NP"),
        ("US/Pacific", "US"),
        ("Iceland", "IS"),
        ("Singapore", "SG"),
        ("America/Coral_Harbour", "CA"),
        ("UTC", ""),
        ("EST", ""),
        ("Etc/GMT+5", ""),
    ],
)
def test_the_time_zone_decides_the_country(client, zone, country):
    assert open_deli(client, timezone=zone).owner_get()["country"] == country


def test_the_owner_chooses_the_country_by_its_name(place, app):
    owner = Browser(app).open(f"{place.links['manage']}/settings")
    assert '<option value="" selected>not known</option>' in owner.html
    assert '<option value="DE">Germany</option>' in owner.html
    owner.press("Save", timezone="Asia/Calcutta")
    assert place.owner_get()["country"] == "IN"  # nothing was chosen, so the new zone decides
    owner.press("Save", country="DE")
    assert place.owner_get()["country"] == "DE"
    assert '<option value="DE" selected>Germany</option>' in owner.html


@pytest.mark.parametrize("country", ["ZZ", "de", "D", "Germany"])
def test_an_invalid_country(place, country):
    assert place.owner_post("", country=country).status == 400


def test_a_place_without_a_country_asks_for_the_country_code(place):
    (refused,) = place.add_contacts({"name": "Ana", "phone": "030 1234567"})["refused"]
    assert "this place has no country" in refused["why"]
    assert place.add_contacts({"name": "Ana", "phone": "+49 30 1234567"})["added"] == 1
    assert place.contacts()["contacts"][0]["phone"] == "+49 30 1234567"
