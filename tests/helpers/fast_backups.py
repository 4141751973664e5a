"""Servers whose backup thread runs ten times as fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from app.backup.lease import Timing
from helpers.server import Server

# A poll of the lease each 0.4 s; the holder stops after 3 s, and a standby takes over after 6 s.
LEASE_FACTOR = 0.2
LEASE_TIMING = Timing(**{name: LEASE_FACTOR * duration for name, duration in asdict(Timing()).items()})

QUICK = """
import time
import takeanumber
from app import clock
from app.backup import keeper, lease, lease_server

lease_server.START_TIMEOUT_S = 2.0
clock.source = lambda: time.time() + {clock_offset}
lease.timing = lease.{lease_timing}
keeper.CHECK_CHANGES_S, keeper.CHECK_VERIFICATION_S, keeper.LIST_ORPHANS_S = 0.1, 0.3, 1.0
keeper.INTERVAL_PER_MEGABYTE_S, keeper.FIRST_RETRY_S, keeper.LAST_COPY_RETRY_S = 1.0, 0.4, 0.2
keeper.STOP_TIMEOUT_S = 4.0
keeper.HOURLY_COPY_S, keeper.DAILY_COPY_S, keeper.VERIFIED_S = {hour}, {day}, {day}
takeanumber.cli()
"""


def quick_code(hour: float, day: float, clock_offset: float) -> str:
    """Return the code that runs the program with such intervals; an hour and a day last this many seconds."""
    return QUICK.format(hour=hour, day=day, lease_timing=LEASE_TIMING, clock_offset=clock_offset)


@pytest.fixture
def start_quick(start_server: Callable[..., Server]) -> Callable[..., Server]:
    """Start a server whose backup intervals are a tenth, and whose hour and day last this many seconds."""

    def start(
        backup_url: Path | str,
        hour: float = 3600,
        day: float = 86400,
        clock_offset: float = 0,
        **settings: Any,
    ) -> Server:
        code = quick_code(hour=hour, day=day, clock_offset=clock_offset)
        return start_server(code=code, backup_url=backup_url, **settings)

    return start
