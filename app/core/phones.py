"""Phone numbers: read as people write them, stored in one form, shown as people in a country write them.

A number is stored in E.164 form, "+493012345678", with ";ext=12" after it when it has an extension.

People write more than a number into a cell: "0171 2345678 (Mama)", "1) 030 1234567", "030 1234567 / 0171
2345678 ext. 12". scan_phone() returns the number that a person would dial. It never makes up one: every digit
of the result stands in the text in this order, apart from a country code. Whatever could mean two numbers is
refused.
"""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from app.core.no_calls import hints_at_no_calls, words_beside_number
from app.errors import BadInput, UnsureNumber

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

ANY_READING = "any"  # confirms whatever is read: for programs, which nobody can ask once more

# A number that the library doesn't know is possible when it has at least nine digits, because new ranges are
# assigned all the time.
_MIN_UNKNOWN_NUMBER = 10**8
_MIN_DIGITS_WITHOUT_AREA_PREFIX = 9  # fewer may be a local number, whose area nobody knows
_MIN_DIGITS_BEFORE_SLASH = 7  # of a number; fewer are an area, as in 03301/234567
_MAX_OTHERS = 5
# Until 2019 a Mexican mobile phone was +52 1 55 1234 5678 from abroad; at home, 044 or 045 came before it.
_FORMER_MEXICAN = re.compile(r"(?:\+?521|044|045|01)(\d{10})")


@dataclass(frozen=True)
class PhoneReading:
    """A number as it was read from a text."""

    phone: str  # as it is stored
    is_certain: bool  # False: somebody should look at it
    others: tuple[str, ...] = ()  # further numbers in the text, as they stand there


def read_phone(text: str, country: str, confirmed: str | None = ANY_READING) -> str:
    """Return a phone number as it is stored. Raises BadInput.

    `country` is two letters, such as "DE"; it may be empty, and then only numbers with a country code can be
    read. Raises UnsureNumber for a number that is merely possible, unless `confirmed` is the number itself,
    as it is stored.
    """
    reading = scan_phone(text, country)
    if hints_at_no_calls(words_beside_number(text)):
        raise BadInput(
            "Phone: these words say that nobody may call the number. Enter the number alone, and mark it as "
            "“Do not call”.",
            field="phone",
        )
    if not reading.is_certain and confirmed not in (ANY_READING, reading.phone):
        shown = format_phone(reading.phone, "")
        raise UnsureNumber(
            f"Phone: “{text.strip()}” was read as {shown}. If that is right, press the button again.",
            reading.phone,
        )
    return reading.phone


def read_phones(text: str, country: str) -> list[str]:
    """Return all phone numbers in a text as they are stored, first the one that scan_phone() returns.

    Raises BadInput if none is clearly there.
    """
    first = scan_phone(text, country)
    phones = [first.phone]
    for other in first.others:
        with suppress(BadInput):
            phones.append(scan_phone(other, country).phone)
    return phones


def join_number(number: str, country_code: str, area_code: str, extension: str) -> str:
    """Return a number of which a table holds the parts in several cells, as a text for scan_phone().

    A part that the number begins with already is left out; so is a country code that isn't one, such as "DE".
    """
    import phonenumbers

    begins = number.lstrip(" (")[:2]
    code, area = _digits(country_code).lstrip("0"), _digits(area_code)
    is_whole = begins.startswith("+") or begins == "00"
    if area and not is_whole and not begins.startswith("0"):
        is_there = _digits(number).startswith((area, area.lstrip("0")))
        number = number if is_there else f"{area} {number}"
    is_code = code.isdigit() and int(code) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    if is_code and not is_whole and not re.search("[A-Za-z]", country_code):
        number = f"+{number}" if _digits(number).startswith(code) else f"+{code} {number}"
    if re.fullmatch(r"\d{1,6}", extension.strip()):
        number = f"{number} ext. {extension.strip()}"
    return number


def format_phone(phone: str | None, country: str) -> str | None:
    """Return a stored number as people in a country write it: with a country code only if it is abroad."""
    import phonenumbers  # here and below, because its metadata takes 10 MB

    if not phone:
        return phone
    number = phonenumbers.parse(phone)
    is_national = bool(country) and number.country_code == _country_code(country)
    if is_national and phonenumbers.is_valid_number(number):  # others have no national format
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def without_extension(phone: str) -> str:
    """Return a stored number without its extension."""
    return phone.partition(";")[0]


def invalid_number(country: str) -> BadInput:
    """Return the error for a text that holds no phone number, with an example of the country."""
    return BadInput(f"Enter a full phone number, for example {_example(country)}.", field="phone")


@lru_cache(maxsize=1000)  # an import asks twice
def scan_phone(text: str, country: str) -> PhoneReading:
    """Return the phone number that a person would dial. Raises BadInput if none is clearly there."""
    plain = _plain(text)
    if _SIMPLE.fullmatch(plain):
        number = _valid(plain, country)
        if number is not None and _is_anchored(plain, country):
            return PhoneReading(_stored(number), is_certain=True)
    if re.search(r"\d[.,]\d+E\+?\d+|\b\d+E\+\d+", plain, re.IGNORECASE):
        raise BadInput(
            "Phone: a spreadsheet has shortened this number. Format the column as text, and enter it again.",
            field="phone",
        )
    vanity = _read_vanity(plain, country)
    if vanity is not None:
        return PhoneReading(vanity, is_certain=True)
    reading = _scan(_LIST_MARK.sub("", plain), country)
    if reading is None and _has_fax(plain, country):
        raise BadInput("Phone: this is a fax number. Enter a number that can be called.", field="phone")
    if reading is None and plain.startswith("("):
        reading = _scan(plain, country)  # "(11) 98765-4321": it was no list mark, but an area
    if reading is None:
        raise _refusal(plain, country)
    return reading


def _has_fax(plain: str, country: str) -> bool:
    return any(each.phone and each.is_fax for each in _readings(plain, country))


def _readings(plain: str, country: str) -> list[_Reading]:
    runs = _find_runs(_drop_what_is_no_number(plain))
    return [reading for run in runs for reading in _read_run(run, country, len(runs) == 1)]


def _scan(plain: str, country: str) -> PhoneReading | None:
    if re.fullmatch(r"\d{7,}[.,]\d\d?", plain):
        return None  # a fraction
    readings = _readings(plain, country)
    to_dial = [each for each in readings if each.phone and not each.is_fax]
    if not to_dial or _is_unclear(readings, to_dial[0]):
        return None
    first = to_dial[0]
    others = [each.text for each in readings if each is not first and each.is_mentioned]
    return PhoneReading(first.phone, first.is_certain, tuple(dict.fromkeys(others))[:_MAX_OTHERS])


# ----- making a text plain

_SIMPLE = re.compile(r"\+?\d+|[+0]\d*[ -]?\d{4,}")  # needs no closer look

_DASHES = "\u2212\u02d7\u30fc\uff70"
_MIDDLE_DOTS = "\u00b7\u2022\u2027\u2219\u22c5\u30fb\u25cf\u25aa\u2043"
_MASK = "?"  # stands for a digit that nobody knows


def _plain(text: str) -> str:
    """Return a text with ASCII digits, hyphens and spaces, without what a spreadsheet adds to a cell."""
    if text.isascii() and text.isprintable():
        plain = text.replace("\\", "/").strip()
    else:
        plain = "".join(_plain_character(character) for character in text).strip()
    plain = re.sub(r"(?<=\d)_(?=\d)", " ", plain)
    plain = re.sub(r"^=?\s*\"([^\"]*)\"$", r"\1", plain).lstrip("'=\u2019`").strip()
    # A spreadsheet's number: 1712345678.0
    return re.sub(r"^(\+?\d{5,})[.,]0{1,2}$", r"\1", plain)


_PLAIN_BY_CATEGORY = {"No": _MASK, "Nl": _MASK, "Pd": "-", "Zs": " ", "Zl": "\n", "Zp": "\n"} | dict.fromkeys(
    ("Cf", "Cc", "Mn", "Me"), ""
)
_PLAIN_CHARACTERS = (
    dict.fromkeys(_DASHES, "-")
    | dict.fromkeys(_MIDDLE_DOTS, " ")
    | dict.fromkeys("\r\n\v\f", "\n")
    | dict.fromkeys("\\\u2044\u2215", "/")
    | {"\t": " "}
    | {chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F) if not chr(code).isdigit()}  # full width
)


def _plain_character(character: str) -> str:
    if character in _PLAIN_CHARACTERS:
        return _PLAIN_CHARACTERS[character]
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    return _PLAIN_BY_CATEGORY.get(category, character)


_DATE = r"(?:(?:19|20)\d\d-[01]\d-[0-3]\d|[0-3]?\d([./])[01]?\d\1(?:(?:19|20)\d\d|\d\d))"
_TIME = r"(?:[01]?\d|2[0-4])(?:[:.h][0-5]\d)?"
_HOURS = r"uhr|h|hrs?|am|pm|a\.m\.?|p\.m\.?|o'?clock|heures?|ore|horas?|uur"
# What a list begins its lines with: a bullet, or 1) 1. (1) 1: #1 a)
_LIST_MARK = re.compile(
    r"^\s*(?:[^\w\s+(\d]+\s+)?(?:(?:\(?[1-9]\d?[.)]\)?|#\s*[1-9]\d?[.:)]?|[1-9]\d?:|\(?[a-z][.)]|\?)\s+)?",
    re.IGNORECASE,
)
_NO_NUMBER = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![\d./-]){_DATE}(?![\d./-])",
        rf"(?<![\d.:/-])(?:{_TIME}\s*(?:{_HOURS})?\s*(?:-|bis|to|until)\s*)?{_TIME}\s*(?:{_HOURS})(?!\w)",
        r"(?<!\d)\d{1,2}\u6642(?:\d{1,2}\u5206|\u534a)?",  # Japanese
        r"(?<![\d.:/-])(?:[01]?\d|2[0-4]):[0-5]\d(?:\s*-\s*(?:[01]?\d|2[0-4]):[0-5]\d)?(?![\d:])",
        r"(?<![\d./-])24/7(?![\d./-])",
        r"(?<![\d./-])\d{1,2}\s?(?:x|\u00d7|mal|times)(?![\w])",
        r"(?<![\d./-])\d{1,2}(?:st|nd|rd|th|ter|te|er|e|\u00ba|\u00aa)(?![\w])",
    )
]


def _drop_what_is_no_number(plain: str) -> str:
    """Return a text without dates, times and the like; a "|" stands for each."""
    for pattern in _NO_NUMBER:
        plain = pattern.sub(" | ", plain)
    return plain


# ----- the runs of digits

_EXTENSION_WORDS = (
    r"ext(?:ension|n)?|x|durchwahl|dw|app(?:arat)?|nst|nebenst(?:elle)?|klappe|kl|poste|interno|interne|int"
    r"|anexo|ramal|toestel|wewn\u0119trzny|wewn|wew|ankn(?:ytning)?|lokal|dahili|\u0434\u043e\u0431"
)
_EXTENSION = re.compile(
    rf"(?<=[\d)])[\s,;.(/-]*(?:;ext=|(?:{_EXTENSION_WORDS})[.:]*\s*[:#]?\s*|#\s*|,,+\s*)(\d{{1,6}})\)?"
    r"(?![\s.-]*\d)(?!\w)",
    re.IGNORECASE,
)
_EXTENSION_MARK = "\ue000"
_RUN = re.compile(r"(?:\+\s*|\(\s*\+?\s*)?\d[\d ()./-]*")
_LATE_PARENTHESIS = re.compile(r"(\d(?:[ ./-]*\d){4,}[ ./-]*)\(")
_FAX_BEFORE = re.compile(r"(?:\bf|fax|telefax|facs)\b[\s.:(]*$", re.IGNORECASE)
_PHONE_AND_FAX_BEFORE = re.compile(
    r"\b(?:tel|telefon|phone|t)\.?\s*(?:/|&|\+|und|u\.|and|et|y|e)\s*(?:tele)?f(?:ax)?\b[\s.:(]*$",
    re.IGNORECASE,
)
# In "Tel 030 1234567 Fax 030 1234568", it belongs to the number behind it.
_FAX_AFTER = re.compile(r"^[\s|([-]*(?:tele)?fax\b(?![\s.:]*[+(]?\d)", re.IGNORECASE)


@dataclass(frozen=True)
class _Run:
    """Digits with nothing but spaces and punctuation between them."""

    text: str
    extension: str | None
    glued_before: bool  # a letter stands right before it
    broken: bool  # something right after it belongs to it: an unknown digit, a letter among digits
    is_fax: bool


@dataclass
class _Reading:
    """A run, or a part of one, and the number that it is."""

    text: str
    phone: str = ""
    is_certain: bool = True
    is_fax: bool = False
    is_anchored: bool = False  # it begins with a + or a 0: nothing before it belongs to it
    is_broken: bool = False
    digits: str = field(default="")

    @property
    def is_mentioned(self) -> bool:
        return bool(self.phone) or len(self.digits) > 2


def _find_runs(text: str) -> list[_Run]:
    extensions: list[str] = []

    def mark(match: re.Match[str]) -> str:
        extensions.append(match[1])
        return _EXTENSION_MARK

    text = _EXTENSION.sub(mark, text)
    text = _LATE_PARENTHESIS.sub(r"\1|(", text)  # an area stands at the beginning: this is something else
    runs = []
    for match in _RUN.finditer(text):
        run = match[0].rstrip(" ()./-")
        end = match.start() + len(run)
        after = text[end:]
        before = text[: match.start()]
        rest = after.lstrip(" )./-")
        extension = None
        if rest.startswith(_EXTENSION_MARK):
            extension = extensions[text[:end].count(_EXTENSION_MARK)]
        runs.append(
            _Run(
                run,
                extension,
                glued_before=before[-1:].isalpha(),
                broken=_is_broken(run, after),
                is_fax=_is_fax(before, after),
            )
        )
    return runs


def _is_fax(before: str, after: str) -> bool:
    if _PHONE_AND_FAX_BEFORE.search(before):
        return False
    return bool(_FAX_BEFORE.search(before) or _FAX_AFTER.match(after))


def _is_broken(run: str, after: str) -> bool:
    """Return True if digits are missing after a run, as in "0171 234xxx", or a letter is among them."""
    if re.match(r"\s*[?*_]|\.\.|\u2026|[ -./]*(?:[xX#]{2,}|[xX?*_]\b)|[^\W\d_]+\d", after):
        return True
    if re.match(r"[OoIl](?!\w)", after):
        return True  # "0171 234567O": they look like a 0 and a 1
    last_group = re.findall(r"\d+", run)[-1]
    # Letters right behind the last digits: "2345678privat" is a word too close, "12b" is something else.
    return after[:1].isalpha() and len(last_group) < 4


# ----- reading a run


def _read_run(run: _Run, country: str, is_only: bool) -> list[_Reading]:
    """Return the numbers in a run; of several, each."""
    text = run.text
    if run.broken or (run.glued_before and not _is_anchored(text, country)):
        return [_Reading(text, is_broken=run.broken, is_anchored=True, digits=_digits(text))]
    parts = _parts_of(text, country)
    readings = []
    for number, part in enumerate(parts):
        extension = run.extension if number == len(parts) - 1 else None
        phone, is_certain = _read_digits(part, country, is_only=is_only and len(parts) == 1)
        if phone and extension:
            phone += f";ext={extension}"
        readings.append(
            _Reading(
                part,
                phone,
                is_certain=is_certain,
                is_fax=run.is_fax,
                is_anchored=_is_anchored(part, country),
                digits=_digits(part),
            )
        )
    return readings


def _parts_of(text: str, country: str) -> list[str]:
    """Split a run into the numbers that stand in it, if it is not one number."""
    slashes = [part.strip(" .-") for part in text.split("/") if _digits(part)]
    if len(slashes) > 1:
        return _parts_by_slash(slashes, country)
    whole_is_number = bool(_valid(text, country))
    if whole_is_number and _is_anchored(text, country):
        left, separator, right = text.partition(" - ")
        if separator and _valid(left, country) and _valid(right, country) and _is_anchored(right, country):
            return [left, right]
        return [text]
    for match in re.finditer(r"(?<=.)[\s-]+(?=\(?[0+])", text):
        left, right = text[: match.start()], text[match.end() :]
        if not _valid(right, country):
            continue
        if _valid(left, country):
            return [left, *_parts_of(right, country)]
        # "12 0171 2345678": what stands before it is a number of something else.
        if whole_is_number or (len(_digits(left)) <= 4 and not _is_anchored(left, country)):
            return [left, right]
    return [text]


def _parts_by_slash(parts: list[str], country: str) -> list[str]:
    """Return the numbers in "030/1234567", "030 1234567/0171 2345678" and "030 1234567/68"."""
    for end in range(1, len(parts) + 1):
        first = " ".join(parts[:end])
        if len(_digits(first)) < _MIN_DIGITS_BEFORE_SLASH or not _valid(first, country):
            continue
        rest = parts[end:]
        if not rest:
            return [first]
        if _valid(rest[0], country) and _is_anchored(rest[0], country):
            return [first, *_parts_by_slash(rest, country)]
        # Other last digits, as in 1234567/68; but 030/12/34/567 may be one number.
        whole_is_number = bool(_valid(" ".join(parts), country))
        is_alternative = len(_digits(rest[0])) <= 2 and end <= 2
        if whole_is_number and not is_alternative:
            return ["/".join(parts)]  # _read_digits() refuses it: it can't be told
        return [first, *rest]
    return [" ".join(parts)]


def _read_digits(text: str, country: str, is_only: bool) -> tuple[str, bool]:
    """Return the number of a text and whether it is certain; an empty one if it is none."""
    if "/" in text:
        return "", False
    valid = _valid(text, country)
    trailing = re.search(r"(?<=\d{6}) +\d{1,2}$", text)
    if trailing and _valid(text[: trailing.start()], country):
        return "", False  # "0171 2345678 2": the last digits are something else, or an extension
    if valid is not None:
        return _stored(valid), _is_certain(text, valid, country)
    possible = _possible(text, country) if is_only else None
    return (_stored(possible), False) if possible is not None else ("", False)


def _is_certain(text: str, number: PhoneNumber, country: str) -> bool:
    """Return False for a number without its 0: it may be a local one, or another one altogether."""
    import phonenumbers
    from phonenumbers import PhoneNumberType

    if _is_anchored(text, country) or not _trunk_prefix(country):
        return True
    kinds = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
    return phonenumbers.number_type(number) in kinds or _has_country_code(text, number)


def _has_country_code(text: str, number: PhoneNumber) -> bool:
    return _digits(text) == f"{number.country_code}{number.national_number}"


@lru_cache(maxsize=1000)  # a text is looked at several times in a row
def _valid(text: str, country: str) -> PhoneNumber | None:
    """Return a number that is valid by the library's metadata, if the text is one, and only one."""
    import phonenumbers

    valid = [number for number in _interpretations(text, country) if phonenumbers.is_valid_number(number)]
    if len({_stored(number) for number in valid}) == 2:
        # "491712345678" may lack a + or a 0. A mobile number with its country code lacks the +.
        with_code = valid[1]
        if phonenumbers.number_type(with_code) != phonenumbers.PhoneNumberType.MOBILE:
            return None
        return with_code
    if not valid:
        return None
    is_anchored = _is_anchored(text, country) or not _trunk_prefix(country)
    if not is_anchored and not _has_country_code(text, valid[0]):
        kinds = (
            phonenumbers.PhoneNumberType.MOBILE,
            phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
            phonenumbers.PhoneNumberType.TOLL_FREE,
        )
        is_short = len(_digits(text)) < _MIN_DIGITS_WITHOUT_AREA_PREFIX
        if is_short and phonenumbers.number_type(valid[0]) not in kinds:
            return None
    return valid[0]


def _possible(text: str, country: str) -> PhoneNumber | None:
    """Return a number that may exist, if the text is clearly one in full."""
    import phonenumbers

    if not _is_anchored(text, country) and _country_code(country) != 1:
        return None
    numbers = _interpretations(text, country)
    if len(numbers) != 1 or not phonenumbers.is_possible_number(numbers[0]):
        return None
    if numbers[0].country_code == 1 and (
        numbers[0].italian_leading_zero or str(numbers[0].national_number)[0] == "1"
    ):
        return None  # a number of another country: no area code of North America begins with 0 or 1
    groups = re.split(r"[\s-]+", text.strip())
    # "0171 2345678 2": a number, and something else behind it.
    if any(_valid(" ".join(groups[:end]), country) for end in range(1, len(groups))):
        return None
    return numbers[0] if (numbers[0].national_number or 0) >= _MIN_UNKNOWN_NUMBER else None


def _interpretations(text: str, country: str) -> list[PhoneNumber]:
    """Return what the digits of a text can mean: a national number first, then one with a country code."""
    digits = _digits(text)
    has_plus = "+" in text or re.match(r"\(?\d{1,3}\)?[\s./-]*\(0\)", text) is not None
    if has_plus:
        return _parsed(f"+{digits}", None)
    prefix = _trunk_prefix(country)
    numbers = _parsed(digits, country)
    if digits.startswith("00"):
        return [*_only_valid(numbers), *_parsed(f"+{digits[2:]}", None)][:1]
    code = str(_country_code(country))
    if prefix and digits.startswith(code):
        return [*_parsed(f"{prefix}{digits}", country), *_parsed(f"+{digits}", None)]
    return numbers


def _only_valid(numbers: list[PhoneNumber]) -> list[PhoneNumber]:
    import phonenumbers

    return [number for number in numbers if phonenumbers.is_valid_number(number)]


def _parsed(digits: str, country: str | None) -> list[PhoneNumber]:
    import phonenumbers

    if country == "":
        return []
    former = _FORMER_MEXICAN.fullmatch(digits)
    if former and (country == "MX" or digits.startswith("+")):
        digits = f"+52{former[1]}"
    try:
        return [phonenumbers.parse(digits, country)]
    except phonenumbers.NumberParseException:
        return []


def _is_anchored(text: str, country: str) -> bool:
    """Return True if a text begins as a number does: with a + or 00, or as people in the country dial it."""
    digits = _digits(text)
    if "+" in text or digits.startswith("00"):
        return True
    prefix = _trunk_prefix(country)
    return digits.startswith(prefix) if prefix else False


@cache
def _trunk_prefix(country: str) -> str:
    """Return what all numbers within a country begin with, such as "0"; empty where they don't."""
    from phonenumbers import PhoneMetadata

    metadata = PhoneMetadata.metadata_for_region(country) if country else None
    if metadata is None or metadata.national_prefix == str(metadata.country_code):
        return ""  # in North America, the 1 can be left out
    return str(metadata.national_prefix or "")


def _country_code(country: str) -> int:
    import phonenumbers

    return phonenumbers.country_code_for_region(country) if country else 0


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _stored(number: PhoneNumber) -> str:
    import phonenumbers

    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


# ----- several runs


def _is_unclear(readings: list[_Reading], first: _Reading) -> bool:
    """Return True if digits outside the first number may belong to it."""
    strays = [each for each in readings if not each.phone]
    if any(each.is_broken for each in strays):
        return True
    if first.is_anchored:
        return False
    # "01 Wien 5123456": the number is no number without what stands before it.
    before = readings[: readings.index(first)]
    return any(not each.phone and (len(each.digits) > 2 or each.digits.startswith("0")) for each in before)


def _refusal(plain: str, country: str) -> BadInput:
    if not country and re.search(r"\d{3}", plain):
        return BadInput(
            "Phone: it isn't known which country this number is from, because this place has no country. "
            "Enter it with its country code, such as +49 30 123456, or choose the country of the place.",
            field="phone",
        )
    return invalid_number(country)


def _example(country: str) -> str:
    import phonenumbers

    example = phonenumbers.example_number(country) if country else None
    if example is None:
        return "+49 30 123456"
    return phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)


# ----- numbers in letters

_VANITY = re.compile(r"\+?[\d()\s.-]*\d[\d()\s.-]*[A-Z][A-Z\d\s-]*", re.IGNORECASE)


def _read_vanity(plain: str, country: str) -> str | None:
    """Return the number of a text such as 1-800-FLOWERS, if the whole text is one.

    Only services have such numbers: "030 PRIVAT" is a number that is not finished.
    """
    import phonenumbers
    from phonenumbers import PhoneNumberType

    if not country or not _VANITY.fullmatch(plain) or len(re.findall("[A-Za-z]", plain)) < 3:
        return None
    words = re.findall(r"[A-Za-z]+", plain)
    if any(word != word.upper() for word in words) and (len(words) > 1 or re.search(r"\s[A-Za-z]", plain)):
        return None
    if _valid(re.sub(r"[A-Za-z]", "", plain), country) is not None:
        return None  # a number, and a word behind it
    digits = _digits(phonenumbers.convert_alpha_characters_in_number(plain.upper()))
    services = (
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
    )
    for number in _interpretations(f"+{digits}" if "+" in plain else digits, country):
        if phonenumbers.is_valid_number(number) and phonenumbers.number_type(number) in services:
            return _stored(number)
    return None
