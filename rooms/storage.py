"""Storage: the schema, many readers, one writer, upgrading."""

from __future__ import annotations

import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, CursorResult, Engine, Row

from rooms.settings import CannotStart, Settings, Unavailable

HERE = Path(__file__).resolve().parent.parent


SCHEMA = "0004"  # the newest file in migrations/versions: what this code reads and writes
PATIENCE_S = 10.0  # how long a request waits for the writer, and how long the writer may be silent

KEEP_FACT = """INSERT INTO fact (name, value) VALUES (:name, :value)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
ROOMY = ("cache_size = -16000",)  # kilobytes: 50,000 contacts are stored in half the time

metadata = sa.MetaData()
_STATEMENTS: dict[str, sa.TextClause | sa.TextualSelect] = {}  # SQL, and what run() made of it


def _table(name: str, *indexes: sa.Index, **columns: str) -> None:
    # Columns by their type, names parted by spaces; one with a question mark may be null.
    types = {"text": sa.Text, "whole": sa.Integer, "at": sa.Double, "of": sa.Integer}
    made = [sa.Column("id", sa.Integer, primary_key=True)]
    for kind, names in columns.items():
        for column, null in re.findall(r"(\w+)(\??)", names):
            parent = [sa.ForeignKey(f"{column}.id")] if kind == "of" else []
            label = f"{column}_id" if parent else column
            made.append(sa.Column(label, types[kind], *parent, nullable=bool(null)))
    sa.Table(name, metadata, *made, *indexes, sqlite_autoincrement=True)


def _index(name: str, columns: str, where: str | None = None, unique: bool = False) -> sa.Index:
    only = sa.text(where) if where else None
    return sa.Index(name, *columns.split(), unique=unique, sqlite_where=only, postgresql_where=only)


_table(
    "place",
    _index("place_slug", "slug", "deleted_at IS NULL", unique=True),
    text="slug name timezone country manage_token staff_token series",  # series: as of the last open_day()
    whole="day_starts wait_goal_minutes",  # the goal: under which the owner wants nine of ten waits
    at="created_at deleted_at?",
)
_table(
    "counter",
    _index("counter_slug", "place_id slug", "deleted_at IS NULL", unique=True),
    of="place",
    text="slug name empties day",  # empties: with each "day", or "never"; day: as of the last write
    whole="capacity inside hold_minutes",  # inside: the sum of all that was counted, kept by the counters
    at="created_at recounted_at deleted_at?",
)
_table(
    "door",
    _index("door_token", "token", unique=True),
    _index("door_counter", "counter_id"),
    of="counter",
    text="name token",
    at="created_at removed_at?",
)
_table(
    "code",  # six digits to be read out, that lead to a door's link or (without one) to the staff link
    _index("code_once", "place_id digits", unique=True),
    of="place door?",
    text="digits",
    at="ends_at",
)
_table(
    "queue",
    _index("queue_slug", "place_id slug", "deleted_at IS NULL", unique=True),
    _index("queue_prefix", "place_id prefix", "deleted_at IS NULL", unique=True),
    of="place counter?",  # counter: which admits it
    text="slug name kind prefix asks series staff_email?",  # series: in which last_number was given
    whole="open max_waiting shared_tablet last_number waiting usual_service_s"  # waiting: kept by the line
    " claim_minutes retry_minutes most_tries public_form restricted",  # of a call list
    at="created_at deleted_at?",
)
_table(
    "servicer",
    _index("servicer_token", "token", unique=True),
    _index("servicer_place", "place_id"),
    of="place",
    text="name desk? token browser?",
    whole="all_queues on_duty",
    at="created_at removed_at?",
)
_table(
    "servicer_queue",
    _index("servicer_queue_both", "servicer_id queue_id", unique=True),
    _index("servicer_queue_queue", "queue_id"),
    of="servicer queue",
)
_table(
    "caller",  # who may work on a restricted call list
    _index("caller_both", "queue_id servicer_id", unique=True),
    _index("caller_servicer", "servicer_id"),
    of="queue servicer",
)
_table("reason", _index("reason_once", "place_id name", unique=True), of="place", text="name")
_table("outcome", _index("outcome_once", "place_id name", unique=True), of="place", text="name effect")
_table("service", _index("service_once", "place_id name", unique=True), of="place", text="name phone? link?")
# All that contacts are filtered by: to count them, one index is read from end to end, and no row.
FILTERED = "last_called_at last_outcome tags do_not_call forgotten_at"
_table(
    "contact",
    _index("contact_reference", "place_id reference", "reference IS NOT NULL", unique=True),
    _index("contact_phone", "place_id phone"),
    _index("contact_search", f"place_id search id {FILTERED}", "forgotten_at IS NULL"),
    _index("contact_tags", "place_id tags", "tags <> ''"),
    _index("contact_called", "place_id last_called_at id", "forgotten_at IS NULL"),
    _index("contact_personal", "changed_at", "forgotten_at IS NULL"),
    of="place",
    # tags: "\na\nb\n"; search: what is looked through, in one line of small letters
    text="name phone email? address? notes? tags reference? timezone? search last_outcome?",
    whole="do_not_call",
    at="last_called_at? created_at changed_at forgotten_at?",
)
_table(
    "ticket",
    _index("ticket_token", "token", unique=True),
    _index("ticket_number", "place_id series number", unique=True),
    _index("ticket_request", "request_key", "request_key IS NOT NULL", unique=True),
    _index("ticket_line", "queue_id priority joined_at id series", "state = 'waiting'"),
    _index("ticket_called", "place_id queue_id", "state IN ('called', 'serving')"),
    _index("ticket_one_a_desk", "servicer_id", "state IN ('called', 'serving')", unique=True),
    _index("ticket_browser", "browser", "browser IS NOT NULL"),
    _index("ticket_ended_queue", "queue_id ended_at", "ended_at IS NOT NULL"),
    _index("ticket_ended_desk", "servicer_id ended_at", "ended_at IS NOT NULL"),
    _index("ticket_personal", "ended_at", "(name IS NOT NULL OR phone IS NOT NULL OR note IS NOT NULL)"),
    _index("ticket_claim", "claim", "claim IS NOT NULL", unique=True),
    _index("ticket_claimed_until", "queue_id claimed_until", "claimed_until IS NOT NULL"),
    _index("ticket_contact", "contact_id", "contact_id IS NOT NULL"),
    _index(
        "ticket_one_a_contact",
        "contact_id queue_id",
        "contact_id IS NOT NULL AND state IN ('waiting', 'called', 'serving')",
        unique=True,
    ),
    of="place queue servicer? contact?",
    # claim: the latest; wait_…: the range she was shown, in seconds; tries: how often nobody answered before;
    # by_phone: 1 where a customer in a walk-in line is to be called when it's her turn
    text="token series number state request_key? browser? name? phone? note? reason? claim?",
    whole="ordinal priority party? wait_from? wait_to? tries by_phone",
    at="joined_at taken_at first_called_at? called_at? started_at? ended_at? claimed_until?",
)
_table(
    "report",
    _index("report_claim", "claim", unique=True),
    _index("report_contact", "contact_id created_at", "contact_id IS NOT NULL"),
    _index("report_queue", "queue_id created_at", "queue_id IS NOT NULL"),
    _index("report_servicer", "servicer_id created_at", "servicer_id IS NOT NULL"),
    _index("report_ticket", "ticket_id", "ticket_id IS NOT NULL"),
    _index("report_place", "place_id created_at"),
    _index("report_personal", "created_at", "notes IS NOT NULL"),
    of="place queue? contact? ticket? servicer?",
    text="claim outcome effect notes? referred_to?",  # referred_to: the name of a list or of a service
    whole="closed incoming seconds",  # seconds: how long the call was
    at="call_back_at? created_at",
)
_table(
    "event",
    _index("event_place", "place_id id"),
    _index("event_ticket", "ticket_id"),
    _index("event_calls", "place_id id", "kind IN ('call', 'call-again')"),
    _index("event_counter", "counter_id happened_at kind delta", "counter_id IS NOT NULL"),
    _index("event_tap", "counter_id tap", "tap IS NOT NULL", unique=True),
    _index("event_duty", "servicer_id happened_at", "kind IN ('start-serving', 'pause', 'resume')"),
    _index("event_public", "place_id id", "contact_id IS NULL"),  # what is of a contact changes no picture
    _index("event_contact", "contact_id", "contact_id IS NOT NULL"),
    _index("event_claim", "detail", "kind = 'claim'", unique=True),
    of="place queue? ticket? servicer? counter? door? contact?",
    text="kind state? desk? detail? tap?",  # state: the ticket's, from now on; tap: its id
    whole="delta?",
    at="happened_at",
)
_table(
    "import_file",  # a file of contacts, while it is read and looked at
    _index("import_file_place", "place_id"),
    of="place",
    text="state name? columns why?",  # columns: of the file, as JSON: what each is taken for
    whole="rows read add_rows change_rows refuse_rows",
    at="created_at",
)
_table(
    "import_row",  # a contact as it will be; of one that is there, what changes
    _index("import_row_number", "import_file_id number", unique=True),
    of="import_file",
    text="what name? phone? email? address? notes? tags? reference? timezone? search? why?",
    whole="number do_not_call contact?",  # what: add, change, same or refuse; contact: the id of that one
)
_table(
    "mail",  # to be sent; a row is erased when it was
    _index("mail_due", "due_at"),
    _index("mail_place", "place_id"),
    _index("mail_contact", "contact_id", "contact_id IS NOT NULL"),
    of="place contact?",  # contact: whom it tells of, even if it goes to somebody else
    text="recipient subject content why?",
    whole="tries",
    at="due_at created_at",
)
_table("fact", _index("fact_name", "name", unique=True), text="name value")


def run(db: Connection, sql: str, **values: Any) -> CursorResult:
    """Runs one SQL statement with named parameters; after IN, a parameter is a list."""
    if sql in _STATEMENTS:
        return db.execute(_STATEMENTS[sql], values)
    lists = [sa.bindparam(name, expanding=True) for name in re.findall(r"\bIN :(\w+)", sql)]
    statement = sa.text(sql).bindparams(*lists)
    result = db.execute(statement, values)
    if result.returns_rows:  # whose columns are looked at once: that is a third of a small statement's cost
        statement = statement.columns(*map(sa.column, result.keys()))
    _STATEMENTS[sql] = statement
    return result


def insert(db: Connection, table: str, returning: str = "RETURNING *", **values: Any) -> CursorResult:
    """Adds a row; the result holds it, unless it isn't asked for."""
    columns, parameters = ", ".join(values), ", ".join(f":{column}" for column in values)
    return run(db, f"INSERT INTO {table} ({columns}) VALUES ({parameters}) {returning}", **values)


def insert_all(db: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    """Adds rows that have the same columns."""
    if rows:
        columns, parameters = ", ".join(rows[0]), ", ".join(f":{column}" for column in rows[0])
        # By the driver, which takes the same names: a third of the cost.
        db.exec_driver_sql(f"INSERT INTO {table} ({columns}) VALUES ({parameters})", rows)


def change(db: Connection, table: str, row_id: int, **values: Any) -> Row:
    """Changes columns of a row and returns it."""
    columns = ", ".join(f"{column} = :{column}" for column in values)
    sql = f"UPDATE {table} SET {columns} WHERE id = :row_id RETURNING *"
    return run(db, sql, row_id=row_id, **values).one()


def record(db: Connection, at: float, place_id: int, kind: str, **more: Any) -> None:
    """Writes one line of a place's history; no personal data goes in."""
    insert(db, "event", "", place_id=place_id, happened_at=at, kind=kind, **more)


def fact(db: Connection, name: str, *default: str | None) -> str | None:
    """One of the few values that belong to the whole database: `secret_key`, `epoch`; else the default."""
    found = run(db, "SELECT value FROM fact WHERE name = :name", name=name)
    return found.scalars().first() or default[0] if default else found.scalar_one()


def set_fact(db: Connection, at: float, name: str) -> None:
    """Notes the time under a name: `pulse`, to see that the writer writes."""
    run(db, "UPDATE fact SET value = :at WHERE name = :name", at=str(at), name=name)


def keep_fact(db: Connection, name: str, value: str) -> None:
    """Stores one of those values, whether there was one by this name or not."""
    run(db, KEEP_FACT, name=name, value=value)


@dataclass(eq=False)
class _Job:
    function: Callable[[Connection], Any]
    is_note: bool = False
    result: Any = None
    changed: bool = False
    problem: Exception | None = None
    begun: threading.Lock = field(default_factory=threading.Lock)  # by the writer, or given up by who asked
    done: threading.Lock = field(default_factory=threading.Lock)


class Database:
    """The one SQLite file: many readers, and one thread that does all the writing.

    A durable commit waits for the disk. So the writer takes whatever is waiting, runs each function in a
    savepoint of its own inside one transaction, commits once, and only then answers them all.
    """

    def __init__(self, path: Path):
        self.on_commit: Callable[[], None] = lambda: None
        self.busy_since: float | None = None  # when the transaction under way began, by time.monotonic()
        self.changes = 0  # how many writes that changed something were committed; notes don't count
        self.changed_since: float | None = None  # since when; who has stored all until now sets it to None
        self._paused: str | None = None  # why nothing may be written just now
        self._ended: str | None = None  # or for good
        self._readers, self._writers = _engine(path, "query_only = ON"), _engine(path, *ROOMY)
        self._long_read = threading.Lock()
        self._connection: Connection | None = None
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.writer = threading.Thread(target=self._work, name="writer", daemon=True)
        self.writer.start()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one moment of the database and can change nothing."""
        with self._readers.connect() as db:
            db.connection.driver_connection.execute("BEGIN")
            yield db  # the pool, when it gets it back, ends the transaction

    @contextmanager
    def read_long(self) -> Iterator[Connection]:
        """As read(), for what takes a while: one at a time, so that there are readers left for the others."""
        with self._long_read, self.read() as db:
            yield db

    def write(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Runs `function(connection, …)` on the writer and returns its answer when it is safe on the disk.

        The function may be run twice, so it touches nothing but the connection. What it raises is raised
        here, with nothing of it stored. Raises Unavailable when the writer is too busy to begin.
        """
        return self._done(_Job(lambda db: function(db, *args, **kwargs)))

    def note(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As write(), for what is not a shop's: no change to be backed up, and no pause keeps it waiting."""
        return self._done(_Job(lambda db: function(db, *args, **kwargs), is_note=True))

    @property
    def paused(self) -> str | None:
        """Why nothing may be written, None while it may."""
        return self._ended or self._paused

    def pause(self, sentence: str, for_good: bool = False) -> None:
        """Refuses writes with this sentence until resume(); returns when those begun are on the disk."""
        before, self._paused = self._paused, sentence
        if for_good:
            self._ended = sentence
        try:
            self.note(lambda db: None)  # the writer comes to it after them
        except BaseException:  # so nobody knows what still comes
            self._paused = before
            raise

    def resume(self) -> None:
        """Lets writes in again, unless they were ended for good."""
        self._paused = None

    def _done(self, job: _Job) -> Any:
        job.done.acquire()
        self._jobs.put(job)
        in_time = job.done.acquire(timeout=PATIENCE_S)
        if not in_time and job.begun.acquire(blocking=False):
            raise Unavailable("The server is too busy just now. Please try again in a moment.", retry_after=5)
        if not in_time:
            job.done.acquire()
        if job.problem:
            raise job.problem
        return job.result

    def close(self) -> None:
        """Finishes what is waiting to be written, and closes the file."""
        self._jobs.put(None)
        self.writer.join(PATIENCE_S)
        self._readers.dispose()
        self._writers.dispose()

    def _work(self) -> None:
        while True:
            jobs = [self._jobs.get()]
            while len(jobs) < 256 and not self._jobs.empty():
                jobs.append(self._jobs.get())
            todo = [job for job in jobs if job and job.begun.acquire(blocking=False)]
            if todo:
                self._commit_together(todo)
            if None in jobs:
                return self._drop_connection()

    def _commit_together(self, jobs: list[_Job]) -> None:
        self.busy_since, began = time.monotonic(), False
        try:
            self._connection = db = self._connection or self._writers.connect()
            raw = db.connection.driver_connection
            raw.execute("BEGIN IMMEDIATE")
            began = True
            for job in jobs:
                self._run_in_savepoint(db, job)
            raw.execute("COMMIT")
            if changes := sum(job.changed for job in jobs):
                self.changes += changes  # before the next line, for who sets that one to None and looks here
                self.changed_since = self.changed_since or time.monotonic()
        except Exception as problem:  # not swallowed: it's what the callers are told
            self._drop_connection()
            if began and len(jobs) > 1:
                # The transaction is gone, and nobody knows by whose fault: each again, in one of its own.
                for job in jobs:
                    self._commit_together([job])
                return
            for job in jobs:
                job.problem = problem
        finally:
            self.busy_since = None
        self.on_commit()
        for job in jobs:
            job.done.release()

    def _run_in_savepoint(self, db: Connection, job: _Job) -> None:
        raw = db.connection.driver_connection
        raw.execute("SAVEPOINT one")
        try:
            if (why := self.paused) and not job.is_note:  # asked here: what is asked by a request may be old
                raise Unavailable(why, retry_after=2)
            before = raw.total_changes
            job.result, job.problem = job.function(db), None
            job.changed = raw.total_changes > before and not job.is_note
        except Exception as problem:  # its caller's alone, as long as the transaction stands
            if not raw.in_transaction:
                raise
            raw.execute("ROLLBACK TO one")
            job.problem, job.changed = problem, False
        raw.execute("RELEASE one")

    def _drop_connection(self) -> None:
        # A connection that failed in the middle of something is not asked again.
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def _engine(path: Path, *more: str) -> Engine:
    # Autocommit: transactions are begun by hand, where one can see it. Hidden: no links and names in a log.
    options = {"isolation_level": "AUTOCOMMIT", "pool_size": 8, "max_overflow": 0, "pool_timeout": PATIENCE_S}
    # One that is gone is an error: an empty file, made anew, would be taken for the shop.
    where = {"database": path.absolute().as_uri(), "query": {"mode": "rw", "uri": "true"}}
    engine = sa.create_engine(sa.URL.create("sqlite", **where), hide_parameters=True, **options)
    pragmas = ["busy_timeout = 5000", "journal_mode = WAL", "foreign_keys = ON", "secure_delete = ON"]
    pragmas += ["synchronous = FULL", *more]  # FULL: a ticket that was handed out survives a power cut

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    return engine


def revision_of(path: Path) -> str | None:
    """The revision of a file's schema, None when it is empty; raises CannotStart for any other file."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw:
            tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            sql = "SELECT version_num FROM alembic_version"
            found = raw.execute(sql).fetchone() if "alembic_version" in tables else None
            if tables and not found:
                raise CannotStart(f"{path} is a database of something else. Choose another data directory.")
            return found[0] if found else None
    except sqlite3.Error as problem:
        if getattr(problem, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY:
            raise CannotStart(f"{path} is being restored or upgraded. Try again when that is done.") from None
        raise CannotStart(f"{path} is no database ({problem}). Restore it from a backup.") from None


def is_newer(revision: str) -> bool:
    """Whether a schema is of a newer version of the code than this one."""
    return not (HERE / "migrations" / "versions" / f"{revision}.py").exists()


def open_database(settings: Settings, upgrade: bool = False) -> Database:
    """Opens the database; `upgrade` makes it, or brings it up to date. Raises CannotStart when that fails."""
    path = settings.path
    try:
        if upgrade:
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / ".writable").touch()  # better a sentence now than an error at the first ticket
            (path.parent / ".writable").unlink()
        found = revision_of(path) if path.exists() else None
    except OSError as problem:
        raise CannotStart(f"The data directory {path.parent} can't be used: {problem.strerror}.") from None
    if found is None and (settings.require_database or not upgrade):
        what = "Restore" if settings.require_database else "Start the server once, or restore"
        raise CannotStart(f"There is no database at {path}. {what} a backup.")
    if found not in (None, SCHEMA):
        if is_newer(found):
            raise CannotStart(f"{path} was written by a newer version of Take A Number. Install that one.")
        if not upgrade:
            raise CannotStart(f"{path} is of an older version. Start the server once to bring it up to date.")
        beside = path.with_name(f"{path.name}.before-{SCHEMA}")
        try:
            with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(beside)) as copy:
                old.backup(copy)
        except sqlite3.Error as problem:
            raise CannotStart(f"Upgrading {path} failed, so it was left as it was: {problem}.") from None
        upgrade_file(path)
    return make_database(path) if found is None else Database(path)


def make_database(path: Path) -> Database:
    """A new database at this path."""
    path.touch()
    database = Database(path)
    database.write(_make)
    return database


def _make(db: Connection) -> None:
    metadata.create_all(db)
    run(db, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    run(db, "INSERT INTO alembic_version VALUES (:schema)", schema=SCHEMA)
    for name in ("secret_key", "epoch", "pulse"):
        insert(db, "fact", name=name, value=secrets.token_hex(16))


def upgrade_file(path: Path, name: str | None = None) -> None:
    """Brings a database up to date; or raises CannotStart, with `name` in it, and leaves it as it was."""
    from alembic import command  # imported here: it is needed once a release, and weighs 10 MB
    from alembic.config import Config

    engine = _engine(path, "foreign_keys = OFF")  # or rebuilding a table would take its children along
    try:
        with engine.connect() as db:  # which undoes what was not committed
            run(db, "BEGIN IMMEDIATE")
            config = Config(attributes={"connection": db})
            config.set_main_option("script_location", str(HERE / "migrations"))
            command.upgrade(config, "head")
            if run(db, "PRAGMA foreign_key_check").first():
                raise ValueError("rows would have lost what they belong to")
            run(db, "COMMIT")
    except Exception as problem:
        why = str(problem).partition("\n")[0]
        raise CannotStart(f"Upgrading {name or path} failed, so it was left as it was: {why}") from problem
    finally:
        engine.dispose()
