"""Exceptions of the backup, and how errors of the machine are put into words."""

from __future__ import annotations

from app.errors import CannotStart


class StorageFailed(CannotStart):
    """A store that didn't do what it was asked to. Never raised for a file that certainly doesn't exist."""


class NoConditionalWrites(CannotStart):
    """A store that can't refuse to overwrite a file, so that it can't tell which server may write."""


class AlreadyStored(Exception):
    """A name that is already in use in a store. What is stored there stays unchanged."""


class BrokenCopy(Exception):
    """The reason why a copy can't be restored, as the end of a sentence."""
