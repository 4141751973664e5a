"""Lock the requirements with hashes, or look for known vulnerabilities in what is locked.

    python3 tests/lock.py lock     write each requirements.txt anew from the requirements.in beside it
    python3 tests/lock.py audit    ask a public database for vulnerabilities of the locked versions

People edit requirements.in; machines install requirements.txt, which also lists what the packages need, and a
hash of each file that may be installed. Locking keeps the versions that are locked already, unless
requirements.in names others or `--upgrade` is added.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from install import ROOT, VENV, make_venv, run, succeeds

TOOLS = VENV / "tools"  # an environment of its own, so that the tools' packages and ours don't meet
LOCKS = ("requirements", "tests/requirements", "tests/tools")
HEADER = "# Made from {source} by `make requirements`. Edit that file, not this one.\n"
OLDEST_PYTHON = "3.11"
NOT_CHECKED = 'Not checked: the database of vulnerabilities can\'t be reached ("{reason}").'
NETWORK_ERRORS = re.compile(
    r"ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|NameResolutionError|Max retries|"
    r"Temporary failure|Could not connect|ServiceError|Connection refused|unreachable"
)


def tool(name):
    """Return the path of a tool, after installing all of them if they aren't what is locked."""
    stamp = TOOLS / "installed.txt"
    wanted = (ROOT / "tests/tools.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        if not VENV.exists():
            make_venv()
        print("Installing uv and pip-audit in .venv/tools…", flush=True)
        pip = [TOOLS / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        locked = ["--require-hashes", "-r", "tests/tools.txt"]
        if not run(sys.executable, "-m", "venv", "--clear", str(TOOLS)) or not run(*pip, *locked, cwd=ROOT):
            sys.exit("Not checked: the tools could not be installed.")
        stamp.write_text(wanted)
    return TOOLS / "bin" / name


def lock(*options):
    """Write the files that machines install from."""
    for name in LOCKS:
        source, target = f"{name}.in", ROOT / f"{name}.txt"
        command = [tool("uv"), "pip", "compile", source, "--output-file", target, *options]
        command += ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--quiet"]
        if name == "tests/requirements":
            command += ["--constraints", "requirements.txt"]
        subprocess.run(command, cwd=ROOT, check=True)
        lines = target.read_text().splitlines(keepends=True)
        # Where the packages come from is for each machine to decide, and nobody else's business.
        kept = [line for line in lines if not re.match(r"(--|-i |-f |#)", line)]
        target.write_text(HEADER.format(source=Path(source).name) + "".join(kept))


def audit():
    """Print the known vulnerabilities; return the exit status."""
    if not succeeds(sys.executable, "-m", "venv", "--help"):
        sys.exit("Not checked: Python's venv module is missing.")
    status = 0
    for name in LOCKS:
        command = [tool("pip-audit"), "--requirement", f"{name}.txt", "--require-hashes", "--disable-pip"]
        command += ["--vulnerability-service", "osv", "--progress-spinner", "off", "--timeout", "15"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        output = f"{ended.stdout}{ended.stderr}".strip()
        if ended.returncode and NETWORK_ERRORS.search(output):
            print(NOT_CHECKED.format(reason=output.splitlines()[-1][:200]))
            return 0
        print(f"{name}.txt: {output}")
        status = status or ended.returncode
    return status


if __name__ == "__main__":
    os.chdir(ROOT)
    what, *more = sys.argv[1:] or ["lock"]
    sys.exit(audit() if what == "audit" else lock(*more))
