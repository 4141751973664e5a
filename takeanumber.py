#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "alembic==1.20.1",
#   "boto3==1.44.5",
#   "botocore==1.44.5",
#   "cachetools==8.0.2",
#   "charset-normalizer==3.5.3",
#   "click==8.5.1",
#   "cryptography==50.0.2",
#   "defusedxml==0.7.1",
#   "flask==3.1.3",
#   "flask-wtf==1.3.0",
#   "openpyxl==3.1.5",
#   "phonenumbers==9.0.43",
#   "psycopg[binary]==3.3.9",
#   "qrcode==8.2",
#   "sqlalchemy==2.1.9",
#   "standardwebhooks==1.1.0",
#   "tzdata==2026.6",
#   "waitress==3.0.2",
#   "werkzeug==3.1.9",
#   "wtforms==3.3.2",
# ]
# ///
"""Take A Number: one small server for places where people wait.

This file is the program: `create_app()` puts the parts of the package `app` together, and the commands below
run it. Each page is a function in app/web, which calls a function in app/core; see "How the code is laid out"
in the README.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import click
import flask
import waitress.adjustments
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from app.addresses import is_loopback, local_addresses
from app.backup.copies import ORPHAN, Copy, copies_among
from app.backup.keeper import Keeper
from app.backup.last import LAST
from app.backup.restore import restore as restore_backup
from app.backup.restore import verify as verify_backup
from app.backup.snapshot import back_up
from app.backup.store import Store
from app.backup.stores import open_store
from app.clock import HOUR_S, is_synchronized
from app.core.clock_check import ClockCheck
from app.core.import_upkeep import fail_unread_imports
from app.core.places import all_places
from app.core.wait import WaitEstimator
from app.errors import CannotStart, ServiceError, reason_of
from app.jobs import start_jobs
from app.live import Live
from app.logs import log_without_tokens
from app.network import MAX_BODY_BYTES
from app.server import create_server as create_http_server
from app.settings import Settings
from app.storage.database import Database
from app.storage.facts import PUSH_KEY, get_fact
from app.storage.upgrade import cannot_write, check_database, create_or_upgrade, open_database
from app.threads import share_memory
from app.web import public_links, response, standby
from app.web.blueprints import BLUEPRINTS
from app.web.headers import add_constant_headers
from app.web.host import check_address
from app.web.picture_json import RenderedPicture
from app.web.present import TEMPLATE_FILTERS, shown_text
from app.web.service import Service

log = logging.getLogger("takeanumber")

DEFAULT_THREADS = 256
RESERVED_THREADS = 64  # that live pages leave for everything else
OTHER_FILES = 200  # that may be open besides connections: the database, bodies, what is sent
MIN_CONNECTIONS = 50
MAX_STREAMS_PER_CLIENT = 200  # unless a setting says otherwise; at most half of all

# ----- the app


class App(flask.Flask):
    """A Flask app without coroutines. Flask would look at seven functions in each request to find them."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function."""
        return func


def create_app(threads: int = DEFAULT_THREADS, **options: Any) -> flask.Flask:
    """Return the service as a WSGI app for a server with this many threads.

    :param options: settings that take precedence over the environment.
    :raise CannotStart: when a setting or the database can't be used.
    """
    settings = Settings.read(os.environ, **options)
    database = create_or_upgrade(settings)
    try:
        if not database.engine.changes_elsewhere:  # else another instance may be reading them
            database.write(fail_unread_imports)
    except database.engine.errors as error:
        database.close()
        raise cannot_write(settings.database_path, error) from None
    app = make_app()
    load_keys(app, database)
    keeper = Keeper(database, settings) if settings.backup_url else None
    waits = WaitEstimator()
    max_streams = max(1, threads - RESERVED_THREADS)
    max_per_client = settings.streams_per_address or min(MAX_STREAMS_PER_CLIENT, max(1, max_streams // 2))
    live = Live(database, waits, RenderedPicture, max_streams, max_per_client)
    app.extensions["takeanumber"] = Service(
        settings,
        database,
        live,
        waits,
        ClockCheck(database, *([keeper.confirms_time] if keeper else []), is_synchronized),
        backup_status=keeper.status if keeper else None,
        lease=keeper,
    )
    app.extensions["takeanumber.keeper"] = keeper
    if keeper:
        keeper.server.on_serving = lambda: begin_serving(app, database)
        keeper.server.on_standby = live.end_streams  # so that open pages ask again, and reach the new holder
    if settings.proxies:
        proxy_fix = ProxyFix(app.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies, x_host=0)
        app.wsgi_app = proxy_fix  # type: ignore[method-assign]
    return app


def make_app() -> App:
    """Return the app with its routes, filters and what happens before and after each request, but no data."""
    app = App(__name__)
    configure(app)
    app.wsgi_app = add_constant_headers(check_address(app.wsgi_app))  # type: ignore[assignment, method-assign]
    app.before_request(standby.refuse_on_standby)
    response.init_app(app)  # its headers come last, so that every answer has them
    app.after_request(standby.check_answer)
    public_links.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app


def load_keys(app: flask.Flask, database: Database) -> None:
    """Set the keys that are kept in the database, so that deploys and restores keep them."""
    with database.read() as db:
        app.secret_key = get_fact(db, "secret_key")
        app.config["PUSH_KEY"] = get_fact(db, PUSH_KEY)


def begin_serving(app: flask.Flask, database: Database) -> None:
    """Adopt the database that was restored when this server acquired the lease."""
    load_keys(app, database)
    database.write(fail_unread_imports)


def configure(app: flask.Flask) -> None:
    """Set Flask's own configuration, and the template filters."""
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,  # check_request() allows more for contacts
        WTF_CSRF_CHECK_DEFAULT=False,  # check_request() does, for every body that isn't JSON
        WTF_CSRF_SSL_STRICT=False,  # pages send no Referer
        WTF_CSRF_TIME_LIMIT=None,  # pages stay open all day
        SESSION_COOKIE_NAME="takeanumber",
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=400),
        # Otherwise a page that polls could overwrite the message that a press has just stored.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    CSRFProtect(app)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(TEMPLATE_FILTERS)
    app.jinja_env.finalize = shown_text


# ----- the command line

DATA = click.option("--data", type=Path, help="Directory of the database [TAKEANUMBER_DATA, or data].")
FROM = click.option("--from", "url", metavar="URL", help="Where the backups are [TAKEANUMBER_BACKUP_URL].")

TAKE_OVER = click.option(
    "--take-over", metavar="NAME", help="Take over from this other environment [TAKEANUMBER_TAKE_OVER]."
)


class CommandGroup(click.Group):
    """The commands. `serve` may be left out. A failing command prints a sentence and ends with status 1."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Put `serve` in front of options without a command."""
        is_complete = bool(args) and (args[0] == "--help" or not args[0].startswith("-"))
        return super().parse_args(context, args if is_complete else ["serve", *args])

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(context)
        except (CannotStart, ServiceError) as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=CommandGroup)
def cli() -> None:
    """Take A Number: a queue for places where people wait. Without a command, it serves."""


# ----- serve

WAITRESS: dict[str, Any] = {
    "ident": None,
    "clear_untrusted_proxy_headers": False,  # ProxyFix decides which of them to believe
    "asyncore_use_poll": True,  # select() can't watch more than 1,024 files
    "max_request_body_size": 17 * 2**20,  # app/server.py stores less for most URLs
    "outbuf_high_watermark": 128 * 1024,  # a stalled phone must not hold megabytes
    "channel_request_lookahead": 1,  # otherwise waitress doesn't notice that a page closed its stream
}


@cli.command()
@click.option("--host", help="Address to listen at [HOST, or 0.0.0.0: all].")
@click.option("--port", type=int, help="Port to listen at [PORT, or 8000].")
@DATA
@TAKE_OVER
@click.option(
    "--threads",
    type=click.IntRange(8, 10000),
    default=DEFAULT_THREADS,
    help="Number of threads; an open page takes one, and 64 are kept free of them [256].",
)
def serve(threads: int, host: str | None, port: int | None, data: Path | None, take_over: str | None) -> None:
    """Starts the server, and prints the address that phones nearby can reach."""
    log_without_tokens()
    prepare_process(threads)
    app = create_app(threads, host=host, port=port, data=data, take_over=take_over)
    parts = cast(Service, app.extensions["takeanumber"])
    keeper = cast("Keeper | None", app.extensions["takeanumber.keeper"])
    server = create_server(app, parts.settings, threads, parts.live.close)
    if keeper:
        keeper.start()  # before anything is written: another server may hold the lease
    stop_jobs = start_jobs(parts.database, parts.settings, parts.clock_check)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.end())
    print_address(parts.settings, getattr(server, "effective_port", parts.settings.port))
    server.run()
    stop_jobs.set()
    if keeper:
        keeper.stop()
    parts.database.close()


def create_server(app: flask.Flask, settings: Settings, threads: int, on_end: Callable[[], None]) -> Any:
    """Return a waitress server that listens. Raises CannotStart when it can't."""
    try:
        return create_http_server(
            app,
            is_behind_proxy=settings.proxies > 0,
            on_end=on_end,
            host=settings.host,
            port=settings.port,
            threads=threads,
            connection_limit=max_connections(threads),
            **WAITRESS,
        )
    except (OSError, ValueError) as error:
        raise CannotStart(
            f"Can't listen at {settings.host}, port {settings.port}: {reason_of(error)}. "
            "Choose another --host or --port."
        ) from None


def max_connections(threads: int) -> int:
    """Return how many connections there may be. Each is an open file, of which the machine may allow few."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * threads + 200
    return wanted if files < 0 else max(MIN_CONNECTIONS, min(wanted, files - OTHER_FILES))


def prepare_process(threads: int) -> None:
    """Prepare this process for many threads and connections, as far as the machine allows."""
    # Most threads run for less than 20 ms: let each finish instead of switching between them.
    sys.setswitchinterval(0.02)
    # Frequent garbage collection is expensive, and imported modules never become garbage.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    share_memory()
    threading.stack_size(2**21)  # bytes; the default is 8 MiB for each thread
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard > 0 else 2**20
    wanted = min(2 * threads + 1000, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # notice within a minute that a phone left without closing
        options = waitress.adjustments.Adjustments.socket_options
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000))


EVERY_ADDRESS = ("0.0.0.0", "::")  # as HOST: every address of this machine


def reachable_url(settings: Settings, port: int) -> str:
    """Return the URL at which phones on the same network reach this server. Nothing is sent to find out."""
    if settings.url:
        return settings.url.rstrip("/")
    host = settings.host
    if host in EVERY_ADDRESS:
        host = next(iter(local_addresses()), "127.0.0.1")
    return url_of(host, port)


def url_of(host: str, port: int) -> str:
    """Return the URL of a server at this host, which may be an IPv6 address."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def print_address(settings: Settings, port: int) -> None:
    """Print where the server is, with a QR code for phones."""
    import qrcode

    url = reachable_url(settings, port)
    local_url = url_of("127.0.0.1" if settings.host in EVERY_ADDRESS else settings.host, port)
    click.echo("Take A Number is running; Ctrl-C stops it.\n")
    if is_loopback(urlsplit(url).netloc):
        click.echo(
            f"  Here: {local_url}\n\nPhones can’t open that. For them, set HOST=0.0.0.0 or TAKEANUMBER_URL.\n"
        )
    else:
        click.echo(f"  On phones nearby: {url}\n  Here: {local_url}\n")
    code = qrcode.QRCode(border=2)
    code.add_data(url)
    code.print_ascii(invert=True)


@cli.command()
@DATA
def links(data: Path | None) -> None:
    """Prints each place's manage link, for a lost bookmark."""
    settings = Settings.read(os.environ, data=data)
    with open_database(settings).read() as db:
        places = all_places(db)
    for place in places:
        base = reachable_url(settings, settings.port)
        click.echo(f"{place.name}: {base}/{place.slug}/manage/{place.manage_token}")
    if not places:
        click.echo("No place is open here yet. Start the server, and open one in a browser.")


# ----- backups


def settings_and_store(
    url: str | None, data: Path | None, take_over: str | None = None
) -> tuple[Settings, Store]:
    """Return the settings, and the place for backups that was given, or else configured."""
    if os.environ.get("TAKEANUMBER_DATABASE_URL", "").strip():
        raise CannotStart(
            "The database is on PostgreSQL, which makes its own backups: use pg_dump and pg_restore, or the"
            " snapshots of your database service (see docs/postgresql.md)."
        )
    settings = Settings.read(os.environ, data=data, backup_url=url, take_over=take_over)
    return settings, open_store(settings.backup_url)


def describe(copy: Copy) -> str:
    """Return a line about a copy: when it was made, its term and number, its size, tickets and schema."""
    when = datetime.fromtimestamp(copy.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    unit = "ticket" if copy.tickets == 1 else "tickets"
    return (
        f"{when}, {copy.term}/{copy.sequence}, {copy.size / 1000:,.1f} kB, "
        f"{copy.tickets:,} {unit}, schema {copy.schema}"
    )


def warn(sentence: str) -> None:
    """Print a warning about something that doesn't stop the command."""
    click.echo(f"Warning: {sentence}", err=True)


@cli.command()
@click.option("--to", "url", metavar="URL", help="s3://… or a directory [TAKEANUMBER_BACKUP_URL].")
@DATA
def backup(url: str | None, data: Path | None) -> None:
    """Backs up the database, also while a server writes to it."""
    settings, store = settings_and_store(url, data)
    copy = back_up(settings.database_path, store)
    if copy is None:
        click.echo(
            f"Nothing to back up: {settings.database_path} is only a copy, of a server that stands by."
        )
        return
    click.echo(f"Backed up to {store.url}: {describe(copy)}.")


@cli.command()
@FROM
@click.option("--at", metavar="TIME", help="The newest made until then: 2026-11-21T10:00Z, or +01:00.")
@click.option("--copy", "name", metavar="NAME", help="This copy: a name that `backups --all` shows.")
@click.option("--replace", is_flag=True, help="Replace the database that is there; it is kept beside.")
@click.option("--or-new", is_flag=True, help="Make a new database if there certainly was no backup yet.")
@click.option("--hand-over", is_flag=True, help="Has no effect: `serve` takes over from a running server.")
@TAKE_OVER
@DATA
def restore(
    url: str | None,
    at: str | None,
    name: str | None,
    replace: bool,
    or_new: bool,
    hand_over: bool,  # noqa: ARG001
    take_over: str | None,
    data: Path | None,
) -> None:
    """Restores the database from its newest whole backup."""
    settings, store = settings_and_store(url, data, take_over)
    restored = restore_backup(
        settings.database_path,
        store,
        before=None if at is None else _parse_time(at),
        name=name,
        replace=replace,
        or_new=or_new,
        take_over=settings.take_over,
        warn=warn,
    )
    if restored.copy:
        what = f"Restored {describe(restored.copy)}."
    else:
        what = f"Made a new database at {settings.database_path}."
    kept = f" The old one is {restored.kept}." if restored.kept else ""
    click.echo(f"{what}{kept}")


def _parse_time(text: str) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise CannotStart(f"--at must look like 2026-11-21T10:00Z, not '{text}'.") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


@cli.command()
@FROM
@click.option("--all", "show_all", is_flag=True, help="All, with their names; otherwise one of each hour.")
def backups(url: str | None, show_all: bool) -> None:
    """Lists the backups, the newest first: one of each hour."""
    _, store = settings_and_store(url, None)
    files = store.list_files()
    copies = copies_among(files, with_orphans=True)
    for copy in copies if show_all else newest_of_each_hour(copies):
        state = "verified" if copy.verified else ""
        if not copy.is_complete:
            state = "broken"
        kind = "orphan" if copy.kind == ORPHAN else copy.kind
        name = copy.name if show_all or copy.kind == ORPHAN else ""
        click.echo(", ".join(part for part in (describe(copy), kind, state, name) if part))
    for file in files:
        if file.name == LAST:
            click.echo(f"The last backup is also kept without limit: {file.size / 1000:,.1f} kB.")
    if not copies and not any(file.name == LAST for file in files):
        click.echo(f"There is no backup at {store.url} yet.")


def newest_of_each_hour(copies: list[Copy]) -> list[Copy]:
    """Return the newest whole copy of each hour and term, and all broken copies and orphans."""
    chosen: dict[object, Copy] = {}
    for copy in copies:
        key = copy.name if copy.kind == ORPHAN or not copy.is_complete else (copy.term, copy.at // HOUR_S)
        chosen.setdefault(key, copy)
    return [*chosen.values()]


@cli.command()
@FROM
@DATA
def verify(url: str | None, data: Path | None) -> None:
    """Restores the newest backup beside the database, and counts its tickets."""
    settings, store = settings_and_store(url, data)
    copy = verify_backup(settings.database_path, store)
    click.echo(f"Verified {describe(copy)}: it was restored, and is whole.")


# ----- checking and moving the database


@cli.command()
@DATA
def check(data: Path | None) -> None:
    """Checks that `serve` could use the database, and changes nothing."""
    click.echo(check_database(Settings.read(os.environ, data=data)))


@cli.command()
@click.option("--to", "target", metavar="URL", help="Move to this PostgreSQL database, an empty one.")
@click.option("--from", "source", metavar="URL", help="Move back from this PostgreSQL database.")
@DATA
def move(target: str | None, source: str | None, data: Path | None) -> None:
    """Moves everything to PostgreSQL, or back to a file, while the server runs."""
    if bool(target) == bool(source):
        raise CannotStart("Give either --to or --from, with a URL such as postgresql://user@host/database.")
    settings = Settings.read(os.environ, data=data, database_url=target or source, backup_url="")
    from app.storage.move import move_to_postgresql, move_to_sqlite  # the driver is needed only here

    path, url = settings.database_path, settings.database_url
    moved = move_to_postgresql(path, url) if target else move_to_sqlite(url, path)
    unit = "ticket" if moved.rows["ticket"] == 1 else "tickets"
    click.echo(
        f"Moved {moved.rows['ticket']:,} {unit} and {moved.rows['event']:,} events, and compared every row. "
        f"Nothing could be stored for {moved.paused_s:.1f} seconds."
    )
    if target:
        click.echo("Now restart every server with TAKEANUMBER_DATABASE_URL set to that URL.")
        click.echo(f"{path} stays as it was; no server stores anything in it any more.")
    else:
        click.echo(f"Now restart the server without TAKEANUMBER_DATABASE_URL; it uses {path}.")


# ----- demo


@cli.command()
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The running server.")
@click.option("--speed", type=click.FloatRange(1, 1000), default=60, help="Times as fast as life [60].")
@click.option("--hours", type=click.FloatRange(0.01, 24), default=8, help="Length of the day [8].")
@click.option("--setup-code", help="Where the server asks for one [TAKEANUMBER_SETUP_CODE].")
def demo(url: str, speed: float, hours: float, setup_code: str | None) -> None:
    """Opens a place "Corner Deli" on a running server, and simulates a busy day on it."""
    Demo(url.rstrip("/"), setup_code or os.environ.get("TAKEANUMBER_SETUP_CODE")).play(speed, hours)


class Demo:
    """A busy day at a deli: customers who come, wait, leave and are served at three windows."""

    def __init__(self, url: str, setup_code: str | None) -> None:
        place = ask(
            f"{url}/places",
            {
                "name": "Corner Deli",
                "queue": "Deli",
                "counter": {"name": "Shop", "capacity": 30},
                "setup_code": setup_code,
            },
        )
        manage = place["links"]["manage"]
        ask(f"{manage}/queues", {"name": "Bakery"})
        for name in ("customers", "board", "manage"):
            click.echo(f"{name}: {place['links'][name]}")
        queues = ask(place["links"]["customers"])["queues"]
        self.take_links = {queue["slug"]: queue["links"]["take"] for queue in queues}
        self.taps_link = f"{ask(manage)['counters'][0]['links']['door']}/taps"
        self.desks = [
            ask(place["links"]["staff"], {"name": name, "desk": f"Window {number}"})["links"]["desk"]
            for number, name in enumerate(("Ana", "Ben", "Chloe"), 1)
        ]

    def play(self, speed: float, hours: float) -> None:
        """Play the day, `speed` times as fast as life."""
        free_at = dict.fromkeys(self.desks, 0.0)  # minutes since the start
        minutes = 0.0
        while minutes < 60 * hours:
            pause = random.expovariate(0.9)
            minutes += pause
            time.sleep(60 * pause / speed)
            self.arrive()
            for desk in self.desks:
                if free_at[desk] <= minutes and self.serve_next(desk):
                    free_at[desk] = minutes + random.lognormvariate(0.9, 0.5)

    def arrive(self) -> None:
        """Let a party take a number and come in; some leave the line again."""
        party = random.randint(1, 4)
        queue, take_link = random.choice(list(self.take_links.items()))
        try:
            ticket = ask(take_link, {"party": party})
        except TooManyRequests:  # one address may take a limited number a minute: the others ask at a desk
            ask(f"{random.choice(self.desks)}/add", {"queue": queue, "party": party})
        else:
            if random.random() < 0.08:
                ask(ticket["links"]["cancel"], {})
        self.tap(party)

    def serve_next(self, desk: str) -> bool:
        """Finish the customer at a desk and call the next one. Returns False when nobody waits."""
        current = ask(desk)["current"]
        if current:
            self.tap(-(current["party"] or 1))
            if random.random() < 0.07:
                current = ask(f"{desk}/no-show", {"number": current["number"]})["current"]
        current = ask(f"{desk}/next", {"finished": current and current["number"]})["current"]
        if current is None:
            return False
        ask(f"{desk}/start", {"number": current["number"]})
        return True

    def tap(self, delta: int) -> None:
        """Count people in or out at the door."""
        ask(self.taps_link, {"taps": [{"id": str(uuid4()), "delta": delta}]})


class TooManyRequests(CannotStart):
    """A request that a rate limit refused."""


def ask(url: str, content: dict[str, Any] | None = None) -> Any:
    """Return a running server's answer, in JSON. Raises CannotStart with its sentence when it refuses."""
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    data = None if content is None else json.dumps(content).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        refusal = TooManyRequests if error.code == HTTPStatus.TOO_MANY_REQUESTS else CannotStart
        raise refusal(json.load(error)["error"]) from None
    except OSError as error:
        raise CannotStart(f"No server answers at {url} ({error}). Start it, or give its --url.") from None


if __name__ == "__main__":
    cli()
