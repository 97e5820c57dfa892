"""A ComfyUI for tests: the protocol of the real one on loopback, with its traps, and a few wires to cut.

What it does was compared with a ComfyUI 0.3.64: tests/comfyui/test_real.py runs the same tests against either.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import socket
import threading
import uuid
from pathlib import Path

from aiohttp import WSMsgType, web

from tests.comfyui.execution import Executor, Refusal, Validator
from tests.comfyui.nodes import CLASSES

PLENTY = {"checkpoints": ["sd15.safetensors", "sdxl.safetensors"], "loras": ["rain.safetensors"]}


class ComfyServer:
    """folder: holds input, output and temp, which survive a restart; everything else does not.

    Faults: `cut_sockets()`, `sockets_allowed`, `kill()` (no goodbye), `start()` again, `swallow_answer` (the next POST
    /prompt is taken, and its answer lost), `hide_cached` (as versions that leave out what was cached), `hold()`.
    """

    def __init__(self, folder: Path, models: dict[str, list[str]] | None = None, token: str | None = None, port: int = 0):
        self.folder, self.models, self.token = Path(folder), copy.deepcopy(models or PLENTY), token
        for name in ("input", "output", "temp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.port = port or _free_port()
        self.sockets_allowed = True
        self.swallow_answer = False
        self.hide_cached = False
        self.busy = False
        self.max_upload_size = 100 << 20
        self.seen: list[tuple[str, str]] = []
        self.prompts: list[dict] = []  # bodies of POST /prompt
        self.uploads: list[str] = []
        self.clients: list[str] = []  # the id of each socket that was opened
        self.executor: Executor
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- for the tests -------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> ComfyServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """With an empty memory."""
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._validator = Validator(self.models, self.folder / "input")
        self.executor = Executor(self.folder, self._send)
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def kill(self) -> None:
        """As SIGKILL would: every connection is gone, and so is the memory."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        self.executor.stop()
        asyncio.run_coroutine_threadsafe(self._end(), loop).result(10)
        self._thread.join(10)

    def cut_sockets(self) -> None:
        """Every WebSocket drops, the server goes on."""
        async def cut() -> None:
            for each in list(self._sockets.values()):
                if each._req.transport is not None:
                    each._req.transport.abort()

        asyncio.run_coroutine_threadsafe(cut(), self._loop).result(10)

    def hold(self) -> None:
        """KSampler waits until `release`."""
        self.executor.gate.clear()

    def release(self) -> None:
        self.executor.gate.set()

    def files(self, kind: str = "output") -> list[str]:
        root = self.folder / kind
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())

    def asked(self, path: str) -> int:
        return sum(1 for _, each in self.seen if each == path or each.startswith(path + "/"))

    # -- the server ----------------------------------------------------------------------------------------------

    def _serve(self, ready: threading.Event) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        app = web.Application(middlewares=[self._guard], client_max_size=self.max_upload_size)
        routes = [
            web.get("/ws", self._ws), web.post("/prompt", self._post_prompt), web.get("/prompt", self._get_prompt),
            web.get("/history", self._get_history), web.get("/history/{id}", self._get_history), web.get("/queue", self._get_queue),
            web.post("/queue", self._post_queue), web.post("/interrupt", self._interrupt), web.post("/upload/image", self._upload),
            web.get("/view", self._view), web.get("/object_info", self._object_info), web.get("/object_info/{name}", self._object_info),
            web.get("/system_stats", self._stats), web.get("/features", self._features), web.get("/moved", self._moved),
            web.post("/free", self._free),
        ]  # fmt: skip
        app.add_routes(routes)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        loop.run_until_complete(self._runner.setup())
        loop.run_until_complete(web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start())
        self._loop = loop
        ready.set()
        loop.run_forever()
        loop.close()

    async def _end(self) -> None:
        for connection in list(self._runner.server.connections):
            if connection.transport is not None:
                connection.transport.abort()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._runner.cleanup(), 5)
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)

    def _send(self, client_id: str, message: dict | bytes) -> None:
        """From the executor's thread."""
        loop = self._loop

        async def send() -> None:
            found = self._sockets.get(client_id)
            if found is not None and not found.closed:
                with contextlib.suppress(ConnectionError):
                    await (found.send_bytes(message) if isinstance(message, bytes) else found.send_json(message))

        if loop is not None:
            asyncio.run_coroutine_threadsafe(send(), loop)

    @web.middleware
    async def _guard(self, request: web.Request, handler) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        if self.busy:
            return web.Response(status=503, text="starting")
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401, text="no")
        return await handler(request)

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if not self.sockets_allowed:
            return web.Response(status=403)
        found = web.WebSocketResponse()
        await found.prepare(request)
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        self.clients.append(client_id)
        self._sockets[client_id] = found
        await found.send_json({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": self._remaining()}}, "sid": client_id}})
        try:
            async for message in found:
                if message.type == WSMsgType.ERROR:
                    break
        finally:
            if self._sockets.get(client_id) is found:
                del self._sockets[client_id]
        return found

    def _remaining(self) -> int:
        return len(self.executor.pending) + (self.executor.running is not None)

    async def _post_prompt(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
        except ValueError:
            return web.Response(status=500, text="500 Internal Server Error")
        self.prompts.append(body)
        if "prompt" not in body:
            error = {"type": "no_prompt", "message": "No prompt provided", "details": "No prompt provided", "extra_info": {}}
            return web.json_response({"error": error, "node_errors": {}}, status=400)
        extra = dict(body.get("extra_data") or {})
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        prompt_id = str(body.get("prompt_id") or uuid.uuid4())
        try:
            outputs, errors = self._validator.check(body["prompt"])
        except Refusal as refusal:
            return web.json_response({"error": refusal.error, "node_errors": refusal.node_errors}, status=400)
        number = self.executor.submit(prompt_id, body["prompt"], extra, outputs, bool(body.get("front")))
        if self.swallow_answer:
            self.swallow_answer = False
            request.transport.abort()
        return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": errors})

    async def _get_prompt(self, request: web.Request) -> web.Response:
        return web.json_response({"exec_info": {"queue_remaining": self._remaining()}})

    async def _get_history(self, request: web.Request) -> web.Response:
        history = self.executor.history
        wanted = request.match_info.get("id")
        if wanted is not None:
            found = {wanted: history[wanted]} if wanted in history else {}
        else:
            most = int(request.query.get("max_items", len(history)))
            found = dict(list(history.items())[len(history) - most if most else 0 :])
        if self.hide_cached and found and len(self.executor.ran) > 1 and not self.executor.ran[-1]:
            found = {key: {**entry, "outputs": {}} for key, entry in found.items()}
        return web.json_response(found)

    async def _get_queue(self, request: web.Request) -> web.Response:
        with self.executor.lock:
            running = [list(self.executor.running)] if self.executor.running else []
            return web.json_response({"queue_running": running, "queue_pending": [list(item) for item in self.executor.pending]})

    async def _post_queue(self, request: web.Request) -> web.Response:
        body = await request.json()
        with self.executor.lock:
            waiting = [item[1] for item in self.executor.pending]
        self.executor.delete(waiting if body.get("clear") else body.get("delete", []))
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read() or b"{}")
        self.executor.interrupt(body.get("prompt_id"))
        return web.Response()

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image, subfolder = form["image"], str(form.get("subfolder", ""))
        data = image.file.read()
        if form.get("type", "input") not in ("input", "temp", "output"):
            return web.Response(status=500)
        root = (self.folder / "input").resolve()
        folder = (root / subfolder).resolve()
        if root not in (folder, *folder.parents):
            return web.Response(status=400)
        folder.mkdir(parents=True, exist_ok=True)
        name = image.filename
        stem, suffix = Path(name).stem, Path(name).suffix
        number = 0
        while form.get("overwrite") not in ("true", "1") and (folder / name).exists() and (folder / name).read_bytes() != data:
            number += 1
            name = f"{stem} ({number}){suffix}"
        (folder / name).write_bytes(data)
        self.uploads.append(f"{subfolder}/{name}")
        return web.json_response({"name": name, "subfolder": subfolder, "type": "input"})

    async def _view(self, request: web.Request) -> web.StreamResponse:
        name, kind = request.query.get("filename", ""), request.query.get("type", "output")
        if not name or name.startswith("/") or ".." in name or ".." in request.query.get("subfolder", ""):
            return web.Response(status=400)
        path = self.folder / kind / request.query.get("subfolder", "") / Path(name).name
        if not path.is_file():
            return web.Response(status=404)
        return web.FileResponse(path, headers={"Content-Disposition": f'filename="{Path(name).name}"'})

    async def _object_info(self, request: web.Request) -> web.Response:
        wanted = request.match_info.get("name")
        names = [wanted] if wanted is not None else list(CLASSES)
        return web.json_response({name: self._validator.object_info(name) for name in names if name in CLASSES})

    async def _free(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("free_memory"):
            self.executor.forget()
        return web.Response()

    async def _stats(self, request: web.Request) -> web.Response:
        system = {"os": "posix", "comfyui_version": "0.3.64", "python_version": "3.12.3 (main)", "pytorch_version": "2.8.0+cpu", "argv": ["main.py"]}
        return web.json_response({"system": system, "devices": [{"name": "cpu", "type": "cpu", "index": None, "vram_total": 1}]})

    async def _features(self, request: web.Request) -> web.Response:
        return web.json_response({"supports_preview_metadata": True, "max_upload_size": self.max_upload_size})

    async def _moved(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://elsewhere.invalid/"})


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
