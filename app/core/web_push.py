"""Web Push: messages that a browser shows as notifications, even while no page is open.

A browser gives a page the URL of its push service and two keys. A message is encrypted for that browser (RFC
8291), signed with the key of this server (VAPID, RFC 8292), and posted to the URL (RFC 8030). Only the
package `cryptography` is needed for that; it takes 10 MB of memory, so it is imported when the first message
is sent.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from app.clock import HOUR_S
from app.errors import BadInput

TTL_S = 600  # for how long a push service keeps a message for a phone that is off
JWT_LIFETIME_S = 12 * HOUR_S  # RFC 8292 allows a day
RECORD_BYTES = 4096  # of a message with what encryption adds; push services accept at least so much
PUBLIC_KEY_BYTES, AUTH_BYTES = 65, 16

DECLARATIVE = 8030  # marks JSON that Safari shows without a service worker, see webkit.org/blog/16535


@dataclass(frozen=True)
class Browser:
    """A browser that gets messages."""

    endpoint: str  # the URL of its push service
    p256dh: str  # its public key
    auth: str  # its secret


@dataclass(frozen=True)
class PushMessage:
    """What a notification shows. One with the same tag replaces an earlier one."""

    title: str
    body: str
    url: str  # what a tap opens
    tag: str

    def as_json(self) -> str:
        """Return it as Safari's declarative JSON, which our service worker reads, too."""
        content = {
            "web_push": DECLARATIVE,
            "notification": {
                "title": self.title,
                "body": self.body,
                "navigate": self.url,
                "tag": self.tag,
                "silent": False,
            },
        }
        return json.dumps(content, ensure_ascii=False)


def tag_of(content: str) -> str:
    """Return the tag of a message that as_json() wrote."""
    return str(json.loads(content)["notification"]["tag"])


@lru_cache(maxsize=4)
def public_key_of(private_key: str) -> str:
    """Return the public key, which browsers are given."""
    return encode(_public_bytes(_load_private_key(private_key)))


def read_browser(endpoint: str, p256dh: str, auth: str) -> Browser:
    """Return a browser with keys that can be used. Raises BadInput."""
    for name, label, text, size in (
        ("p256dh", "Public key", p256dh, PUBLIC_KEY_BYTES),
        ("auth", "Secret", auth, AUTH_BYTES),
    ):
        if len(_decode_or_empty(text)) != size:
            raise BadInput(f"{label}: this is not a key of a push subscription.", field=name)
    try:
        _load_public_key(decode(p256dh))
    except ValueError:
        raise BadInput("Public key: this is not a key of a push subscription.", field="p256dh") from None
    return Browser(endpoint, p256dh, auth)


def _decode_or_empty(text: str) -> bytes:
    try:
        return decode(text)
    except (ValueError, binascii.Error):
        return b""


def origin_of(endpoint: str) -> str:
    """Return the origin of a push service: "https://push.example.org"."""
    url = urlsplit(endpoint)
    return f"{url.scheme}://{url.netloc}".lower()


# ----- sending


def headers_of(at: float, private_key: str, origin: str, contact: str, topic: str) -> dict[str, str]:
    """Return the headers of a message to the push service with this origin.

    :param contact: a mailto: or https: URL, at which the push service reaches whoever runs this server
    :param topic: a message with the same topic replaces one that the push service has not delivered yet
    """
    token = _token(at, private_key, origin, contact)
    return {
        "Authorization": f"vapid t={token}, k={public_key_of(private_key)}",
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(TTL_S),
        "Topic": topic,
        "Urgency": "high",
    }


def _token(at: float, private_key: str, origin: str, contact: str) -> str:
    """Return the signed token that tells a push service who sends: a JWT with ES256."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    claims = {"aud": origin, "exp": int(at) + JWT_LIFETIME_S, "sub": contact}
    signed = ".".join(
        encode(json.dumps(part, separators=(",", ":")).encode())
        for part in ({"typ": "JWT", "alg": "ES256"}, claims)
    )
    signature = _load_private_key(private_key).sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(signature)
    return f"{signed}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def encrypt(content: bytes, browser: Browser, *, salt: bytes | None = None, sender_key: Any = None) -> bytes:
    """Return a message that only the browser can read, as RFC 8291 says.

    `salt` and `sender_key` are random, unless a test gives those of an example.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt = salt or secrets.token_bytes(16)
    sender_key = sender_key or ec.generate_private_key(ec.SECP256R1())
    receiver_bytes = decode(browser.p256dh)
    sender_bytes = _public_bytes(sender_key)
    shared = sender_key.exchange(ec.ECDH(), _load_public_key(receiver_bytes))
    key_info = b"WebPush: info\x00" + receiver_bytes + sender_bytes
    secret = _hkdf(shared, salt=decode(browser.auth), info=key_info, length=32)
    key = _hkdf(secret, salt=salt, info=b"Content-Encoding: aes128gcm\x00", length=16)
    nonce = _hkdf(secret, salt=salt, info=b"Content-Encoding: nonce\x00", length=12)
    # One record, as RFC 8188 writes it; 2 marks the last one.
    encrypted = AESGCM(key).encrypt(nonce, content + b"\x02", None)
    header = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(sender_bytes)]) + sender_bytes
    return header + encrypted


def _hkdf(secret: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


# ----- keys


def _load_private_key(text: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.derive_private_key(int.from_bytes(decode(text), "big"), ec.SECP256R1())


def _load_public_key(content: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), content)


def _public_bytes(private_key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    content: bytes = private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return content


def encode(content: bytes) -> str:
    """Return bytes in base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of a text in base64url, with or without padding. Raises ValueError."""
    if not text.isascii():
        raise ValueError("not base64url")
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
