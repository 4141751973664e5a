"""The words and phrases by which no_calls.py understands cells about calls."""

from __future__ import annotations

import re
import unicodedata

# As NFKD writes them, each behind its letter; and what makes a sign colourful.
_ACCENTS = re.compile("[\u0300-\u036f\ufe0f]+")
_SPECIAL_LETTERS = str.maketrans("łıøđ’`´", "liod'''")


def plain_text(text: str) -> str:
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
ALLOWED = frozenset(
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
YES_AND_MORE = re.compile(
    r"(?:yes|y|true|x|ja|wahr|oui|vrai|si|sim|tak|evet)(?:\s*[-–—,;:(/].*"
    r"|,? (?:please|bitte|svp|s'il vous plait|por favor|per favore))"
)
NO_AND_MORE = re.compile(r"(?:no|false|nein|falsch|non|nao|nie|hayir|nee|nej|nei)\s*[-–—,;:(/].*")
GIVEN, TAKEN_BACK = frozenset(_GIVEN_WORDS.split()), frozenset(map(plain_text, _TAKEN_BACK_WORDS.split()))
_BLOCKED, _BLOCKS = _BLOCKED_WORDS.split(), list(map(plain_text, _BLOCKS_WORDS.split()))
FORBIDS = frozenset([*_BLOCKED, *_BLOCKS, *map(plain_text, [*_FORBIDS_WORDS.split(), *_FORBIDS_PHRASES])])
YES = frozenset(map(plain_text, _YES_WORDS.split()))
NO = frozenset(map(plain_text, _NO_WORDS.split()))
NOTHING = frozenset(map(plain_text, _NOTHING_WORDS.split())) | {"", "not set"}

# Phrases that can mean nothing else, in the form that plain_text() makes.
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
PHRASE = re.compile(_PHRASES)
# The words of IS_BLOCKED without those that hold another one.
STEMS = [
    word
    for word in {*_BLOCKED, *_BLOCKS}
    if not any(other in word for other in {*_BLOCKED, *_BLOCKS} - {word})
]
MAX_STATUS = 60  # characters; longer texts tell a story
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
SENTENCE = re.compile(
    rf"(?:{_BEFORE},? )?(?:{_WHO} )?(?:{_WANTS} )?(?:{_PHRASES})(?:,? {_AFTER}){{0,2}}{_SINCE}|{_STATE}"
)
_BLOCKED_ONE = r"""(?:contact|customer|client|member|calls?|phone|number|kontakt|kunde|kundin|mitglied
    |anrufe?|telefon|nummer|rufnummer|telefonnummer|(?:fur|per|bei) (?:anrufe?|telefon|kontakt)
    |contacto?|cliente?|klant|klient|numero|telefono)""".replace("\n    ", "")
_SAYS_NO_BEHIND = r"(?:.*[:(=–—-] ?(?:no|nein|non|nao|nie|nee|false|falsch|0)\b)"  # "blocked: no"
_SINCE_OR_WHY = r"""(?: ?[-–—,:(/].*| \d.*| (?:since|from|on|by|until|till|as of|per|due to|for
    |seit|ab|am|bis|vom|von|durch|wegen|fur|lt|laut|depuis|par|le|jusqu|pour|desde|por|el|hasta
    |dal|dalla|il|da|fino|sinds|door|op|tot|vanaf|od|przez|do) .*)""".replace("\n    ", "")
IS_BLOCKED = re.compile(
    rf"{'|'.join(map(re.escape, _BLOCKS))}"
    rf"|(?:{_BLOCKED_ONE} )?(?:is |ist |wurde )?(?:{'|'.join(_BLOCKED)})"
    rf"(?!{_SAYS_NO_BEHIND}){_SINCE_OR_WHY}?"
)
DENIES = re.compile(r"(not|no|never|has ?n[o']t|did ?n[o']t|kein|nicht|non|pas)\b.*(opt|unsub)")
CROSSES = frozenset("✗✘✕✖❌❎")
LETTERS_AS_CROSSES = frozenset(["x", "xx", "×"])
