"""XMP: a packet of RDF in XML. Read with patterns, not with an XML parser: no entity is ever expanded."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from regen_vcs.media.embedded.texts import Text, decode

_MAX_PACKET = 4 << 20
# Where generators leave something: any element or attribute of these local names.
_NAMES = "UserComment|description|parameters|prompt|workflow|CreatorTool|invokeai_metadata|sd-metadata"
_ELEMENT = re.compile(rf"<(?:[\w-]+:)?({_NAMES})(?:\s[^<>]*)?>([^<]+)<")
_LISTED = re.compile(rf"<(?:[\w-]+:)?({_NAMES})(?:\s[^<>]*)?>\s*<rdf:(?:Alt|Seq|Bag)>\s*<rdf:li(?:\s[^<>]*)?>([^<]+)<")
_ATTRIBUTE = re.compile(rf"""\s(?:[\w-]+:)?({_NAMES})=(?:"([^"<]*)"|'([^'<]*)')""")


def texts_of(data: bytes, where: str) -> Iterator[Text]:
    """The texts of a packet's known fields."""
    text = decode(data[:_MAX_PACKET])
    for pattern in (_ELEMENT, _LISTED, _ATTRIBUTE):
        for match in pattern.finditer(text):
            value = next(group for group in match.groups()[1:] if group is not None)
            if value.strip():
                # `unescape` knows character references only; a packet's own entities stay as they are written.
                yield Text(match.group(1), html.unescape(value.strip()), f"{where} {match.group(1)}")
