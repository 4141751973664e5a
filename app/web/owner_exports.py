"""The owner's downloads: the tickets of some days as CSV, and the whole place as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from flask import Blueprint

from app.clock import now
from app.core import export
from app.core.export import TICKET_COLUMNS
from app.core.places import find_place_for_owner
from app.web.csv_export import download, stream_csv
from app.web.owner_settings import show_settings
from app.web.present import Times, rounded
from app.web.request import query_days
from app.web.response import Answer, errors_on
from app.web.service import service

owner_exports = Blueprint("owner_exports", __name__)

TIME_CELLS = [number for number, column in enumerate(TICKET_COLUMNS) if column.endswith("_at")]
DURATION_CELLS = [number for number, column in enumerate(TICKET_COLUMNS) if column.endswith("_s")]
SAFE_COLUMNS = [
    column for column in TICKET_COLUMNS if column.endswith(("_at", "_s")) or column in ("state", "series")
]


@owner_exports.get("/<place>/manage/<token>/tickets.csv")
@errors_on(show_settings)
def download_tickets(place: str, token: str) -> Answer:
    """Download the tickets of some days; by default all."""
    first, last = query_days()
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
    times = Times(row.zone)
    batches = export.tickets_of_days(service().database, now(), row, first, last)
    cells = ([_ticket_cells(ticket, times) for ticket in batch] for batch in batches)
    return stream_csv(list(TICKET_COLUMNS), cells, safe_columns=SAFE_COLUMNS)


def _ticket_cells(ticket: Sequence[Any], times: Times) -> list[Any]:
    """Return the cells of a ticket as CSV shows them, given those of the database."""
    cells = list(ticket)
    for number in TIME_CELLS:
        cells[number] = times.iso(cells[number])
    for number in DURATION_CELLS:
        cells[number] = rounded(cells[number])
    return cells


@owner_exports.get("/<place>/manage/<token>/export.json")
def download_place(place: str, token: str) -> Answer:
    """Download everything that is stored about the place, except what its links are made of."""
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
    return download(_json_lines(export.rows_of_place(service().database, row)), "application/json")


def _json_lines(rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """Yield a JSON object that holds a list of rows by the name of the table, with one row in each line."""
    before_table = "{"
    for table, rows_of_table in groupby(rows, key=itemgetter(0)):
        yield f'{before_table}\n"{table}": [\n'
        before_table = "],"
        before_row = ""
        for _, content in rows_of_table:
            yield before_row + json.dumps(content)
            before_row = ",\n"
    yield "]}\n"
