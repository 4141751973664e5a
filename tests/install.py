"""Install what `make run` or `make test` needs and this machine lacks; print one line that says what.

    python3 tests/install.py run     the packages of requirements.txt, in .venv
    python3 tests/install.py test    those of tests/requirements.txt too, and a browser

Debian's packages are installed as root, or by `sudo` without a password. Elsewhere, Playwright downloads a
browser of its own.
"""

import glob
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers.browser import find_browser

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = {
    "run": [ROOT / "requirements.txt"],
    "test": [ROOT / "requirements.txt", ROOT / "tests/requirements.txt"],
}
OWN_BROWSER = """
import pathlib, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    sys.exit(not pathlib.Path(playwright.chromium.executable_path).exists())
"""


def run(*command, **options):
    """Run a command without showing its output, unless it fails; return whether it succeeded."""
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    if ended.returncode:
        print(ended.stdout, file=sys.stderr)
    return ended.returncode == 0


def succeeds(*command):
    """Return whether a program is there and ends without an error; its output is of no interest."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def root_command():
    """Return what to put before a command so that root runs it, or None if that isn't permitted."""
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if succeeds("sudo", "-n", "true") else None


def can_use_apt():
    """Return whether Debian's packages can be installed here."""
    return bool(shutil.which("apt-get")) and root_command() is not None


def apt_install(*packages):
    """Install Debian's packages; return whether that succeeded."""
    apt = [*root_command(), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    options = ["-y", "-qq", "--no-install-recommends"]
    return run(*apt, "update", "-qq") and run(*apt, "install", *options, *packages)


def make_venv():
    """Make the virtual environment; Debian has its module in a package of its own."""
    if importlib.util.find_spec("ensurepip") is None and not (can_use_apt() and apt_install("python3-venv")):
        sys.exit("Python's venv module is missing. On Debian: apt-get install python3-venv")
    if not run(sys.executable, "-m", "venv", "--clear", str(VENV)):
        sys.exit(f"The virtual environment could not be made in {VENV}.")


def install_packages(what):
    """Install the packages, and note what was installed, so that the next call has nothing to do."""
    if not succeeds(PYTHON, "-m", "pip", "--version"):
        make_venv()
    # Python compiles what is imported; to compile all that is installed would take twice as long.
    options = ["--quiet", "--no-compile", "--disable-pip-version-check", "--require-hashes"]
    pip = [PYTHON, "-m", "pip", "install", *options]
    if not run(*pip, "-r", str(REQUIREMENTS[what][-1])):
        sys.exit("pip could not install the packages.")
    for each in ("run", "test") if what == "test" else ("run",):
        stamp(each).write_text(wanted(each))


def stamp(what):
    """Return the file that holds the requirements that were installed last."""
    return VENV / f"installed-{what}.txt"


def wanted(what):
    """Return the text of the requirements."""
    return "".join(path.read_text() for path in REQUIREMENTS[what])


def packages_are_installed(what):
    """Return whether the virtual environment has the packages of these requirements."""
    return PYTHON.exists() and stamp(what).exists() and stamp(what).read_text() == wanted(what)


def browser_is_installed():
    """Return whether there is a browser: the system's or Playwright's."""
    if find_browser():
        return True
    return succeeds(PYTHON, "-c", OWN_BROWSER)


def install_browser():
    """Install Chromium by apt-get where that is permitted, else by Playwright."""
    if can_use_apt() and apt_install("chromium"):
        return
    if not run(PYTHON, "-m", "playwright", "install", "chromium"):
        sys.exit("The tests need a browser: install Chromium, Google Chrome or Microsoft Edge.")


def postgresql_is_installed():
    """Return whether the programs of a PostgreSQL server are there."""
    return bool(shutil.which("initdb")) or bool(glob.glob("/usr/lib/postgresql/*/bin/initdb"))


def install_postgresql():
    """Install PostgreSQL by apt-get. Without it, the tests that need it fail."""
    if not (can_use_apt() and apt_install("postgresql")):
        sys.exit("The tests need the programs of PostgreSQL (initdb, postgres): install it.")


def main(what):
    """Install what is missing."""
    lacks_packages = not packages_are_installed(what)
    lacks_browser = what == "test" and not browser_is_installed()
    installs = []
    if lacks_packages:
        installs.append(f"the packages of {REQUIREMENTS[what][-1].relative_to(ROOT)} in .venv")
    if lacks_browser:
        installs.append(f"Chromium with {'apt-get' if can_use_apt() else 'Playwright'}")
    lacks_postgresql = what == "test" and not postgresql_is_installed()
    if lacks_postgresql:
        installs.append("PostgreSQL with apt-get")
    if installs:
        print(f"Installing {' and '.join(installs)}…", flush=True)
    if lacks_packages:
        install_packages(what)
    if lacks_browser:
        install_browser()
    if lacks_postgresql:
        install_postgresql()


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036, the system's Python may be older
        sys.exit("Python 3.11 or newer is needed.")
    main(sys.argv[1])
