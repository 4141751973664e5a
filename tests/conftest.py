"""The fixtures of all tests: people who use the service in process, and real servers."""

import pytest

pytest_plugins = ["people", "real_server", "s3", "versions", "beanstalk", "quick"]

# A test that keeps a real server or a page to the second is not to share the machine with another.
ALONE = ("test_connection", "test_hurried_people", "test_whole_story", "test_door", "test_counters")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        in_browser = item.path.parent.name == "browser"
        if item.path.stem in ALONE if in_browser else "start_server" in getattr(item, "fixturenames", ()):
            item.add_marker("alone")
