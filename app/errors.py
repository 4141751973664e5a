"""The service's own exceptions.

Each message is a sentence for the person who reads it, and says what they can do next. Which HTTP status an
exception becomes is decided in web/response.py.
"""

from __future__ import annotations


class ServiceError(Exception):
    """A request that can't be fulfilled, for a reason its sender can understand.

    `field` is the name of the field that is wrong, so that a page can show the sentence there.
    """

    def __init__(self, sentence: str, field: str | None = None):
        super().__init__(sentence)
        self.field = field


class BadInput(ServiceError):
    """A value that can't be used as it is."""


class UnsureNumber(BadInput):
    """A phone number that may be wrong; `phone` is how it was read. Whoever typed it is asked once more."""

    def __init__(self, sentence: str, phone: str):
        super().__init__(sentence, field="phone")
        self.phone = phone


class Forbidden(ServiceError):
    """An action that this person may not perform."""


class NotFound(ServiceError):
    """Something that doesn't exist, or no longer does."""


class Conflict(ServiceError):
    """An action that the current state doesn't allow, for example since somebody else was quicker."""


class TooLarge(ServiceError):
    """More items than one request may hold."""


class TooMany(ServiceError):
    """A limit that was reached; `wait_s` is the number of seconds until another attempt makes sense."""

    def __init__(self, sentence: str, wait_s: int):
        super().__init__(sentence)
        self.wait_s = wait_s


class Unavailable(ServiceError):
    """The database can't be used at the moment: it is busy, unreachable or paused."""


class OutcomeUnknown(Unavailable):
    """The connection broke during a commit, and the server can't be asked whether it was stored."""


class WritesPaused(Unavailable):
    """Writes are paused, for example during a move to a new server; `for_good` if they won't resume here."""

    def __init__(self, sentence: str, for_good: bool = False):
        super().__init__(sentence)
        self.for_good = for_good


class DatabaseFailed(WritesPaused):
    """The database file is gone, replaced or damaged: nothing is stored until the server is started again."""

    def __init__(self, sentence: str):
        super().__init__(sentence, for_good=True)


class CannotStart(Exception):
    """The reason why a command can't do its work, in one sentence for whoever typed it."""


def reason_of(error: BaseException) -> str:
    """Return why something failed, on one line and without a full stop at its end."""
    # SQLAlchemy wraps a driver's own error, and adds the statement to its text.
    error = getattr(error, "orig", None) or error
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.partition("\n")[0].strip().rstrip(".")
