"""Sleep without clock_nanosleep(): libfaketime 0.9.10 breaks it when it leaves the monotonic clock alone.

Python imports this at its start, because `tests/run_on_other_dates.py` puts the directory on PYTHONPATH.
"""

import threading
import time


def sleep(seconds: float) -> None:
    """Replacement for `time.sleep`."""
    threading.Event().wait(seconds)


time.sleep = sleep
