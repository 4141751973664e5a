"""Run the tests that start real processes as if today were another date, by Debian's `faketime`.

    python tests/run_on_other_dates.py [pytest arguments]

The shift reaches every process that a test starts: the server, the commands and the browser.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOW = datetime.now(UTC)


def next_clock_change() -> datetime:
    """Return the moment four minutes before clocks in Berlin go back, which is at 01:00 UTC in October."""
    for year in (NOW.year, NOW.year + 1):
        last_of_october = datetime(year, 10, 31, 0, 56, tzinfo=UTC)
        sunday = last_of_october - timedelta(days=(last_of_october.weekday() + 1) % 7)
        if sunday > NOW:
            return sunday
    raise AssertionError("Next year has an October.")


DATES = {
    "tomorrow": NOW + timedelta(days=1),
    "in 40 days": NOW + timedelta(days=40),
    "on a leap day": datetime(2028, 2, 29, 10, 0, tzinfo=UTC),
    "in the night of a clock change": next_clock_change(),
}


def install_faketime() -> None:
    """Install Debian's package where it is missing, as root or by `sudo`; exit where that fails."""
    if shutil.which("faketime"):
        return
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    print("Installing faketime by apt-get…", flush=True)
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "faketime"]):
        if not shutil.which("apt-get") or subprocess.run([*sudo, "apt-get", *words], check=False).returncode:
            sys.exit("The tests on other dates need faketime: apt-get install faketime")


def run(name: str, date: datetime, arguments: list[str]) -> bool:
    """Run pytest as if it were this date; return whether the tests passed."""
    print(f"=== {name}: {date:%Y-%m-%d %H:%M} UTC", flush=True)
    environment = os.environ | {
        "TZ": "Europe/Berlin",
        # Timeouts and Python's own lock use the monotonic clock, which must keep its pace.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        "PYTHONPATH": str(HERE / "helpers" / "faketime"),
    }
    shift = f"+{round((date - datetime.now(UTC)).total_seconds())}s"
    pytest = [sys.executable, "-m", "pytest", "-m", "real_process and not soak and not alone", *arguments]
    return subprocess.run(["faketime", "-f", shift, *pytest], env=environment, check=False).returncode == 0


if __name__ == "__main__":
    install_faketime()
    failed = [name for name, date in DATES.items() if not run(name, date, sys.argv[1:] or ["-n", "2"])]
    sys.exit(f"Tests failed {', '.join(failed)}." if failed else 0)
