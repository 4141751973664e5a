"""Rate limits: how often one client, or all clients of a place, may do something."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from cachetools import TLRUCache

from app.clock import now

MAX_LIMITED = 500_000  # keys at their limit that are remembered
MAX_KEYS = 100_000  # keys below their limit that are remembered; about 30 MB

Key = tuple[str, str]  # an action, and the address or the place that it is counted for


@dataclass
class _Window:
    """The requests of one key in a fixed window of time."""

    ends_at: float
    count: int = 0


class RateLimiter:
    """Counts requests by key, in fixed windows that start with the first request.

    When there are too many keys, it forgets those that were used least recently, but never one that has
    reached its limit. Each of those cost its client as many requests as the limit allows.
    """

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._lock = threading.Lock()
        self._below_limit = _cache(max_keys)
        self._limited = _cache(MAX_LIMITED)

    def hit(self, key: Key, limit: int, window_s: int) -> int:
        """Count a request. Returns 0 when it is within the limit, else the seconds until the window ends."""
        at = now()
        with self._lock:
            window = self._limited.get(key) or self._below_limit.get(key)
            # A window that ends too late began before the clock was set back.
            if window is None or window.ends_at - at > window_s:
                self._limited.pop(key, None)
                window = self._below_limit[key] = _Window(at + window_s)
            window.count += 1
            if window.count >= limit and key in self._below_limit:
                del self._below_limit[key]
                self._limited[key] = window
        return max(1, math.ceil(window.ends_at - at)) if window.count > limit else 0


def _cache(max_keys: float) -> TLRUCache[Key, _Window]:
    return TLRUCache(max_keys, ttu=lambda _key, window, _at: window.ends_at, timer=now)
