"""Clock: what happens by itself."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

from rooms.contacts import forget_old_contacts
from rooms.imports import erase_imports
from rooms.line import erase_personal_data, held_too_long, release_spaces
from rooms.mail import send_mails
from rooms.places import erase_deleted_places
from rooms.settings import Settings, Unavailable, now
from rooms.storage import PATIENCE_S, Database

log = logging.getLogger("takeanumber")


def start_clock(database: Database, settings: Settings) -> threading.Event:
    """Runs the jobs, and sees to it that the server never hangs silently; the event, once set, ends both."""
    stopped = threading.Event()
    # Every so many seconds, what is to be done; it says whether there is more to do at once.
    jobs: list[tuple[float, Callable[[], bool]]] = [
        (3600, lambda: database.write(erase_personal_data, now(), settings.keep_personal_days)),
        (3600, lambda: forget_old_contacts(database, settings.keep_personal_days)),
        (10, lambda: database.write(erase_deleted_places)),
        (10, lambda: erase_imports(database)),
        (1, lambda: _release_spaces(database)),
    ]
    threads = [(_run_jobs, jobs), (_watch, database)]
    if settings.mails:  # in a thread of its own: a mail server that is slow holds up nothing else
        threads.append((_run_jobs, [(5, lambda: send_mails(database, settings))]))
    for work, what in threads:
        threading.Thread(target=work, args=(stopped, what), name=work.__name__, daemon=True).start()
    return stopped


def _run_jobs(stopped: threading.Event, jobs: list[tuple[float, Callable[[], bool]]]) -> None:
    due = [0.0] * len(jobs)
    waiting: dict[int, str] = {}  # which jobs could not write when they last tried, and why
    while not stopped.wait(1):
        for number, (every, job) in enumerate(jobs):
            if time.monotonic() >= due[number]:
                due[number] = time.monotonic() + every
                try:
                    due[number] -= every * job()  # more to do: at once
                    waiting.pop(number, None)
                except Unavailable as problem:  # the writer is busy, or writes are paused: that is said once
                    if str(problem) not in waiting.values():
                        log.info("A job of the clock waits for its next time: %s", problem)
                    waiting[number] = str(problem)
                except Exception:  # tried again at its next time
                    log.exception("A job of the clock failed")


def _release_spaces(database: Database) -> bool:
    with database.read() as db:  # first, so that nothing is written where there is nothing to do
        due = held_too_long(db, now())
    if due:
        database.write(release_spaces, now())
    return False


def _watch(stopped: threading.Event, database: Database) -> None:
    # When the writer is silent for PATIENCE_S, all stacks go to the log and the process ends with status 1,
    # to be started again. Should even the interpreter hang, a switch that isn't set anew does so too.
    while not stopped.wait(1):
        began = database.busy_since
        silent = began is not None and time.monotonic() - began > PATIENCE_S
        if silent or not database.writer.is_alive():
            log.critical("The writer has not answered for %s seconds.\n%s", PATIENCE_S, all_stacks())
            os._exit(1)
        faulthandler.dump_traceback_later(2 * PATIENCE_S, exit=True)
    faulthandler.cancel_dump_traceback_later()


def all_stacks() -> str:
    """Where each thread is, the same place told once."""
    frames, places = sys._current_frames(), {}
    for thread in threading.enumerate():
        if thread.ident in frames:
            places.setdefault("".join(traceback.format_stack(frames[thread.ident])), []).append(thread.name)
    return "\n".join(f"{', '.join(names)}:\n{stack}" for stack, names in places.items())
