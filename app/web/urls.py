"""Words and patterns that URLs use."""

from __future__ import annotations

# No place, queue or counter gets one of these as its slug. A new URL adds its first word here, or the word
# after /<place>/, unless there is a dot in it.
RESERVED_SLUGS = frozenset(
    {
        "api",
        "board",
        "brand",
        "code",
        "counter",
        "desk",
        "door",
        "healthz",
        "live",
        "logo",
        "mail",
        "manage",
        "place",
        "places",
        "poster",
        "queue",
        "staff",
        "static",
        "t",
        "tickets",
    }
)
MAX_ID = 2**31 - 1
ID = f"int(max={MAX_ID})"  # the URL converter for the id of a row
