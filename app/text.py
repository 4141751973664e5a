"""Text as people type it."""

from __future__ import annotations

import unicodedata

_ATOM = r"[^@<>,;:()\[\]\"\\\s.]+"
EMAIL_ADDRESS = rf"{_ATOM}(?:\.{_ATOM})*@{_ATOM}(?:\.{_ATOM})*"  # a pattern for re.fullmatch()


def tidy(text: str | None) -> str | None:
    """Return the text in Unicode's composed form, without control characters and surrounding space.

    Line breaks stay. Returns None when nothing is left.
    """
    text = unicodedata.normalize("NFC", text or "")
    if not text.isprintable():
        text = "".join(c for c in text if c == "\n" or unicodedata.category(c) != "Cc")
    return text.strip() or None
