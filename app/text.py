"""Text as people type it, and as spreadsheets read it."""

from __future__ import annotations

import re
import unicodedata

_ATOM = r"[^@<>,;:()\[\]\"\\\s.]+"
EMAIL_ADDRESS = rf"{_ATOM}(?:\.{_ATOM})*@{_ATOM}(?:\.{_ATOM})*"  # a pattern for re.fullmatch()


def tidy(text: str | None) -> str | None:
    """Return the text in Unicode's composed form, without control characters and surrounding space.

    Line breaks stay. Returns None when nothing is left that can be seen.
    """
    text = unicodedata.normalize("NFC", text or "")
    if text.isascii() and text.isprintable():
        return text.strip() or None
    text = "".join(c for c in text if c == "\n" or unicodedata.category(c) != "Cc").strip()
    if all(_is_invisible(c) for c in text):
        return None
    return text


# ----- what can't be seen

# Marks that are shown together with a letter before them, format characters, surrogates, and spaces.
_INVISIBLE_CATEGORIES = ("Mn", "Me", "Cc", "Cf", "Cs", "Zs", "Zl", "Zp")
# Letters and symbols without a shape: Hangul fillers, and a pattern of Braille without dots.
_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"


def _is_invisible(c: str) -> bool:
    return unicodedata.category(c) in _INVISIBLE_CATEGORIES or c in _BLANK_LETTERS


def visible(text: str) -> str:
    """Return a text without what has no shape of its own, such as joiners and marks of direction."""
    return "".join(
        c
        for c in text
        if unicodedata.category(c) != "Cf" and c not in _BLANK_LETTERS and not "\ufe00" <= c <= "\ufe0f"
    )


# ----- the direction of writing: https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters

_POP_EMBEDDING = "\u202c"
_POP_ISOLATE = "\u2069"
_CLOSERS = dict.fromkeys("\u202a\u202b\u202d\u202e", _POP_EMBEDDING) | dict.fromkeys(
    "\u2066\u2067\u2068", _POP_ISOLATE
)
_DIRECTION_MARKS = {*_CLOSERS, _POP_EMBEDDING, _POP_ISOLATE}


def close_direction_marks(text: str) -> str:
    """Return a text whose marks for the direction of writing have no effect beyond it.

    Each line gets a closing mark for each opening one, and keeps no others. Without that, a name could turn
    around what a page shows after it.
    """
    if text.isascii() or _DIRECTION_MARKS.isdisjoint(text):
        return text
    return "\n".join(_close_marks_of_line(line) for line in text.split("\n"))


def _close_marks_of_line(line: str) -> str:
    kept = []
    missing: list[str] = []  # the closing marks that the open ones need, the innermost last
    for c in line:
        if c in _CLOSERS:
            missing.append(_CLOSERS[c])
        elif c in (_POP_EMBEDDING, _POP_ISOLATE):
            if c not in missing or (c == _POP_EMBEDDING and missing[-1] != c):
                continue
            while missing.pop() != c:  # the end of an isolate also ends the embeddings in it
                pass
        kept.append(c)
    return "".join(kept + missing[::-1])


# ----- formulas

# Spreadsheets begin a formula with one of these; some take the full-width forms, too.
_SIGN = r"[=+\-@＝＋－＠]"
_FORMULA = re.compile(rf"(?='*(?:{_SIGN}|[\t\r]))")
_ESCAPED_FORMULA = re.compile(rf"'(?='*(?:{_SIGN}|[\t\r]))")
# A program that splits cells elsewhere, at semicolons or tabs, sees the beginning of a cell there. It also
# takes a line break for the end of a row.
_INNER_START = r"([;\t\r\n][^\S\r\n]*)"
_INNER_FORMULA = re.compile(rf"{_INNER_START}(?='*{_SIGN})")
_ESCAPED_INNER_FORMULA = re.compile(rf"{_INNER_START}'(?='*{_SIGN})")


def escape_formulas(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: with apostrophes before what could be one.

    A text that has apostrophes there already gets one more, so that unescape_formulas() finds the original.
    """
    text = _INNER_FORMULA.sub(r"\1'", text)
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formulas(text: str) -> str:
    """Return the text that escape_formulas() made safe, or Shopify made a text: '7001 is 7001."""
    if "'" not in text:
        return text  # as nearly all of the many cells of a file
    if _ESCAPED_FORMULA.match(text) or re.fullmatch(r"'\d+", text):
        text = text[1:]
    return _ESCAPED_INNER_FORMULA.sub(r"\1", text)
