"""Films through PyAV, which is an extra: importing this module fails where it is not installed."""

from __future__ import annotations

from typing import BinaryIO

import av


def read_film(file: BinaryIO) -> dict:
    """What the container says of its streams; `{}` where FFmpeg cannot read it."""
    file.seek(0)
    fields: dict = {}
    try:
        with av.open(file, mode="r", metadata_errors="ignore") as container:
            if container.duration:
                fields["duration"] = round(container.duration / av.time_base, 6)
            for stream in container.streams.video[:1]:
                fields |= {"width": stream.width, "height": stream.height, "frames": stream.frames}
                if stream.average_rate:
                    fields["fps"] = round(float(stream.average_rate), 6)
            for stream in container.streams.audio[:1]:
                fields |= {"channels": stream.channels, "sample_rate": stream.rate}
    except (av.FFmpegError, OSError, ValueError):
        return {}
    return fields
