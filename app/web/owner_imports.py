"""Files of contacts: uploading one, looking at what would become of its rows, and storing them."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, request
from sqlalchemy.engine import Connection

from app.clock import now
from app.core import import_preview, import_storing, imports
from app.core.import_columns import ColumnChoice, column_samples, parse_choices
from app.core.import_files import ImportFile, find_import
from app.core.import_preview import PreviewRow, RemarkGroup
from app.core.models import Place
from app.core.phones import format_phone
from app.core.places import find_place_for_owner
from app.core.tags import split_tags
from app.errors import BadInput, ServiceError
from app.web.contact_json import contacts_link
from app.web.csv_export import stream_csv
from app.web.forms import PastedTextForm
from app.web.owner_contacts import back_to_contacts, show_contacts
from app.web.request import accepts_contacts, json_object, parse, refuse_unknown_fields, wants_json
from app.web.response import Answer, errors_on, page, see_other
from app.web.service import service, write
from app.web.urls import ID

owner_imports = Blueprint("owner_imports", __name__)

# What a column of a file can be, in the words of the page.
COLUMN_FIELDS = {
    "name": "Name",
    "first_name": "First name",
    "middle_name": "Middle name",
    "last_name": "Last name",
    "company": "Company",
    "phone": "Phone",
    "country_code": "Country code",
    "area_code": "Area code",
    "extension": "Extension",
    "email": "Email",
    "address": "Address",
    "notes": "Notes",
    "tags": "Tags",
    "reference": "Your reference",
    "timezone": "Time zone",
    "do_not_call": "Do not call",
    "may_call": "May be called",
}

MAX_REFUSED_ROWS = 200  # on the page of an import


@owner_imports.post("/<place>/manage/<token>/contacts/import")
@accepts_contacts
@errors_on(show_contacts)
def upload_contacts(place: str, token: str) -> Answer:
    """Read a file, or rows that were pasted; nothing is stored yet."""
    refuse_unknown_fields(PastedTextForm)
    content = _uploaded_content()
    is_opt_out_list = parse(PastedTextForm).get("do_not_call", False)
    file = imports.upload(service().database, now(), place, token, content, is_opt_out_list)
    return _back_to_import(place, token, file.id, status=201)


@owner_imports.get(f"/<place>/manage/<token>/contacts/import/<{ID}:file_id>")
def show_import(place: str, token: str, file_id: int, error: ServiceError | None = None) -> Answer:
    """Show what would be stored of a file."""
    with service().database.read() as db:
        row = find_place_for_owner(db, place, token)
        file = find_import(db, row, file_id)
        content = _import_json(db, row, file)
    return page("import.html", content, row, error, upload=content, column_fields=COLUMN_FIELDS)


@owner_imports.post(f"/<place>/manage/<token>/contacts/import/<{ID}:file_id>/columns")
@errors_on(show_import, "place", "token", "file_id")
def choose_columns(place: str, token: str, file_id: int) -> Answer:
    """Say what each column of a file is; it is then read again."""
    database = service().database
    with database.read() as db:
        file = find_import(db, find_place_for_owner(db, place, token), file_id)
    choices, is_opt_out_list = _chosen_columns(file)
    imports.choose_columns(database, now(), place, token, file_id, choices, is_opt_out_list)
    return _back_to_import(place, token, file_id)


@owner_imports.get(f"/<place>/manage/<token>/contacts/import/<{ID}:file_id>/refused.csv")
def download_refused(place: str, token: str, file_id: int) -> Answer:
    """Download the rows of a file that can't be stored, with the reasons; they can be uploaded again."""
    database = service().database
    with database.read() as db:
        file = find_import(db, find_place_for_owner(db, place, token), file_id)
    return stream_csv(import_preview.refused_headings(file), import_preview.refused_cells(database, file))


@owner_imports.post(f"/<place>/manage/<token>/contacts/import/<{ID}:file_id>/store")
@errors_on(show_import, "place", "token", "file_id")
def store_import(place: str, token: str, file_id: int) -> Answer:
    """Store the contacts of a file."""
    file = import_storing.store_import(service().database, now(), place, token, file_id)
    message = None  # the page says that it takes a while
    if file.state != "storing":
        message = f"Added {file.add_rows:,}, changed {file.change_rows:,}, skipped {file.refuse_rows:,}."
    return _back_to_import(place, token, file_id, message)


@owner_imports.post(f"/<place>/manage/<token>/contacts/import/<{ID}:file_id>/discard")
@errors_on(show_import, "place", "token", "file_id")
def discard_import(place: str, token: str, file_id: int) -> Answer:
    """Discard a file."""
    write(imports.discard_import, place, token, file_id)
    return back_to_contacts(place, token, "Import discarded. Nothing was stored.")


def _back_to_import(
    place: str, token: str, file_id: int, message: str | None = None, status: int = 200
) -> Answer:
    if not wants_json():
        return see_other("owner_imports.show_import", message, place=place, token=token, file_id=file_id)
    response = show_import(place, token, file_id)
    response.status_code = status
    return response


# ----- reading requests


def _uploaded_content() -> bytes | str:
    """Return the file that was uploaded, or the text that was pasted. Raises BadInput."""
    if request.is_json:
        content: bytes | str | None = parse(PastedTextForm, "text")["text"]
    else:
        file = request.files.get("file")
        content = file.read() if file and file.filename else request.form.get("text")
    if not content:
        raise BadInput("File: please choose one, or paste the rows.")
    return content


def _chosen_columns(file: ImportFile) -> tuple[list[ColumnChoice], bool | None]:
    """Return what each column of a file is, and whether it is a list of numbers not to call. Raises BadInput.

    In a form, each column has a menu: column-0, column-1 and so on.
    """
    if request.is_json:
        content = json_object()
        unknown = content.keys() - {"columns", "do_not_call"}
        if unknown:
            raise BadInput(f"There is no field {min(unknown)} here: the fields are columns, do_not_call.")
        is_opt_out_list = content.get("do_not_call")
        if is_opt_out_list is not None and type(is_opt_out_list) is not bool:
            raise BadInput("Do not call: this must be true or false.")
        if "columns" not in content:
            raise BadInput("Columns: please fill this in.")
        return parse_choices(file, content["columns"]), is_opt_out_list
    names = [name for name in request.form if re.fullmatch("column-[0-9]{1,3}", name)]
    chosen = [request.form.get(f"column-{number}") or None for number in range(len(names))]
    return parse_choices(file, chosen), "do_not_call" in request.form


# ----- JSON


def _import_json(db: Connection, place: Place, file: ImportFile) -> dict[str, Any]:
    refused = import_preview.refused_rows(db, file, MAX_REFUSED_ROWS)
    remarks = import_preview.remarked_rows(db, file, MAX_REFUSED_ROWS)
    url = contacts_link(place)
    import_url = f"{url}/import/{file.id}"
    return {
        "id": file.id,
        "state": file.state,
        "rows": file.rows,
        "read": file.read,
        "why": file.why,
        "add": file.add_rows,
        "change": file.change_rows,
        "refuse": file.refuse_rows,
        "columns": file.column_fields,
        "column_list": [
            {"heading": column.heading, "field": column.field, "cells": column.cells}
            for column in column_samples(db, file)
        ],
        "is_opt_out_list": file.is_opt_out_list,
        "preview": [_preview_json(place, row) for row in import_preview.preview_rows(db, file)],
        "refused": [{"row": each.row, "why": each.why, "value": each.value} for each in refused],
        "refused_groups": _groups_json(import_preview.remark_groups(db, file, refused=True)),
        "remarks": [
            {"row": each.row, "remark": each.remark, "why": each.why, "value": each.value} for each in remarks
        ],
        "remark_groups": _groups_json(import_preview.remark_groups(db, file, refused=False)),
        "links": {
            "import": import_url,
            "columns": f"{import_url}/columns",
            "refused_csv": f"{import_url}/refused.csv",
            "store": f"{import_url}/store",
            "discard": f"{import_url}/discard",
            "contacts": url,
        },
    }


def _groups_json(groups: list[RemarkGroup]) -> list[dict[str, Any]]:
    return [
        {
            "why": group.why,
            "rows": group.rows,
            "examples": [
                {"row": each.row, "value": each.value, "remark": each.sentence} for each in group.examples
            ],
        }
        for group in groups
    ]


def _preview_json(place: Place, row: PreviewRow) -> dict[str, Any]:
    return {
        "row": row.row,
        "what": row.what,
        "name": row.name,
        "phone": format_phone(row.phone, place.country),
        "email": row.email,
        "address": row.address,
        "notes": row.notes,
        "reference": row.reference,
        "timezone": row.timezone,
        "why": row.why,
        "tags": split_tags(row.tags),
    }
