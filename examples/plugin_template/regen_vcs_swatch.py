"""`swatch`: a chart of colour chips as a PNG. The smallest complete generator: take it as a template."""

from __future__ import annotations

import re
import struct
import zlib

from pydantic import Field, field_validator

from regen_vcs.generators.base import Job, JobFailed, Params

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")


class SwatchParams(Params):
    """Unknown names, other types and NaN are refused by `Params`; a recipe gets every default written out."""

    colours: list[str] = Field(["#0b3954", "#087e8b", "#bfd7ea", "#ff5a5f"], min_length=1, max_length=256)
    columns: int = Field(4, ge=1, le=256, description="chips in a row")
    chip: int = Field(64, ge=1, le=1024, description="side of a chip, pixels")

    @field_validator("colours")
    @classmethod
    def _colours_are_colours(cls, colours: list[str]) -> list[str]:
        for colour in colours:
            if not _COLOUR.match(colour):
                raise ValueError(f'{colour!r} is not a colour such as "#1e90ff"')
        return colours


class Swatch:
    name = "swatch"
    Params = SwatchParams
    exact = True  # the same pixels on every machine
    version = "1"  # another whenever the same params would give other pixels

    def models(self, recipe):
        """Which models this would use now: none."""
        return {}

    def environment(self):
        """Versions of whatever the bytes depend on; kept with each take."""
        return {"zlib": zlib.ZLIB_RUNTIME_VERSION}

    def run(self, job: Job) -> None:
        """Write job.output. It runs in a process and a scratch folder of its own; what it prints is the job's log."""
        if not job.output.endswith(".png"):
            raise JobFailed("swatch writes .png")
        chips = [bytes.fromhex(colour[1:]) for colour in job.params.colours]
        chip, columns = job.params.chip, min(job.params.columns, len(chips))
        lines = []
        for start in range(0, len(chips), columns):
            job.check_cancelled()
            row = chips[start : start + columns]
            row += [b"\xff\xff\xff"] * (columns - len(row))
            lines += [b"\0" + b"".join(colour * chip for colour in row)] * chip
            job.progress(start / len(chips))
        header = struct.pack(">IIBBBBB", columns * chip, len(lines), 8, 2, 0, 0, 0)
        with open(job.output, "xb") as out:
            out.write(b"\x89PNG\r\n\x1a\n")
            for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines), 9)), (b"IEND", b"")):
                out.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
        job.progress(1.0)
