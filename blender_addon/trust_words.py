"""What could run in a project, for people to read before they allow it: all of it, uncut, and nothing in it invisible. Nothing here knows Blender.

The text comes from whoever wrote the repository, who may want it to look harmless.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

# Of a popup more cannot be scrolled to.
MOST_LINES = 34
_LINE, _LONG = 104, 400  # characters
# Letters and marks to Unicode, and nothing to the eye: fillers, joiners, variation selectors, an empty Braille cell.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0").union(
    map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0))
)
_PLAIN_NAME = re.compile(r"[\w.:/+-]+")


class Line(NamedTuple):
    icon: str
    text: str


def shown_lines(document: Any) -> list[Line]:
    """A generator's name, below it every key of its table with its whole value; then the files that are new or have changed."""
    lines: list[Line] = []
    for each in _entries(document, "generators"):
        lines += _in_lines("CONSOLE", _named(each.get("name", "")))
        table = each.get("table")
        for key, value in table.items() if isinstance(table, Mapping) else ():
            lines += _in_lines("BLANK1", f"{_named(key)} = {_quoted(value)}")
    for each in _entries(document, "items"):
        if each.get("change") != "trusted":
            word = "new" if each.get("change") == "new" else "changed"
            lines += _in_lines("FILE_TEXT", f"{_named(each.get('path'))} ({word}{', as staged' if each.get('staged') else ''})")
    return lines


def full_text(document: Any) -> str:
    """Everything that is shown, and what is new in each file, for a text editor."""
    head = [line.text if line.icon != "BLANK1" else f"    {line.text}" for line in shown_lines(document)]
    difference = document.get("difference") if isinstance(document, Mapping) else ""
    # A text editor is slow where a line is long.
    body = [part for line in difference.split("\n") for part in _cut(visible(line), _LONG)] if isinstance(difference, str) else []
    return "\n".join([
        "What this project could run on this machine, as you. Read it, then: Regen > Show and Allow…",
        "Characters that cannot be seen are written as \\u and their number.", "", *head, "", *body,
    ]) + "\n"  # fmt: skip


def _named(name: Any) -> str:
    """A name as it is; in quotes where its spaces or signs could be taken for something else."""
    return name if isinstance(name, str) and _PLAIN_NAME.fullmatch(name) and visible(name) == name else _quoted(name)


def _quoted(value: Any) -> str:
    return visible(json.dumps(value, ensure_ascii=False))


def visible(text: str) -> str:
    """A text in which every character can be seen: control characters, those that turn the direction of writing or have no width, and odd spaces, by number."""
    return "".join(char if (char.isprintable() or char == "\t") and char not in _UNSEEN else _numbered(char) for char in text)


def _numbered(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _in_lines(icon: str, text: str) -> list[Line]:
    """The text in as many lines as it takes: nothing is cut."""
    return [Line(icon if number == 0 else "BLANK1", part) for number, part in enumerate(_cut(text, _LINE))]


def _cut(text: str, length: int) -> list[str]:
    return [text[at : at + length] for at in range(0, len(text), length)] or [""]


def counts(document: Any) -> tuple[int, int]:
    """(generators that could run something, files not allowed yet)."""
    return len(_entries(document, "generators")), sum(each.get("change") != "trusted" for each in _entries(document, "items"))


def _entries(document: Any, name: str) -> list[Mapping[str, Any]]:
    found = document.get(name) if isinstance(document, Mapping) else None
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
