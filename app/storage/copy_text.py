"""Rows in the text format of PostgreSQL's COPY: the form in which rows of both databases are compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import sqlalchemy as sa

ESCAPES = {"\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
ESCAPED = str.maketrans(ESCAPES)
UNESCAPED = {escaped: character for character, escaped in ESCAPES.items()}
NULL = r"\N"


def line_of(row: Iterable[Any]) -> str:
    """Return a row as PostgreSQL writes it."""
    return "\t".join(map(_text, row)) + "\n"


def row_of(line: bytes, table: sa.Table) -> tuple[Any, ...]:
    """Return the values of a line that PostgreSQL wrote; it holds all columns of the table."""
    fields = line.decode().removesuffix("\n").split("\t")
    return tuple(
        [None if text == NULL else read(text) for text, read in zip(fields, _readers_of(table), strict=True)]
    )


def id_of(line: bytes) -> int:
    """Return the first value of a line, which is the row's id."""
    return int(line[: line.index(b"\t")])


def _text(value: Any) -> str:
    if value is None:
        return NULL
    if isinstance(value, str):
        return value.translate(ESCAPED)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, bytes):
        return rf"\\x{value.hex()}"
    return str(value)


def _float_text(value: float) -> str:
    text = repr(value)
    if abs(value) < 1e15:
        return text.removesuffix(".0")
    if "e" not in text:  # Python writes an exponent from 1e16 on, PostgreSQL from 1e15 on
        text = f"{value:.16e}"
    digits, exponent = text.split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{exponent}"


@cache
def _readers_of(table: sa.Table) -> list[Callable[[str], Any]]:
    return [_reader_of(column.type) for column in table.columns]


def _reader_of(kind: sa.types.TypeEngine[Any]) -> Callable[[str], Any]:
    if isinstance(kind, sa.Integer):
        return int
    if isinstance(kind, sa.Float):
        return float
    if isinstance(kind, sa.LargeBinary):
        return _read_bytes
    return _read_text


def _read_bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix(r"\\x"))


def _read_text(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\.", lambda escape: UNESCAPED[escape[0]], text)
