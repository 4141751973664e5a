"""The fixtures of all tests."""

import pytest
from helpers.clock import REAL_PROCESSES

pytest_plugins = ["people", "real_server", "s3", "versions", "beanstalk", "quick"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests that start real processes, which `run_on_other_dates.py` repeats on other dates."""
    for item in items:
        if REAL_PROCESSES & set(item.fixturenames):
            item.add_marker(pytest.mark.real_process)
