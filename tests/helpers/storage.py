"""Backup storage: an S3 server in a process of its own, a proxy that can fail, and a directory.

def test_a_backup_is_stored(command, bucket):
    command("backup", "--to", bucket.url)
    assert bucket.names()
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from click.testing import CliRunner

import takeanumber
from helpers.server import free_port

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
}
ERROR_BODY = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>As the test wants it.</Message></Error>'

NOT_HANDED_ON = ("content-length", "connection", "transfer-encoding")


class Bucket:
    """A new bucket with a client of its own; `url` is a prefix in it."""

    def __init__(self, endpoint: str):
        import boto3  # here: few tests need it

        who = dict(zip(("aws_access_key_id", "aws_secret_access_key"), ENVIRONMENT.values(), strict=False))
        self.client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **who)
        self.name = f"shop-{uuid4().hex[:12]}"
        self.url = f"s3://{self.name}/deli"
        self.client.create_bucket(Bucket=self.name)

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of the objects under the URL, sorted."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=f"deli/{prefix}"
        )
        return [each["Key"].removeprefix("deli/") for page in pages for each in page.get("Contents", [])]

    def copies(self) -> list[str]:
        """Return the names of the recent backups, the oldest first."""
        return self.names("0")

    def read(self, name: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=f"deli/{name}")["Body"].read()

    def put(self, name: str, content: bytes) -> None:
        """Store an object, replacing one of the same name."""
        self.client.put_object(Bucket=self.name, Key=f"deli/{name}", Body=content)

    def about(self, name: str) -> dict[str, Any]:
        return self.client.head_object(Bucket=self.name, Key=f"deli/{name}")


class Folder:
    """Backups in a directory, such as one on a USB stick."""

    def __init__(self, path: Path):
        self.path, self.url = path, str(path)
        path.mkdir()

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all files, sorted; hidden ones too."""
        files = (each.relative_to(self.path).as_posix() for each in self.path.rglob("*") if each.is_file())
        return sorted(name for name in files if name.startswith(prefix))

    def copies(self) -> list[str]:
        """Return the names of the recent backups, the oldest first."""
        return self.names("0")

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def put(self, name: str, content: bytes) -> None:
        """Store an object, replacing one of the same name."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_bytes(content)


class Way:
    """A proxy to the S3 server, which can fail in several ways.

    `wrong` says what happens to each request whose method is in `of`, with `where` in its path: a status with
    its code, such as (403, "AccessDenied"); "hangs"; "cut" (half of what is put is stored, and the answer is
    lost; half of what is asked for arrives); "deaf" (all is done, but the answer is lost); "web" (some page);
    "careless" (what is there is overwritten).
    """

    def __init__(self, port: int):
        self.wrong: tuple[int, str] | str | None = None
        self.of = {"GET", "PUT"}
        self.where = ""  # part of the path
        self.times: int | None = None  # number of requests after which it works again
        self.asked: list[tuple[str, str]] = []  # method and path of each request
        self.freed = threading.Event()  # set to end requests that hang
        way = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                way.handle(self, port)

            do_PUT = do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def handle(self, request: BaseHTTPRequestHandler, port: int) -> None:
        """Answer one request."""
        method, path = request.command, request.path
        self.asked.append((method, path))
        wrong = self.wrong if method in self.of and self.where in path and self.times != 0 else None
        if wrong and self.times:
            self.times -= 1
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if wrong == "hangs":
            self.freed.wait(60)
            request.close_connection = True
        elif isinstance(wrong, tuple):
            self._answer(request, wrong[0], ERROR_BODY.format(code=wrong[1]).encode())
        elif wrong == "web":
            self._answer(request, 200, b"<html><p>Welcome!</p></html>")
        else:
            self._hand_on(request, body, port, wrong)

    def _hand_on(self, request: BaseHTTPRequestHandler, body: bytes, port: int, wrong: Any) -> None:
        heads = {name: value for name, value in request.headers.items() if name.lower() != "expect"}
        if wrong == "cut" and request.command == "PUT":
            body = body[: len(body) // 2]
            heads = {name: value for name, value in heads.items() if name.lower() != "content-md5"}
            heads["Content-Length"] = str(len(body))
        if wrong == "careless":
            heads = {name: value for name, value in heads.items() if name.lower() != "if-none-match"}
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(request.command, request.path, body, heads)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if wrong == "deaf" or (wrong == "cut" and request.command == "PUT"):
            request.close_connection = True
            return
        more = {name: value for name, value in answer.getheaders() if name.lower() not in NOT_HANDED_ON}
        more["Content-Length"] = str(len(content))
        if wrong == "cut":
            content, request.close_connection = content[: len(content) // 2], True
        self._answer(request, answer.status, content, **more)

    def _answer(self, request: BaseHTTPRequestHandler, status: int, content: bytes, **heads: str) -> None:
        request.send_response_only(status)
        for name, value in ({"Content-Length": str(len(content))} | heads).items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)

    def close(self) -> None:
        self.freed.set()
        self.server.shutdown()
        self.server.server_close()


class Ended(NamedTuple):
    """The exit status and the output of a command."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """The error of a command that failed: one sentence."""
        assert (self.returncode, self.stdout) == (1, ""), self
        *warnings, said = self.stderr.splitlines()
        assert all(line.startswith("Warning: ") for line in warnings), self.stderr
        assert re.fullmatch(r"Error: .*\.", said), self.stderr
        return said.removeprefix("Error: ")


@pytest.fixture
def invoke(
    tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., Ended]:
    """Run a command in this process, with the clock and the database of the test."""
    monkeypatch.setenv("TAKEANUMBER_DATA", str(tmp_path / "data"))
    if "database_settings" in request.fixturenames:
        url = request.getfixturevalue("database_settings").get("database_url", "")
        monkeypatch.setenv("TAKEANUMBER_DATABASE_URL", url)

    def run(*words: str) -> Ended:
        ended = CliRunner().invoke(takeanumber.cli, words)
        if ended.exception and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return Ended(ended.exit_code, ended.stdout, ended.stderr)

    return run


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """The port of an S3 server that runs as long as the tests do."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None, "The S3 of the tests ended while it started."
        assert time.monotonic() < deadline, "The S3 of the tests didn't answer in 30 s."
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/moto-api/")
            connection.getresponse()
            connection.close()
            break
        except (OSError, HTTPException):
            time.sleep(0.05)
    yield port
    process.kill()
    process.wait()


@pytest.fixture
def bucket(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A new bucket; the environment has the credentials and the endpoint."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{s3_port}")
    return Bucket(f"http://127.0.0.1:{s3_port}")


@pytest.fixture
def way(bucket: Bucket, s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    """A proxy that can fail, as the only endpoint of that bucket."""
    way = Way(s3_port)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", way.url)
    yield way
    way.close()


@pytest.fixture
def stick(tmp_path: Path) -> Folder:
    """A directory for backups."""
    return Folder(tmp_path / "stick")


@pytest.fixture(params=["bucket", "stick"])
def storage(request: pytest.FixtureRequest) -> Bucket | Folder:
    """Both kinds of storage, one after the other."""
    return request.getfixturevalue(request.param)
