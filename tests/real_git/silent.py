"""Servers as bad as they get."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def silent_server():
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/store"


@contextmanager
def dripping_server(folder: Path, *, seconds: float):
    """The URL of a web server for a folder that says at once what it has, and takes so long for each object."""

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def copyfile(self, source, outputfile) -> None:
            data = source.read()
            pieces = 20 if "/objects/" in self.path else 1
            step = len(data) // pieces + 1
            try:
                for at in range(0, len(data), step):
                    time.sleep(seconds / pieces if pieces > 1 else 0)
                    outputfile.write(data[at : at + step])
                    outputfile.flush()
            except OSError:
                self.close_connection = True  # the client had had enough

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
