"""What people write to say that nobody may call a number, or that somebody may.

In a column such as "Do not call", every cell must be understood: whoever reads it asks about the others. In
other columns, and in the cell of a name or a number, only what can mean nothing else counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

OPT_OUT_FIELDS = ("do_not_call", "may_call")  # the columns about calls; see app.core.columns.FIELDS

# As NFKD writes them, each behind its letter; and what makes a sign colourful.
_ACCENTS = re.compile("[\u0300-\u036f\ufe0f]+")
_SPECIAL_LETTERS = str.maketrans("łıøđ’`´", "liod'''")


def _plain(text: str) -> str:
    """Return a text in lower case, without accents, and without quotes and full stops around it."""
    text = text.casefold()
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text).translate(_SPECIAL_LETTERS))
    return " ".join(text.replace("_", " ").split()).strip("'\"!.: ")


_YES_WORDS = """yes yep yeah y true t 1 1.0 1,0 x xx × on ✓ ✔ ☑ ✅ ☒ checked selected
    ja j jo wahr oui vrai si s verdadero cierto vero sim verdadeiro tak prawda evet dogru da
    ano igen waar sant sand sann kylla joo taip jah да истина ναι
    はい ○ ◯ ● 有 あり 是 对 예 네 نعم כן"""
_NO_WORDS = """no n false f 0 0.0 0,0 off ☐ □ unchecked nein falsch non faux falso nao nie falsz hayir yanlis
    нет ні nee onwaar nej nei ei ne nem ложь όχι
    いいえ 無 なし 無し 否 不是 没有 아니오 아니요 لا לא"""
_NOTHING_WORDS = "- – — none null nil nan n/a na"
_ALLOWED = frozenset(
    [
        *("subscribed", "opt-in", "opt in", "opted in", "opted-in", "may call", "may be called", "ok"),
        *("allow", "allowed", "zulassen", "autoriser", "permitir", "consenti", "toestaan", "zezwalaj"),
    ]
)
# Somebody is blocked: in a column about calls, in one such as "Status", or in a note. The first words often
# come with others: "Gesperrt seit 2024", "contact blocked".
_BLOCKED_WORDS = """blocked blacklisted gesperrt geblockt blockiert bloque bloquee bloques bloqueado bloqueada
    bloccato bloccata geblokkeerd zablokowany zablokowana sparrad sperret blokeret estetty заблокирован
    заблокирована"""
_BLOCKS_WORDS = """stop forbidden prohibited sperre verboten abgemeldet interdit
    désinscrit désinscrite désabonné désabonnée bloctel prohibido vietato disiscritto disiscritta
    proibido descadastrado verboden uitgeschreven afgemeld zabronione wypisany wypisana tps ctps
    sperrvermerk kontaktsperre anrufsperre telefonsperre werbesperre anrufverbot kontaktverbot
    🚫 ⛔ 🛑 🔕 📵 拒否 禁止 電話禁止 電話不可 架電禁止 架電不可 架電ng 차단"""
# These mean it only in a column about calls: in another one, somebody may have refused something else.
_FORBIDS_WORDS = "never baja 拒绝 拒絕"
_FORBIDS_PHRASES = (
    "remove",
    "removed",
    "remove me",
    "remove from list",
    "take off list",
    "take off the list",
    "not allowed",
    "do not allow",  # Dynamics
    "don't allow",
    "disallow",
    "disallowed",
    "not permitted",
    "not interested",
    "nicht erlaubt",
    "nicht zulassen",
    "nicht zulässig",
    "ne pas autoriser",
    "no permitir",
    "non consentire",
    "niet toestaan",
    "nie zezwalaj",
    "kein interesse",
    "liste rouge",
    "dado de baja",
)
# In a column about a permission.
_GIVEN_WORDS = """granted given accepted agreed consented erteilt erlaubt zugestimmt accorde accepte aceptado
    concedido accettato concesso aceite toegestaan gegeven udzielona"""
_TAKEN_BACK_WORDS = """denied refused withdrawn revoked declined rejected abgelehnt verweigert
    widerrufen entzogen refuse retire rechazado denegado revocado rifiutato negato revocato recusado
    revogado geweigerd ingetrokken odmowa wycofana ng 不可"""
_YES_AND_MORE = re.compile(
    r"(?:yes|y|true|x|ja|wahr|oui|vrai|si|sim|tak|evet)(?:\s*[-–—,;:(/].*"
    r"|,? (?:please|bitte|svp|s'il vous plait|por favor|per favore))"
)
_NO_AND_MORE = re.compile(r"(?:no|false|nein|falsch|non|nao|nie|hayir|nee|nej|nei)\s*[-–—,;:(/].*")
_GIVEN, _TAKEN_BACK = frozenset(_GIVEN_WORDS.split()), frozenset(map(_plain, _TAKEN_BACK_WORDS.split()))
_BLOCKED, _BLOCKS = _BLOCKED_WORDS.split(), list(map(_plain, _BLOCKS_WORDS.split()))
_FORBIDS = frozenset([*_BLOCKED, *_BLOCKS, *map(_plain, [*_FORBIDS_WORDS.split(), *_FORBIDS_PHRASES])])
_YES = frozenset(map(_plain, _YES_WORDS.split()))
_NO = frozenset(map(_plain, _NO_WORDS.split()))
_NOTHING = frozenset(map(_plain, _NOTHING_WORDS.split())) | {"", "not set"}

# Phrases that can mean nothing else, in the form that _plain() makes.
_PHRASES_IN_LINES = r"""do(?:es)?\ ?n[o']?t\ (?:(?:call|contact|phone|ring|dial)(?:\ list)?
    |(?:want|wish)\ (?:to\ be\ (?:called|contacted|phoned)
    |(?:to\ (?:receive|get)\ )?(?:any\ )?(?:more\ |further\ )?(?:phone\ )?calls))
    | (?:refuses?|declines?|won'?t\ (?:take|accept))\ (?:all\ |any\ )?(?:(?:tele)?phone\ )?calls
    | (?:please\ )?(?:only\ contact|contact\ only)\ (?:by|via|per)\ (?:e-?mail|text|sms|post|letter|mail)
    | contact\ (?:by|via|per)\ (?:e-?mail|text|sms|post|letter|mail)\ only
    | nur\ per\ (?:e-?mail|post|brief|sms)\ (?:kontaktieren|kontakt) | lehnt\ anrufe\ ab | refuse\ les\ appels
    | do\ ?not(?:call|contact)
    | dont(?:call|contact) | dnc(?:\ list)? | never\ call
    | no\ (?:more\ |further\ )?(?:contact
    |(?:(?:tele)?phone\ |marketing\ |sales\ |cold\ |promotional\ |unsolicited\ )?calls)
    | stop\ calling | (?:remove|take)(?:\ (?:me|us|him|her|them))?\ (?:from|off)
    \ (?:(?:the|your|our|all|any)\ )?(?:call(?:ing)?|phone|contact)\ lists?
    | blacklist(?:ed)? | asked\ (?:us\ )?not\ to\ (?:call|contact|phone)
    | not\ (?:to\ )?be\ (?:called|contacted|phoned)
    | opt(?:ed|s)?[\ -]?out | unsubscribed?
    | nicht\ (?:mehr\ |wieder\ )?(?:anrufen|kontaktieren|telefonieren
    |(?:angerufen|kontaktiert)\ (?:zu\ )?werden) | nie\ (?:mehr\ |wieder\ )anrufen
    | keine?n?\ (?:weiteren\ )?(?:anrufe?|kontakt|werbung|kontaktaufnahme)
    | ne\ (?:(?:pas|plus)\ (?:appeler|contacter|rappeler|telephoner)
    |(?:veut|souhaite|desire)\ (?:pas|plus)\ etre\ (?:r?appelee?|contactee?)) | pas\ d'appels?
    | no\ (?:llamar|contactar|llame|telefonear|volver\ a\ llamar
    |(?:quiere|desea)\ (?:mas\ )?(?:llamadas|ser\ (?:llamad|contactad)[oa]|que\ l[ea]s?\ llamen))
    | non\ (?:chiamare|contattare|telefonare|richiamare
    |vuole\ (?:piu\ )?(?:chiamate|essere\ (?:chiamat|contattat|richiamat)[oa]))
    | nao\ (?:ligar|contatar|contactar|telefonar|ligue
    |(?:quer|deseja)\ (?:mais\ )?(?:ligacoes|chamadas|ser\ contac?tad[oa]))
    | niet\ (?:meer\ )?(?:bellen|contacteren|opbellen|(?:gebeld|gecontacteerd)\ worden)
    | nie\ (?:dzwonic|kontaktowac|telefonowac) | aramayin(?:iz)? | aranmasin
    | ring\ (?:inte|ej|ikke) | (?:ikke|inte|ej)\ ring(?:es|as)? | ala\ soita | nevolat | не\ звонить"""
_PHRASES = re.sub(r"(?<!\\)\s+", "", _PHRASES_IN_LINES)
_PHRASE = re.compile(_PHRASES)
# The words of _IS_BLOCKED without those that hold another one.
_STEMS = [
    word
    for word in {*_BLOCKED, *_BLOCKS}
    if not any(other in word for other in {*_BLOCKED, *_BLOCKS} - {word})
]
_MAX_STATUS = 60  # characters; longer texts tell a story
_BEFORE = (
    r"(?:please|pls|plz|bitte|s'il vous plait|svp|por favor|per favore|prosze|lutfen|alstublieft|var god)"
)
_WHO = r"(?:he|she|they|client|customer|patient|er|sie|kunde|kundin|il|elle|cliente|klant)"
_WANTS = r"(?:wants|wishes|asked|must|may|should|mochte|will|wunscht|wil|on|on the|on our)"
_AFTER = (
    r"(?:again|any ?more|ever|at all|please|her|him|them|me|us|bitte|mehr|wieder|erwunscht|gewunscht|erbeten"
    r"|svp|plus|mas|piu|mais|meer)"
)
_SINCE = r"(?: (?:since|as of|seit|depuis|sinds) .*)?"
_STATE = r"(?:opt(?:ed)?[ -]?out|unsubscribed|dnc|blacklisted)(?: (?:on|am|le|el|il|op|by))? [\d/-]+"
_SENTENCE = re.compile(
    rf"(?:{_BEFORE},? )?(?:{_WHO} )?(?:{_WANTS} )?(?:{_PHRASES})(?:,? {_AFTER}){{0,2}}{_SINCE}|{_STATE}"
)
_BLOCKED_ONE = r"""(?:contact|customer|client|member|calls?|phone|number|kontakt|kunde|kundin|mitglied
    |anrufe?|telefon|nummer|rufnummer|telefonnummer|(?:fur|per|bei) (?:anrufe?|telefon|kontakt)
    |contacto?|cliente?|klant|klient|numero|telefono)""".replace("\n    ", "")
_SAYS_NO_BEHIND = r"(?:.*[:(=–—-] ?(?:no|nein|non|nao|nie|nee|false|falsch|0)\b)"  # "blocked: no"
_SINCE_OR_WHY = r"""(?: ?[-–—,:(/].*| \d.*| (?:since|from|on|by|until|till|as of|per|due to|for
    |seit|ab|am|bis|vom|von|durch|wegen|fur|lt|laut|depuis|par|le|jusqu|pour|desde|por|el|hasta
    |dal|dalla|il|da|fino|sinds|door|op|tot|vanaf|od|przez|do) .*)""".replace("\n    ", "")
_IS_BLOCKED = re.compile(
    rf"{'|'.join(map(re.escape, _BLOCKS))}"
    rf"|(?:{_BLOCKED_ONE} )?(?:is |ist |wurde )?(?:{'|'.join(_BLOCKED)})"
    rf"(?!{_SAYS_NO_BEHIND}){_SINCE_OR_WHY}?"
)
_DENIES = re.compile(r"(not|no|never|has ?n[o']t|did ?n[o']t|kein|nicht|non|pas)\b.*(opt|unsub)")
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
_CROSSES = frozenset("✗✘✕✖❌❎")
_LETTERS_AS_CROSSES = frozenset(["x", "xx", "×"])
_NO_DATE = re.compile(r"0000-00-00( 00:00(:00)?)?|00?[./]00?[./](00)?00")  # an empty date in a database


@dataclass(frozen=True)
class ColumnMarks:
    """What a cross or a number means in one column. Only its other cells tell; None where they don't."""

    cross: str | None = None  # a cross such as ✗: "yes" or "no"
    number: str | None = None  # a number such as 45987: "yes" if it is a date

    def explain(self, cell: str) -> str:
        """Return "yes" or "no" for such a mark, and every other cell as it is."""
        plain = _plain(cell)
        if plain in _CROSSES or plain == "×":
            return self.cross or cell
        if _is_date_as_number(plain):
            return self.number or cell
        return cell


def marks_that_forbid(cells: Iterable[str]) -> ColumnMarks:
    """Return what marks mean in a column "Do not call".

    People make a cross where others make a tick: beside empty cells it is a yes. Beside a tick, nobody knows.
    """
    answers = {plain for plain in map(_plain, set(cells)) if plain not in _NOTHING and plain not in _NO}
    are_dates = all(_DATES.fullmatch(each) or _is_date_as_number(each) for each in answers)
    are_crosses = answers <= _CROSSES | _LETTERS_AS_CROSSES
    return ColumnMarks(cross="yes" if are_crosses else None, number="yes" if are_dates else None)


def marks_that_allow(cells: Iterable[str]) -> ColumnMarks:
    """Return what marks mean in a column "May be called": beside a tick, a cross is a no."""
    answers = set(map(_plain, set(cells))) - _CROSSES - _LETTERS_AS_CROSSES
    has_tick = not answers.isdisjoint(_YES)
    return ColumnMarks(cross="no" if has_tick else None)


def _is_date_as_number(plain: str) -> bool:
    """Return True for 45987, which Excel shows as 2025-11-26, and for seconds and milliseconds since 1970."""
    days = _DAYS.fullmatch(plain)
    if days is not None:
        return _FIRST_DAY <= int(days[1]) <= _LAST_DAY
    return _SECONDS.fullmatch(plain) is not None


def means_do_not_call(text: str) -> bool | None:
    """Return whether a cell of a column "Do not call" says that nobody may call; None if that is unclear.

    A date is a yes: it says since when.
    """
    plain = _plain(text)
    if plain in _NO or plain in _NOTHING or plain in _ALLOWED or _NO_DATE.fullmatch(plain):
        return False
    if _DENIES.match(plain):
        return None
    if plain in _YES or plain in _FORBIDS or _YES_AND_MORE.fullmatch(plain):
        return True
    if _PHRASE.search(plain) or _DATES.fullmatch(plain) or _IS_BLOCKED.fullmatch(plain):
        return True
    return None


def means_may_call(text: str) -> bool | None:
    """Return whether a cell of a column "May be called" leaves it open or says yes; None if it is unclear.

    A date is a yes: it says since when.
    """
    plain = _plain(text)
    if plain in _NO or plain in _FORBIDS or plain in _TAKEN_BACK or _NO_AND_MORE.fullmatch(plain):
        return False
    if plain == "×":
        return None  # a tick, but in Japan a no
    if plain in _NOTHING or plain in _ALLOWED or plain in _YES or plain in _GIVEN:
        return True
    if _DATES.fullmatch(plain):
        return True
    if _SENTENCE.fullmatch(plain) or _IS_BLOCKED.fullmatch(plain):
        return False
    return None


def forbids_calls(column_field: str, text: str) -> bool | None:
    """Return whether a cell of one of the OPT_OUT_FIELDS says that nobody may call; None if it is unclear."""
    if column_field == "do_not_call":
        return means_do_not_call(text)
    may_call = means_may_call(text)
    return None if may_call is None else not may_call


def says_nothing(text: str) -> bool:
    """Return True for an empty cell, and for one such as "-" or "n/a"."""
    return _plain(text) in _NOTHING


def says_no_calls(text: str) -> bool:
    """Return True if a text, or a sentence in it, says nothing but that somebody must not be called."""
    return any(_SENTENCE.fullmatch(_plain(sentence)) for sentence in re.split(r"[.;!,|\n()\[\]]+| - ", text))


def hints_at_no_calls(text: str) -> bool:
    """Return True if a text may say that somebody must not be called."""
    return _PHRASE.search(_plain(text)) is not None


def says_blocked(text: str) -> bool:
    """Return True if a text says nothing but that somebody is blocked, as in a column "Status".

    A word such as "active" or "inactive" says nothing about calls.
    """
    return len(text) <= _MAX_STATUS and _IS_BLOCKED.fullmatch(_plain(text)) is not None


def mentions_no_calls(texts: Iterable[str]) -> bool:
    """Return True if any of these texts may say one of the two; much faster than to look at each of them."""
    plain = _plain("\n".join(texts))
    return any(word in plain for word in _STEMS) or _PHRASE.search(plain) is not None


def words_beside_number(text: str) -> str:
    """Return what stands beside the digits in the cell of a phone number."""
    return re.sub(r"[\d+/()-]+", " ", text)
