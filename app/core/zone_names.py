"""Names of time zones as people and programs write them, such as PST and W. Europe Standard Time."""

from __future__ import annotations

import re
from functools import cache

from app.core.days import time_zones

# Abbreviations mean the clocks of a country, summer time included. The same three letters can mean several
# zones; then the country of the place decides, and elsewhere they are not understood.
_ABBREVIATIONS = {
    "America/New_York": "et est edt eastern",
    "America/Chicago": "ct cst cdt central",
    "America/Denver": "mt mst mdt mountain",
    "America/Los_Angeles": "pt pst pdt pacific",
    "America/Anchorage": "akst akdt akt alaska",
    "Pacific/Honolulu": "hst hast hadt hawaii",
    "America/Halifax": "adt",
    "America/St_Johns": "nst ndt",
    "Europe/London": "bst",
    "Europe/Berlin": "cet cest mez mesz",
    "Europe/Athens": "eet eest oez",
    "Europe/Lisbon": "wet west",
    "Europe/Moscow": "msk",
    "Asia/Tokyo": "jst",
    "Asia/Seoul": "kst",
    "Australia/Sydney": "aest aedt",
    "Australia/Adelaide": "acst acdt",
    "Australia/Perth": "awst",
    "Pacific/Auckland": "nzst nzdt nzt",
    "Africa/Johannesburg": "sast",
    "UTC": "utc gmt z zulu",
}
# These mean so many things that only places in North America are taken at their word.
_AMBIGUOUS = ("cst", "ct", "et", "mt", "pt", "central", "eastern", "mountain", "pacific", "adt", "nst")
_NORTH_AMERICA = ("", "US", "CA", "MX", "PR")
# What the letters mean in some countries.
_IN_COUNTRY = {
    ("cst", "CN"): "Asia/Shanghai",
    ("cst", "CU"): "America/Havana",
    ("pst", "PH"): "Asia/Manila",
    ("ist", "IN"): "Asia/Kolkata",
    ("ist", "IL"): "Asia/Jerusalem",
    ("ist", "IE"): "Europe/Dublin",
    ("est", "AU"): "Australia/Sydney",
    ("cst", "AU"): "Australia/Adelaide",
    ("ast", "CA"): "America/Halifax",
    ("ast", "PR"): "America/Puerto_Rico",
    ("gmt", "GB"): "Europe/London",
    ("gmt", "IE"): "Europe/Dublin",
}

# What Windows, Outlook, Google and Rails call the zones.
_NAMES = {
    "America/New_York": "eastern time; eastern standard time; us eastern; eastern time us canada",
    "America/Chicago": "central time; central standard time; central time us canada",
    "America/Denver": "mountain time; mountain standard time; mountain time us canada",
    "America/Phoenix": "arizona; us mountain standard time",
    "America/Los_Angeles": "pacific time; pacific standard time; pacific time us canada",
    "America/Anchorage": "alaskan standard time; alaska time; alaska",
    "Pacific/Honolulu": "hawaiian standard time; hawaii; hawaii time",
    "America/Halifax": "atlantic time canada; atlantic standard time; atlantic time",
    "America/St_Johns": "newfoundland standard time; newfoundland",
    "America/Indiana/Indianapolis": "indiana east; us eastern standard time",
    "America/Regina": "saskatchewan; canada central standard time",
    "America/Mexico_City": "central standard time mexico; mexico city",
    "America/Sao_Paulo": "e south america standard time; brasilia",
    "America/Argentina/Buenos_Aires": "argentina standard time; buenos aires",
    "America/Bogota": "sa pacific standard time; bogota",
    "Europe/London": "gmt standard time; london; british summer time; "
    "greenwich mean time dublin edinburgh lisbon london",
    "Europe/Dublin": "dublin; edinburgh",
    "Europe/Lisbon": "lisbon; western european time",
    "Europe/Berlin": "w europe standard time; central european time; central european standard time; berlin; "
    "amsterdam berlin bern rome stockholm vienna; mitteleuropaische zeit; westeuropaische zeit",
    "Europe/Paris": "romance standard time; paris; brussels copenhagen madrid paris",
    "Europe/Madrid": "madrid",
    "Europe/Rome": "rome",
    "Europe/Vienna": "vienna",
    "Europe/Zurich": "zurich; bern",
    "Europe/Amsterdam": "amsterdam",
    "Europe/Warsaw": "warsaw; sarajevo skopje warsaw zagreb",
    "Europe/Budapest": "central europe standard time; budapest; "
    "belgrade bratislava budapest ljubljana prague",
    "Europe/Bucharest": "gtb standard time; bucharest; athens bucharest",
    "Europe/Athens": "athens; eastern european time",
    "Europe/Kyiv": "fle standard time; kyiv; kiev",
    "Europe/Istanbul": "turkey standard time; istanbul",
    "Europe/Moscow": "russian standard time; moscow",
    "Asia/Kolkata": "india standard time; chennai; kolkata; mumbai; new delhi",
    "Asia/Jerusalem": "israel standard time; jerusalem",
    "Asia/Dubai": "arabian standard time; abu dhabi; dubai",
    "Asia/Shanghai": "china standard time; beijing; shanghai",
    "Asia/Tokyo": "tokyo standard time; tokyo; osaka; japan standard time",
    "Asia/Singapore": "singapore standard time; singapore",
    "Australia/Sydney": "aus eastern standard time; sydney; melbourne; canberra",
    "Australia/Brisbane": "e australia standard time; brisbane",
    "Australia/Perth": "w australia standard time; perth",
    "Pacific/Auckland": "new zealand standard time; auckland; wellington",
    "UTC": "coordinated universal time",
}
_AREAS = ("Africa", "America", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")  # not Etc
_NOT_CITIES = ("ACT", "LHI", "NSW", "North", "Queensland", "South", "Tasmania", "Victoria", "West")
_ZONE_OF_ABBREVIATION = {word: zone for zone, words in _ABBREVIATIONS.items() for word in words.split()}


def read_time_zone(text: str, country: str) -> str | None:
    """Return the zone of the tz database that a text means, such as Europe/Berlin, or None.

    `country` is the place's, as two letters.
    """
    plain = _plain(text)
    if (plain, country) in _IN_COUNTRY:
        return _IN_COUNTRY[plain, country]
    if plain in _ZONE_OF_ABBREVIATION and not re.search(r"[0-9]", re.sub(r"\(.*?\)", "", text)):
        is_clear = plain not in _AMBIGUOUS or country in _NORTH_AMERICA
        return _ZONE_OF_ABBREVIATION[plain] if is_clear else None
    name = re.sub(r"\s+", "_", text.strip().casefold())
    return _by_lower_case().get(name) or _by_name().get(plain) or _by_city().get(plain)


def _plain(text: str) -> str:
    """Return the words of a name: "(GMT-08:00) Pacific Time (US & Canada)" is "pacific time us canada"."""
    text = re.sub(r"\((?:GMT|UTC)[^)]*\)", " ", text, flags=re.IGNORECASE)
    text = text.casefold().translate(str.maketrans("äöüéãí", "aoueai"))
    return " ".join(re.findall(r"[a-z]+", text))


@cache
def _by_lower_case() -> dict[str, str]:
    return {zone.casefold(): zone for zone in time_zones()}


@cache
def _by_city() -> dict[str, str]:
    """Return the zones by their city: "new york" is America/New_York; "louisville" has two."""
    cities: dict[str, str] = {}
    for zone in time_zones():
        area, _, city = zone.rpartition("/")
        if area in _AREAS and (area != "Australia" or city not in _NOT_CITIES):
            cities[_plain(city)] = "" if _plain(city) in cities else zone
    return {city: zone for city, zone in cities.items() if zone}


@cache
def _by_name() -> dict[str, str]:
    return {_plain(name): zone for zone, names in _NAMES.items() for name in names.split(";")}
