"""Servers on loopback that receive what the service sends: a push service, and a receiver of webhooks."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class Received(NamedTuple):
    """A request that a server got."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    at: float  # time.time()


class Receiver(ThreadingHTTPServer):
    """A server that keeps what is posted to it, and answers each with `status`."""

    daemon_threads = allow_reuse_address = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[Received] = []
        self.status, self.answer, self.location = 201, b"", ""
        self.delay_s = 0.0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def wait_for(self, count: int, within: float = 10) -> list[Received]:
        """Wait until so many requests came; return them all."""
        deadline = time.monotonic() + within
        while len(self.got) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.got) >= count, self.got
        return list(self.got)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.got.append(Received(self.path, headers, body, time.time()))
        time.sleep(self.server.delay_s)
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that receives posts."""
    with Receiver() as server:
        yield server
        server.shutdown()


def to_text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def to_bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Subscriber:
    """A browser's part of Web Push: its keys, and how it reads a message (RFC 8291)."""

    def __init__(self, push_service: str, name: str = "phone") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.public = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.auth = b"sixteen bytes ok"
        self.path = f"/push/{name}"
        self.subscription = {
            "endpoint": push_service + self.path,
            "expirationTime": None,
            "keys": {"p256dh": to_text(self.public), "auth": to_text(self.auth)},
        }

    def read(self, body: bytes) -> dict[str, Any]:
        """Return the notification in an encrypted message."""
        salt, size, sender = body[:16], body[20], body[21 : 21 + body[20]]
        shared = self.key.exchange(
            ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        )
        secret = _derive(shared, self.auth, b"WebPush: info\x00" + self.public + sender, 32)
        key = _derive(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = _derive(secret, salt, b"Content-Encoding: nonce\x00", 12)
        content = json.loads(AESGCM(key).decrypt(nonce, body[21 + size :], None).rstrip(b"\x00")[:-1])
        assert content["web_push"] == 8030
        return content["notification"]

    def messages(self, receiver: Receiver) -> list[str]:
        """Return the titles of the messages that came to this browser."""
        return [self.read(each.body)["title"] for each in receiver.got if each.path == self.path]


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)
