"""The threads that answer requests."""

from __future__ import annotations

import ctypes
import sys
import threading

from waitress.task import ThreadedTaskDispatcher

_M_ARENA_MAX = -8  # an option of mallopt(3)


class LastIdleFirst:
    """A condition that wakes the thread which began to wait last.

    With threading.Condition, requests would go to all threads in turn. Each thread keeps the memory that its
    largest request needed, so 256 threads would need 50 MB more than the few that are busy at once.
    """

    def __init__(self, lock: threading.Lock):
        self._lock = lock
        self._waiting: list[threading.Lock] = []

    def wait(self) -> None:
        """Release the lock, wait to be woken up, and acquire the lock again."""
        bell = threading.Lock()
        bell.acquire()
        self._waiting.append(bell)
        self._lock.release()
        try:
            bell.acquire()  # until notify() releases it
        finally:
            self._lock.acquire()

    def notify(self) -> None:
        """Wake one thread, if any waits. The caller holds the lock."""
        if self._waiting:
            self._waiting.pop().release()

    def notify_all(self) -> None:
        """Wake all threads. The caller holds the lock."""
        while self._waiting:
            self.notify()


def start_threads(count: int) -> ThreadedTaskDispatcher:
    """Start the threads of a server, and return what hands requests to them."""
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.queue_cv = LastIdleFirst(dispatcher.lock)
    dispatcher.set_thread_count(count)
    return dispatcher


def share_memory() -> None:
    """Let threads share the heap, where the C library has one for each of them; call it before they start.

    Only one thread runs Python at a time, so heaps of their own would only keep memory.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 1)
