"""Backup: copies of the database, where they are kept, and how one becomes the database again."""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import sqlite3
import stat
import tempfile
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from rooms.settings import BACKUP_URL, BACKUP_URLS, CannotStart, now
from rooms.storage import (
    KEEP_FACT,
    SCHEMA,
    Database,
    fact,
    is_newer,
    keep_fact,
    make_database,
    revision_of,
    upgrade_file,
)

CONNECT_S, ANSWER_S, ATTEMPTS = 3, 10, 2  # how long one asks S3, and how often at once
PIECE = 2**20  # bytes worked on at a time, so that a large database takes no more memory than a small one
KEPT_DAYS = {"": 2, "hourly": 7, "daily": 35}  # the kinds of copies; S3 does it by a lifecycle rule
NOBODY = "nobody"  # has handed over in time
KEPT_AT_LEAST = 5  # daily ones, in a directory, whatever its clock says


class StorageFailed(CannotStart):
    """The place for backups didn't do what was asked of it; never raised for what is certainly not there."""


class Taken(Exception):
    """There is something of this name already; it was left as it is."""


class Broken(Exception):
    """A copy that can't be restored, and why."""


# ----- where copies are kept


class Stored(NamedTuple):
    """What a storage holds: its name, and its size in bytes."""

    name: str
    size: int


class Store(Protocol):
    """A place for backups; names are relative to its URL. Each method raises StorageFailed when it can't."""

    url: str

    def names(self, prefix: str = "") -> list[Stored]:
        """All whose names begin so."""

    def get(self, name: str, path: Path) -> bool:
        """Writes what is stored under a name into a file; False when it certainly isn't there."""

    def read(self, name: str) -> bytes | None:
        """Something small; None when it certainly isn't there."""

    def put(self, name: str, content: Path | bytes) -> None:
        """Stores a file or a few bytes; raises Taken, and leaves what is there, when the name is in use."""


def store_of(url: str) -> Store:
    """The storage of this URL, which is not asked anything yet; raises CannotStart for nonsense."""
    if not url:
        raise CannotStart("Say where the backups are: set TAKEANUMBER_BACKUP_URL, or give a URL.")
    found = BACKUP_URL.fullmatch(url)
    if not found:
        raise CannotStart(f"The place for backups must look like {BACKUP_URLS}, not '{url}'.")
    return S3(url, found[1], (found[2] or "").strip("/")) if found[1] else Directory(url)


class Directory:
    """Backups in a directory: a USB stick, a NAS."""

    def __init__(self, url: str):
        self.url, self._root = url, Path(url)

    def names(self, prefix: str = "") -> list[Stored]:
        """All whose names begin so; hidden files are not ours."""
        with self._trouble():
            found, todo = [], [self._root]
            while todo:
                for entry in os.scandir(todo.pop()):
                    name = Path(entry.path).relative_to(self._root).as_posix()
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir() and (f"{name}/".startswith(prefix) or prefix.startswith(f"{name}/")):
                        todo.append(Path(entry.path))
                    elif entry.is_file() and name.startswith(prefix):
                        with suppress(FileNotFoundError):  # removed just now
                            found.append(Stored(name, entry.stat().st_size))
            return sorted(found)

    def get(self, name: str, path: Path) -> bool:
        """Writes what is stored under a name into a file; False when it isn't there."""
        with self._trouble():
            try:
                source = (self._root / name).open("rb")
            except FileNotFoundError:
                return False
        with source, path.open("wb") as target:
            while piece := self._piece(source):
                target.write(piece)
        return True

    def read(self, name: str) -> bytes | None:
        """Something small; None when it isn't there."""
        with self._trouble():
            try:
                return (self._root / name).read_bytes()
            except FileNotFoundError:
                return None

    def put(self, name: str, content: Path | bytes) -> None:
        """Stores a file or a few bytes, so that it is there whole or not at all."""
        target = self._root / name
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        with self._trouble():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with _opened(content) as source, open(beside, "xb", opener=_private) as file:
                    if os.geteuid() == 0:  # a server that runs as somebody else must be able to read it
                        with suppress(OSError):  # a stick's file system may know no owners
                            os.fchown(file.fileno(), self._root.stat().st_uid, self._root.stat().st_gid)
                    shutil.copyfileobj(source, file, PIECE)
                    file.flush()
                    os.fsync(file.fileno())
                _link_or_take(beside, target)
            except FileExistsError:
                raise Taken(name) from None
            finally:
                beside.unlink(missing_ok=True)
            for directory in (target.parent, target.parent.parent):
                _sync(directory)

    def thin(self) -> None:
        """Removes what has been kept long enough; on S3 that is a lifecycle rule's work."""
        listed, at = copies(self), now()
        for kind, days in KEPT_DAYS.items():
            old = [copy for copy in listed if copy.kind == kind]
            for copy in old[KEPT_AT_LEAST if kind == "daily" else 0 :]:
                if copy.at < at - days * 86400:
                    with self._trouble():
                        (self._root / copy.name).unlink(missing_ok=True)
        with self._trouble():
            for part in self._root.rglob(".*.part"):  # left over where the power went
                if part.stat().st_mtime < at - 86400:
                    part.unlink(missing_ok=True)

    def _piece(self, source: BinaryIO) -> bytes:
        with self._trouble():
            return source.read(PIECE)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            if not self._root.is_dir():  # never made: it may be on a disk that isn't plugged in
                said = f"There is no directory {self.url}: make it, or plug in the disk it is on."
                raise StorageFailed(said)
            yield
        except OSError as problem:
            raise StorageFailed(f"The directory {self.url} can't be used: {_why(problem)}.") from None


class S3:
    """Backups in a bucket. Get, List and Put are enough of a right; what is put never replaces anything."""

    def __init__(self, url: str, bucket: str, prefix: str):
        import boto3  # imported here: who keeps no backups there needs none of its 30 MB
        from botocore.config import Config

        self.url, self._bucket, self._prefix = url, bucket, f"{prefix}/" if prefix else ""
        patience = {"connect_timeout": CONNECT_S, "read_timeout": ANSWER_S}
        patience["retries"] = {"total_max_attempts": ATTEMPTS, "mode": "standard"}
        sums = ("request_checksum_calculation", "response_checksum_validation")
        plain = dict.fromkeys(sums, "when_required")  # which not every other S3 knows; we send our own
        with self._trouble():
            self._client = boto3.Session().client("s3", config=Config(**patience, **plain))

    def names(self, prefix: str = "") -> list[Stored]:
        """All whose names begin so."""
        asked = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        with self._trouble():
            found = []
            for page in self._client.get_paginator("list_objects_v2").paginate(**asked):
                if "IsTruncated" not in page:  # or any web server's answer would be an empty list
                    raise self._no_s3()
                found += [Stored(each["Key"], each["Size"]) for each in page.get("Contents", [])]
            return [Stored(name.removeprefix(self._prefix), size) for name, size in found]

    def get(self, name: str, path: Path) -> bool:
        """Writes what is stored under a name into a file; False when it certainly isn't there."""
        with self._trouble():
            body = self._body(name)
        if body is None:
            return False
        with closing(body), path.open("wb") as target:
            while piece := self._piece(body):
                target.write(piece)
        return True

    def read(self, name: str) -> bytes | None:
        """Something small; None when it certainly isn't there."""
        with self._trouble():
            body = self._body(name)
            return body and body.read()

    def put(self, name: str, content: Path | bytes) -> None:
        """Stores a file or a few bytes, in one request; what arrives damaged is refused."""
        from botocore.exceptions import ClientError

        with _opened(content) as source:
            md5 = b64encode(hashlib.file_digest(source, _md5).digest()).decode()
        how = {"IfNoneMatch": "*", "ServerSideEncryption": "AES256", "ContentMD5": md5}
        for last in (False, False, True):
            with _opened(content) as source, self._trouble():
                key = {"Bucket": self._bucket, "Key": self._prefix + name}
                try:
                    answer = self._client.put_object(**key, Body=source, **how)
                    if not answer.get("ETag"):
                        raise self._no_s3()
                    return
                except ClientError as problem:
                    if problem.response["Error"]["Code"] in ("PreconditionFailed", "412"):
                        raise Taken(name) from None
                    if last or problem.response["Error"]["Code"] != "ConditionalRequestConflict":
                        raise
                    time.sleep(0.2)  # two at once: whoever asks again hears who has won

    def _body(self, name: str) -> Any:
        from botocore.exceptions import ClientError

        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"]
        except ClientError as problem:
            if problem.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise

    def _piece(self, body: Any) -> bytes:
        with self._trouble():
            return body.read(PIECE)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            yield
        except ClientError as problem:
            raise StorageFailed(self._refused(problem.response)) from None
        except (BotoCoreError, ResponseParserError, OSError, ValueError) as problem:
            said = f"The place for backups {self.url} can't be reached: {_why(problem)}."
            raise StorageFailed(said) from None

    def _no_s3(self) -> StorageFailed:
        return StorageFailed(f"What answers for {self.url} is no S3: check AWS_ENDPOINT_URL_S3.")

    def _refused(self, answer: dict[str, Any]) -> str:
        code, status = answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
        if code == "NoSuchBucket":
            return f"There is no bucket {self._bucket}: check the URL of the backups, or make it."
        if status in (401, 403):
            rights = "s3:ListBucket on the bucket, s3:GetObject and s3:PutObject in it"
            return f"The place for backups {self.url} may not be used ({code}): it takes {rights}."
        return f"The place for backups {self.url} answers {status} ({code}). Try again later."


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


@contextmanager
def _opened(content: Path | bytes) -> Iterator[BinaryIO]:
    if isinstance(content, Path):
        with content.open("rb") as file:
            yield file
    else:
        yield io.BytesIO(content)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # a copy holds names, and the links of owners


def _why(problem: Exception) -> str:
    problem = getattr(problem, "orig", problem)  # SQLite's own, without the statement
    said = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return said.partition("\n")[0].rstrip(".")


def _link_or_take(source: Path, target: Path) -> None:
    # By whom it was made first; raises FileExistsError. A stick's file system may have no links.
    try:
        os.link(source, target)
    except OSError as problem:
        if problem.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        target.open("xb").close()
        source.replace(target)


def _sync(path: Path) -> None:
    # A name is safe on the disk when its directory is.
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


# ----- the names of copies


@dataclass(frozen=True)
class Copy:
    """A copy of the database, as its name tells of it."""

    generation: int
    sequence: int
    at: int
    schema: str
    tickets: int
    size: int  # of what is stored, in bytes
    kind: str = ""  # one of KEPT_DAYS
    stored: int = 0  # how many bytes are really there
    verified: bool = False  # somebody restored it, and it was whole

    @property
    def base(self) -> str:
        """The part of its name that is the same for each kind."""
        return f"{self.generation:08}/{self.sequence:010}-{stamp(self.at)}"

    @property
    def name(self) -> str:
        """Its name in the storage."""
        folder = f"{self.kind}/" if self.kind else ""
        return f"{folder}{self.base}-{self.schema}-{self.tickets}t-{self.size}b.db.gz"


_NAME = re.compile(
    r"(?:(hourly|daily)/)?(\d{8})/(\d{10})-(\d{8}T\d{6}Z)-(\w+)-(\d+)t-(\d+)b\.db\.gz", re.ASCII
)


def stamp(at: float) -> str:
    """A time as names have it: 20261121T100000Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def copies(store: Store, prefix: str = "") -> list[Copy]:
    """All copies whose names begin so, the newest first: by generation, then sequence; no clock is asked."""
    return _copies(store.names(prefix))


def last_sequence(store: Store, generation: int) -> int:
    """The highest that a copy of this generation has; 0 when there is none."""
    folders = [f"{kind}/{generation:08}/" if kind else f"{generation:08}/" for kind in KEPT_DAYS]
    return max((copy.sequence for folder in folders for copy in copies(store, folder)), default=0)


def _copies(stored: list[Stored]) -> list[Copy]:
    verified = {name.removeprefix("verified/") for name, _ in stored if name.startswith("verified/")}
    found = []
    for name, size in stored:
        if parts := _NAME.fullmatch(name):
            kind, generation, sequence, at, schema, tickets, meant = parts.groups()
            try:
                when = datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
            except ValueError:
                continue  # no name of ours
            numbers = (int(generation), int(sequence), int(when), schema, int(tickets), int(meant))
            copy = Copy(*numbers, kind=kind or "", stored=size)
            found.append(replace(copy, verified=copy.base in verified))
    order = list(KEPT_DAYS)
    return sorted(found, key=lambda copy: (-copy.generation, -copy.sequence, order.index(copy.kind)))


# ----- who is the master of a generation
#
# masters/<generation>/claim: whose it is; heard: the one before has paused writes, to store its last copy;
# handed: it has; decided: the claim was taken (its server serves) or withdrawn (the one before went on). Each
# is put once, by whoever is first.
# masters/00000000/shop: whose place this is; all its restores have the same shop, however many there are.


def claim(store: Store, generation: int, mine: str) -> bool:
    """Claims a generation; False when another database did before."""
    return _put_first(store, generation, "claim", mine) == mine


def claimed(store: Store, generation: int) -> str | None:
    """Whose generation it is, None when nobody's."""
    return _read_master(store, generation, "claim")


def hear(store: Store, generation: int) -> None:
    """Says to who claimed a generation that the last copy is on its way."""
    _put_first(store, generation, "heard", "yes")


def heard(store: Store, generation: int) -> bool:
    """Whether the one before has said so."""
    return bool(_read_master(store, generation, "heard"))


def hand(store: Store, generation: int, last: str) -> str:
    """Says to who claimed a generation that all is stored, by the name of the last copy; NOBODY: too late."""
    return _put_first(store, generation, "handed", last)


def handed(store: Store, generation: int) -> str | None:
    """The name of the last copy, when the one before has said so; NOBODY when it didn't in time."""
    return _read_master(store, generation, "handed")


def decide(store: Store, generation: int, what: str) -> str:
    """Decides a claim, `taken` or `withdrawn`, once and for all; returns what it was decided to be."""
    return _put_first(store, generation, "decided", what)


def decided(store: Store, generation: int) -> str | None:
    """`taken`, `withdrawn`, or None while it is open."""
    return _read_master(store, generation, "decided")


def taken_after(store: Store, generation: int) -> int:
    """The highest generation above this one that somebody serves; 0 when there is none."""
    claims = {int(name.split("/")[1]) for name, _ in store.names("masters/") if name.endswith("/decided")}
    taken = (each for each in sorted(claims, reverse=True) if each > generation)
    return next((each for each in taken if decided(store, each) == "taken"), 0)


def newest_generation(store: Store) -> int:
    """The highest that a copy is of or somebody claimed; 0 when there is none."""
    return _newest_generation(store.names())


def own(store: Store, generation: int, mine: str, shop: str) -> None:
    """Makes this generation ours, as must be done before its first copy; else raises CannotStart."""
    said = "belong to another database: restore it, or choose another place for backups."
    of_another = CannotStart(f"The backups at {store.url} {said}")
    found = _read_master(store, 0, "shop")  # asked first: a claim of ours could keep its next from being seen
    if found not in (None, shop) or not claim(store, generation, mine):
        raise of_another
    with suppress(Taken):
        store.put(_master(generation, "claim"), _says("claim", mine))
        said = "overwrites what is there (no If-None-Match), so two servers could both be the master"
        raise CannotStart(f"The place for backups {store.url} {said}. Choose another.")
    if decide(store, generation, "taken") != "taken":
        said = "The old server went on while this one was being set up, so this database is out of date."
        raise CannotStart(f"{said} Hand over again: restore --hand-over --replace.")
    if found is None and _put_first(store, 0, "shop", shop) != shop:  # last: who never served leaves no mark
        raise of_another


def _put_first(store: Store, generation: int, what: str, value: str) -> str:
    # What it is in the end. When the answer to a put is lost, asking tells whose it was.
    try:
        store.put(_master(generation, what), _says(what, value))
    except Taken:
        found = _read_master(store, generation, what)
        if found is None:
            raise StorageFailed(f"The place for backups {store.url} contradicts itself. Try again.") from None
        return found
    return value


def _master(generation: int, what: str) -> str:
    return f"masters/{generation:08}/{what}"


def _says(what: str, value: str) -> bytes:
    return json.dumps({what: value, "at": stamp(now())}).encode()


def _read_master(store: Store, generation: int, what: str) -> str | None:
    content = store.read(_master(generation, what))
    if content is None:
        return None
    try:
        return str(json.loads(content)[what])
    except (ValueError, KeyError, TypeError):
        said = f"{_master(generation, what)} at {store.url} can't be read"
        raise StorageFailed(f"{said}: when it stays so, remove that file.") from None


def _newest_generation(stored: list[Stored]) -> int:
    found = [re.match(r"(?:(?:hourly|daily|masters|verified)/)?(\d{8})/", name) for name, _ in stored]
    return max((int(each[1]) for each in found if each), default=0)


# ----- making a copy


def identity(db: Connection) -> tuple[int, str, str]:
    """A database's generation, the id of its claim, and its shop's; to be run by write(): they may be new."""
    if not fact(db, "backup_claim", None):
        keep_fact(db, "backup_claim", secrets.token_hex(16))
    shop = hashlib.sha256(fact(db, "secret_key").encode()).hexdigest()  # as long as its links are good
    return int(fact(db, "backup_generation", "1")), fact(db, "backup_claim"), shop


def next_sequence(db: Connection) -> int:
    """Counts one more copy; to be run by write(), just before it is made."""
    sequence = int(fact(db, "backup_sequence", "0")) + 1
    keep_fact(db, "backup_sequence", str(sequence))
    return sequence


def go_on_after(db: Connection, sequence: int) -> None:
    """Makes the next copy a later one than this: a database that was put back by hand counts from too low."""
    if int(fact(db, "backup_sequence", "0")) < sequence:
        keep_fact(db, "backup_sequence", str(sequence))


@contextmanager
def snapshot(path: Path, generation: int, sequence: int) -> Iterator[tuple[Copy, Path]]:
    """A checked, compressed copy of a database that may be written to meanwhile: what it is, and its file.

    The file is gone afterwards. Raises CannotStart when the database is damaged, or the disk full.
    """
    with temporary(path.parent, f"The backup of {path} failed") as room:
        plain, packed = room / "copy.db", room / "copy.db.gz"
        if not path.exists():
            raise CannotStart(f"{path} is gone: stop the server, restore a backup, and start it again.")
        there = f"{path.absolute().as_uri()}?mode=rw"  # an empty one, made anew, would be taken for the shop
        with closing(sqlite3.connect(there, uri=True)) as old, closing(sqlite3.connect(plain)) as new:
            new.execute("PRAGMA synchronous = OFF")  # what a power cut leaves of it is thrown away
            old.backup(new)
            new.execute("PRAGMA journal_mode = DELETE")  # all of it in one file
        at = int(now())
        with ThreadPoolExecutor(1) as other:  # checking takes twice as long as packing
            packing = other.submit(_pack, plain, packed)
            try:
                inside = inspect(plain)
            except Broken as problem:
                raise CannotStart(f"{path} is damaged: {problem}. Restore a backup.") from None
            packing.result()
        plain.unlink()
        size = packed.stat().st_size
        yield Copy(generation, sequence, at, inside.schema, inside.tickets, size, stored=size), packed


def _pack(plain: Path, packed: Path) -> None:
    with plain.open("rb") as source, gzip.GzipFile(packed, "wb", 1, mtime=0) as target:
        shutil.copyfileobj(source, target, PIECE)


def put_copy(store: Store, copy: Copy, file: Path, kind: str = "") -> Copy:
    """Stores a snapshot's file as a copy of this kind."""
    copy = replace(copy, kind=kind)
    try:
        store.put(copy.name, file)
    except Taken:  # by us, when the answer to the first attempt was lost
        if Stored(copy.name, copy.size) not in store.names(copy.name):
            raise StorageFailed(f"{copy.name} is damaged at {store.url}. Back up once more.") from None
    return copy


def back_up(path: Path, store: Store) -> Copy:
    """Backs up a database, whether a server writes to it meanwhile or not; it is never upgraded."""
    found = revision_of(path) if os.path.exists(path) else None
    if found is None:
        raise CannotStart(f"There is no database at {path} that could be backed up.")
    if is_newer(found):
        raise CannotStart(f"{path} was written by a newer version of Take A Number. Install that one.")
    database = Database(path)
    try:
        generation, mine, shop = database.write(identity)
        own(store, generation, mine, shop)
        database.write(go_on_after, last_sequence(store, generation))
        with snapshot(path, generation, database.write(next_sequence)) as (copy, file):
            put_copy(store, copy, file)
            if not any(0 <= copy.at - each.at < 86400 for each in copies(store, "daily/")):
                put_copy(
                    store, copy, file, "daily"
                )  # or it would be gone in 2 days, where no server makes any
        if isinstance(store, Directory):
            store.thin()
        return copy
    except SQLAlchemyError as problem:
        raise CannotStart(f"The backup of {path} failed: {_why(problem)}.") from None
    finally:
        database.close()


# ----- looking into a copy


class Inside(NamedTuple):
    """What a database file holds."""

    schema: str
    tickets: int
    events: int


def inspect(file: Path) -> Inside:
    """Checks a database from end to end, and counts; raises Broken."""
    try:
        with closing(sqlite3.connect(file)) as raw:
            if (said := raw.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
                raise Broken(said.splitlines()[-1])
            if raw.execute("PRAGMA foreign_key_check").fetchone():
                raise Broken("it holds rows that belong to nothing")
            tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables >= {"alembic_version", "ticket", "event", "fact"}:
                raise Broken("it is no database of Take A Number" if tables else "it is empty")
            return Inside(*(raw.execute(f"SELECT {what}").fetchone()[0] for what in _COUNTED))
    except sqlite3.DatabaseError as problem:
        if _code(problem) in (*_DAMAGED, sqlite3.SQLITE_ERROR):
            raise Broken(str(problem)) from None
        raise


_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_COUNTED = ("max(version_num) FROM alembic_version", "count(*) FROM ticket", "count(*) FROM event")


def _code(problem: sqlite3.Error) -> int:
    # SQLite's, without its details; 0 for what Python itself has to say.
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def temporary(data: Path, failed: str) -> Iterator[Path]:
    """A hidden directory in the data directory, gone afterwards; a full disk raises CannotStart."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        remove_leftovers(data)
        with ExitStack() as held:
            with _locked(data):
                room = Path(tempfile.mkdtemp(prefix=".backup-", dir=data))
                held.enter_context(_locked(room))  # by which remove_leftovers() sees that somebody works here
            held.callback(shutil.rmtree, room, ignore_errors=True)
            yield room
    except (OSError, sqlite3.Error, SQLAlchemyError) as problem:
        raise CannotStart(f"{failed}: {_why(problem)}.") from None


def remove_leftovers(data: Path) -> None:
    """Removes what a killed process left of its temporary files."""
    for room in data.glob(".backup-*"):
        # Not there any more, not ours, or its maker is still at work: then it stays.
        with suppress(OSError), _locked(data), _locked(room, fcntl.LOCK_NB):
            shutil.rmtree(room, ignore_errors=True)


@contextmanager
def _locked(directory: Path, how: int = 0) -> Iterator[None]:
    number = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(number)


# ----- from a copy to a database


@dataclass(frozen=True)
class Restored:
    """What was put in place."""

    copy: Copy | None  # None: a new database
    generation: int
    kept: Path | None  # the database that was there


def restore(
    path: Path,
    store: Store,
    before: float | None = None,
    replace: bool = False,
    or_new: bool = False,
    hand_over_s: float | None = None,
    longest_s: float = 0,
    warn: Callable[[str], None] = lambda sentence: None,
) -> Restored:
    """Makes the newest copy that is whole (made at or `before` a time) the database; raises CannotStart.

    A database that is there stays, unless `replace` says otherwise: then it is kept beside. `or_new` makes a
    new one where certainly none was. `hand_over_s`: asks the server that runs to hand over, and waits;
    `longest_s`: when that has begun to.
    Ended at any moment, the old database is there whole, or the new one.
    """
    there = os.path.exists(path)
    if there and not replace:
        raise CannotStart(f"There is a database at {path}. To replace it (it is kept beside), add --replace.")
    with temporary(path.parent, f"Restoring {path} failed") as room, _alone(path, there):
        generation, found = _next_generation(store, or_new, before)
        mine, asks, or_new = secrets.token_hex(16), hand_over_s is not None, or_new and not found
        if asks and not claim(store, generation, mine):
            said = f"Another server is taking over the backups at {store.url}. Let it finish first."
            raise CannotStart(said)
        try:
            if asks:
                found = _last_copies(store, generation, hand_over_s, longest_s, before)
            copy, file = _whole(store, found, room, warn) if found or not or_new else (None, _new(room))
            _make_master(file, generation, mine, copy, asks)
            return Restored(copy, generation, _put_in_place(file, path, there))
        except BaseException:
            if asks:
                _give_up(store, generation, warn)
            raise


def verify(path: Path, store: Store) -> tuple[Copy, Inside]:
    """Restores the newest copy beside the database, checks, counts and removes it; raises CannotStart."""
    with temporary(path.parent, "Verifying the newest backup failed") as room:
        found = copies(store)
        if not found:
            raise CannotStart(f"There is no backup at {store.url}.")
        _refuse_newer(found[0], found[0].schema)
        try:
            _, inside = _fetch(store, found[0], room)
        except Broken as problem:
            raise CannotStart(f"The newest backup, {found[0].name}, is broken: {problem}.") from None
    with suppress(Taken):  # not for the first time
        store.put(f"verified/{found[0].base}", b"")
    return found[0], inside


def _next_generation(store: Store, or_new: bool, before: float | None) -> tuple[int, list[Copy]]:
    # What a restore would make, and the copies it can choose from.
    stored = store.names()
    found = _copies(stored)
    if not found and not or_new:
        raise CannotStart(f"There is no backup at {store.url}.")
    for name, _ in [] if found else stored:
        if not name.startswith("masters/"):
            said = f"There is no backup at {store.url}, but something else ('{name}')"
            raise CannotStart(f"{said}. Choose another place, or a directory in it.")
        if name.endswith("/decided") and decided(store, int(name.split("/")[1])) == "taken":
            said = "was in use, and all its backups are gone. To begin anew, choose another place"
            raise CannotStart(f"{store.url} {said}.")
    fitting = _made_until(before, found)
    if found and not fitting:
        raise CannotStart(f"There is no backup that old at {store.url}.")
    for newest in fitting[:1]:  # before anybody is asked to hand over
        _refuse_newer(newest, newest.schema)
    return _newest_generation(stored) + 1, fitting


def _made_until(before: float | None, found: list[Copy]) -> list[Copy]:
    return [copy for copy in found if before is None or copy.at <= before]


def _last_copies(
    store: Store, generation: int, wait_s: float, longest_s: float, before: float | None
) -> list[Copy]:
    # The copies below a generation that is claimed, once the server before has stored its last. One that is
    # at it may take longer: all that it answered since the copy before would be lost.
    began = time.monotonic()
    while generation > 1 and not handed(store, generation):
        waited = time.monotonic() - began
        if waited >= wait_s and (waited >= longest_s or not heard(store, generation)):
            break
        time.sleep(0.5)
    if generation > 1:
        hand(store, generation, NOBODY)  # so that one who comes too late knows that it wasn't waited for
    return _made_until(before, [copy for copy in copies(store) if copy.generation < generation])


def _give_up(store: Store, generation: int, warn: Callable[[str], None]) -> None:
    # So that who waits to hand over goes on at once.
    try:
        decide(store, generation, "withdrawn")
    except StorageFailed as problem:
        warn(str(problem))


def _whole(store: Store, found: list[Copy], room: Path, warn: Callable[[str], None]) -> tuple[Copy, Path]:
    # The first that is whole. One of a newer schema ends it: what is newer is not to be skipped.
    for copy in found:
        _refuse_newer(copy, copy.schema)
        try:
            file, inside = _fetch(store, copy, room)
        except Broken as problem:
            warn(f"The backup {copy.name} is broken and was skipped: {problem}.")
            continue
        _refuse_newer(copy, inside.schema)
        return copy, file
    raise CannotStart(f"There is no whole backup at {store.url}.")


def _refuse_newer(copy: Copy, schema: str) -> None:
    if is_newer(schema):
        raise CannotStart(f"{copy.name} is of a newer version of Take A Number. Install that one.")


def _fetch(store: Store, copy: Copy, room: Path) -> tuple[Path, Inside]:
    # A stored copy as a database file, checked from end to end.
    packed, plain = room / "copy.db.gz", room / "copy.db"
    if copy.stored != copy.size:
        raise Broken(f"{copy.stored:,} of its {copy.size:,} bytes are there")
    if not store.get(copy.name, packed):
        raise Broken("it is gone")
    try:
        with gzip.open(packed) as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target, PIECE)
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise Broken(_why(problem)) from None
    packed.unlink()
    inside = inspect(plain)
    if inside.tickets != copy.tickets:
        raise Broken(f"it holds {inside.tickets:,} tickets instead of {copy.tickets:,}")
    return plain, inside


def _new(room: Path) -> Path:
    make_database(room / "new.db").close()
    return room / "new.db"


def _make_master(file: Path, generation: int, mine: str, copy: Copy | None, asks: bool) -> None:
    # Up to date, in a generation and an epoch of its own, and on the disk. If it asks another server to hand
    # over, that may go on after a while: so it waits with its first write until it has decided.
    if copy and revision_of(file) != SCHEMA:
        upgrade_file(file, f"the backup {copy.name}")
    facts = {"epoch": secrets.token_hex(16), "backup_claim": mine}
    facts |= {"backup_generation": str(generation), "backup_sequence": "0"}
    facts |= {"backup_handed": "", "backup_asked": "1" if asks else ""}
    with closing(sqlite3.connect(file)) as raw:
        with raw:
            raw.executemany(KEEP_FACT, [{"name": name, "value": value} for name, value in facts.items()])
        raw.execute("PRAGMA journal_mode = DELETE")  # all of it in one file
    _sync(file)


@contextmanager
def _alone(path: Path, there: bool) -> Iterator[None]:
    # While nobody else has the database open, if it is there; its file then holds all that was in its WAL.
    if not there:
        yield
        return
    in_use = CannotStart(f"{path} is in use: stop the server first.")
    raw, file = sqlite3.connect(path, isolation_level=None, timeout=1), None
    try:
        try:
            if raw.execute("PRAGMA journal_mode = DELETE").fetchone() != ("delete",):
                raise in_use
            raw.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as problem:
            raw.close()
            if _code(problem) == sqlite3.SQLITE_BUSY:
                raise in_use from None
            if _code(problem) not in _DAMAGED:
                raise
            # SQLite can't say who reads a damaged file: ask for the lock that a reader would have.
            file = path.open("r+b")
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
            except OSError:
                raise in_use from None
        yield
    finally:
        raw.close()
        if file:
            file.close()


def _put_in_place(file: Path, path: Path, there: bool) -> Path | None:
    # By one link or rename, with nothing beside it that belongs to another; returns where the old one is.
    # Only what was `there` from the beginning is ours to replace: nobody else has that open.
    made_meanwhile = CannotStart(f"There is a database at {path} now, that somebody else made.")
    if path.exists() and not there:
        raise made_meanwhile
    like = (path if there else path.parent).stat()
    if os.geteuid() == 0:  # a server that runs as somebody else must be able to write
        os.chown(file, like.st_uid, like.st_gid)
    if there:
        file.chmod(stat.S_IMODE(like.st_mode))
    kept = _keep(path) if there else None
    for tail in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    _sync(path.parent)
    if there:
        file.replace(path)
    else:
        try:
            os.link(file, path)
        except FileExistsError:
            raise made_meanwhile from None
        except OSError:  # a file system without links
            file.rename(path)
    _sync(path.parent)
    return kept


def _keep(path: Path) -> Path:
    # The same file under a second name, so that it is at its first until another takes its place.
    name, number = f"{path.name}.before-restore-{stamp(now())}", 1
    while (kept := path.with_name(name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    for tail in ("", "-wal"):  # a damaged one still has its WAL
        source, target = path.with_name(path.name + tail), kept.with_name(kept.name + tail)
        if source.exists():
            try:
                os.link(source, target)
            except OSError:  # a file system without links
                shutil.copy2(source, target)
                _sync(target)
    return kept
