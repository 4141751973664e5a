"""Compression of what many clients receive: it is done once, and all of them are sent the same bytes.

Each part of a stream is compressed by itself. It may refer to the part before it, so that little more than
the changes is sent, but a client can also begin with a part that refers to nothing. So the server keeps no
state for each of a thousand streams.
"""

from __future__ import annotations

import gzip
import zlib

from flask import request

LEVEL = 6  # of 9; the higher ones take longer and save 1 %

# What a stream in the format gzip begins with (RFC 1952): no time, no name, from an unknown system.
GZIP_HEADER = bytes((0x1F, 0x8B, zlib.DEFLATED, 0, 0, 0, 0, 0, 0, 0xFF))


def accepts_gzip() -> bool:
    """Return True if the client of this request understands gzip. Browsers do; `curl` has to be told."""
    return request.accept_encodings.quality("gzip") > 0


def gzip_part(data: bytes, after: bytes = b"") -> bytes:
    """Return a part of a gzip stream, which begins with GZIP_HEADER.

    A full flush after each part lets the client read it at once. The stream never ends as the format wants,
    with a checksum of all parts; nor does a stream of events.

    :param after: the data of the part that the client received just before this one, if it may refer to it.
        The format lets it refer to the last 32 KiB.
    """
    if after:
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=after)
    else:
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH)


def gzip_whole(data: bytes) -> bytes:
    """Return data in the format gzip."""
    return gzip.compress(data, LEVEL, mtime=0)
