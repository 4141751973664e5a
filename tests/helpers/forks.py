"""The program in forked processes: importing its modules takes longer than most of what tests make it do.

The fork server is a process that imports the program once, starts no thread, and forks whenever a test starts
the program. So each runs in a process that can be stopped, killed and measured like any other.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent.parent
MAX_BYTES = 200_000  # of a message to the fork server
# Some are imported by the program when it needs them.
MODULES = ["takeanumber", "alembic.command", "boto3", "qrcode", "encodings.cp437", "encodings.idna"]
START = "import takeanumber; takeanumber.cli()"


class ForkServer:
    """The process that imports the program and forks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def ask(self, request: dict[str, Any], files: Sequence[int] = ()) -> Any:
        """Send a request with open files, and return the answer."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            return json.loads(self._socket.recv(MAX_BYTES))


@cache
def fork_server() -> ForkServer:
    """Return the fork server of this process, started when it is first needed."""
    return ForkServer()


class Forked:
    """The program in a process of its own; like subprocess.Popen, as far as tests need it.

    Another `code` may change something in the program before it starts it.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        env: Mapping[str, str],
        stdout: IO[bytes],
        stderr: IO[bytes],
        cwd: Path = ROOT,
        code: str = START,
    ):
        self.args = words
        self.returncode: int | None = None
        self._server = fork_server()
        request = {"words": list(words), "cwd": str(cwd), "env": dict(env), "code": code}
        self.pid: int = self._server.ask(request, [stdout.fileno(), stderr.fileno()])

    def poll(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        if self.returncode is None:
            self.returncode = self._server.ask({"pid": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process ends; return its exit status. Raise subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout if timeout is not None else float("inf")
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
            time.sleep(0.005)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process at once."""
        self.send_signal(signal.SIGKILL)


def run_program(
    words: Sequence[str], env: Mapping[str, str], cwd: Path = ROOT, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, with these environment variables besides those of this process."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        env = {**os.environ, **env}
        process = Forked(words, env=env, stdout=stdout, stderr=stderr, cwd=cwd)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode())
        return subprocess.CompletedProcess(list(words), status, *texts)


def _serve_forks(requests: socket.socket) -> dict[str, Any] | None:
    """Fork and tell exit statuses until nobody asks any more; in a forked process, return what to run."""
    while True:
        content, files, _, _ = socket.recv_fds(requests, MAX_BYTES, 2)
        if not content:
            return None
        request = json.loads(content)
        if "pid" in request:
            pid, status = os.waitpid(request["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            pid = os.fork()
            if pid == 0:
                requests.close()
                _redirect_output(*files)
                return request
            for file in files:
                os.close(file)
            answer = pid
        requests.send(json.dumps(answer).encode())


def _redirect_output(stdout: int, stderr: int) -> None:
    """Write the output of this process to two open files from now on."""
    for file, number in ((stdout, 1), (stderr, 2)):
        os.dup2(file, number)
        os.close(file)


def _compile() -> None:
    """Compile routes and templates, and read the description of S3: most of the work of a new process."""
    from takeanumber import make_app

    app = make_app()
    for name in app.jinja_env.list_templates():
        app.jinja_env.get_template(name)
    import_module("boto3").Session(region_name="us-east-1").client("s3")


def main() -> None:
    """Import the program, and run it in each process that is forked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, and they end this process
    requests = socket.socket(fileno=int(sys.argv[1]))
    compiled = import_module("compiled")  # beside this file
    sys.path[0] = str(ROOT)
    for module in MODULES:
        import_module(module)
    compiled.compile_once()
    _compile()
    gc.freeze()
    if request := _serve_forks(requests):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        time.tzset()
        sys.argv = [str(ROOT / "takeanumber.py"), *request["words"]]
        exec(request["code"], {"__name__": "__main__"})


if __name__ == "__main__":
    main()
