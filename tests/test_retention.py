"""Personal data is erased after the time that it may be kept: a new column has to be listed here."""

import pytest

from app.core.contacts import forget_old_contacts
from app.core.tickets import erase_personal_data
from app.storage.schema import contact, ticket
from app.storage.sql import run, update

KEEP_DAYS = 30

# Columns that are emptied as soon as a ticket ends.
EMPTY_AT_THE_END = {"browser", "held_phone", "claimed_until"}
# Columns that stay: without the personal ones, they say nothing about a person.
KEPT_OF_TICKET = {
    *("id", "place_id", "queue_id", "servicer_id", "contact_id"),
    *("token", "series", "number", "ordinal", "state", "priority", "party", "reason", "tries", "by_phone"),
    *("request_key", "claim", "wait_from", "wait_to", "agreed"),
    *("taken_at", "joined_at", "first_called_at", "called_at", "started_at", "ended_at"),
    *("soon_at", "away_until", "delays"),
    *("step_number", "step_count", "moved_at", "step_called_at"),
}
KEPT_OF_CONTACT = {"id", "place_id", "do_not_call", "created_at", "changed_at", "forgotten_at"}


def personal_columns(table, kept):
    return [column for column in table.columns if column.name not in kept]


PERSONAL_OF_TICKET = personal_columns(ticket, KEPT_OF_TICKET | EMPTY_AT_THE_END)
PERSONAL_OF_CONTACT = personal_columns(contact, KEPT_OF_CONTACT)


@pytest.fixture
def database(app):
    return app.extensions["takeanumber"].database


def fill(database, columns):
    """Write a value into these columns of the only row of their table."""
    values = {column.name: column.type.python_type("7") for column in columns}
    database.write(update, columns[0].table.name, 1, **values)


def filled(database, columns):
    """Return which of these columns hold something in the only row of their table."""
    with database.read() as db:
        row = run(db, f"SELECT * FROM {columns[0].table.name}").one()
    return {column.name for column in columns if getattr(row, column.name) not in (None, "")}


def test_every_personal_column_of_a_ticket_is_erased_some_days_after_its_end(place, clock, database):
    place.customer().cancel()
    assert filled(database, [ticket.columns[name] for name in EMPTY_AT_THE_END]) == set()
    fill(database, PERSONAL_OF_TICKET)

    clock.advance(days=KEEP_DAYS - 1)
    database.write(erase_personal_data, clock(), KEEP_DAYS)
    assert filled(database, PERSONAL_OF_TICKET) == {column.name for column in PERSONAL_OF_TICKET}
    clock.advance(days=2)
    database.write(erase_personal_data, clock(), KEEP_DAYS)
    assert filled(database, PERSONAL_OF_TICKET) == set()


@pytest.mark.parametrize("column", PERSONAL_OF_TICKET, ids=lambda column: column.name)
def test_a_single_personal_column_of_a_ticket_is_erased_too(column, place, clock, database):
    place.customer().cancel()
    fill(database, [column])
    clock.advance(days=KEEP_DAYS + 1)
    database.write(erase_personal_data, clock(), KEEP_DAYS)
    assert filled(database, [column]) == set()


def test_every_personal_column_of_a_forgotten_contact_and_its_calls_is_erased(clinic, clock, database):
    clinic.add_contacts({"name": "Ana", "phone": "030 1234567"})
    clinic.put_on_list("Ana")
    clinic.owner_post("/contacts/actions", action="take_off", list="follow-ups", match="all")
    fill(database, PERSONAL_OF_TICKET)
    fill(database, [column for column in PERSONAL_OF_CONTACT if column.name != "last_called_at"])

    clock.advance(days=KEEP_DAYS + 1)
    forget_old_contacts(database, clock(), KEEP_DAYS)
    assert filled(database, PERSONAL_OF_CONTACT) == set()
    assert filled(database, PERSONAL_OF_TICKET) == set()
