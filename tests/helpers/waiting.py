"""Waiting for something that happens in another thread or process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_for(wanted: Callable[[], Any], within: float = 20) -> Any:
    """Wait until `wanted` returns something true, and return that."""
    until = time.monotonic() + within
    while not (result := wanted()):
        assert time.monotonic() < until, f"{wanted} returned nothing true in {within} s"
        time.sleep(0.05)
    return result
