"""The hash of what is decoded: the same whatever container, compression and metadata it came in.

pixels    BLAKE3 in derive-key mode over, for each frame, a line `frame <note>` (how long it stands, an EXR's windows)
          and for each plane a line `"<channels>" <sample type> <width>x<height>`, then the samples row by row,
          little-endian, channels interleaved. One plane for L, LA, RGB, RGBA, …; one a channel, sorted by name, for
          EXR. Palettes and transparent colours count as the RGBA they show.
samples   the same over a line `<sample type> <rate> <channels>`, the samples, and the number of frames. PCM counts as
          32-bit integers filled from the top bit, so 16 bits in WAV and in FLAC agree.

Lossy formats (JPEG, MP3, Vorbis, …) hash what this machine's decoder makes of them: equal hashes mean equal content,
while other ones may come from another version of the decoder.
"""

from __future__ import annotations

import json
from typing import BinaryIO

import numpy as np
from blake3 import blake3

from regen_vcs.media.headers import header_of
from regen_vcs.media.reading import open_media

_PIXELS = "regen-vcs pixels v1"
_SAMPLES = "regen-vcs samples v1"


def hash_content(path_abs: str) -> str | None:
    """See `regen_vcs.media.content_hash`; raises for damage and what is too big."""
    with open_media(path_abs) as file:
        header = header_of(file)
        media_type = header.get("type", "")
        if media_type.startswith("image/"):
            return _hash_pixels(file, path_abs, header)
        if media_type.startswith("audio/") and media_type not in ("audio/mp4", "audio/webm", "audio/x-matroska"):
            return hash_samples(file)
    return None


def _hash_pixels(file: BinaryIO, path_abs: str, header: dict) -> str:
    from regen_vcs.media.pictures import read_frames

    hasher = blake3(derive_key_context=_PIXELS)
    for frame in read_frames(file, path_abs, header):
        hasher.update(f"frame {frame.note}\n".encode())
        for plane in frame.planes:
            height, width, _ = plane.samples.shape
            # The kind and bytes of a sample ("u1", "f2"), without the byte order, which is always the same.
            kind = plane.samples.dtype.str[1:]
            hasher.update(f"{json.dumps(plane.name)} {kind} {width}x{height}\n".encode())
            hasher.update(_little_endian(plane.samples))
    return f"pixels:blake3:{hasher.hexdigest()}"


def _little_endian(samples: np.ndarray) -> memoryview:
    """Its bytes, without a copy where they lie as they should."""
    return samples.astype(samples.dtype.newbyteorder("<"), order="C", copy=False).reshape(-1).view(np.uint8).data


def hash_samples(file: BinaryIO) -> str:
    """The hash of an open sound file; raises for damage and length."""
    from regen_vcs.media.sounds import check_length, check_whole, open_sound, read_blocks, sample_type

    check_whole(file)
    with open_sound(file) as sound:
        check_length(sound)
        kind = sample_type(sound)
        hasher = blake3(derive_key_context=_SAMPLES)
        hasher.update(f"{kind} {sound.samplerate} {sound.channels}\n".encode())
        frames = 0
        for block in read_blocks(sound, kind):
            hasher.update(_little_endian(block))
            frames += len(block)
        hasher.update(f"\n{frames}\n".encode())
        return f"samples:blake3:{hasher.hexdigest()}"
