"""Slugs: readable URL segments made of names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from itertools import count

MAX_LENGTH = 40
_LATIN = str.maketrans("øłđðþæœ", "olddtao", "'’")  # letters that Unicode doesn't decompose


def new_slug(name: str, taken: Collection[str], reserved: Collection[str], fallback: str) -> str:
    """Return a slug made of a name that is neither taken nor reserved.

    A name without Latin letters gets the fallback: `queue`, `queue-2`, …
    """
    lower = unicodedata.normalize("NFKD", name.casefold().translate(_LATIN))
    ascii_only = lower.encode("ascii", "ignore").decode()
    slug = re.sub("[^a-z0-9]+", "-", ascii_only).strip("-")[:MAX_LENGTH].strip("-")
    base = slug if re.search("[a-z]", slug) else fallback
    candidates = (base if n == 1 else f"{base[: MAX_LENGTH - 5]}-{n}" for n in count(1))
    return next(each for each in candidates if each not in taken and each not in reserved)
