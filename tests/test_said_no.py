"""Opt-outs as people write them: in other languages, in other columns, and beside the number."""

import pytest
from test_contact_import import stores, uploads
from test_opt_outs import forbidden, numbers


@pytest.mark.parametrize(
    "yes",
    [
        *("sì", "Evet", "VERDADEIRO", "PRAWDA", "DOĞRU", "WAAR", "VERO", "да", "☒"),
        *(
            "Ring inte",
            "Bitte nicht mehr anrufen!",
            "NE PAS APPELER",
            "no llamar",
            "Não ligar",
            "Nie dzwonić",
        ),
        *("niet bellen", "non chiamare", "aramayın", "don’t ring", "opted_out"),
        *("✔️", "はい", "○", "是", "نعم", "yes (verbal)", "Ja, seit 2024", "March 4th, 2025", "20250304"),
    ],
)
def test_a_yes_in_other_languages(clinic, yes):
    stores(clinic, f'Name;Phone;DNC\nMara;030 1234567;"{yes}"\n')
    assert forbidden(clinic) == ["Mara"]


@pytest.mark.parametrize(
    "heading",
    [
        *("Nicht anrufen", "Ne pas appeler", "No llamar", "Non chiamare", "Não ligar", "Niet bellen"),
        *("Nie dzwonić", "Aramayın", "Ring inte", "Cannot call", "Not callable"),
        *("Not to be called", "Don't phone", "No contact", "Refuses calls", "UNSUB_TIME", "Abgemeldet am"),
        *("Phone consent revoked", "Calls not allowed", "Anruf nicht erlaubt", "No permission to call"),
        *("Keine Anrufe", "Anruf unerwünscht", "Kontaktsperre", "Dado de baja", "Désinscrit", "Bel-me-niet"),
        *("Не звонить", "電話不可", "架電NG", "请勿致电", "전화하지 마세요", "لا تتصل", "אל תתקשר", "อย่าโทร"),
    ],
)
def test_a_heading_in_other_languages(clinic, heading):
    stores(clinic, f"Name;Phone;{heading}\nMara;030 1234567;x\nBen;0171 2345678;\n")
    assert forbidden(clinic) == ["Mara"]


@pytest.mark.parametrize(
    "heading",
    [
        *("OK to call", "May we call?", "Consent to call", "Anruf erlaubt", "Opt-in", "Puede llamar"),
        *("OK to call (yes/no)", "Darf angerufen werden? ja/nein", "Contact by phone", "Accepte les appels"),
        *("Contactable", "Okay to call", "Allow phone calls", "Phone opt-in", "Mag gebeld worden", "連絡可"),
    ],
)
def test_a_no_in_a_column_that_says_who_may_be_called(clinic, heading):
    text = f"Name;Phone;{heading}\nMara;030 1234567;no\nBen;0171 2345678;yes\nCem;030 7654321;\n"
    stores(clinic, f"{text}Dan;030 7654322;2026-11-01\n")
    assert forbidden(clinic) == ["Mara"]


def test_an_unclear_answer_there_stops_the_file_too(clinic):
    answer = clinic.owner_post("/contacts/import", text="Name;Phone;OK to call\nMara;030 1234567;maybe\n")
    assert answer.status == 400
    assert "does “maybe” in the column “OK to call” mean" in answer.body["error"]


@pytest.mark.parametrize("answer", ["denied", "widerrufen", "refusé", "No (asked)", "いいえ"])
def test_a_permission_that_was_not_given(clinic, answer):
    stores(clinic, f"Name;Phone;Phone consent\nMara;030 1234567;{answer}\nBen;0171 2345678;granted\n")
    assert forbidden(clinic) == ["Mara"]


@pytest.mark.parametrize("other", ["Do not call reason", "Email Opt Out", "Unsubscribed from all email"])
def test_the_column_for_calls_decides(clinic, other):
    text = f"Name;Phone;Do not call;{other}\nMara;030 1234567;yes;Moved\nBen;0171 2345678;no;yes\n"
    stores(clinic, text)
    assert forbidden(clinic) == ["Mara"]


def test_a_reason_without_a_yes_or_no_is_an_opt_out(clinic):
    text = "Name;Phone;DNC;DNC reason\nMara;030 1234567;;Complained\nBen;0171 2345678;no;Asked in 2020\n"
    upload = stores(clinic, f"{text}Cem;030 7654321;;\nDan;030 7654322;;-\n")
    assert forbidden(clinic) == ["Mara"]
    assert "“Complained” in the column “DNC reason”" in upload["remarks"][0]["remark"]


def test_the_empty_date_of_a_database_is_no_opt_out(clinic):
    text = "Name;Phone;unsubscribed_at\nMara;030 1234567;0000-00-00 00:00:00\nBen;0171 2345678;2025-03-04\n"
    stores(clinic, text)
    assert forbidden(clinic) == ["Ben"]


def test_an_opt_out_of_emails_alone_is_heeded(clinic):
    stores(clinic, "Name;Phone;Email Opt Out\nMara;030 1234567;1\nBen;0171 2345678;0\n")
    assert forbidden(clinic) == ["Mara"]


@pytest.mark.parametrize(
    ("heading", "cell"),
    [
        ("Blocked", "x"),
        ("Marketing consent", "no"),
        ("Widerspruch", "2025-03-04"),
        ("Lista rossa chiamate", "sì"),
    ],
)
def test_a_column_that_may_say_so_is_asked_about(clinic, heading, cell):
    text = f"Name;Phone;{heading}\nMara;030 1234567;\nBen;0171 2345678;{cell}\nCem;030 7654321;{cell}\n"
    upload = uploads(clinic, text)
    (remark,) = upload["remarks"]
    assert (remark["row"], heading in remark["remark"], "left out" in remark["remark"]) == (3, True, True)
    columns = {heading: "do_not_call" if cell != "no" else "may_call"}
    upload = clinic.client.post(upload["links"]["columns"], {"columns": columns}).body
    clinic.client.post(upload["links"]["store"])
    assert forbidden(clinic) == ["Ben", "Cem"]


@pytest.mark.parametrize(
    ("heading", "cell"),
    [
        ("Last call", "2025-03-04"),
        ("Call notes", "left a message"),
        ("Tax exempt", "no"),
        ("Blocked", "-"),
        ("Times contacted", "0"),
    ],
)
def test_other_columns_are_not_asked_about(clinic, heading, cell):
    assert uploads(clinic, f"Name;Phone;{heading}\nMara;030 1234567;{cell}\n")["remarks"] == []


def test_an_opt_out_without_a_number_is_refused_with_a_sentence(clinic):
    upload = uploads(clinic, "Name;Phone;DNC\nMara;;yes\nBen;0171 2345678;\n")
    (refused,) = upload["refused"]
    assert "no number that this can be about" in refused["why"]


def test_an_opt_out_of_half_a_number_is_refused_with_a_sentence(clinic):
    (refused,) = uploads(clinic, "Name;Phone;DNC\nMara;12345;yes\nBen;0171 2345678;\n")["refused"]
    assert "it isn't clear which number this is about. Enter a full phone number" in refused["why"]


@pytest.mark.parametrize(
    "row",
    [
        "Mara;030 1234567;Do not call;;",
        "Mara;030 1234567;Will keine Anrufe mehr;;",
        "Mara;030 1234567;;Met her. She does not want to be called.;",
        "Mara;030 1234567;On do not call list;;",
        "Mara;030 1234567;Blacklisted;;",
        "Mara;030 1234567;;Please stop calling me;",
        "Mara;030 1234567;;Spoke on 3/5. DO NOT CALL AGAIN.;",
        "Mara;030 1234567;;;VIP, dnc",
        "Mara (do not call);030 1234567;;;",
        "Mara;030 1234567 nicht anrufen!;;;",
    ],
)
def test_whoever_said_no_in_another_column_is_not_called(clinic, row):
    text = f"Name;Phone;Status;Notes;Tags\n{row}\nBen;0171 2345678;Active;Do not call her mother;VIP\n"
    upload = uploads(clinic, text)
    (remark,) = upload["remarks"]
    assert remark["remark"].endswith("nobody may call this number.")
    clinic.client.post(upload["links"]["store"])
    assert [name[:4] for name in forbidden(clinic)] == ["Mara"]


@pytest.mark.parametrize(
    "heading",
    ["Status", "Contact status", "Kundenstatus", "Lead-Status", "Anrufstatus", "Estado", "Statut client"],
)
def test_a_status_that_says_blocked_is_an_opt_out(clinic, heading):
    text = (
        f"Name;Phone;{heading}\nMara;030 1234567;Blocked\nBen;0171 2345678;active\nCem;030 7654321;gesperrt\n"
    )
    upload = uploads(clinic, text + "Dan;030 7654322;inaktiv\nEva;030 7654323;\nFay;030 7654324;new lead\n")
    (group,) = upload["remark_groups"]
    assert (group["rows"], group["why"]) == (2, "Do not call: a cell says so, outside the column for it.")
    assert f"“Blocked” in the column “{heading}”: nobody may call" in upload["remarks"][0]["remark"]
    clinic.client.post(upload["links"]["store"])
    assert forbidden(clinic) == ["Cem", "Mara"]


@pytest.mark.parametrize(
    "status",
    [
        *("BLOCKED", "blocked.", "Contact blocked", "blocked by customer", "Blocked - asked on 3/5", "STOP"),
        *("Gesperrt", "gesperrt seit 01.05.2025", "Kontakt gesperrt", "für Anrufe gesperrt", "Werbesperre"),
        *(
            "gesperrt (DSGVO)",
            "bloqué",
            "bloqueada",
            "bloccato",
            "geblokkeerd",
            "zablokowany",
            "🚫",
            "abgemeldet",
        ),
    ],
)
def test_words_for_blocked(clinic, status):
    stores(clinic, f'Name;Phone;Status\nMara;030 1234567;"{status}"\nBen;0171 2345678;ok\n')
    assert forbidden(clinic) == ["Mara"]
    stores(clinic, f'Name;Phone;DNC\nCem;030 7654321;"{status}"\n')
    stores(clinic, f'Name;Phone;OK to call\nDan;030 7654322;"{status}"\n')
    assert forbidden(clinic) == ["Cem", "Dan", "Mara"]


@pytest.mark.parametrize(
    "status",
    [
        *(
            "active",
            "Inactive",
            "new",
            "open",
            "customer",
            "closed",
            "VIP",
            "pending",
            "paid",
            "deleted",
            "yes",
        ),
        *("unblocked", "not blocked", "nicht gesperrt", "blocked: no", "gesperrt (nein)", "Not interested"),
        *("Stop by at five", "roadblocked", "Aktiv", "ruhend", "1", "0", "x"),
    ],
)
def test_a_status_that_says_something_else_stops_no_calls(clinic, status):
    upload = stores(clinic, f'Name;Phone;Status\nMara;030 1234567;"{status}"\n')
    assert (forbidden(clinic), upload["remarks"]) == ([], [])


@pytest.mark.parametrize(
    ("row", "is_opt_out"),
    [
        ("030 1234567;VIP, gesperrt;", True),
        ("030 1234567;;Blocked", True),
        ("030 1234567 (gesperrt);;", True),
        ("030 1234567;;Blocked his card and asked for a new one", False),
        ("030 1234567;blockchain;", False),
        ("030 1234567;;Will stop by, forbidden fruit", False),
    ],
)
def test_blocked_among_the_tags_in_the_note_or_beside_the_number(clinic, row, is_opt_out):
    stores(clinic, f"Name;Phone;Tags;Notes\nMara;{row}\nBen;0171 2345678;;\n")
    assert forbidden(clinic) == (["Mara"] if is_opt_out else [])


@pytest.mark.parametrize("heading", ["Account status", "Order status", "Karte", "Zahlung"])
def test_something_else_that_is_blocked_is_asked_about_once(clinic, heading):
    text = f"Name;Phone;{heading}\nMara;030 1234567;ok\nBen;0171 2345678;gesperrt\nCem;030 7654321;gesperrt\n"
    upload = uploads(clinic, text)
    (remark,) = upload["remarks"]
    assert (remark["row"], remark["why"].startswith(f"The column “{heading}” is left out.")) == (3, True)
    columns = {"columns": {heading: None}}
    assert clinic.client.post(upload["links"]["columns"], columns).body["remarks"] == []
    clinic.client.post(upload["links"]["store"])
    assert forbidden(clinic) == []


def test_a_number_with_unclear_words_is_skipped_with_a_question(clinic):
    upload = uploads(clinic, "Name;Phone\nMara;030 1234567 (do not call before 10)\nBen;0171 2345678\n")
    assert upload["refuse"] == 1
    assert "does this mean" in str(upload)


def test_the_column_answers_the_question_about_unclear_words(clinic):
    stores(clinic, "Name;Phone;DNC\nMara;030 1234567 (do not call before 10);yes\n")
    assert forbidden(clinic) == ["Mara"]


def test_a_download_of_the_contacts_forbids_nobody_anew(clinic, cleo):
    clinic.put_on_list("Ida")
    cleo.make_call("Do not call again")
    ids = [each["id"] for each in clinic.contacts()["contacts"]]
    clinic.owner_post("/contacts/actions", action="may_call", ids=ids)
    text = clinic.client.get(f"{clinic.links['manage']}/contacts.csv").body
    assert "Do not call again" in text
    stores(clinic, text)
    assert forbidden(clinic) == []


def test_a_form_and_a_program_ask_about_words_beside_the_number(clinic):
    answer = clinic.owner_post("/contacts", contacts=[{"name": "Mara", "phone": "030 1234567 do not call"}])
    assert clinic.contact_names() == []
    assert "nobody may call" in str(answer.body)
    answer = clinic.owner_post(
        "/contacts", contacts=[{"name": "Mara", "phone": "030 1234567", "may_call": False}]
    )
    assert clinic.contact_names() == []
    assert "write do_not_call for may_call" in str(answer.body)


@pytest.mark.parametrize(
    ("text", "is_list"),
    [
        ("Name,Phone,Mobile,DNC\nMara,030 1234567,0171 2345678,yes\n", False),
        ("Name,Phone,DNC\nMara,030 1234567 / 0171 2345678,yes\n", False),
        ("Phone,Mobile\n030 1234567,0171 2345678\n", True),
        ("030 1234567 / 0171 2345678\n", True),
    ],
)
def test_nobody_may_call_any_of_several_numbers(clinic, text, is_list):
    clinic.add_contacts({"name": "Mara", "phone": "0171 2345678"})
    upload = clinic.owner_post("/contacts/import", text=text, do_not_call=is_list).body
    (remark,) = upload["remarks"]
    assert "Nobody may call the others either" in remark["remark"]
    clinic.client.post(upload["links"]["store"])
    assert sorted(numbers(clinic)) == ["0171 2345678", "030 1234567"]
    assert "Mara" in forbidden(clinic)


@pytest.mark.parametrize(
    "text",
    [
        "Do not call\n030 1234567\n0171 2345678\n",
        "Bitte nicht anrufen:\n\n030 1234567\n0171 2345678 (Mama)\n",
        "Zoë,030 1234567\nMüller,Ben,0171 2345678\n",
        "1;030 1234567\n2;0171 2345678\n",
    ],
)
def test_lists_of_numbers_as_people_keep_them(clinic, text):
    upload = clinic.owner_post("/contacts/import", text=text, do_not_call=True).body
    clinic.client.post(upload["links"]["store"])
    assert sorted(numbers(clinic)) == ["0171 2345678", "030 1234567"]


@pytest.mark.parametrize(
    "headings",
    [
        "Cliente;Tfno.",
        "Paziente;Recapito telefonico",
        "Ragione sociale;Numero cell.",
        "Nome do cliente;Contacto telefónico",
        "Hasta adı;Telefon No",
        "Naam cliënt;Tel. nr.",
        "Namn;Mobilnummer",
    ],
)
def test_more_headings(clinic, headings):
    stores(clinic, f"{headings}\nMara;030 1234567\n")
    assert clinic.contact_names() == ["Mara"]


@pytest.mark.parametrize(
    ("headings", "row", "name"),
    [
        ("Achternaam;Tussenvoegsel;Voornaam", "Jong;de;Zoe", "Zoe de Jong"),
        ("Roepnaam;Achternaam", "Zoe;de Jong", "Zoe de Jong"),
        ("Apelido;Nome próprio", "Silva;Zoe", "Zoe Silva"),
    ],
)
def test_more_parts_of_names(clinic, headings, row, name):
    stores(clinic, f"{headings};Tel.\n{row};030 1234567\n")
    assert clinic.contact_names() == [name]


# ----- marks, and rows with too many cells


@pytest.mark.parametrize("cross", ["✗", "✘", "✖", "❌", "×", "✗|x"])
def test_a_cross_is_a_yes_where_nobody_ticks(clinic, cross):
    first, _, second = cross.partition("|")
    stores(clinic, f"Name;Phone;DNC\nMara;030 1234567;{first}\nBen;0171 2345678;\nCem;030 7654321;{second}\n")
    assert forbidden(clinic) == (["Cem", "Mara"] if second else ["Mara"])


def test_a_cross_beside_ticks_is_asked_about(clinic):
    answer = clinic.owner_post(
        "/contacts/import", text="Name;Phone;DNC\nMara;030 1234567;✓\nBen;0171 2345678;✗\n"
    )
    assert (answer.status, "does “✗” in the column “DNC” mean" in answer.body["error"]) == (400, True)


@pytest.mark.parametrize("cross", ["✗", "❌", "×"])
def test_a_cross_beside_ticks_is_a_no_in_a_column_of_permissions(clinic, cross):
    stores(clinic, f"Name;Phone;May call\nMara;030 1234567;✓\nBen;0171 2345678;{cross}\nCem;030 7654321;\n")
    assert forbidden(clinic) == ["Ben"]


@pytest.mark.parametrize("cross", ["✗", "❌", "×"])
def test_a_cross_alone_in_a_column_of_permissions_is_asked_about(clinic, cross):
    answer = clinic.owner_post(
        "/contacts/import", text=f"Name;Phone;May call\nMara;030 1234567;\nBen;0171 2345678;{cross}\n"
    )
    assert answer.status == 400


@pytest.mark.parametrize(
    "date", ["45987", "45987.5416666667", "45987,54", "1764230400", "1764230400000", "1-Nov-26", "Mai 2025"]
)
def test_a_date_of_opt_out_as_programs_write_it(clinic, date):
    stores(
        clinic,
        f"Name;Phone;Opt-out date\nMara;030 1234567;{date}\nBen;0171 2345678;\n"
        "Cem;030 7654321;0\nDan;030 7654322;2025-03-04\n",
    )
    assert forbidden(clinic) == ["Dan", "Mara"]


@pytest.mark.parametrize("heading", ["Do not allow Phone Calls", "Phone Calls allowed"])
def test_answers_of_dynamics(clinic, heading):
    text = f"Full Name;Business Phone;{heading}\nMara;030 1234567;Allow\n"
    stores(clinic, f"{text}Ben;0171 2345678;Do Not Allow\nCem;030 7654321;Nicht zulassen\n")
    assert forbidden(clinic) == ["Ben", "Cem"]


@pytest.mark.parametrize("number", ["4711", "12345", "99999", "123456789"])
def test_a_number_that_is_no_date_is_asked_about(clinic, number):
    answer = clinic.owner_post("/contacts/import", text=f"Name;Phone;DNC\nMara;030 1234567;{number}\n")
    assert answer.status == 400


@pytest.mark.parametrize(
    "yes",
    [
        *("removed", "Remove from list", "not interested", "verboten", "abgemeldet", "Désinscrit", "baja"),
        *("🚫", "禁止", "Yes please", "Y (by letter)", "1er mai 2025", "1 de mayo de 2025", "05/2025"),
        *("Fri Nov 27 2026 10:00:00 GMT+0100", "2025年5月1日", "20260501103000"),
    ],
)
def test_more_words_and_dates_for_yes(clinic, yes):
    stores(clinic, f"Name;Phone;DNC\nMara;030 1234567;{yes}\nBen;0171 2345678;yes\nCem;030 7654321;no\n")
    assert forbidden(clinic) == ["Ben", "Mara"]


@pytest.mark.parametrize(
    "note",
    [
        *("No cold calls", "no telephone calls please", "Please remove me from your calling list!"),
        *("Opted out 3/5/2026", "Opted out on 03.05.2026", "No calls since the accident", "Refuses calls"),
        *("keine Anrufe erwünscht", "Does not wish to receive calls", "Bitte nur per E-Mail kontaktieren"),
        "Please contact by email only",
    ],
)
def test_more_notes_that_forbid(clinic, note):
    others = ["Remove from waiting list", "Do not call before noon", "nicht anrufen ab 18 Uhr"]
    others.append("Invoice by email only")
    rows = [f"Person {n};030 765432{n};{other}" for n, other in enumerate(others)]
    stores(clinic, "\n".join(["Name;Phone;Notes", f"Mara;030 1234567;{note}", *rows]))
    assert forbidden(clinic) == ["Mara"]


@pytest.mark.parametrize(
    "row",
    [
        "Mara,030 1234567,1 Oak Street,yes,more",
        "Lindqvist, Mara,030 1234567,1 Oak Street,yes",
        "Mara,030 1234567,1 Oak Street, Berlin,yes",
        "Mara,030 1234567,1 Oak Street, Berlin,,Do not call",
        "Mara,030 1234567,1 Oak Street, Berlin,2026-11-01",
    ],
)
def test_the_opt_out_of_a_row_with_too_many_cells_counts(clinic, row):
    clinic.add_contacts({"name": "Mara", "phone": "030 1234567"})
    text = f"Name,Phone,Address,DNC\n{row}\nBen,0171 2345678,2 Oak Street,no\n"
    upload = uploads(clinic, text)
    (remark,) = upload["remarks"]
    assert (remark["row"], "only that nobody may call" in remark["why"]) == (2, True)
    clinic.client.post(upload["links"]["store"])
    assert (forbidden(clinic), clinic.contact_names()) == (["Mara"], ["Ben", "Mara"])


@pytest.mark.parametrize(
    ("row", "warns"),
    [
        ("Mara,030 1234567,1 Oak Street, yes,no", True),  # which of the two is it?
        ('Mara,030 1234567,"1 Oak Street,yes\nEva,030 7654321,"2 Oak Street,yes', True),
        ("Mara,030 1234567,1 Oak Street, Berlin,no", False),
    ],
)
def test_an_unclear_opt_out_of_an_unreadable_row_is_pointed_out(clinic, row, warns):
    upload = uploads(clinic, f"Name,Phone,Address,DNC\n{row}\nBen,0171 2345678,2 Oak Street,no\n")
    (refused,) = upload["refused"]
    assert (refused["row"], "that doesn't count yet" in refused["why"]) == (2, warns)
    clinic.client.post(upload["links"]["store"])
    assert forbidden(clinic) == []


def test_the_opt_out_of_a_row_with_too_few_cells_counts(clinic):
    text = "Name,Phone,VIP,Email,DNC\nMara,030 1234567,no,yes\nBen,0171 2345678,yes\n"
    upload = stores(clinic, f"{text}Cem,030 7654321,yes,c@example.org\nDan,030 7654322\n")
    assert forbidden(clinic) == ["Mara"]
    assert "“yes” in the column “Email”: nobody may call" in str(upload["remarks"])


def test_a_phone_number_that_looks_like_a_date_is_no_opt_out(clinic):
    clinic.owner_post("", country="DK")
    stores(clinic, "Name,Phone,DNC\nMara,20260501\nLind, Ben,20260502,\nBo, Cem,20260503,no,\n")
    assert (forbidden(clinic), numbers(clinic)) == ([], [])


def test_a_row_with_too_many_cells_stops_no_file(clinic):
    upload = uploads(clinic, "Name,Phone,DNC\nLindqvist, Mara,030 1234567,no\nBen,0171 2345678,yes\n")
    assert [each["row"] for each in upload["refused"]] == [2]


# ----- a column that was left out on purpose


def test_a_column_that_the_owner_leaves_out_is_asked_about_once(clinic):
    text = "Name;Phone;Blocked;Consent\nMara;030 1234567;x;\nBen;0171 2345678;;\n"
    upload = uploads(clinic, text)
    assert "Blocked" in str(upload["remarks"])
    columns = ["name", "phone", None, None]
    upload = clinic.client.post(upload["links"]["columns"], {"columns": columns}).body
    assert upload["remarks"] == []
    assert uploads(clinic, text)["remarks"] == []
    # Nobody has asked about the other column yet.
    (remark,) = uploads(clinic, "Name;Phone;Blocked;Consent\nMara;030 1234567;x;no\n")["remarks"]
    assert "Consent" in remark["why"]


def test_a_column_that_a_program_does_not_name_is_asked_about_again(clinic):
    upload = uploads(clinic, "Name;Phone;Blocked\nMara;030 1234567;x\n")
    answer = clinic.client.post(upload["links"]["columns"], {"columns": {"Name": "name"}})
    assert "Blocked" in str(answer.body["remarks"])
    answer = clinic.client.post(upload["links"]["columns"], {"columns": {"Blocked": None}})
    assert answer.body["remarks"] == []


def test_an_opt_out_column_that_the_owner_leaves_out_is_not_asked_about(clinic):
    text = "Name;Phone;Email opt-out\nMara;030 1234567;x\nBen;0171 2345678;\n"
    upload = uploads(clinic, text)
    upload = clinic.client.post(upload["links"]["columns"], {"columns": {"Email opt-out": None}}).body
    assert upload["remarks"] == []


def test_a_no_beside_the_column_for_calls_is_not_asked_about(clinic):
    text = "Name;Phone;Do not call;Email Opt Out\nMara;030 1234567;0;0\nBen;0171 2345678;0;1\n"
    (remark,) = uploads(clinic, text)["remarks"]
    assert remark["row"] == 3
