"""What a server tells over its WebSocket while a prompt runs. Only ever a help: /history is the truth.

A thread reads, and connects again under the same client id when the socket drops.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

# Frames are previews of pictures, which nobody here looks at, and JSON.
_MAX_FRAME = 64 << 20
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
# A server that is gone does not answer a closing handshake.
_CLOSE_WAIT = 0.2
# Events nobody has looked at yet; more are dropped, since a later one says more.
_MAX_EVENTS = 10_000


class Event(NamedTuple):
    """kind: as ComfyUI names it; data: what it says."""

    kind: str
    data: Mapping[str, Any]


class Events:
    """Use as a context manager. drops: how often the connection was lost, or could not be made."""

    def __init__(self, url: str, client_id: str, headers: Mapping[str, str]):
        self._address = f"ws{url.removeprefix('http')}/ws?clientId={client_id}"
        self._headers = dict(headers)
        self._events: queue.Queue[Event] = queue.Queue(_MAX_EVENTS)
        self._stop = threading.Event()
        self._up = threading.Event()
        self._socket: ClientConnection | None = None
        self._lock = threading.Lock()
        self.drops = 0

    def __enter__(self) -> Events:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with self._lock:
            if self._socket is not None:
                self._socket.close()  # the reader wakes up with an error

    @property
    def is_up(self) -> bool:
        return self._up.is_set()

    def wait_until_up(self, seconds: float) -> bool:
        return self._up.wait(seconds)

    def is_alive(self, seconds: float) -> bool:
        """Whether somebody is really there: a machine that lost its power says nothing."""
        with self._lock:
            socket = self._socket
        try:
            return socket is not None and socket.ping().wait(seconds)
        except (OSError, WebSocketException):
            return False

    def next(self, seconds: float) -> Event | None:
        """The next event; None where none comes in time."""
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return None

    def _listen(self) -> None:
        wait = _FIRST_WAIT
        while not self._stop.is_set():
            try:
                with connect(
                    self._address, additional_headers=self._headers, open_timeout=3.0, close_timeout=_CLOSE_WAIT,
                    max_size=_MAX_FRAME, proxy=None,
                ) as socket:  # fmt: skip
                    wait = _FIRST_WAIT
                    self._read(socket)
            except (OSError, WebSocketException, TimeoutError):
                pass
            self.drops += 1
            self._stop.wait(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _read(self, socket: ClientConnection) -> None:
        with self._lock:
            if self._stop.is_set():
                return
            self._socket = socket
        self._up.set()
        try:
            for message in socket:
                if isinstance(message, str):
                    self._note(message)
        finally:
            self._up.clear()
            with self._lock:
                self._socket = None

    def _note(self, message: str) -> None:
        try:
            found = json.loads(message)
        except (ValueError, RecursionError):
            return
        if isinstance(found, dict) and isinstance(found.get("type"), str) and isinstance(found.get("data"), dict):
            try:
                self._events.put_nowait(Event(found["type"], found["data"]))
            except queue.Full:
                pass
