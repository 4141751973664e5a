"""Attack a server of one's own, part by part; see README.md. Ends with status 1 if it gave way.

.venv/bin/python tests/attack/attack.py [part …]
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

from helpers.server import Server  # noqa: E402

QR_CODE = ("█", "▀")  # which each server prints when it starts
PARTS = ("requests", "hosts", "limits", "clocks", "files", "kills")


class Servers:
    """The servers of one part, each with a data directory of its own; all are ended after it."""

    def __init__(self, directory: Path):
        self._directory = directory
        self._servers: list[Server] = []

    def start(self, *options: str, data: Path | None = None, **settings: Any) -> Server:
        """Start a server with these settings, on an earlier data directory or on an empty one."""
        data = data or self._directory / f"data-{len(self._servers)}"
        self._servers.append(Server(data, *options, **{"places": "open", **settings}))
        return self._servers[-1]

    def end(self) -> None:
        """End those that still run."""
        for server in self._servers:
            if server.process.poll() is None:
                server.kill()

    def logs(self) -> str:
        """Return the last lines of each server's log."""
        lines = "\n".join(server.log for server in self._servers).splitlines()
        return "\n".join([line for line in lines if not line.startswith(QR_CODE)][-60:])


def run(part: str) -> bool:
    """Run a part, and return whether the server withstood."""
    module = importlib.import_module(f"attack.{part}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"attack-{part}-") as directory:
        servers = Servers(Path(directory))
        tried = 0
        try:
            for line in module.attack(servers.start):
                tried += 1
                print(f"  {line}", flush=True)
            assert tried, "the part tried nothing"
            if not getattr(module, "EXPECTS_ERRORS", False):
                assert "Traceback" not in servers.logs(), "an unexpected error is in the log"
        except Exception:  # noqa: BLE001
            print(f"{part}: the server gave way\n{traceback.format_exc()}\n{servers.logs()}", flush=True)
            return False
        finally:
            servers.end()
    print(f"{part}: withstood {tried} attacks in {time.monotonic() - began:.0f} s", flush=True)
    return True


def main(parts: list[str]) -> int:
    """Run these parts, or all that there are; return the exit status."""
    available = [part for part in PARTS if (HERE / f"{part}.py").exists()]
    unknown = set(parts) - set(available)
    if unknown:
        print(f"There is no part {', '.join(sorted(unknown))}. Choose from {', '.join(available)}.")
        return 2
    failed = [part for part in parts or available if not run(part)]
    print(f"Gave way: {', '.join(failed)}." if failed else "The server withstood everything.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
