"""Spreadsheets: .xlsx files, read as CSV.

A small file can unpack to gigabytes, or hold billions of cells. So another process reads it, with limits on
its memory and its time; that also keeps this one answering. `python -m app.core.spreadsheets` is that
process: it reads a file from standard input, and writes CSV, or a sentence for the owner and an exit status.
"""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from app.core.columns import HEADING_ROWS, count_known, is_opt_out_heading
from app.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
ZIP_MARK = b"PK\3\4"  # how .xlsx files begin
MAX_MEMORY_BYTES = 768 * 2**20  # address space of the process, of which Python and its libraries take a third
MAX_SECONDS = 60  # of the processor
MAX_WAIT_S = 600  # on a busy machine
MAX_TEXT = 64 * 2**20  # characters of CSV
MAX_UNPACKED_BYTES = 256 * 2**20
MAX_ROW = 1_048_576  # Excel's last row
MAX_CELLS = 5_000_000
REFUSED = 3  # exit status: the output is a sentence for the owner

# A sheet that only lists who must not be called has at most this many known fields: phone and do_not_call.
MOST_OF_A_LIST = 2

_one_at_a_time = threading.Lock()  # since each may take MAX_MEMORY_BYTES


def csv_of(content: bytes) -> str:
    """Return the table of an .xlsx file as CSV with commas: its first sheet, or the one with known headings.

    Empty rows stay, so that rows have the numbers that Excel shows. Raises BadInput.
    """
    with _one_at_a_time:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "app.core.spreadsheets"],
                input=content,
                capture_output=True,
                timeout=MAX_WAIT_S,
                cwd=ROOT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _too_large() from None
    if done.returncode == 0:
        return done.stdout.decode()
    if done.returncode == REFUSED:
        raise BadInput(done.stdout.decode())
    raise _too_large()  # it ran out of memory or time, which nobody could say any more


def _too_large() -> BadInput:
    return BadInput("This spreadsheet is too large. Save the sheet as “CSV UTF-8”, and upload that.")


def _unreadable() -> BadInput:
    return BadInput("This spreadsheet can't be read. Save the sheet as “CSV UTF-8”, and upload that.")


# ----- in the other process


def main() -> int:
    """Write the table on standard input as CSV, and return the exit status."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    try:
        text = _read(sys.stdin.buffer.read())
    except BadInput as error:
        text, status = str(error), REFUSED
    except MemoryError:
        text, status = str(_too_large()), REFUSED
    except Exception:  # noqa: BLE001
        # Damaged files make the library fail in every way there is.
        text, status = str(_unreadable()), REFUSED
    else:
        status = 0
    sys.stdout.buffer.write(text.encode())
    return status


def _read(content: bytes) -> str:
    import openpyxl

    _check_size(content)
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"] or book.worksheets
    for sheet in sheets:
        sheet.reset_dimensions()  # the file may be wrong about them
    if not sheets:
        raise BadInput("There is nothing in this file.")
    chosen = max(sheets, key=_plausibility)  # the first of equals
    for sheet in sheets:
        if sheet is not chosen and _says_no_calls(sheet):
            raise BadInput(
                f"This file has another sheet, “{sheet.title}”, that would not be read. Save each sheet as a "
                "file of its own, and upload that one first, with “Do not call these numbers”."
            )
    _check_results(content, chosen)
    return _as_csv(_rows_of(chosen))


def _says_no_calls(sheet: Any) -> bool:
    """Return True for a list of people who must not be called, beside the sheet that is read."""
    rows = [row for row in islice(_rows_of(sheet), HEADING_ROWS) if any(row)]
    if not rows:
        return False
    is_list = any(map(is_opt_out_heading, rows[0])) and count_known(rows[0]) <= MOST_OF_A_LIST
    return is_list or is_opt_out_heading(sheet.title)


def _check_size(content: bytes) -> None:
    try:
        archive = ZipFile(io.BytesIO(content))
    except BadZipFile:
        raise _unreadable() from None
    names = archive.namelist()
    if "[Content_Types].xml" not in names:
        kind = "an OpenDocument file" if "mimetype" in names else "no spreadsheet"
        raise BadInput(f"This is {kind}. Save the table as .xlsx or CSV, and upload that.")
    if sum(part.file_size for part in archive.infolist()) > MAX_UNPACKED_BYTES:
        raise _too_large()


def _plausibility(sheet: Any) -> tuple[int, bool]:
    """Return how many fields of a contact a sheet has headings for, and whether it holds anything."""
    rows = list(islice(_rows_of(sheet), HEADING_ROWS))
    return max((count_known(row) for row in rows), default=0), any(any(row) for row in rows)


def _rows_of(sheet: Any) -> Iterator[list[str]]:
    for row in sheet.iter_rows(max_row=MAX_ROW):
        cells = [_as_text(cell) for cell in row]
        while cells and not cells[-1].strip():
            cells.pop()
        yield cells


def _as_csv(rows: Iterator[list[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    cells = 0
    for row in rows:
        writer.writerow(row)
        cells += len(row)
        if cells > MAX_CELLS or text.tell() > MAX_TEXT:
            raise _too_large()
    return text.getvalue()


def _as_text(cell: Any) -> str:
    """Return what a cell says: whole numbers without ".0", dates as 2026-11-21."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number_as_text(value, cell.number_format or "")
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
    if isinstance(value, date | time | timedelta):
        return str(value)
    return str(value).replace("_x000D_", "").replace("\r\n", "\n").replace("\r", "\n")


def _number_as_text(value: float, number_format: str) -> str:
    if not float(value).is_integer() or abs(value) >= 10**15:
        return f"{value:.15g}"
    text = str(int(value))
    # A format such as 00000, which postal codes have, shows leading zeros.
    zeros = re.fullmatch(r"(?:\"(0+)\"|\\(0))?([0#]+)", number_format)
    if zeros and value >= 0:
        before = zeros[1] or zeros[2] or ""
        return before + text.rjust(zeros[3].count("0"), "0")
    return text


# ----- formulas without results
#
# A sheet holds a cell with a formula as <c r="C2"><f>A2*2</f><v>14</v></c>: <v> is the result, calculated by
# the program that saved the file. Without a result, the cell looks empty, and an opt-out in it is missed.
#
# These patterns look for such cells in the XML. openpyxl gives either the formulas or their results, so it
# would have to read the whole sheet twice, which takes twice as long.


def _xml_pattern(pattern: str) -> re.Pattern[bytes]:
    """Return a pattern for XML in which each tag may have a prefix: <x:c> as well as <c>."""
    return re.compile(re.sub(r"(</?)(?=\w)", r"\1(?:\\w+:)?", pattern).encode())


_FORMULA = r"(?:<f/>|<f [^<>]*/>|<f[^<>]*>[^<]*</f>)"
_NO_VALUE = r"(?:<v ?/>|<v></v>)?"
# Without a value, a cell of the type "str" has an empty text as its result.
_NO_RESULT = _xml_pattern(rf'<c (?![^<>]*t="str")[^<>]*>{_FORMULA}{_NO_VALUE}</c>')
_ZERO_RESULT = _xml_pattern(rf"{_FORMULA}<v>0</v></c>")
MAX_CELL_BYTES = 20_000  # of a cell with a formula
CHUNK_BYTES = 2**20  # of XML in memory at a time


def _check_results(content: bytes, sheet: Any) -> None:
    """Raise BadInput if a sheet of an .xlsx file holds formulas without results.

    Programs that can't calculate write such formulas. Some of them write 0 as each result, and ask whoever
    opens the file to calculate; then a 0 is no result either.
    """
    with ZipFile(io.BytesIO(content)) as archive:
        patterns = [_NO_RESULT, _ZERO_RESULT] if _asks_to_calculate(archive) else [_NO_RESULT]
        end = b""  # of the chunk before, in which a cell may begin
        with archive.open(sheet._worksheet_path) as part:
            while chunk := part.read(CHUNK_BYTES):
                if any(pattern.search(end + chunk) for pattern in patterns):
                    raise BadInput(
                        "This spreadsheet holds formulas without their results. Open it in a spreadsheet "
                        "program, save it there, and upload it again."
                    )
                end = chunk[-MAX_CELL_BYTES:]


def _asks_to_calculate(archive: ZipFile) -> bool:
    """Return True for a file whose formulas must be calculated when it is opened."""
    # openpyxl can't tell: it returns True for every file that doesn't say False.
    has_book = "xl/workbook.xml" in archive.namelist()
    return has_book and b'fullCalcOnLoad="1"' in archive.read("xl/workbook.xml")


if __name__ == "__main__":
    sys.exit(main())
