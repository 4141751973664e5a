"""Countries: their names, and which one a time zone belongs to, by the tables of the tz database."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

# Old names that the tz database links to a zone in another country, because the clocks agree.
_MOVED = {
    "Africa/Asmera": "ER",
    "Africa/Timbuktu": "ML",
    "America/Coral_Harbour": "CA",
    "America/Virgin": "VI",
    "Antarctica/South_Pole": "AQ",
    "Atlantic/Jan_Mayen": "SJ",
    "Iceland": "IS",
    "Pacific/Ponape": "FM",
    "Pacific/Truk": "FM",
    "Pacific/Yap": "FM",
}
# Names of clocks, not of places.
_NOWHERE = frozenset(
    ["CET", "CST6CDT", "EET", "EST", "EST5EDT", "HST", "MET", "MST", "MST7MDT", "PST8PDT", "WET"]
)


@cache
def country_names() -> dict[str, str]:
    """Return the names of all countries by their two letters, sorted by name."""
    names = dict(line.split("\t") for line in _lines("iso3166.tab"))
    return dict(sorted(names.items(), key=lambda item: item[1]))


def country_of(timezone: str) -> str:
    """Return the country that a time zone belongs to, as two letters; empty for UTC and the like."""
    if timezone in _MOVED:
        return _MOVED[timezone]
    countries, links = _countries_of_zones(), _links()
    while timezone not in countries and timezone in links and timezone not in _NOWHERE:
        timezone = links[timezone]
    return countries.get(timezone, "")


@cache
def _countries_of_zones() -> dict[str, str]:
    cells = [line.split("\t") for line in _lines("zone.tab")]
    return {zone[2]: zone[0] for zone in cells}


@cache
def _links() -> dict[str, str]:
    """Return the newer name of each zone that was renamed: Asia/Kolkata for Asia/Calcutta."""
    cells = [line.split() for line in _lines("tzdata.zi") if line.startswith("L ")]
    return {name: target for _, target, name in cells}


def _lines(table: str) -> list[str]:
    text = (files("tzdata") / "zoneinfo" / table).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
