"""Backups in an S3 bucket.

The rights to list the bucket, and to get and put objects, are enough. A lifecycle rule of the bucket removes
old copies. boto3 is imported only when it is needed: it weighs 30 MB.
"""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from app.backup.errors import AlreadyStored, NoConditionalWrites, StorageFailed
from app.backup.files import CHUNK_BYTES
from app.backup.store import StoreClock, StoredFile, open_content
from app.errors import reason_of

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
MAX_ATTEMPTS = 2  # of each request, made by boto3
MAX_PUT_ATTEMPTS = 3  # when two servers put the same name at the same time
PUT_CONFLICT_WAIT_S = 0.2


class S3Store:
    """A Store in a bucket, under a prefix."""

    def __init__(self, url: str, bucket: str, prefix: str, limit_s: float | None = None):
        """Contact nothing yet. With `limit_s`, a request fails after about that time and isn't repeated."""
        import boto3
        from botocore.config import Config

        self.url = url
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S if limit_s is None else limit_s / 2,
            read_timeout=READ_TIMEOUT_S if limit_s is None else limit_s,
            retries={"total_max_attempts": MAX_ATTEMPTS if limit_s is None else 1, "mode": "standard"},
            # boto3's own checksums are unknown to some other S3 servers; put() sends an MD5.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with self._translate_errors():
            self._client: Any = boto3.Session().client("s3", config=config)
        self._clock = StoreClock()
        self._client.meta.events.register("after-call.s3", self._read_clock)

    def time(self) -> float | None:
        """Return the time by the clock of the S3 server, or None while it hasn't answered."""
        return self._clock.time()

    def _read_clock(self, http_response: Any, **_: Any) -> None:
        date = http_response.headers.get("Date")
        with suppress(TypeError, ValueError):
            self._clock.set(parsedate_to_datetime(date).timestamp())

    def list_files(self, prefix: str = "") -> list[StoredFile]:
        """Return all files with names that begin with `prefix`, sorted by name."""
        files = []
        with self._translate_errors():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                if "IsTruncated" not in page:
                    # Otherwise any web server's answer would count as an empty list.
                    raise self._not_s3()
                for item in page.get("Contents", []):
                    files.append(StoredFile(item["Key"].removeprefix(self._prefix), item["Size"]))
        return files

    def download(self, name: str, path: Path) -> bool:
        """Write a stored file to `path`. Returns False when it certainly doesn't exist."""
        with self._translate_errors():
            body = self._get_body(name)
        if body is None:
            return False
        # Only errors of reading are the store's: an error of writing is about the local disk.
        with closing(body), path.open("wb") as target:
            while chunk := self._read_chunk(body):
                target.write(chunk)
        return True

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file, or None when it certainly doesn't exist."""
        with self._translate_errors():
            body = self._get_body(name)
            if body is None:
                return None
            content: bytes = body.read()
            return content

    def put(self, name: str, content: Path | bytes) -> None:
        """Store a local file, or a few bytes, in one request. Raises AlreadyStored."""
        from botocore.exceptions import ClientError

        for attempt in range(1, MAX_PUT_ATTEMPTS + 1):
            with self._translate_errors():
                try:
                    self._put_object(name, content, IfNoneMatch="*")  # never replaces an object
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if code in ("PreconditionFailed", "412"):
                        raise AlreadyStored(name) from None
                    if code == "NotImplemented":
                        raise NoConditionalWrites(
                            f"The place for backups {self.url} knows no conditional writes (If-None-Match),"
                            " so two servers could both write. Choose a service that has them, such as"
                            " AWS S3, Cloudflare R2 or MinIO."
                        ) from None
                    if code != "ConditionalRequestConflict" or attempt == MAX_PUT_ATTEMPTS:
                        raise
                    # Two servers put this name at the same time: the next attempt tells which one succeeded.
                    time.sleep(PUT_CONFLICT_WAIT_S)
                    continue
                return

    def replace(self, name: str, content: Path) -> None:
        """Store a local file over whatever has this name. A versioned bucket keeps the old version."""
        with self._translate_errors():
            self._put_object(name, content)

    def _put_object(self, name: str, content: Path | bytes, **condition: str) -> None:
        # Without ServerSideEncryption: it would override the bucket's own default, and MinIO without KMS
        # refuses it. AWS encrypts all objects anyway.
        with open_content(content) as source:
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + name,
                Body=source,
                ContentMD5=_md5_in_base64(content),  # S3 refuses what arrives damaged
                **condition,
            )
        if not answer.get("ETag"):
            raise self._not_s3()

    def _get_body(self, name: str) -> Any:
        """Return the stream of an object's content, or None when there is no such object."""
        from botocore.exceptions import ClientError

        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise

    def _read_chunk(self, body: Any) -> bytes:
        with self._translate_errors():
            chunk: bytes = body.read(CHUNK_BYTES)
            return chunk

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            yield
        except ClientError as error:
            raise StorageFailed(self._explain_refusal(error.response)) from None
        except (BotoCoreError, ResponseParserError, OSError, ValueError) as error:
            raise StorageFailed(
                f"The place for backups {self.url} can't be reached: {reason_of(error)}."
            ) from None

    def _not_s3(self) -> StorageFailed:
        return StorageFailed(f"What answers for {self.url} is no S3: check AWS_ENDPOINT_URL_S3.")

    def _explain_refusal(self, answer: dict[str, Any]) -> str:
        code = answer["Error"]["Code"]
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        if code == "NoSuchBucket":
            return f"There is no bucket {self._bucket}: check the URL of the backups, or make it."
        if status in (401, 403):
            rights = "s3:ListBucket on the bucket, s3:GetObject and s3:PutObject in it"
            return f"The place for backups {self.url} may not be used ({code}): it takes {rights}."
        return f"The place for backups {self.url} answers {status} ({code}). Try again later."


def _md5_in_base64(content: Path | bytes) -> str:
    with open_content(content) as source:
        digest = hashlib.file_digest(source, lambda: hashlib.md5(usedforsecurity=False))  # type: ignore[arg-type]
    return b64encode(digest.digest()).decode()
