"""The fixtures of all tests."""

import gc
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from helpers.clock import REAL_PROCESSES

pytest_plugins = [
    "helpers.app",
    "helpers.server",
    "helpers.storage",
    "helpers.postgres",
    "helpers.fast_backups",
    "helpers.versions",
    "helpers.beanstalk",
    "helpers.receivers",
]

# Files about PostgreSQL or about SQLite's file, and fixtures that lead to it.
FOR_ONE_DATABASE = {
    "test_postgresql",
    "test_backup",
    "test_continuous_backup",
    "test_lease",
    "test_restore",
    "test_upgrade",
}
FILE_FIXTURES = REAL_PROCESSES | {
    "database",
    "old_version",
    "command",
    "small_disk",
    "bucket",
    "folder",
    "own_place",
    "keeps",  # states of the backups, which PostgreSQL makes by itself
}


MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 * 2**30
MAX_CASES = 6  # of one test; the others run in the soak


def pytest_configure():
    """Keep files of tests in memory where there is room: a disk takes long to store what is thrown away."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK | os.X_OK):
        return
    if shutil.disk_usage(MEMORY).free > ENOUGH_BYTES:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # it is looked up again


def pytest_generate_tests(metafunc):
    """Run the tests that use an application in this process on both databases.

    `make test` runs only those marked "both_databases" on PostgreSQL, which together run nearly every
    statement; `make soak` runs all.
    """
    names = set(metafunc.fixturenames)
    stem = metafunc.definition.path.stem
    if "database_settings" not in names or stem in FOR_ONE_DATABASE or names & FILE_FIXTURES:
        return
    if (
        metafunc.definition.get_closest_marker("sqlite_file")
        or metafunc.definition.path.parent.name == "browser"
    ):
        return
    marks = [] if metafunc.definition.get_closest_marker("both_databases") else [pytest.mark.soak]
    databases = ["sqlite", pytest.param("postgresql", marks=[*marks, pytest.mark.postgresql])]
    metafunc.parametrize("database_settings", databases, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark tests, and put them into the order in which they run."""
    _mark(items)
    items[:] = _spread(items)


def _mark(items):
    """Mark tests that start real processes, and those that are left to the soak: see MAX_CASES."""
    on_postgresql, cases = set(), Counter()
    for item in items:
        if item.get_closest_marker("postgresql"):
            # Of a test with many cases, the first is enough to try its SQL.
            if item.function in on_postgresql:
                item.add_marker(pytest.mark.soak)
            on_postgresql.add(item.function)
        elif item.path.parent.name != "browser" and not item.get_closest_marker("soak"):
            cases[item.function] += 1
            if cases[item.function] > MAX_CASES:
                item.add_marker(pytest.mark.soak)
        if REAL_PROCESSES & set(item.fixturenames):
            item.add_marker(pytest.mark.real_process)


def _spread(items):
    """Return the tests in an order in which those that mostly wait run beside those that compute.

    Tests with real processes wait. None of them is near the end, where a long one would hold up the rest.
    """
    waiting, others = [], []
    for item in items:
        waits = item.get_closest_marker("real_process") and item.path.parent.name != "browser"
        (waiting if waits else others).append(item)
    places = [(0.75 * number / len(waiting), item) for number, item in enumerate(waiting)]
    places += [(number / len(others), item) for number, item in enumerate(others)]
    return [item for _, item in sorted(places, key=lambda place: place[0])]


def pytest_collection_finish():
    """Keep the garbage collector from searching all modules again and again, which takes long."""
    gc.collect()
    gc.freeze()
