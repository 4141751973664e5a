"""The fixtures of all tests."""

import pytest
from helpers.clock import REAL_PROCESSES

pytest_plugins = [
    "helpers.app",
    "helpers.server",
    "helpers.storage",
    "helpers.fast_backups",
    "helpers.versions",
    "helpers.beanstalk",
    "helpers.receivers",
]


# Half of the browser tests, by their duration; a second worker has a browser for them.
SECOND_BROWSER = {"test_every_page", "test_handover_pages"}
# Files whose tests share a place that takes seconds to make.
SHARED_PLACE = {"test_bad_input", "test_stats"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests that start real processes, and spread the tests over the workers of `--dist loadgroup`.

    Tests that share something expensive (a browser, a place with a long history) run in one worker. Tests
    with real processes go first: they are the longest, and the short ones fill the gaps at the end.
    """
    for item in items:
        if REAL_PROCESSES & set(item.fixturenames):
            item.add_marker(pytest.mark.real_process)
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.xdist_group(f"browser {item.path.stem in SECOND_BROWSER}"))
        elif item.path.stem in SHARED_PLACE:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: item.get_closest_marker("real_process") is None)
