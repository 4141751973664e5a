"""Downloads: CSV files that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flask import Response

from app.text import escape_formulas


def stream_csv(columns: Sequence[str], batches: Iterable[Iterable[Sequence[Any]]]) -> Response:
    """Return a CSV file with a heading and the rows of all batches.

    It is sent while it is made: the next batch is taken when the client has received the one before, so a
    batch should hold no database connection while it waits.
    """

    def lines() -> Iterator[str]:
        yield csv_text([columns])
        for rows in batches:
            yield csv_text(rows)

    return download(lines())


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV."""
    text = io.StringIO()
    csv.writer(text).writerows([formula_safe(cell) for cell in row] for row in rows)
    return text.getvalue()


def download(content: Iterable[str], mimetype: str = "text/csv") -> Response:
    """Return a response that a browser saves as a file."""
    return Response(content, mimetype=mimetype, headers={"Content-Disposition": "attachment"})


def formula_safe(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    return escape_formulas(cell) if isinstance(cell, str) else cell
