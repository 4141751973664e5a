"""A PostgreSQL server that is thrown away after the tests, and a database of its own for each test."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.server import free_port

OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "300",
    "fsync": "off",  # the machine keeps running when the server is killed
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


def programs() -> Path:
    """Return the directory of the newest PostgreSQL on this machine."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]))
    initdb = shutil.which("initdb")
    if found:
        return Path(found[-1])
    assert initdb, "Install PostgreSQL: apt-get install postgresql"
    return Path(initdb).parent


class Cluster:
    """A server on a free port. It runs as an unprivileged user, since it refuses to run as root."""

    def __init__(self, primary: Cluster | None = None, **options: str):
        """Make a server, or a standby of another one."""
        self._bin = programs()
        self.directory = Path(tempfile.mkdtemp(prefix="takeanumber-pg-"))
        self.port = free_port()
        self._user: dict[str, Any] = {}
        self._privileges = ["setpriv", "--pdeathsig", "QUIT"]  # the kernel ends it when its parent ends
        if os.getuid() == 0:
            user = pwd.getpwnam("nobody")
            os.chown(self.directory, user.pw_uid, user.pw_gid)
            self._privileges += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._options = OPTIONS | options
        self.data = self.directory / "data"
        if primary is not None:
            self._run("pg_basebackup", "--no-sync", "--checkpoint=fast", "--write-recovery-conf",
                      "--dbname", primary.url(), "-D", str(self.data))  # fmt: skip
        else:
            self._run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8",
                      "--locale=C.UTF-8", "-D", str(self.data))  # fmt: skip
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "HOME": str(self.directory), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self._user,
        )
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        """Start the server, and wait until it answers. It ends with this process, however that ends."""
        settings = self._options | {"port": str(self.port), "unix_socket_directories": str(self.directory)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._privileges, self._bin / "postgres", "-D", self.data, *options],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, by: int = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends all connections, SIGQUIT is like a crash."""
        self.process.send_signal(by)
        self.process.wait(60)

    def restart(self) -> None:
        """Let the server crash (as `pg_ctl stop -m immediate` does), and start it again."""
        self.stop(signal.SIGQUIT)
        self.start()

    def promote(self) -> None:
        """Let a standby become the primary."""
        self._run("pg_ctl", "promote", "-D", str(self.data))

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as raw:
            cursor = raw.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def create_database(self, template: str = "template0") -> str:
        """Create a database; return its URL."""
        self._created = getattr(self, "_created", 0) + 1
        name = f"test{self._created}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def end_connections(self, database: str) -> None:
        """End all connections to a database."""
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")

    def drop_database(self, url: str) -> None:
        """Remove a database, whoever is connected."""
        self.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def close(self) -> None:
        """End the server, and remove everything."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)


def copy_to(url: str, data: Path) -> None:
    """Copy a data directory to a database, and leave it usable."""
    from app.storage.move import move_to_postgresql
    from app.storage.move_mark import mark_of

    path = data / "takeanumber.db"
    move_to_postgresql(path, url)
    mark_of(path).unlink()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server, with the tables of this version in the database "tables"."""
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def empty_shop(cluster: Cluster) -> str:
    """The name of a database with the tables of this version, to copy."""
    from app.settings import Settings
    from app.storage.upgrade import create_or_upgrade

    cluster.execute("CREATE DATABASE tables TEMPLATE template0")
    create_or_upgrade(Settings(database_url=cluster.url("tables"))).close()
    cluster.end_connections("tables")
    return "tables"


@pytest.fixture
def postgres_url(cluster: Cluster, empty_shop: str) -> Iterator[str]:
    """The URL of a database with tables of its own."""
    url = cluster.create_database(empty_shop)
    yield url
    cluster.drop_database(url)


KEPT_FACTS = "'secret_key', 'epoch', 'pulse', 'push_key'"  # which an empty database has, too


@pytest.fixture
def emptied_url(cluster: Cluster, empty_shop: str) -> str:
    """The URL of a database that all tests use, one after the other: making one each time is slow."""
    import psycopg

    from app.storage.schema import metadata

    url = cluster.url("shared")
    if not cluster.execute("SELECT 1 FROM pg_database WHERE datname = 'shared'"):
        cluster.execute(f"CREATE DATABASE shared TEMPLATE {empty_shop}")
        return url
    tables = [table.name for table in reversed(metadata.sorted_tables) if table.name != "fact"]
    statements = [
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = 'shared' AND pid <> pg_backend_pid()",
        f"DELETE FROM fact WHERE name NOT IN ({KEPT_FACTS})",
        *(f"DELETE FROM {table}" for table in tables),
        *(f"SELECT setval('{table}_id_seq', 1, false)" for table in tables),
    ]
    with psycopg.connect(url) as raw:
        raw.execute("; ".join(statements))
    return url


@pytest.fixture
def database_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of the database of a test: those of SQLite, or of PostgreSQL where a test runs on both."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return {}
    return {"database_url": request.getfixturevalue("emptied_url"), "database_pool": 2}
