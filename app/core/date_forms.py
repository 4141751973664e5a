"""The forms in which people and programs write dates, to tell a date from other cells.

The functions take a text as no_call_words.plain_text() returns it.
"""

from __future__ import annotations

import re

_MONTH = r"""(?:jan|feb|fev|mar|mrt|maerz|abr|apr|avr|mai|may|mag|maj|mei|jun|juin|giu|jul|juil|lug|aug|aou
    |ago|sep|set|oct|okt|ott|nov|dec|dez|dic|ene|gen|sty|lut|kwi|cze|lip|sie|wrz|paz|lis|gru|oca|sub|nis|haz|tem
    |agu|eyl|eki|kas|ara)[^\W\d]*\.?""".replace("\n    ", "")
_YEAR = r"(?:19|20)\d\d"
_WEEKDAY = r"([a-z]{3},? )?"
_ORDINAL_ENDING = r"(st|nd|rd|th)?"
_TIME_BEHIND = r"(?:[t ,]+\d.*)?"
_DATE_FORMS = (
    rf"{_YEAR}[-./]\d\d?[-./]\d\d?([t ].*)?",  # 2026-05-01, 2026/5/1 10:00
    rf"\d\d?[-./]\d\d?[-./]({_YEAR}|\d\d)( .*)?",  # 1.5.2026, 05/01/26 10:00
    rf"\d\d?\.? [^\W\d]{{3,9}}\.?,? {_YEAR}",  # 1. Mai 2026, with the month in any language
    rf"{_WEEKDAY}[^\W\d]{{3,9}}\.? \d\d?{_ORDINAL_ENDING},? {_YEAR}",  # Fri, May 1st, 2026
    rf"{_YEAR}(0[1-9]|1[0-2])[0-3]\d(\d{{4}}|\d{{6}})?",  # 20260501, 202605011000
    # 1-Nov-2026, 1er mai 2026, 1 de mayo de 2026, Fri, 27 Nov 2026 10:00
    rf"{_WEEKDAY}\d\d?(er|st|nd|rd|th|\.)?[- /]?(of |de |di )?{_MONTH}[-, /]{{1,2}}(de )?"
    rf"({_YEAR}|\d\d){_TIME_BEHIND}",
    rf"{_WEEKDAY}{_MONTH} \d\d?{_ORDINAL_ENDING},? {_YEAR}{_TIME_BEHIND}",  # May 1, 2026 10:00
    rf"({_MONTH},? )?{_YEAR}",  # May 2026, 2026
    rf"{_YEAR}[-./]\d\d?",  # 2026-05
    rf"\d\d?[-./]{_YEAR}",  # 05/2026
    rf"{_YEAR}年(\d\d?月(\d\d?日)?)?",  # 2026年5月1日
)
_DATES = re.compile("|".join(_DATE_FORMS))
# Dates as numbers: days since 1900, which Excel counts, and seconds or milliseconds since 1970.
_DAYS = re.compile(r"(\d{5})([.,]\d+)?")
_FIRST_DAY, _LAST_DAY = 29_221, 73_050  # 1980-01-01 and 2099-12-31
_SECONDS = re.compile(r"[1-3]\d{9}(\.\d+|\d{3})?")
_NO_DATE = re.compile(r"0000-00-00( 00:00(:00)?)?|00?[./]00?[./](00)?00")  # an empty date in a database


def is_date(plain: str) -> bool:
    """Return True for a date, and for a month or a year; a time may follow it."""
    return _DATES.fullmatch(plain) is not None


def is_date_as_number(plain: str) -> bool:
    """Return True for 45987, which Excel shows as 2025-11-26, and for seconds and milliseconds since 1970."""
    days = _DAYS.fullmatch(plain)
    if days is not None:
        return _FIRST_DAY <= int(days[1]) <= _LAST_DAY
    return _SECONDS.fullmatch(plain) is not None


def is_empty_date(plain: str) -> bool:
    """Return True for 0000-00-00, which some databases write where there is no date."""
    return _NO_DATE.fullmatch(plain) is not None
