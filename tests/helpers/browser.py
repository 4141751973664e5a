"""Finds the browser for the tests. Uses only the standard library, as `tests/install.py` needs it too."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "microsoft-edge-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)


@cache
def find_browser() -> str | None:
    """Return the path of an installed browser that starts, or None if there is none."""
    for name in BROWSERS:
        path = shutil.which(name)
        if path and starts(path):
            return path
    return None


def starts(path: str) -> bool:
    """Return whether the program runs; Ubuntu's `chromium-browser` may only say how to install one."""
    try:
        return (
            subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def launch_options() -> dict[str, str]:
    """Return the options that make Playwright start that browser; without one, it starts its own."""
    path = find_browser()
    return {"executable_path": path} if path else {}
