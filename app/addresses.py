"""The addresses at which other devices reach this machine."""

from __future__ import annotations

import ipaddress
import re
import socket
from contextlib import suppress
from functools import lru_cache

# Connecting a UDP socket sends nothing; it picks the address of this machine that leads there. The first is
# reserved for documentation, so it stands for "anywhere"; the others are the networks of homes and shops.
_DESTINATIONS = ("192.0.2.1", "192.168.255.254", "10.255.255.254", "172.31.255.254")


@lru_cache(maxsize=100)
def is_loopback(host: str) -> bool:
    """Return True for a host name or address that only this machine understands."""
    without_port = host if host.count(":") > 1 and "[" not in host else re.sub(r":\d+$", "", host)
    name = without_port.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def local_addresses() -> list[str]:
    """Return the IPv4 addresses of this machine that others may reach, the most likely first."""
    found = [_address_towards(destination) for destination in _DESTINATIONS]
    with suppress(OSError):  # a machine may not know its own name
        found += [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    return list(dict.fromkeys(address for address in found if address and not _is_unusable(address)))


def _address_towards(destination: str) -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((destination, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return None


def _is_unusable(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.is_loopback or parsed.is_unspecified
