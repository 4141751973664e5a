"""The log: on standard error, and without the tokens that links are made of."""

from __future__ import annotations

import logging
import re
import threading

log = logging.getLogger("takeanumber")

# A token has 22 characters. The last one holds two bits only, so it is one of four. Words of that length, as
# the names of functions in a traceback may be, are kept: they have no capital letter and no digit.
# A token may follow an escape such as \n or %2F, whose last character would seem to belong to it.
_TOKEN = re.compile(
    r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"
    r"(?=[a-z_-]*[A-Z0-9])[A-Za-z0-9_-]{21}[AQgw](?![A-Za-z0-9_-])"
)


# PostgreSQL's errors end with the values of a row: names, phone numbers.
_DETAIL = re.compile(r"^(\w*DETAIL:|CONTEXT:).*$", re.MULTILINE)


def without_tokens(text: str) -> str:
    """Return a text in which each token, and each detail of an error, is replaced by an ellipsis."""
    return _DETAIL.sub(r"\1 …", _TOKEN.sub("…", text))


def remove_tokens(record: logging.LogRecord) -> bool:
    """Replace the tokens in a log record and in its traceback; a filter for handlers."""
    try:
        message = record.getMessage()
    except (TypeError, ValueError):  # the arguments don't fit the message
        message = f"{record.msg} {record.args}"
    record.msg, record.args = without_tokens(message), ()
    if record.exc_info:
        record.exc_text = record.exc_text or logging.Formatter().formatException(record.exc_info)
    if record.exc_text:
        record.exc_text = without_tokens(record.exc_text)
    if record.stack_info:
        record.stack_info = without_tokens(record.stack_info)
    return True


def log_without_tokens() -> None:
    """Log to standard error, without tokens and without chatter of libraries.

    The filter belongs to the handlers, so it sees the records of all loggers.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.addFilter(remove_tokens)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_error  # it would print the error
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it logs every burst of requests
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it logs where it found its keys


def _log_thread_error(error: threading.ExceptHookArgs) -> None:
    name = error.thread.name if error.thread else "unknown"
    if error.exc_value is not None:
        log.error("The thread %s ended", name, exc_info=error.exc_value)
