"""`https://`, `http://`: a WebDAV server, or for reading any web server.

What is put is put under a temporary name and moved, so that half an upload is never visible. Where a server knows no
MOVE it is put directly, and its size asked for afterwards.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from urllib.parse import quote

from regen_vcs.remote.base import Refused
from regen_vcs.remote.bucket import Body, Bucket, Content, Transient, Unlistable
from regen_vcs.remote.connection import CHUNK, Answer, Connections, drain
from regen_vcs.remote.dav_listing import Entry, parse_listing
from regen_vcs.remote.layout import is_folder
from regen_vcs.remote.urls import Address

_TEMP = "tmp-"
_SPOOLED = 8 << 20  # bytes of an upload of unknown length that stay in memory
_NO_METHOD = (405, 501)
_BODY = b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/></prop></propfind>'
_PROPFIND = {"Depth": "1", "Content-Type": "application/xml"}
_HINTS = {
    401: "put `machine HOST login NAME password WORD` into ~/.netrc",
    403: "ask whoever runs the server for the right to do that",
    405: "it is a server to read from only: regen.remote.NAME.readOnly",
    413: "raise the limit on uploads (nginx: client_max_body_size)",
    423: "somebody holds a WebDAV lock on it",
    501: "it is a server to read from only: regen.remote.NAME.readOnly",
    507: "free some space there, or raise the quota",
}
_WORDS = {401: "wants other credentials", 403: "forbids it", 405: "cannot do that", 413: "takes no upload of that size",
          423: "has locked it", 501: "cannot do that", 507: "is full"}


class DavBucket(Bucket):
    """Below `address` on a web server."""

    def __init__(self, address: Address, where: str, environ: Mapping[str, str], patience: float):
        base = f"{address.scheme}://{address.place}/"
        self._base = f"{base}{address.prefix}/" if address.prefix else base
        self._where = where
        self._http = Connections(self._base, where, environ, patience)
        self._moves = True
        self._made: set[str] = set()  # folders that were made because an upload into them failed

    def close(self) -> None:
        self._http.close()

    # -- reading ---------------------------------------------------------------------------------------------------

    def size(self, name: str) -> int | None:
        answer = self._ask("HEAD", name)
        if answer is None:
            return None
        drain(answer)
        return _length(answer) or 0

    def read(self, name: str, start: int = 0) -> Body | None:
        answer = self._ask("GET", name, {"Range": f"bytes={start}-"} if start else {})
        if answer is None:
            return None
        if answer.status == 206:
            begin, total = _content_range(answer)
            return Body(begin, total, answer.chunks)
        return Body(0, _length(answer), answer.chunks)

    def list(self, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
        for entry in self._folder(prefix):
            if not entry.is_folder:
                if not entry.name.startswith(_TEMP):
                    yield prefix + entry.name, entry.size
            elif depth and is_folder(entry.name):
                yield from self.list(f"{prefix}{entry.name}/", depth - 1)

    def _folder(self, folder: str) -> list[Entry]:
        url = self._url(folder)
        answer = self._http.request("PROPFIND", url, _PROPFIND, Content(len(_BODY), lambda: iter((_BODY,))))
        if answer.status == 207:
            try:
                return parse_listing(answer.chunks, url, self._where)
            finally:
                answer.chunks.close()
        drain(answer)
        if answer.status in (404, 410):
            return []
        # 403: how servers without the method answer for a folder, too.
        if answer.status in (400, 403, *_NO_METHOD, 200):
            raise Unlistable(f"remote {self._where} does not list what it has (PROPFIND: {answer.status})", "a WebDAV server does")
        raise self._problem(answer.status, "listing")

    def _ask(self, method: str, name: str, headers: Mapping[str, str] | None = None) -> Answer | None:
        answer = self._http.request(method, self._url(name), headers)
        if answer.status in (200, 206):
            return answer
        drain(answer)
        if answer.status in (404, 410):
            return None
        if answer.status == 416:
            raise Transient("an object became shorter while it was read")
        raise self._problem(answer.status, "reading")

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(self, name: str, content: Content) -> None:
        with ExitStack() as stack:
            content = _measured(content, stack)
            if self._moves and self._write_and_move(name, content):
                return
            self._put(name, content)
            if self.size(name) != content.size:
                raise Transient("an upload arrived with another size")

    def _write_and_move(self, name: str, content: Content) -> bool:
        """False where the server knows no MOVE: noted, and not tried again."""
        folder, slash, _ = name.rpartition("/")
        temp = f"{folder}{slash}{_TEMP}{os.urandom(8).hex()}"
        try:
            self._put(temp, content)
            answer = self._http.request("MOVE", self._url(temp), {"Destination": self._url(name), "Overwrite": "T"})
            drain(answer)
        except (Refused, Transient):
            self._discard(temp)
            raise
        if answer.status in (200, 201, 204):
            return True
        if answer.status == 404:  # moved already, and the answer to that was lost
            raise Transient("an upload vanished")
        self._discard(temp)
        if answer.status in (*_NO_METHOD, 400, 403):  # some forbid the one method only
            self._moves = False
            return False
        raise self._problem(answer.status, "writing")

    def _put(self, name: str, content: Content) -> None:
        answer = self._http.request("PUT", self._url(name), {"Content-Type": "application/octet-stream"}, content)
        drain(answer)
        folder = name.rpartition("/")[0]
        if answer.status in (404, 409, 500) and folder not in self._made:  # it is missing (500: so says nginx)
            self._make_folders(folder)
            self._made.add(folder)
            answer = self._http.request("PUT", self._url(name), {"Content-Type": "application/octet-stream"}, content)
            drain(answer)
        if answer.status not in (200, 201, 204):
            raise self._problem(answer.status, "writing")

    def _make_folders(self, folder: str) -> None:
        parts = folder.split("/") if folder else []
        for count in range(len(parts) + 1):  # 0: the remote's own folder
            answer = self._http.request("MKCOL", self._url("".join(f"{part}/" for part in parts[:count])))
            drain(answer)
            if answer.status not in (200, 201, 204, 301, 405, 409, 403):  # 405: it is there
                raise self._problem(answer.status, "writing")

    def _discard(self, name: str) -> None:
        """Remove a temporary; whether that works is not what matters now."""
        try:
            drain(self._http.request("DELETE", self._url(name)))
        except Exception:
            return

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            answer = self._http.request("DELETE", self._url(name))
            drain(answer)
            if answer.status not in (200, 202, 204, 404, 410):
                raise self._problem(answer.status, "removing")

    def establish(self) -> None:
        """A server's folders come with the first upload."""

    def sweep(self) -> None:
        """How old a temporary is, only the server knows: docs/remotes.md says how to remove them there."""

    # -- in between ------------------------------------------------------------------------------------------------

    def _url(self, name: str) -> str:
        return self._base + quote(name)

    def _problem(self, status: int, doing: str) -> Exception:
        if status == 429 or (status >= 500 and status not in _WORDS):
            return Transient(f"it answers {status}")
        words = _WORDS.get(status, "says no")
        return Refused(f"remote {self._where}: {doing}: the server {words} ({status})", _HINTS.get(status, "").replace("NAME", self._where) or None)


def _length(answer: Answer) -> int | None:
    text = answer.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _content_range(answer: Answer) -> tuple[int, int | None]:
    """(start, total) of `bytes 5-9/10`. Transient for what is not that."""
    unit, _, rest = answer.headers.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    start = span.partition("-")[0]
    if unit != "bytes" or not start.isdigit() or not (total.isdigit() or total == "*") or len(rest) > 64:
        raise Transient("its answer to a range is none")
    return int(start), int(total) if total != "*" else None


def _measured(content: Content, stack: ExitStack) -> Content:
    """The same content with its size known: what is compressed on the way goes into a temporary file first.

    Not every server takes a body without Content-Length.
    """
    if content.size is not None:
        return content
    spool = stack.enter_context(tempfile.SpooledTemporaryFile(_SPOOLED))  # noqa: SIM115 (the stack closes it)
    for chunk in content.chunks():
        spool.write(chunk)

    def chunks() -> Iterator[bytes]:
        spool.seek(0)
        while chunk := spool.read(CHUNK):
            yield chunk

    return Content(spool.tell(), chunks)
