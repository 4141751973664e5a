"""An outbox that a test empties by hand."""

from __future__ import annotations

from app.dispatch import Dispatcher


class ManualDispatcher(Dispatcher):
    """Sends what is due when a test asks for it, in the thread of the test."""

    def send_due(self) -> None:
        """Send what is due now, one target after the other."""
        for target in self._due():
            self._send_to(target)
