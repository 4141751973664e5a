"""Makes the icons and the chime in static/, which are kept in the repository; run this after a change here.

Nothing but Python is needed: PNG, ICO and WAV files are written by hand.
"""

from __future__ import annotations

import math
import struct
import wave
import zlib
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "static"
RED, PAPER, INK = (194, 55, 29), (255, 253, 248), (36, 29, 24)
SAMPLES = 4  # per pixel and direction, for smooth edges

# A ticket of paper on red, with an "A7" of strokes: coordinates from 0 to 1.
TICKET = (0.19, 0.22, 0.81, 0.80)
TEETH = 6
STROKES = [
    ((0.28, 0.66), (0.38, 0.34)),
    ((0.38, 0.34), (0.48, 0.66)),
    ((0.325, 0.55), (0.435, 0.55)),
    ((0.54, 0.34), (0.73, 0.34)),
    ((0.73, 0.34), (0.61, 0.66)),
]
STROKE = 0.042  # half of its width


def colour_at(x: float, y: float, scale: float, corner: float) -> tuple[int, int, int, int]:
    """Return the colour of a point; `corner` is the radius of the icon's corners, 0 for a full square."""
    inset = max(corner - min(x, 1 - x), 0), max(corner - min(y, 1 - y), 0)
    if corner and math.hypot(*inset) > corner:
        return (0, 0, 0, 0)
    x, y = 0.5 + (x - 0.5) / scale, 0.5 + (y - 0.5) / scale
    left, top, right, bottom = TICKET
    tooth = abs(((x - left) / (right - left) * TEETH) % 1 - 0.5) * 0.1
    if left <= x <= right and top <= y <= bottom - tooth:
        is_ink = any(distance(x, y, *stroke) < STROKE for stroke in STROKES)
        return (*(RED if is_ink else PAPER), 255)
    return (*RED, 255)


def distance(x: float, y: float, start: tuple[float, float], end: tuple[float, float]) -> float:
    """Return how far a point is from a line."""
    (x1, y1), (x2, y2) = start, end
    length = (x2 - x1) ** 2 + (y2 - y1) ** 2
    share = max(0, min(1, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length))
    return math.hypot(x - x1 - share * (x2 - x1), y - y1 - share * (y2 - y1))


def png(size: int, scale: float = 1, corner: float = 0.2) -> bytes:
    """Return the icon as a PNG of this size."""
    rows = []
    for row in range(size):
        line = bytearray(b"\0")
        for column in range(size):
            samples = [
                colour_at(
                    (column + (i + 0.5) / SAMPLES) / size, (row + (j + 0.5) / SAMPLES) / size, scale, corner
                )
                for i in range(SAMPLES)
                for j in range(SAMPLES)
            ]
            alpha = sum(sample[3] for sample in samples)
            line += bytes(
                round(sum(sample[part] * sample[3] for sample in samples) / alpha) if alpha else 0
                for part in range(3)
            )
            line.append(round(alpha / len(samples)))
        rows.append(bytes(line))
    header = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def ico(size: int) -> bytes:
    """Return the icon as an ICO that holds one PNG."""
    image = png(size)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, size, size, 0, 0, 1, 32, len(image), 22) + image


def write_chime(path: Path) -> None:
    """Write the two notes that sound.js plays, for iPhones on which only a file sounds."""
    rate, length_s = 16000, 1.3
    samples = bytearray()
    for index in range(int(rate * length_s)):
        value = 0.0
        for pitch, begins in ((784, 0), (587, 0.28)):
            at = index / rate - begins
            if at >= 0:
                value += 0.45 * min(1, at / 0.01) * math.exp(-6.5 * at) * math.sin(math.tau * pitch * at)
        samples += struct.pack("<h", round(32000 * max(-1, min(1, value))))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(samples))


if __name__ == "__main__":
    (STATIC / "icon-192.png").write_bytes(png(192))
    (STATIC / "icon-512.png").write_bytes(png(512))
    (STATIC / "icon-maskable-512.png").write_bytes(png(512, scale=0.8, corner=0))
    (STATIC / "apple-touch-icon.png").write_bytes(png(180, corner=0))
    (STATIC / "favicon.ico").write_bytes(ico(32))
    write_chime(STATIC / "chime.wav")
