"""Names of objects in texts, found without understanding the texts: a sidecar in conflict or of a newer format names them too."""

from __future__ import annotations

import re

_NAME = re.compile(rb'"(?:blake3:)?([0-9a-f]{64})"')
_ESCAPE = re.compile(rb"\\u00([0-7][0-9a-fA-F])|\\(/)")
# Where neither word stands, no output is a directory or a sequence.
_OF_TREES = (b'"files"', b'"frames"')


def names_in(data: bytes) -> set[str]:
    """Every string in a JSON text, or in what is left of one, that could name an object."""
    return {name.decode("ascii") for name in _NAME.findall(_plain(data))}


def may_name_trees(data: bytes) -> bool:
    """Whether the text may say of an output that it is a manifest."""
    data = _plain(data)
    return _OF_TREES[0] in data or _OF_TREES[1] in data


def _plain(data: bytes) -> bytes:
    """The text with escapes of ASCII undone, which nobody needs to write but anybody may."""
    if b"\\" not in data:
        return data
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]) if found[1] else b"/", data)
