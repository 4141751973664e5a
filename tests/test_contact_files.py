"""Real contact files: exports of other programs, spreadsheets, encodings, languages, and bad cells."""

import csv
import io
import re
import zipfile
from datetime import date
from pathlib import Path

import openpyxl
import pytest
from helpers import waiting
from helpers.html_browser import Browser
from test_contact_import import counts, sends_file, stores, uploads, wait_for

from app.core import imports, spreadsheets

CASES = Path(__file__).parent / "cases"
UNKNOWN = "Wer,Wohin,Seit\nAna,030 1234567,2020\nBen,0171 2345678,2021\n"


@pytest.fixture
def owner(clinic, app):
    """The owner's page of contacts."""
    return Browser(app).open(f"{clinic.links['manage']}/contacts")


def uploads_file(place, content, status=201):
    """Upload a file as a program does; return the response."""
    data = {"file": (io.BytesIO(content), "contacts.csv")}
    manage = place.links["manage"]
    browser = Browser(place.app).open(f"{manage}/contacts")
    data["csrf_token"] = dict(browser.form("Upload")["fields"])["csrf_token"]
    answer = browser.client.post(
        f"{manage}/contacts/import", data=data, headers={"Accept": "application/json"}
    )
    assert answer.status_code == status, answer.text
    return answer.json


@pytest.fixture
def clinic(clinic, app):
    clinic.app = app
    return clinic


def stores_file(place, content):
    upload = uploads_file(place, content)
    answer = place.client.post(upload["links"]["store"])
    assert answer.body["state"] == "stored", answer.body
    return answer.body


def only_contact(place):
    (contact,) = place.contacts()["contacts"]
    return contact


def workbook(*rows, **formats):
    """Return an .xlsx file with these rows, and cell formats such as C2="00000"."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell, number_format in formats.items():
        book.active[cell].number_format = number_format
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


# ----- exports of other programs


def test_a_google_contacts_export(clinic):
    upload = uploads_file(clinic, (CASES / "google_contacts_2025.csv").read_bytes())
    assert "030 7654321" in upload["remarks"][0]["remark"]
    clinic.client.post(upload["links"]["store"])
    mara = only_contact(clinic)
    assert (mara["name"], mara["phone"]) == ("Mara Lindqvist", "0171 2345678")
    assert (mara["email"], mara["tags"]) == ("mara@example.org", ["Patients"])


def test_an_outlook_export(clinic):
    stores_file(clinic, (CASES / "outlook_contacts.csv").read_bytes())
    jonas, mara = clinic.contacts()["contacts"]
    assert (mara["name"], mara["phone"], mara["tags"]) == (
        "Mara Lindqvist",
        "030 1234567",
        ["VIP", "Patients"],
    )
    assert (jonas["name"], jonas["phone"]) == ("Jonas Okafor", "0171 2345678")


@pytest.mark.parametrize(
    "heading",
    ["Home Fax", "Assistant's Phone", "Emergency contact phone", "Phone type", "Pager", "Fax privat"],
)
def test_a_number_that_is_not_the_contacts_own_is_left_out(clinic, heading):
    stores(clinic, f"Name,{heading},Mobile Phone\nAna,030 7654321,0171 2345678\n")
    assert only_contact(clinic)["phone"] == "0171 2345678"


@pytest.mark.parametrize(
    ("headings", "row"),
    [
        (
            "Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value",
            "Work Fax,030 1,Mobile,0171 2345678",
        ),
        (
            "Phone 1 - Type,Phone 1 - Value,Phone 2 - Type,Phone 2 - Value",
            "Home Fax,030 7654321,,0171 2345678",
        ),
        ("Phone Type 1,Phone 1,Phone Type 2,Phone 2", "Fax,030 7654321,Home,0171 2345678"),
        ("Telefon,Telefonart,Mobil", "030 7654321,Fax privat,0171 2345678"),
        ("Phone,Phone type", "0171 2345678,Mobile"),
    ],
)
def test_a_fax_is_not_called(clinic, headings, row):
    upload = stores(clinic, f"Name,{headings}\nAna,{row}\n")
    assert (only_contact(clinic)["phone"], upload["remarks"]) == ("0171 2345678", [])


def test_a_row_with_a_fax_only_is_refused(clinic):
    upload = uploads(clinic, "Name,Phone,Phone type\nAna,030 7654321,Fax\nBen,0171 2345678,Mobile\n")
    assert [each["value"] for each in upload["refused"]] == ["Fax: 030 7654321"]
    assert "this is a fax number" in upload["refused"][0]["why"]


@pytest.mark.parametrize("heading", ["Fax", "Home Fax", "Emergency contact phone", "Pager", "Télécopie"])
def test_a_row_whose_only_number_is_in_another_column_says_so(clinic, heading):
    upload = uploads(clinic, f"Name,Phone,{heading}\nAna,,030 7654321\nBen,0171 2345678,\nCem,,\n")
    ana, cem = upload["refused"]
    assert f"the only number is in the column “{heading}”" in ana["why"]
    assert cem["why"] == "Please enter a phone number."


def test_a_yes_or_no_in_a_column_called_phone_is_pointed_out(clinic):
    upload = uploads(clinic, "Name,Mobile,Phone\nAna,0171 2345678,no\n")
    assert "If the column says who may be called" in upload["remarks"][0]["remark"]


def test_a_shopify_export(clinic):
    text = (
        "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address Company,"
        "Default Address Address1,Default Address City,Default Address Zip,Default Address Phone,Phone,"
        "Accepts SMS Marketing,Total Orders,Note,Tags\n"
        "'7001,Mara,Lindqvist,mara@example.org,yes,,1 Oak Street,Berlin,'10115,'+49301234567,,no,0,,"
        '"vip, new"\n'
    )
    stores(clinic, text)
    mara = only_contact(clinic)
    assert (mara["phone"], mara["reference"]) == ("030 1234567", "7001")
    assert mara["address"] == "1 Oak Street, Berlin, 10115"


def test_an_old_google_export_of_a_company(clinic):
    headings = "Name,Given Name,Family Name,Phone 1 - Type,Phone 1 - Value,Organization 1 - Type,"
    stores(clinic, f"{headings}Organization 1 - Name\n,,,Work,030 7654321,,Acme\n")
    assert only_contact(clinic)["name"] == "Acme"


def test_tags_of_a_mailchimp_export(clinic):
    stores(
        clinic,
        'Email Address,First Name,Phone Number,TAGS\na@example.org,Mara,030 1234567,"""vip"",""new"""\n',
    )
    assert only_contact(clinic)["tags"] == ["vip", "new"]


@pytest.mark.parametrize(
    "heading", ["Home", "iPhone", "Ufficio", "Abitazione 2", "Other", "Domicile", "Geschäftlich"]
)
def test_a_column_called_home_that_holds_numbers(clinic, heading):
    stores(clinic, f"Name,Cellulare,{heading}\nMara,,030 1234567\n")
    assert only_contact(clinic)["phone"] == "030 1234567"


@pytest.mark.parametrize(("heading", "cell"), [("Home", "12345 Berlin"), ("Other", "see 030 7654321")])
def test_a_column_called_home_that_holds_something_else(clinic, heading, cell):
    upload = stores(clinic, f"Name,Phone,{heading}\nMara,030 1234567,{cell}\n")
    assert (upload["columns"][heading], upload["remarks"]) == (None, [])


@pytest.mark.parametrize(
    "headings",
    [
        "Name,Rufnummer,E-Mail-Adresse",
        "Nachname,Mobiltelefon,Mailadresse",
        "Kundenname,Telefon (geschäftlich),E-Mail",
        "Nom complet,N° de téléphone,Adresse e-mail",
        "Nom,Téléphone portable,Courriel",
        "Nombre completo,Teléfono móvil,Correo electrónico",
        "Nombre y apellidos,Nº de teléfono,Dirección de correo electrónico",
        "Nome e cognome,Cellulare,Posta elettronica",
        "Nome,Numero di telefono,Indirizzo e-mail",
        "Nome completo,Telemóvel,Endereço de e-mail",
        "Nome,Celular,E-mail",
        "Naam,Telefoonnummer,E-mailadres",
        "Volledige naam,Mobiel nummer,E-mail",
        "Imię i nazwisko,Numer telefonu,Adres e-mail",
        "Nazwisko,Telefon komórkowy,E-mail",
        "Adı Soyadı,Cep Telefonu,E-posta",
        "İSİM,TELEFON NUMARASI,E-POSTA ADRESİ",
        "氏名,電話番号,メールアドレス",
        "会社名,携帯電話,電子メール アドレス",
        "fullName,phoneNumber,emailAddress",
        "ФИО,Мобильный телефон,Электронная почта",
        "Ονοματεπώνυμο,Τηλέφωνο,E-mail",
        "Név,Telefonszám,E-mail cím",
        "Nume,Telefon,E-mail",
        "姓名,手机号,邮箱",
        "이름,휴대폰,이메일",
        "Naam,Telefoon op werk,E-mailadres",
        "Naam,Mobiele telefoon,E-mail",
        "Guest name,Contact No,Email",
        "Customer,Mobile/WhatsApp,Email",
        "Namn,Telefon (arbete),E-post",
        "Name,Billing Phone,Email",
        "Person - Name,Person - Phone,Person - Email",
    ],
)
def test_headings_in_other_languages(clinic, headings):
    stores(clinic, f"{headings}\nMara,030 1234567,mara@example.org\n")
    mara = only_contact(clinic)
    assert (mara["name"], mara["phone"], mara["email"]) == ("Mara", "030 1234567", "mara@example.org")


@pytest.mark.parametrize(
    ("headings", "row"),
    [
        ("Vorname,Name", "Mara,Lindqvist"),
        ("Prénom,Nom", "Mara,Lindqvist"),
        ("Nombre,Apellidos", "Mara,Lindqvist"),
        ("Nome,Cognome", "Mara,Lindqvist"),
        ("Nome,Sobrenome", "Mara,Lindqvist"),
        ("Voornaam,Achternaam", "Mara,Lindqvist"),
        ("Imię,Nazwisko", "Mara,Lindqvist"),
        ("Ad,Soyad", "Mara,Lindqvist"),
        ("Name,Given Name,Family Name", "Mara Lindqvist,Mara,Lindqvist"),
        ("Name,Last Name", "Mara Lindqvist,Lindqvist"),
        ("Customer First Name,Customer Last Name", "Mara,Lindqvist"),
        ("billing_first_name,billing_last_name", "Mara,Lindqvist"),
        ("First name,Last name,Shipping first name,Shipping last name", "Mara,Lindqvist,Jon,Doe"),
        ("Имя,Фамилия", "Mara,Lindqvist"),
        ("First name,Last name,Business name", "Mara,Lindqvist,Acme Inc"),
    ],
)
def test_a_name_in_several_columns(clinic, headings, row):
    stores(clinic, f"{headings},Telefon\n{row},030 1234567\n")
    assert only_contact(clinic)["name"] == "Mara Lindqvist"


@pytest.mark.parametrize(
    ("headings", "row", "name"),
    [
        ("Name 1;Name 2", "Meier GmbH;Einkauf", "Meier GmbH Einkauf"),
        ("Name1;Name2;Name3", "Meier GmbH;Einkauf;z. Hd. Frau Roth", "Meier GmbH Einkauf z. Hd. Frau Roth"),
        ("Name;Name 2", "Lindqvist;Mara", "Lindqvist Mara"),
        ("Name 2;Name 1", "Mara;Lindqvist", "Lindqvist Mara"),
        ("Name 1;Name 2", "Lindqvist;", "Lindqvist"),
        ("Name 1;Name 2", ";Mara", "Mara"),
        ("Name 1;Name 2", "Lindqvist;-", "Lindqvist"),
        ("Name 1;Name 2", "Lindqvist;Lindqvist", "Lindqvist"),
        ("Name 1;Name 2", f"{'x' * 110};Abteilung Einkauf", "x" * 110),
        ("Name 1;Tel. 1;Name 2", "Mara;;Ben", "Mara"),  # of two people
        ("Name;Display name", "Mara;Mara L.", "Mara"),
    ],
)
def test_a_name_on_several_lines_of_a_german_address_book(clinic, headings, row, name):
    stores(clinic, f"{headings};Ort;Telefon\n{row};Ulm;030 1234567\n")
    assert only_contact(clinic)["name"] == name


def test_a_japanese_outlook_export(clinic):
    clinic.owner_post("", country="JP")
    text = "敬称,名,ミドル ネーム,姓,会社名,会社電話,自宅電話 1,携帯電話,電話不可,メモ\r\n"
    text += ",太郎,,山田,,,,０９０－１２３４－５６７８,はい,\r\n,花子,,佐藤,,03-1234-5678,,,いいえ,\r\n"
    stores_file(clinic, text.encode("cp932"))
    contacts = [(each["name"], each["phone"], each["do_not_call"]) for each in clinic.contacts()["contacts"]]
    assert sorted(contacts) == [("佐藤 花子", "03-1234-5678", False), ("山田 太郎", "090-1234-5678", True)]


@pytest.mark.parametrize(
    ("headings", "row", "phone"),
    [
        ("Vorwahl,Telefon", "0171,2345678", "+491712345678"),
        ("Vorwahl,Telefon", "030,030 1234567", "+49301234567"),
        ("Vorwahl,Telefon", "030,0171 2345678", "+491712345678"),
        ("Vorwahl,Telefon", "030,+43 664 1234567", "+436641234567"),
        ("Vorwahl,Rufnummer,Durchwahl", "030,123456,78", "+4930123456;ext=78"),
        ("Country Code,Phone", "43,664 1234567", "+436641234567"),
        ("Country Code,Phone", "+1,212-555-0100", "+12125550100"),
        ("Country Code,Phone", "0049,0171 2345678", "+491712345678"),
        ("Country Code,Phone", "49,491712345678", "+491712345678"),
        ("Country Code,Phone", "DE,0171 2345678", "+491712345678"),
        ("Country Code,Area Code,Phone", "1,212,555-0100", "+12125550100"),
        ("Country Code,Phone,Mobile", "44,020 7946 0958,07911 123456", "+442079460958"),
        ("Phone,Ext", "030 1234567,12", "+49301234567;ext=12"),
        ("Phone,Ext", "030 1234567,n/a", "+49301234567"),
    ],
)
def test_a_number_in_several_columns(clinic, headings, row, phone):
    stores(clinic, f"Name,{headings}\nMara,{row}\n")
    assert [contact["phone"] for contact in clinic.export()["contact"]] == [phone]


def test_german_headings_with_two_phones(clinic):
    stores_file(clinic, (CASES / "german2.csv").read_bytes())
    assert only_contact(clinic)["phone"] == "0171 2345678"


def test_a_title_above_the_headings(clinic):
    upload = uploads_file(clinic, (CASES / "title_row.csv").read_bytes())
    assert [row["row"] for row in upload["preview"]] == [4]
    clinic.client.post(upload["links"]["store"])
    assert only_contact(clinic)["name"] == "Mara"


def test_a_company_is_the_name_of_a_row_without_another(clinic):
    stores(clinic, "First Name,Last Name,Company,Phone\n,,Deli Inc.,030 1234567\n")
    assert only_contact(clinic)["name"] == "Deli Inc."


# ----- encodings


@pytest.mark.parametrize("case", ["excel_csv_de_cp1252.csv", "excel_unicode_text_utf16.txt"])
def test_a_file_saved_by_excel_on_german_windows(clinic, case):
    stores_file(clinic, (CASES / case).read_bytes())
    contact = only_contact(clinic)
    assert (contact["name"], contact["phone"]) == ("Zoë", "030 1234567")


@pytest.mark.parametrize(
    ("name", "encoding", "country"),
    [
        ("Zoë Groß", "cp1252", "DE"),
        ("François Lefèvre", "cp1252", "FR"),
        ("Jürgen März", "mac_roman", "DE"),
        ("Jürgen Groß", "mac_roman", "DE"),
        ("Jürgen März", "cp850", "DE"),
        ("Zoë", "cp850", "DE"),
        ("Åsa Öberg", "cp850", "SE"),
        ("Анна Каренина", "iso8859_5", "RU"),
        ("Їжак Шевченко", "koi8_u", "UA"),
        ("山田太郎", "iso2022_jp", "JP"),
        ("Łukasz Żółć", "cp1250", "PL"),
        ("Łukasz Żółć", "iso8859_2", "PL"),
        ("Şükrü Işık", "cp1254", "TR"),
        ("Иван Петров", "cp1251", "RU"),
        ("Γιώργος Παππάς", "cp1253", "GR"),
        ("山田太郎", "cp932", "JP"),
        ("Zoë", "utf-16-be", "DE"),
        ("Zoë", "utf-16-le", "DE"),
        ("Zoë", "utf-32", "DE"),
    ],
)
def test_files_in_old_encodings(clinic, name, encoding, country):
    clinic.owner_post("", country=country)
    stores_file(clinic, f"Name;Phone\r\n{name};+49 30 1234567\r\n".encode(encoding))
    assert only_contact(clinic)["name"] == name


def test_a_line_that_another_program_added_in_another_encoding(clinic):
    stores_file(clinic, "Name;Phone\nZoë;030 1234567\nGroß;030 1234568\n".encode() + b"M\xe4rz;030 1234569\n")
    assert clinic.contact_names() == ["Groß", "März", "Zoë"]


# ----- spreadsheets


def test_a_spreadsheet(clinic):
    content = workbook(
        ["Patients of week 47"],
        [],
        ["Name", "Mobile", "Reference", "Notes", "Do not call"],
        ["Zoë", 1712345678, 17.0, date(2026, 11, 21), None],
        ["Ben\nB.", "030 1234567", 4711, 1.5, True],
        B4='"0"#',
        C4="00000",
    )
    upload = uploads_file(clinic, content)
    assert [row["row"] for row in upload["preview"]] == [4, 5]
    clinic.client.post(upload["links"]["store"])
    ben, zoe = clinic.contacts()["contacts"]
    assert (zoe["phone"], zoe["reference"], zoe["notes"]) == ("0171 2345678", "00017", "2026-11-21")
    assert (ben["name"], ben["reference"], ben["notes"], ben["do_not_call"]) == (
        "Ben B.",
        "4711",
        "1.5",
        True,
    )


def test_the_sheet_with_the_contacts_is_taken(clinic):
    book = openpyxl.Workbook()
    book.active.append(["Read me first"])
    sheet = book.create_sheet("Contacts")
    sheet.append(["Name", "Phone"])
    sheet.append(["Ana", "030 1234567"])
    content = io.BytesIO()
    book.save(content)
    stores_file(clinic, content.getvalue())
    assert clinic.contact_names() == ["Ana"]


def zip_of(**parts):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return content.getvalue()


def bomb(rows):
    """Return a spreadsheet with these rows as its only sheet."""
    original = zipfile.ZipFile(io.BytesIO(workbook(["Name", "Phone"])))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in original.namelist():
            text = original.read(part)
            if part == "xl/worksheets/sheet1.xml":
                space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
                text = f'<worksheet xmlns="{space}"><sheetData>{rows}</sheetData></worksheet>'.encode()
            archive.writestr(part, text)
    return content.getvalue()


@pytest.mark.parametrize(
    ("title", "rows"),
    [
        ("DNC", [["0171 2345678"]]),
        ("Nicht anrufen", [["Name", "Telefon"], ["Ben", "0171 2345678"]]),
        ("Sheet2", [["Do not call"], ["0171 2345678"]]),
    ],
)
def test_another_sheet_with_a_do_not_call_list_is_not_passed_over(clinic, title, rows):
    book = openpyxl.load_workbook(io.BytesIO(workbook(["Name", "Phone"], ["Mara", "030 1234567"])))
    sheet = book.create_sheet(title)
    for row in rows:
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    error = uploads_file(clinic, content.getvalue(), status=400)["error"]
    assert f"another sheet, “{title}”, that would not be read" in error


def with_result(content, cell):
    """Return a spreadsheet whose only formula, in C2, is another cell, and that needn't be calculated."""
    new = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(new, "w") as archive:
        for name in old.namelist():
            part = old.read(name).replace(b' fullCalcOnLoad="1"', b"")
            archive.writestr(name, re.sub(rb'<c r="C2"([^>]*)>(<f>.*?</f>)<v ?/></c>', cell, part))
    return new.getvalue()


FORMULA = ["Mara", "030 1234567", '=IF(1=1,"yes","")']


@pytest.mark.parametrize("cell", [None, rb'<c r="C2"\1>\2</c>'])
def test_a_spreadsheet_with_formulas_that_nobody_has_calculated_is_refused(clinic, cell):
    content = workbook(["Name", "Phone", "DNC"], FORMULA)
    content = content if cell is None else with_result(content, cell)
    assert "formulas without their results" in uploads_file(clinic, content, status=400)["error"]


@pytest.mark.parametrize(("result", "says_no"), [(b"yes", True), (b"", False)])
def test_formulas_with_results_are_read(clinic, result, says_no):
    cell = rb'<c r="C2" t="str">\2<v>' + result + b"</v></c>"
    stores_file(clinic, with_result(workbook(["Name", "Phone", "DNC"], FORMULA), cell))
    assert only_contact(clinic)["do_not_call"] is says_no


@pytest.mark.parametrize(
    ("row", "cell", "times", "says"),
    [
        pytest.param('<row r="1">{}</row>', "<c/>", 6_000_000, "too large", marks=pytest.mark.soak),
        ("{}", " ", 300_000_000, "too large"),
        ('<row r="999999999">{}</row>', '<c r="A999999999"><v>1</v></c>', 1, "nothing"),
        ('<!DOCTYPE a [<!ENTITY b "c">]>{}', "&b;", 1, "can&#39;t be read"),
        ("<row", "", 1, "can&#39;t be read"),
    ],
    ids=["a wide row", "300 MB", "a far row", "an entity", "damaged"],
)
def test_a_spreadsheet_that_is_a_bomb_is_refused(clinic, owner, row, cell, times, says):
    sends_file(owner, bomb(row.format(cell * times)))
    if "Reading the file" in owner.html:
        waiting.wait_for(lambda: "Reading the file" not in owner.open(owner.url).html, within=60)
    assert says in owner.html
    assert clinic.contacts()["total"] == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500, "old Excel file"),
        (zip_of(mimetype="application/vnd.oasis.opendocument.spreadsheet", content="x"), "OpenDocument"),
        (zip_of(a="b"), "no spreadsheet"),
        (b"PK\3\4" + b"\0" * 1000, "can't be read"),
        (b"BEGIN:VCARD\r\nFN:Ana\r\nTEL:030 1234567\r\nEND:VCARD\r\n", "as CSV"),
    ],
)
def test_files_of_other_kinds_are_refused_with_a_sentence(clinic, content, says):
    assert says in uploads_file(clinic, content, status=400)["error"]


def test_a_large_spreadsheet_is_opened_while_its_page_waits(clinic, monkeypatch):
    monkeypatch.setattr(imports, "MAX_SPREADSHEET_IN_REQUEST", 100)
    upload = uploads_file(clinic, workbook(["Name", "Phone"], ["Ana", "030 1234567"]))
    assert counts(wait_for(clinic, upload["links"]["import"], "ready")) == (1, 0, 0)
    damaged = uploads_file(clinic, b"PK\3\4" + b"\0" * 1000)
    assert "can't be read" in wait_for(clinic, damaged["links"]["import"], "failed")["why"]


def test_memory_of_the_process_that_opens_spreadsheets_is_limited():
    assert spreadsheets.MAX_MEMORY_BYTES <= 2**30


# ----- columns that the owner chooses


def test_the_owners_choice_of_columns_is_remembered(clinic, owner):
    owner.press("Preview", text=UNKNOWN)
    assert "Choose the columns" in owner.html
    assert "0171 2345678" in owner.html  # the first rows
    owner.press("Continue", **{"column-0": "name", "column-1": "phone"})
    assert "Import 2 contacts" in owner.html
    owner.press("Import")
    assert clinic.contact_names() == ["Ana", "Ben"]
    next_week = uploads(clinic, UNKNOWN.replace("Ana", "Cem").replace("030 1234567", "030 1234569"))
    assert (next_week["state"], counts(next_week)) == ("ready", (1, 1, 0))


def test_a_program_chooses_the_columns(clinic):
    upload = uploads(clinic, UNKNOWN)
    assert (upload["state"], upload["preview"]) == ("unmapped", [])
    assert "No column with names" in upload["why"]
    assert upload["column_list"][1] == {
        "heading": "Wohin",
        "field": None,
        "cells": ["030 1234567", "0171 2345678"],
    }
    assert clinic.client.post(upload["links"]["store"]).status == 409
    columns = {"Wer": "last_name", "Wohin": "phone"}
    for _ in range(2):  # pressed twice
        answer = clinic.client.post(upload["links"]["columns"], {"columns": columns})
        assert (answer.status, answer.body["state"], counts(answer.body)) == (200, "ready", (2, 0, 0))
    again = clinic.client.post(upload["links"]["columns"], {"columns": ["name", "phone", "notes"]})
    assert counts(again.body) == (2, 0, 0)
    assert again.body["preview"][0]["notes"] == "2020"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"columns": None},
        {"columns": "name"},
        {"columns": ["name"]},
        {"columns": ["name", "phone", "shoe size"]},
        {"columns": ["name", None, None]},
        {"columns": {"Nobody": "name"}},
        {"columns": {"Wer": 5}},
        {"columns": {"Wer": ["name"]}},
        {"fields": ["name", "phone", None]},
        {"columns": ["name", "phone", None], "do_not_call": 1},
    ],
)
def test_an_invalid_choice_of_columns_is_refused(clinic, body):
    upload = uploads(clinic, UNKNOWN)
    answer = clinic.client.post(upload["links"]["columns"], body)
    assert answer.status == 400, answer.body
    assert clinic.client.get(upload["links"]["import"]).body["state"] == "unmapped"


def test_a_file_without_headings(clinic):
    upload = uploads(clinic, "Ana,030 1234567\nBen,0171 2345678\n")
    assert (upload["state"], upload["rows"]) == ("unmapped", 2)
    answer = clinic.client.post(upload["links"]["columns"], {"columns": ["name", "phone"]})
    assert counts(answer.body) == (2, 0, 0)
    clinic.client.post(upload["links"]["store"])
    assert clinic.contact_names() == ["Ana", "Ben"]
    assert uploads(clinic, "Cem,030 1234561\nDan,0171 2345671\n")["state"] == "unmapped"


def test_an_unclear_do_not_call_cell_stops_the_file_after_the_choice_too(clinic):
    upload = uploads(clinic, "Wer,Wohin,Gesperrt?\nAna,030 1234567,vielleicht\n")
    answer = clinic.client.post(upload["links"]["columns"], {"columns": ["name", "phone", "do_not_call"]})
    assert (answer.status, "vielleicht" in answer.body["error"]) == (400, True)


def test_the_columns_of_a_stored_file_stay(clinic):
    upload = stores(clinic, "Name,Phone\nAna,030 1234567\n")
    answer = clinic.client.post(upload["links"]["columns"], {"columns": ["name", "phone"]})
    assert answer.status == 409


# ----- bad cells


def test_two_addresses_or_none_cost_only_the_cell(clinic):
    upload = uploads_file(clinic, (CASES / "two_emails.csv").read_bytes())
    assert counts(upload) == (3, 0, 0)
    assert {each["row"] for each in upload["remarks"]} == {2, 3, 4}
    assert [each["rows"] for each in upload["remark_groups"]] == [2, 1]
    clinic.client.post(upload["links"]["store"])
    assert [each["email"] for each in clinic.contacts()["contacts"]] == [None, None, "mara@example.org"]


@pytest.mark.parametrize("nothing", ["n/a", "N/A", "-", "–", "#N/A", "keine", "none", "?", "nessuno"])
@pytest.mark.parametrize("heading", ["Email", "Time zone", "Reference", "Address", "Tags"])
def test_a_cell_such_as_none_is_empty(clinic, heading, nothing):
    upload = uploads(clinic, f"Name,Phone,{heading}\nAna,030 1234567,{nothing}\nBen,0171 2345678,{nothing}\n")
    assert counts(upload) == (2, 0, 0)
    assert upload["remark_groups"][0]["rows"] == 2
    assert upload["remark_groups"][0]["examples"][0]["value"] == nothing


@pytest.mark.parametrize(
    ("zone", "read"),
    [
        ("PST", "America/Los_Angeles"),
        ("Pacific Time (US & Canada)", "America/Los_Angeles"),
        ("(GMT-05:00) Eastern Time (US & Canada)", "America/New_York"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("MEZ", "Europe/Berlin"),
        ("europe/lisbon", "Europe/Lisbon"),
        ("Europe/Lisbon", "Europe/Lisbon"),
        ("New York", "America/New_York"),
        ("São Paulo", "America/Sao_Paulo"),
        ("South", None),
        ("CST", None),  # China or Chicago: ambiguous for a place in Germany
        ("UTC+2", None),
        ("Mars", None),
    ],
)
def test_time_zones_as_people_write_them(clinic, zone, read):
    upload = uploads(clinic, f'Name,Phone,Time zone\nAna,030 1234567,"{zone}"\n')
    assert counts(upload) == (1, 0, 0)
    assert upload["preview"][0]["timezone"] == read
    assert bool(upload["remarks"]) == (zone.casefold() != (read or "").casefold())


def test_long_cells_and_tags_cost_only_themselves(clinic):
    long = "x" * 3000
    upload = stores(clinic, f'Name,Phone,Notes,Reference,Tags\nAna,030 1234567,{long},{long},"flu,{long}"\n')
    assert counts(upload) == (1, 0, 0)
    ana = only_contact(clinic)
    assert (ana["notes"], ana["reference"], ana["tags"]) == (None, None, ["flu"])


@pytest.mark.parametrize("heading", ["Name", "Last name", "Company"])
def test_a_row_whose_name_says_nothing_is_skipped_alone(clinic, heading):
    upload = uploads(clinic, f"{heading},Phone\nN/A,030 1234567\nMara,030 7654321\n-,030 5555555\n")
    assert counts(upload) == (1, 0, 2)
    assert {each["why"] for each in upload["refused"]} == {"Please enter a name."}


def test_a_bad_number_beside_a_good_one(clinic):
    upload = stores(clinic, "Name,Phone,Mobile\nAna,ask at the desk,0171 2345678\n")
    assert only_contact(clinic)["phone"] == "0171 2345678"
    assert upload["remarks"][0]["value"] == "ask at the desk"


# ----- rejected rows


def test_rejected_rows_are_downloaded_fixed_and_uploaded_again(clinic):
    text = "Name,Phone,Shoe size\nAna,030 1234567,41\nBen,nonsense,42\nCem,nothing,43\nDan,,44\n"
    upload = uploads(clinic, text)
    assert counts(upload) == (1, 0, 3)
    assert upload["refused"][0]["value"] == "nonsense"
    groups = upload["refused_groups"]
    assert [(each["rows"], each["examples"][0]["value"]) for each in groups] == [(2, "nonsense"), (1, "")]
    clinic.client.post(upload["links"]["store"])
    content = clinic.client.get(upload["links"]["refused_csv"]).body
    rows = list(csv.DictReader(io.StringIO(content)))
    assert [row["Shoe size"] for row in rows] == ["42", "43", "44"]
    assert rows[0]["Problem"].startswith("Row 3: Enter a full phone number")
    fixed = content.replace("nonsense", "0171 2345678").replace("nothing", "0171 2345679")
    again = stores(clinic, fixed)
    assert counts(again) == (2, 0, 1)
    assert clinic.contact_names() == ["Ana", "Ben", "Cem"]


@pytest.mark.both_databases
def test_rejected_rows_of_a_file_whose_columns_were_chosen(clinic):
    upload = uploads(clinic, UNKNOWN.replace("030 1234567", "nonsense"))
    chosen = clinic.client.post(upload["links"]["columns"], {"columns": ["name", "phone", None]}).body
    assert counts(chosen) == (1, 0, 1)
    content = clinic.client.get(upload["links"]["refused_csv"]).body
    again = uploads(clinic, content.replace("nonsense", "030 1234567"))
    assert (again["state"], counts(again)) == ("ready", (1, 0, 0))


def test_the_review_groups_equal_reasons_and_has_its_button_at_the_top(clinic, owner):
    rows = "".join(f"Ana {n},030 {1000000 + n},a{n} at example.org\n" for n in range(692))
    owner.press("Preview", text=f"Name,Phone,E-mail\n{rows}Ben,none,\n")
    assert owner.html.index("Import 692 contacts") < owner.html.index("Skipped")
    assert "<b>692 rows</b>: Email: left out" in owner.html
    assert "<b>1 row</b>: Please enter a phone number." in owner.html
    assert "<q>a0 at example.org</q>" in owner.html
    assert "and 687 more" in owner.html


def test_an_erased_contact_is_erased_from_imports_too(clinic):
    stores(clinic, "Name,Phone,E-mail\nAna,030 1234567,ana at home\n")
    uploads(clinic, "Name,Phone,E-mail\nAna,030 1234567,ana at home\nAna,030 1234567,again at home\n")
    ana = only_contact(clinic)
    assert clinic.client.post(f"{ana['links']['contact']}/forget").status == 200
    assert "at home" not in str(clinic.export())
