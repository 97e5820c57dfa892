"""What media show, whatever their bytes: type and size, a hash of what is decoded, a preview, how alike two are.

A file is known by its first bytes, never by its name: objects in a store have none. Nothing here raises for what a
file holds: what is unknown, damaged or too big to decode in bounded memory is `{}` or None.

The imports stand inside the functions on purpose. Verbs on the hot path import this package for the rare case that
a preview is wanted, and NumPy, Pillow, OpenEXR and soundfile cost 20 to 200 ms each.
"""

from __future__ import annotations

__all__ = ["content_hash", "look", "look_average", "look_thumbnail", "look_to_rgba", "probe", "score", "thumbnail"]


def probe(path_abs: str) -> dict:
    """Type and size of a file from its headers: a few KB are read, nothing is decoded. `{}` for what is unknown.

    `type` (media type), and what applies of `width`, `height` (pixels), `depth` (bits a sample), `frames`, `fps`,
    `duration` (s), `sample_rate` (Hz), `channels`: strings, ints and finite floats.
    """
    from regen_vcs.media.headers import read_header

    return _guarded({}, read_header, path_abs)


def content_hash(path_abs: str) -> str | None:
    """`pixels:blake3:…` or `samples:blake3:…`: the same for the same decoded picture or sound in any container,
    with any compression and metadata. None where that cannot be told: unknown, damaged, lossy to decode, too big."""
    from regen_vcs.media.content import hash_content

    return _guarded(None, hash_content, path_abs)


def look(path_abs: str) -> str | None:
    """The picture's ThumbHash in base64: a preview of some 25 bytes. None for what is no picture, or too big."""
    from regen_vcs.media.preview import look_of

    return _guarded(None, look_of, path_abs)


def look_average(look: str) -> tuple[float, float, float, float] | None:
    """The average colour of a look: red, green, blue and alpha, each 0…1. None where it is not a look."""
    from regen_vcs.media.thumbhash import average, from_text

    return _guarded(None, lambda text: average(from_text(text)), look)


def look_to_rgba(look: str, size: int = 32) -> tuple[int, int, bytes] | None:
    """(width, height, RGBA bytes from the top left) of a look; `size` is the longer side. None where it is no look."""
    from regen_vcs.media.thumbhash import decode, from_text

    return _guarded(None, lambda text: decode(from_text(text), size), look)


def thumbnail(path_abs: str, side: int = 256) -> bytes | None:
    """A PNG of the picture, no side over `side` pixels; of several frames the first. None as for `look`."""
    from regen_vcs.media.preview import thumbnail_of

    return _guarded(None, thumbnail_of, path_abs, side)


def look_thumbnail(look: str, side: int = 32) -> bytes | None:
    """A PNG of a look, which has nothing finer to show; `side` is the longer one. None where it is no look."""
    from regen_vcs.media.preview import look_thumbnail_of

    return _guarded(None, look_thumbnail_of, look, side)


def score(left_abs: str, right_abs: str) -> float | None:
    """How alike two pictures or two sounds are, 0…1; 1.0 means that what is decoded is identical.

    None where one cannot be decoded, or where one is a picture and the other a sound. See `likeness` for what the
    figure measures, and how other sizes, lengths and rates count.
    """
    from regen_vcs.media.likeness import likeness

    return _guarded(None, likeness, left_abs, right_abs)


def _guarded(otherwise, function, *arguments):
    """Damage takes any shape in a decoder: SyntaxError, struct.error, RuntimeError, MemoryError… None of them is news."""
    try:
        return function(*arguments)
    except Exception:
        return otherwise
