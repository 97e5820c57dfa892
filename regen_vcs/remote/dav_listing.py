"""The answer to PROPFIND: names and sizes of one folder, out of XML that anybody may have written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

from regen_vcs.remote.base import Refused
from regen_vcs.remote.bucket import Transient

_MOST_BYTES = 256 << 20  # of one folder's answer: about half a million names
_LONGEST_TEXT = 4096
_DAV = "DAV:"


class Entry(NamedTuple):
    """A name in a folder. size: bytes, 0 where the server does not say."""

    name: str
    size: int
    is_folder: bool


def parse_listing(chunks: Iterator[bytes], url: str, where: str) -> list[Entry]:
    """The folder's own members: names elsewhere, and the folder itself, are left out.

    Transient for XML that ends early or is none; Refused for an answer beyond all measure, or with entities.
    """
    listing = _Listing(unquote(urlsplit(url).path).rstrip("/") + "/", where)
    total = 0
    try:
        for chunk in chunks:
            total += len(chunk)
            if total > _MOST_BYTES:
                raise Refused(f"remote {where}: a listing of more than {_MOST_BYTES >> 20} MiB")
            listing.parser.Parse(chunk, False)
        listing.parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise Transient("its listing is no XML") from error
    return listing.entries


class _Listing:
    def __init__(self, folder: str, where: str):
        self.entries: list[Entry] = []
        self._folder, self._where = folder, where
        self._text: list[str] | None = None
        self._begin()
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.EntityDeclHandler = self._entity

    def _begin(self) -> None:
        self._href, self._size, self._is_folder = "", 0, False

    def _start(self, tag: str, _attributes) -> None:
        namespace, _, name = tag.rpartition(" ")
        if namespace != _DAV:
            return
        if name == "response":
            self._begin()
        elif name in ("href", "getcontentlength"):
            self._text = []
        elif name == "collection":
            self._is_folder = True

    def _end(self, tag: str) -> None:
        namespace, _, name = tag.rpartition(" ")
        if namespace != _DAV:
            return
        if name == "href" and self._text is not None:
            self._href = "".join(self._text).strip()
        elif name == "getcontentlength" and self._text is not None:
            text = "".join(self._text).strip()
            self._size = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        elif name == "response":
            self._add()
        self._text = None

    def _characters(self, text: str) -> None:
        if self._text is not None and sum(map(len, self._text)) < _LONGEST_TEXT:
            self._text.append(text)

    def _entity(self, *_declaration) -> None:
        raise Refused(f"remote {self._where}: its listing declares entities, which no WebDAV server needs")

    def _add(self) -> None:
        path = unquote(urlsplit(self._href).path)
        if not path.startswith(self._folder):
            return
        name = path[len(self._folder) :].rstrip("/")
        if name not in ("", ".", "..") and "/" not in name:
            self.entries.append(Entry(name, self._size, self._is_folder or path.endswith("/")))
