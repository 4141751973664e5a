"""Downloads: CSV files that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from flask import Response

from app.text import escape_formulas

# Without it, Excel takes UTF-8 for the code page of Windows, and shows "Zoë" as "ZoÃ«".
BYTE_ORDER_MARK = "\ufeff"


def stream_csv(
    columns: Sequence[str], batches: Iterable[Iterable[Sequence[Any]]], safe_columns: Sequence[str] = ()
) -> Response:
    """Return a CSV file with a heading and the rows of all batches.

    It is sent while it is made: the next batch is taken when the client has received the one before, so a
    batch should hold no database connection while it waits. In `safe_columns`, which hold numbers and times,
    nobody looks for formulas.
    """
    checked = [number for number, column in enumerate(columns) if column not in safe_columns]

    def lines() -> Iterator[str]:
        yield BYTE_ORDER_MARK + csv_text([columns])
        for rows in batches:
            yield csv_text(rows, checked)

    return download(lines())


def csv_text(rows: Iterable[Sequence[Any]], checked: Sequence[int] | None = None) -> str:
    """Return rows as CSV. Only the columns with these numbers are made safe; by default all are."""
    text = io.StringIO()
    writer = csv.writer(text)
    if checked is None:
        writer.writerows([formula_safe(cell) for cell in row] for row in rows)
    else:
        writer.writerows(_with_safe_cells(row, checked) for row in rows)
    return text.getvalue()


def _with_safe_cells(row: Sequence[Any], checked: Sequence[int]) -> list[Any]:
    cells = list(row)
    for number in checked:
        cell = cells[number]
        if cell is not None:
            cells[number] = formula_safe(cell)
    return cells


def download(content: Iterable[str], mimetype: str = "text/csv") -> Response:
    """Return a response that a browser saves as a file."""
    return Response(content, mimetype=mimetype, headers={"Content-Disposition": "attachment"})


def formula_safe(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    return _safe_text(cell) if isinstance(cell, str) else cell


@lru_cache(maxsize=10_000)  # the names of queues and desks come again in every row
def _safe_text(text: str) -> str:
    return escape_formulas(text)
