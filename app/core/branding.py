"""A place's logo."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from app.core.history import record
from app.core.models import Place
from app.core.places import find_place_for_owner
from app.errors import BadInput, NotFound
from app.storage.sql import insert, run, update

MAX_LOGO_BYTES = 512 * 1024

# How the files of each type begin. SVG is left out: it may hold scripts.
_SIGNATURES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
}


@dataclass(frozen=True)
class Logo:
    """A picture as browsers get it."""

    mimetype: str
    image: bytes


def find_logo(db: Connection, place: Place) -> Logo:
    """Return the logo of a place. Raises NotFound when it has none."""
    row = run(db, "SELECT mimetype, image FROM logo WHERE place_id = :place", place=place.id).first()
    if row is None:
        raise NotFound(f"{place.name} has no logo.")
    return Logo(row.mimetype, base64.b64decode(row.image))


def set_logo(db: Connection, at: float, slug: str, token: str, image: bytes) -> None:
    """Store a logo for the owner. Raises BadInput when it is no picture, or too large."""
    place = find_place_for_owner(db, slug, token)
    mimetype = _type_of(image)
    _delete(db, place)
    insert(db, "logo", place_id=place.id, mimetype=mimetype, image=base64.b64encode(image).decode())
    update(db, "place", place.id, logo_at=at)
    record(db, at, place.id, "change-place", detail="logo")


def remove_logo(db: Connection, at: float, slug: str, token: str) -> None:
    """Remove the logo for the owner. It is safe to call this twice."""
    place = find_place_for_owner(db, slug, token)
    if place.logo_at is None:
        return
    _delete(db, place)
    update(db, "place", place.id, logo_at=None)
    record(db, at, place.id, "change-place", detail="logo")


def _delete(db: Connection, place: Place) -> None:
    run(db, "DELETE FROM logo WHERE place_id = :place", place=place.id)


def _type_of(image: bytes) -> str:
    if len(image) > MAX_LOGO_BYTES:
        raise BadInput(f"Logo: choose a picture of at most {MAX_LOGO_BYTES // 1024} KB.", field="file")
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "image/webp"
    for mimetype, signatures in _SIGNATURES.items():
        if image.startswith(signatures):
            return mimetype
    raise BadInput("Logo: choose a PNG, JPEG, GIF or WebP picture.", field="file")
