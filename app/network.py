"""Network addresses, how much one client may send, and what the HTTP server and the app agree on.

Limits count by client. An IPv4 client is one address. An IPv6 client is a /64, since whoever has one address
of it can use all 2**64.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

KIB = 1024
MIB = 1024 * KIB

MAX_BODY_BYTES = 64 * KIB  # of a form or a JSON object
MAX_CONTACTS_BODY_BYTES = 16 * MIB + 64 * KIB  # a file of 16 MiB, and the form around it
# The URLs whose bodies may be larger than MAX_BODY_BYTES, under a token of the right form. The views say how
# large, with request.accepts_body().
LARGE_BODY_URL = re.compile(r"/[^/]+/manage/[A-Za-z0-9_-]{22}/(contacts(/import)?|logo)")

# The key in the WSGI environment of a function that takes a callback for when the client disconnects.
ON_DISCONNECT = "takeanumber.on_disconnect"
# The same of a function that sends more of a response that is being sent; see server.Channel.write_at_once().
WRITE_AT_ONCE = "takeanumber.write_at_once"

_WITH_PORT = re.compile(r"\[(.+)\](:\d+)?|([0-9.]+):\d+")  # as some proxies write an address
MAX_ADDRESS_LENGTH = 64


def client_of(address: str) -> str:
    """Return what an address counts as: an IPv4 address, or the /64 of an IPv6 address."""
    return _network(address[:MAX_ADDRESS_LENGTH], 32, 64)


def network_of(address: str) -> str:
    """Return the network that one customer of a provider may have: a /24 of IPv4, or a /48 of IPv6."""
    return _network(address[:MAX_ADDRESS_LENGTH], 24, 48)


@lru_cache(maxsize=1000)
def _network(address: str, ipv4_bits: int, ipv6_bits: int) -> str:
    with_port = _WITH_PORT.fullmatch(address)
    if with_port:
        address = with_port[1] or with_port[3]
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])  # fe80::1%eth0 names an interface, too
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    bits = ipv4_bits if parsed.version == 4 else ipv6_bits
    return str(ipaddress.ip_network((parsed, bits), strict=False))
