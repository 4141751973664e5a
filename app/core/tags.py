"""Tags of contacts, call lists and servicers.

They are stored in one text, "\\na\\nb\\n", so that the SQL for one tag looks for "\\na\\n".
"""

from __future__ import annotations

import re

from app.errors import BadInput
from app.text import tidy

MAX_TAG_LENGTH = 40


def join_tags(tags: list[str] | str | None) -> str:
    """Return tags as they are stored, each once. Raises BadInput for one that is too long."""
    text = ",".join(tags) if isinstance(tags, list) else tags or ""
    unique: dict[str, str] = {}  # by their lower-case form; the first spelling stays
    for part in re.split(r"[,;\n]", text):
        tag = " ".join((tidy(part) or "").split())
        if len(tag) > MAX_TAG_LENGTH:
            raise BadInput(
                f"Tags: please use at most {MAX_TAG_LENGTH} characters for each, and commas between.",
                field="tags",
            )
        if tag:
            unique.setdefault(tag.casefold(), tag)
    return "".join(f"\n{tag}" for tag in unique.values()) + "\n" if unique else ""


def split_tags(tags: str | None) -> list[str]:
    """Return stored tags as a list."""
    return [tag for tag in (tags or "").split("\n") if tag]


def missing_tags(required: str, tags: str) -> list[str]:
    """Return the required tags that are not among the others, whatever their case."""
    known = {tag.casefold() for tag in split_tags(tags)}
    return [tag for tag in split_tags(required) if tag.casefold() not in known]
