"""Durations and sizes as people write them: "30s", "10m", "500ms"; "50GB", "20GiB". Pure, and quick to import."""

from __future__ import annotations

from regen_vcs.errors import UsageError

DURATION_WORDS = 'a duration such as "500ms", "30s", "10m", "2h", "1d" or "0"'
SIZE_WORDS = 'a size such as "50GB", "20GiB", "512M" or a number of bytes'

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

# "GB" is decimal, as on a disk's label; "GiB" and, as in git's own configuration, a lone "G" are binary.
_BYTES = {"": 1, "b": 1}
_BYTES |= {f"{letter}b": 1000 ** (n + 1) for n, letter in enumerate("kmgtp")}
_BYTES |= {f"{letter}{tail}": 1024 ** (n + 1) for n, letter in enumerate("kmgtp") for tail in ("", "ib")}

# Longer than ten thousand years or more than a zettabyte is a slip of the keyboard.
_MAX_SECONDS = 86400.0 * 366 * 10_000
_MAX_BYTES = 10**21
_MAX_DIGITS = 24


def parse_duration(text: str) -> float:
    """Seconds in `text`. Only zero may go without a unit; UsageError for anything else."""
    number, unit = _split(text)
    if number == 0 and unit == "":
        return 0.0
    seconds = number * _SECONDS.get(unit, -1.0) if number is not None else -1.0
    if not 0 <= seconds <= _MAX_SECONDS:
        raise UsageError(f"{text!r} is not {DURATION_WORDS}")
    return seconds


def parse_size(text: str) -> int:
    """Bytes in `text`; UsageError for what is not a size."""
    number, unit = _split(text)
    size = number * _BYTES.get(unit.lower(), -1) if number is not None else -1
    if not 0 <= size <= _MAX_BYTES:
        raise UsageError(f"{text!r} is not {SIZE_WORDS}")
    return int(size)


def format_duration(seconds: float) -> str:
    """The shortest spelling that parse_duration takes back to the same number, as far as milliseconds go."""
    if seconds == 0:
        return "0"
    for unit in ("w", "d", "h", "m", "s"):
        count = seconds / _SECONDS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    return f"{round(seconds * 1000)}ms"


def format_size(size: int) -> str:
    """The shortest spelling that parse_size takes back to the same number."""
    spellings = [str(size)]
    for power, letter in enumerate("KMGTP", 1):
        for base, tail in ((1000, "B"), (1024, "iB")):
            if size and size % base**power == 0:
                spellings.append(f"{size // base**power}{letter}{tail}")
    return min(spellings, key=len)


def human_size(size: int) -> str:
    """A size for people, rounded: 117228 → "117 kB", 3_400_000 → "3.4 MB"."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if value < 999.5 or unit == "PB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 9.95 or unit == "B" else f"{value:.1f} {unit}"


def human_duration(seconds: float) -> str:
    """A duration for people, rounded: 0.407 → "0.4 s", 95 → "1 min 35 s", 7300 → "2 h 1 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 and whole < 600 else f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole % 3600 >= 60 else f"{whole // 3600} h"


def _split(text: str) -> tuple[float | int | None, str]:
    """("1.5", "GB") of "1.5 GB", the number parsed; (None, …) where it does not start with a plain number."""
    text = text.strip()
    end = 0
    while end < len(text) and text[end] in "0123456789.":
        end += 1
    digits, unit = text[:end], text[end:].strip()
    if len(digits) > _MAX_DIGITS or digits.startswith(".") or digits.endswith("."):
        return None, unit
    try:
        return (float(digits) if "." in digits else int(digits)), unit
    except ValueError:
        return None, unit
