"""Encodings: text files as programs of all ages write them."""

from __future__ import annotations

import codecs
import re

from app.errors import BadInput

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, since it begins with the same bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAMPLE_BYTES = 64 * 1024  # of the lines with letters that aren't ASCII
_MULTIBYTE_UTF_8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")

# The encodings that Windows, DOS and old Macs use, and the letters that people write in each. Several fit
# most files; the one that makes the most of these letters is right. The order decides between equals.
_WESTERN = "äöüßàâçéèêëîïôûùœæñáíóúãõìòåøþð¿¡ºª€"
_CENTRAL = "ąćęłńóśźżáčďéěíňřšťúůýžőűäöüßăâîșşțţđ€"
_TURKISH = "çğıİöşüâîûäß€"
_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюяіїєґё№€"
_GREEK = "αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώϊϋ€"
_BALTIC = "āčēģīķļņšūžąęėįųõäöü€"
_HEBREW = "אבגדהוזחטיךכלםמןנסעףפץצקרשת"
_ARABIC = "ابتثجحخدذرزسشصضطظعغفقكلمنهويةىءأإئؤآ"
_THAI = "".join(map(chr, range(0x0E01, 0x0E4F)))
_LETTERS = {
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "cp1254": _TURKISH,
    "cp1251": _CYRILLIC,
    "cp1253": _GREEK,
    "cp1257": _BALTIC,
    "cp1255": _HEBREW,
    "cp1256": _ARABIC,
    "cp874": _THAI,
    "mac_roman": _WESTERN,
    "cp850": _WESTERN,
    "cp852": _CENTRAL,
    "cp866": _CYRILLIC,
    "koi8_r": _CYRILLIC,
    "koi8_u": _CYRILLIC,
    "iso8859_5": _CYRILLIC,
    "iso8859_7": _GREEK,
    "iso8859_2": _CENTRAL,
}
# What Windows uses in a country. Countries that are not here use cp1252.
_BY_COUNTRY = {
    "cp1250": "PL CZ SK HU SI HR RO BA RS ME AL",
    "cp1251": "RU UA BY BG MK KZ KG",
    "cp1253": "GR CY",
    "cp1254": "TR AZ",
    "cp1255": "IL",
    "cp1256": "EG SA AE IQ JO LB SY KW QA OM BH YE LY DZ MA TN SD IR PK",
    "cp1257": "LT LV EE",
    "cp874": "TH",
    "cp932": "JP",
    "gb18030": "CN SG",
    "big5": "TW HK MO",
    "cp949": "KR",
}
_ENCODING_OF_COUNTRY = {
    country: encoding for encoding, countries in _BY_COUNTRY.items() for country in countries.split()
}
_EAST_ASIAN = ("cp932", "gb18030", "big5", "cp949", "euc_jp")
_MIN_EAST_ASIAN = 0.6  # share of special letters in Chinese, Japanese and Korean; a German text has 0.1
_BONUS = 0.15  # for what Windows uses in the country of the place


def decode(content: bytes, country: str = "") -> str:
    """Return the text of a file, whatever its encoding. Raises BadInput for a file that holds no text.

    `country` is the place's, as two letters: Windows writes another encoding in Poland than in France.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _checked(content.decode(encoding, "replace").removeprefix("\ufeff"))
    if b"\0" in content:
        return _checked(_decode_utf_16(content))
    if b"\x1b$" in content and _decodes(content, "iso2022_jp"):
        return content.decode("iso2022_jp")
    try:
        return content.decode()
    except UnicodeDecodeError:
        pass
    if _is_mostly_utf_8(content):
        # A file to which another program added lines: only these are in another encoding.
        codecs.register_error("cp1252", _decode_byte)
        return content.decode("utf-8", "cp1252")
    encoding = _guess(_sample(content), country)
    return content.decode(encoding, "replace")


def _checked(text: str) -> str:
    if "\0" in text:
        raise not_a_text_file()
    return text


def not_a_text_file() -> BadInput:
    """Return the error for a file that holds something else."""
    return BadInput("This is not a text file. Please save the table as CSV or .xlsx, and upload that.")


def _decode_utf_16(content: bytes) -> str:
    """Return the text of a file in UTF-16 without a mark: every other byte of Latin letters is zero."""
    even, odd = content[0:10_000:2], content[1:10_000:2]
    half = len(odd) // 2
    if even.count(0) > half > odd.count(0):
        return content.decode("utf-16-be", "replace")
    if odd.count(0) > half > even.count(0):
        return content.decode("utf-16-le", "replace")
    raise not_a_text_file()


def _is_mostly_utf_8(content: bytes) -> bool:
    rest, valid = _MULTIBYTE_UTF_8.subn(b"", content)
    invalid = len(re.findall(rb"[\x80-\xff]", rest))
    return valid > invalid


def _decode_byte(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    byte = error.object[error.start : error.start + 1]
    return byte.decode("cp1252", "replace"), error.start + 1


def _sample(content: bytes) -> bytes:
    """Return the first lines that tell encodings from each other."""
    lines = []
    size = 0
    for match in re.finditer(rb"[^\r\n]*[\x80-\xff][^\r\n]*", content):
        lines.append(match[0][:1000])
        size += len(lines[-1])
        if size > SAMPLE_BYTES:
            break
    return b"\n".join(lines)


def _guess(sample: bytes, country: str) -> str:
    """Return the encoding that a file most probably has."""
    usual = _ENCODING_OF_COUNTRY.get(country, "cp1252")
    if usual in _EAST_ASIAN and _decodes(sample, usual):
        return usual
    if country == "JP" and _decodes(sample, "euc_jp"):
        return "euc_jp"
    candidates = [usual] if usual in _LETTERS else []
    candidates += [encoding for encoding in _LETTERS if encoding != usual]
    scores = {encoding: _score(sample, encoding) for encoding in candidates}
    scores[candidates[0]] += _BONUS
    best = max(candidates, key=lambda encoding: scores[encoding])  # the first of equals
    if scores[best] > 0 and scores[best] > _score_of_east_asian(sample):
        return best
    return _guess_by_statistics(sample) or best


def _score(sample: bytes, encoding: str) -> float:
    """Return how much a text looks like words: the share of usual letters, less what no word holds."""
    if not _decodes(sample, encoding):
        return -2.0
    text = sample.decode(encoding)
    places = [match.start() for match in re.finditer(r"[^\x00-\x7f]", text)]
    points = sum(_points(text[n - 1 : n], text[n], text[n + 1 : n + 2], _LETTERS[encoding]) for n in places)
    return points / max(1, len(places))


def _points(before: str, character: str, after: str, letters: str) -> float:
    """Return how well a character fits between two others, where people write with these letters."""
    is_latin = letters in (_WESTERN, _CENTRAL, _TURKISH, _BALTIC)
    is_foreign = not is_latin and (_is_ascii_letter(before) or _is_ascii_letter(after))  # "Mόller"
    if is_foreign and character in letters and character not in "№€":
        return -1
    if not character.isalpha():
        if character.casefold() in letters:
            return 1
        if before.isalpha() and after.isalpha():
            return 0 if character in "’´\u00a0" else -1
        return 0.5 if character in "–—‘’“”„‚…«»·•°§²³´¨\u00a0" else -1
    is_capital_inside = character.isupper() and (before.islower() or (before.isalpha() and after.islower()))
    is_cluster = letters == _WESTERN and _is_special_letter(before) and _is_special_letter(after)  # "Òåëåôîí"
    if is_foreign or is_capital_inside or is_cluster:
        return -1
    is_usual = character in letters or character.lower() in letters
    is_in_word = before.isalpha() or after.isalpha()
    likely = 0.9 if _is_rare(before, character) else 1
    return likely if is_usual and is_in_word else 0.2


def _is_rare(before: str, character: str) -> bool:
    """Return True where another letter is more likely: names begin with a capital, and "Zoâ" isn't one."""
    begins_small = not before.isalpha() and character.islower()
    return begins_small or (before in tuple("aeiou") and character in "âæå")


def _is_ascii_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _is_special_letter(character: str) -> bool:
    return character.isalpha() and not character.isascii()


def _score_of_east_asian(sample: bytes) -> float:
    """Return a score for text of which nearly all letters are special, as in Chinese, Japanese and Korean."""
    special = len(re.findall(rb"[\x80-\xff]", sample))
    letters = special + len(re.findall(rb"[A-Za-z]", sample))
    pairs = sum(len(run) for run in re.findall(rb"(?:[\x81-\xfe][\x40-\xfe])+", sample))
    return 1.5 if letters and special / letters > _MIN_EAST_ASIAN and pairs > special else 0.0


def _guess_by_statistics(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes  # here, because it takes 5 MB

    match = from_bytes(sample, cp_isolation=[*_LETTERS, *_EAST_ASIAN]).best()
    return None if match is None else match.encoding


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
