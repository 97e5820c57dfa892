"""What `doctor` says of one thing it looked at."""

from __future__ import annotations

from collections import namedtuple

OK, NOTE, PROBLEM = "ok", "note", "problem"


class Finding(namedtuple("_Finding", ("topic", "level", "what", "mend"), defaults=(None,))):
    """topic: what was looked at, one word or two. what: one line. mend: the command or edit that mends it, or None.

    level: "ok"; "note": works, but somebody should know; "problem": does not work as it should.
    """

    __slots__ = ()


def count(number: int, noun: str) -> str:
    """`1 asset`, `3 assets`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def some(names: list[str], limit: int = 3) -> str:
    """The first few names of many: `a, b, c and 7 more`."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
