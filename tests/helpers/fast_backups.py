"""Servers whose backup thread runs ten times as fast."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.server import Server

QUICK = """
import takeanumber
from app.backup import keeper

keeper.CHECK_CHANGES_S, keeper.CHECK_MASTER_S = 0.1, 0.3
keeper.INTERVAL_PER_MEGABYTE_S, keeper.FIRST_RETRY_S = 1.0, 0.4
keeper.START_TIMEOUT_S, keeper.STOP_TIMEOUT_S = 1.0, 2.0
keeper.HOUR_S, keeper.DAY_S = {hour}, {day}
takeanumber.cli(["serve"])
"""


@pytest.fixture
def start_quick(start_server: Callable[..., Server]) -> Callable[..., Server]:
    """Start a server whose backup intervals are a tenth, and whose hour and day last this many seconds."""

    def start(backup_url: Path | str, hour: float = 3600, day: float = 86400, **settings: Any) -> Server:
        command = [sys.executable, "-c", QUICK.format(hour=hour, day=day)]
        return start_server(command=command, backup_url=backup_url, **settings)

    return start


def wait_for(wanted: Callable[[], Any], within: float = 20) -> Any:
    """Wait until `wanted` returns something true, and return that."""
    until = time.monotonic() + within
    while not (result := wanted()):
        assert time.monotonic() < until, f"{wanted} returned nothing true in {within} s"
        time.sleep(0.05)
    return result
