"""Which cases of a test run in `make test`, and which only in `make soak`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def soak_after(count: int, cases: Iterable[Any]) -> list[Any]:
    """Mark all cases after the first `count` as soak; a tuple holds the arguments of one case."""
    marked = []
    for number, case in enumerate(cases):
        arguments = case if isinstance(case, tuple) else (case,)
        marked.append(pytest.param(*arguments, marks=[pytest.mark.soak] if number >= count else []))
    return marked
