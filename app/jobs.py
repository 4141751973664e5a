"""Background jobs, and a watchdog that ends the process when the writer hangs."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from app.clock import HOUR_S, now
from app.core.alerts import AlertWatcher
from app.core.clock_check import ClockCheck
from app.core.contacts import forget_old_contacts
from app.core.doors import held_too_long, release_spaces
from app.core.erasure import erase_deleted_places
from app.core.import_upkeep import erase_old_imports, fail_lost_imports, finish_imports
from app.core.mail_addresses import forget_old_addresses
from app.core.more_time import end_delays
from app.core.occupancy import tell_occupancy
from app.core.soon import SoonWatcher
from app.core.subscriptions import delete_old_subscriptions, has_old_subscriptions
from app.core.ticket_counts import YearsOfLargePlaces
from app.core.tickets import erase_personal_data
from app.core.wait import WaitEstimator
from app.dispatch import Dispatcher
from app.errors import Unavailable
from app.settings import Settings
from app.storage.database import Database
from app.storage.engine import WRITER_TIMEOUT_S

log = logging.getLogger("takeanumber")

TICK_S = 1.0  # how often the threads look whether there is something to do
ERASE_S = HOUR_S
COUNT_YEARS_S = 60.0  # how often to look whether a day has begun somewhere
WATCHDOG_EXIT_STATUS = 1


@dataclass(frozen=True)
class Job:
    """Something to do every `interval_s` seconds. `run` returns True when there is more to do at once.

    Of several instances on one database, one does it, unless it is to be done `everywhere`.
    """

    name: str
    interval_s: float
    run: Callable[[], bool]
    everywhere: bool = False


def start_jobs(
    database: Database, settings: Settings, clock_check: ClockCheck | None = None
) -> threading.Event:
    """Start the background jobs and the watchdog. Setting the event that is returned ends them."""
    stop = threading.Event()
    clock_check = clock_check or ClockCheck(database)
    _start_thread("jobs", _run_jobs, stop, database, _database_jobs(database, settings, clock_check))
    Dispatcher(database, settings).start(stop)
    _start_thread("watchdog", _watch_writer, stop, database)
    _start_thread("condition", _watch_file, stop, database)
    _start_thread("statistics", _count_years, stop, database)
    return stop


def _start_thread(name: str, target: Callable[..., None], *args: object) -> None:
    threading.Thread(target=target, args=args, name=name, daemon=True).start()


def _database_jobs(database: Database, settings: Settings, clock_check: ClockCheck) -> list[Job]:
    keep_days = settings.keep_personal_days

    def when_clock_is_right(run: Callable[[float], bool]) -> Callable[[], bool]:
        """Return a job that does nothing while the clock is doubtful: it would erase too much."""

        def job() -> bool:
            at = now()
            return clock_check.check(at) and run(at)

        return job

    erase = when_clock_is_right(lambda at: database.write(erase_personal_data, at, keep_days))
    forget = when_clock_is_right(lambda at: forget_old_contacts(database, at, keep_days))
    forget_addresses = when_clock_is_right(lambda at: database.write(forget_old_addresses, at))
    forget_subscriptions = when_clock_is_right(lambda at: _forget_subscriptions(database, at))
    waits = WaitEstimator()
    soon = SoonWatcher(waits)
    alerts = AlertWatcher(waits, mail_enabled=settings.mail_enabled)
    return [
        Job("check the clock", 1, when_clock_is_right(lambda _at: False), everywhere=True),
        Job("erase personal data", ERASE_S, erase),
        Job("forget old contacts", ERASE_S, forget),
        Job("forget old mail addresses", ERASE_S, forget_addresses),
        Job("erase deleted places", 10, lambda: database.write(erase_deleted_places)),
        Job("fail lost imports", 10, lambda: fail_lost_imports(database, now())),
        Job("finish imports", 10, lambda: finish_imports(database, now())),
        Job("erase old imports", 10, when_clock_is_right(lambda at: erase_old_imports(database, at))),
        Job("end delays", 1, lambda: end_delays(database, now())),
        Job("tell whose turn comes soon", 1, lambda: soon.tell(database, now())),
        Job("tell owners of long waits", 5, lambda: alerts.tell(database, now())),
        Job("tell what is full", 1, lambda: tell_occupancy(database, now())),
        Job("forget subscriptions", 60, forget_subscriptions),
        Job("release spaces", 1, when_clock_is_right(lambda at: _release_spaces(database, at))),
    ]


def _release_spaces(database: Database, at: float) -> bool:
    """Release the spaces of customers who were called to a door and didn't come."""
    with database.read() as db:
        due = held_too_long(db, at)
    for slug, ticket_ids in due.items():
        database.write_in(slug, release_spaces, at, ticket_ids)
    return False


def _forget_subscriptions(database: Database, at: float) -> bool:
    with database.read() as db:
        has_old = has_old_subscriptions(db, at)
    return has_old and database.write(delete_old_subscriptions, at)


def _run_jobs(stop: threading.Event, database: Database, jobs: list[Job]) -> None:
    """Run each job when it is due, until `stop` is set. A job that fails is tried again the next time."""
    due_at = dict.fromkeys([job.name for job in jobs], 0.0)  # by time.monotonic(); 0: at once
    postponed: dict[str, str] = {}  # the reason why a job couldn't write the last time
    while not stop.wait(TICK_S):
        for job in jobs:
            started_at = time.monotonic()
            if started_at < due_at[job.name]:
                continue
            due_at[job.name] = started_at + job.interval_s
            if not (job.everywhere or database.engine.may_run_job(job.name)):
                continue
            try:
                has_more = job.run()
            except Unavailable as error:
                # The writer is busy, or writes are paused. The log says so once, not for each job and time.
                reason = str(error)
                if reason not in postponed.values():
                    log.info("Background jobs can't write and will try again: %s", reason)
                postponed[job.name] = reason
            except Exception:
                log.exception("The background job %r failed", job.name)
            else:
                postponed.pop(job.name, None)
                if has_more:
                    due_at[job.name] = started_at  # at the next tick


# ----- statistics


def _count_years(stop: threading.Event, database: Database) -> None:
    """Count the last year of large places at the start and whenever a day begins."""
    years = YearsOfLargePlaces()
    pause_s = TICK_S
    while not stop.wait(pause_s):
        pause_s = COUNT_YEARS_S
        try:
            years.count(database, now())
        except Exception:
            log.exception("The statistics of large places could not be counted ahead")


# ----- the database file


def _watch_file(stop: threading.Event, database: Database) -> None:
    """Notice when the database file is removed, replaced or damaged, even if nobody writes."""
    while not stop.wait(TICK_S):
        database.check_file()
        database.check_content()


# ----- the watchdog


def _watch_writer(stop: threading.Event, database: Database) -> None:
    """End the process when the writer hangs, so that whoever supervises it starts it again.

    A hanging writer means that every change fails, forever. There are two triggers:

    - The writer has been in one transaction for WRITER_TIMEOUT_S, or its thread has died: this thread logs
      where every thread is, and exits.
    - The interpreter itself hangs, so that not even this thread runs: faulthandler has a C thread that exits
      when the timer, which is set anew here each second, runs out.
    """
    while not stop.wait(TICK_S):
        if database.hangs():
            log.critical(
                "The writer has not answered for %s seconds.\n%s", WRITER_TIMEOUT_S, stacks_of_all_threads()
            )
            os._exit(WATCHDOG_EXIT_STATUS)  # sys.exit() would only end this thread
        faulthandler.dump_traceback_later(2 * WRITER_TIMEOUT_S, exit=True)
    faulthandler.cancel_dump_traceback_later()


def stacks_of_all_threads() -> str:
    """Return the stack of each thread; threads with the same stack are listed together."""
    frames = sys._current_frames()
    names_by_stack = defaultdict(list)
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        if frame is not None:
            names_by_stack["".join(traceback.format_stack(frame))].append(thread.name)
    return "\n".join(f"{', '.join(names)}:\n{stack}" for stack, names in names_by_stack.items())
