"""One ComfyUI server over HTTP. Answers are bounded, redirects are not followed, and the three ways a request can fail
are told apart: nobody answers (worth another try), the server says no, a file is not there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from regen_vcs.generators.base import JobFailed

MAX_JSON = 64 << 20
_CHUNK = 1 << 20
_TIMEOUT = httpx.Timeout(connect=3.0, read=30.0, write=60.0, pool=5.0)
# Asking before and after a job must not hold it up.
_QUICK = httpx.Timeout(connect=1.5, read=5.0, write=5.0, pool=5.0)
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Unreachable(JobFailed):
    """No answer: the server is down, restarting, or cut off. It may pass."""

    def __init__(self, what: str):
        super().__init__(what, transient=True)


class Refused(JobFailed):
    """An answer that is no yes. status: of HTTP; body: its JSON, None where it is none."""

    def __init__(self, what: str, status: int, body: Any):
        super().__init__(what)
        self.status, self.body = status, body


class FileGone(JobFailed):
    """A file that the server has told of is not there."""


def one_line(text: Any, limit: int = 500) -> str:
    """Text of a server's as it may be printed: one line without control characters, bounded."""
    line = _CONTROL.sub(" ", str(text)).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


class Server:
    """url: without a closing slash; headers: sent with every request. Use from one thread; `close` it at the end."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, timeout: httpx.Timeout = _TIMEOUT):
        self.url = url
        self.headers = dict(headers or {})
        # Neither a proxy nor a password is taken from the environment: regen.toml and the user's trust say who is asked.
        # (Certificates take 20 ms to load, and http:// has no use for them.)
        self._http = httpx.Client(
            headers=self.headers, timeout=timeout, follow_redirects=False, trust_env=False, verify=url.startswith("https:")
        )

    def close(self) -> None:
        self._http.close()

    # -- prompts -------------------------------------------------------------------------------------------------

    def submit(self, nodes: Mapping[str, Any], prompt_id: str, client_id: str) -> dict:
        """The answer, with "node_errors". Refused, with the server's reasons, where nothing of it can run."""
        # No extra_pnginfo: it would be written into the files, and their bytes would depend on it.
        return self._object("POST", "/prompt", json={"prompt": nodes, "prompt_id": prompt_id, "client_id": client_id})

    def history(self, prompt_id: str) -> dict | None:
        """What became of a prompt; None while it waits or runs, and where the server does not know it."""
        found = self._object("GET", f"/history/{prompt_id}").get(prompt_id)
        return found if isinstance(found, dict) else None

    def last_graphs(self) -> list[Any]:
        """The graph that ran last, if any."""
        found = self._object("GET", "/history", params={"max_items": "1"}, timeout=_QUICK)
        return [_id_and_graph(entry.get("prompt"))[1] for entry in found.values() if isinstance(entry, dict)]

    def queue(self) -> tuple[list[Any], list[Any]]:
        """([id, graph] of what runs, the same of what waits, next first)."""
        found = self._object("GET", "/queue", timeout=_QUICK)
        running, pending = (found.get(f"queue_{kind}") for kind in ("running", "pending"))
        waiting = [each for each in _list(pending) if isinstance(each, list) and each and isinstance(each[0], int | float)]
        waiting.sort(key=lambda each: each[0])
        return [_id_and_graph(each) for each in _list(running)], [_id_and_graph(each) for each in waiting]

    def withdraw(self, prompt_id: str) -> None:
        """Take a prompt out of the queue, or interrupt it where it is the one that runs. Nobody else's is touched."""
        self._send("POST", "/queue", json={"delete": [prompt_id]})
        # Older servers interrupt whatever runs, whichever prompt is named: so it is looked at first.
        if any(each[0] == prompt_id for each in self.queue()[0]):
            self._send("POST", "/interrupt", json={"prompt_id": prompt_id})

    def forget_results(self) -> None:
        """Have it run every node of the next prompt anew. Its models stay loaded; whoever else uses it loses time only."""
        self._send("POST", "/free", json={"unload_models": False, "free_memory": True})

    # -- what it is and has ----------------------------------------------------------------------------------------

    def system_stats(self) -> dict:
        return self._object("GET", "/system_stats", timeout=_QUICK)

    def node_inputs(self, class_type: str) -> dict | None:
        """{"required": {field: configuration}, "optional": {…}} of a class of nodes; None where it has no such class."""
        found = self._object("GET", f"/object_info/{quote(class_type, safe='')}").get(class_type)
        inputs = found.get("input") if isinstance(found, Mapping) else None
        return inputs if isinstance(inputs, dict) else None

    def max_upload_size(self) -> int | None:
        size = self._object("GET", "/features", timeout=_QUICK).get("max_upload_size")
        return size if isinstance(size, int) else None

    # -- files -----------------------------------------------------------------------------------------------------

    def upload(self, path: str, name: str) -> str:
        """Upload a file; what a node calls it from then on, which is the server's choice."""
        with open(path, "rb") as file:
            answer = self._object(
                "POST", "/upload/image", files={"image": (name, file, "application/octet-stream")},
                data={"subfolder": "regen", "type": "input", "overwrite": "true"},
            )  # fmt: skip
        if not isinstance(answer.get("name"), str) or not isinstance(answer.get("subfolder", ""), str):
            raise JobFailed(f"{self.url}: its answer to an upload is not understood: {one_line(answer, 200)}")
        subfolder = answer.get("subfolder", "")
        return f"{subfolder}/{answer['name']}" if subfolder else answer["name"]

    def download(self, file: Mapping[str, str], path: str, on_chunk: Callable[[], None]) -> None:
        """Write one of its files to `path`, a chunk at a time. FileGone where the server does not have it."""
        with self._answering(), self._http.stream("GET", self.url + "/view", params=dict(file)) as answer:
            if answer.status_code == 404:
                raise FileGone(f"{self.url} has no file {one_line(file.get('filename'), 100)!r} any more")
            self._check_status(answer, _read_bounded(answer) if not answer.is_success else b"")
            with open(path, "wb") as out:
                for chunk in answer.iter_bytes(_CHUNK):
                    on_chunk()
                    out.write(chunk)

    # -- one request -----------------------------------------------------------------------------------------------

    def _object(self, method: str, path: str, **kwargs: Any) -> dict:
        """The JSON object of an answer."""
        data = self._send(method, path, **kwargs)
        found = _json_of(data)
        if not isinstance(found, dict):
            raise JobFailed(f"{self.url}{path}: the answer is not ComfyUI's: {one_line(data[:200].decode('utf-8', 'replace'), 120)!r}")
        return found

    def _send(self, method: str, path: str, **kwargs: Any) -> bytes:
        with self._answering(), self._http.stream(method, self.url + path, **kwargs) as answer:
            data = _read_bounded(answer)
            self._check_status(answer, data)
            return data

    @contextmanager
    def _answering(self):
        try:
            yield
        except httpx.TimeoutException:
            raise Unreachable(f"{self.url} does not answer") from None
        except httpx.TransportError as error:
            reason = _ERRNO.sub("", str(error)) or type(error).__name__
            raise Unreachable(f"{self.url} cannot be reached: {one_line(reason, 200)}") from None
        except httpx.HTTPError as error:
            raise JobFailed(f"{self.url}: {one_line(error, 200)}") from None

    def _check_status(self, answer: httpx.Response, data: bytes) -> None:
        status = answer.status_code
        if 200 <= status < 300:
            return
        if status in (502, 503, 504):  # of a proxy whose server is restarting
            raise Unreachable(f"{self.url} is not there at the moment (HTTP {status})")
        if 300 <= status < 400:
            to = one_line(answer.headers.get("location", "?"), 200)
            raise Refused(f"{self.url} redirects to {to}, which is not followed: put its real address into regen.toml", status, None)
        if status in (401, 403):
            raise Refused(f"{self.url} does not let us in (HTTP {status}): its key goes into the variable that auth_env names", status, None)
        said = one_line(data[:2000].decode("utf-8", "replace"), 300)
        raise Refused(f"{self.url} answers HTTP {status}: {said}", status, _json_of(data))


def quick_server(url: str, headers: Mapping[str, str]) -> Server:
    """For asking around: does not wait long for anybody."""
    return Server(url, headers, _QUICK)


def hasty_server(url: str, headers: Mapping[str, str]) -> Server:
    """For the last words of a job that is being ended: half a second a request."""
    return Server(url, headers, httpx.Timeout(0.5))


def choices_of(config: Any) -> list[str] | None:
    """The choices of an input's configuration, in both spellings: [["a", "b"], {…}] and ["COMBO", {"options": ["a", "b"]}]."""
    if not isinstance(config, list) or not config:
        return None
    found = config[0]
    if found == "COMBO" and len(config) > 1:
        found = _inside(config[1], "options")
    return [str(each) for each in found] if isinstance(found, list) else None


def choices_among(inputs: Any, field: str) -> list[str] | None:
    """What one input of a node can be, of `node_inputs`; None where it is no choice."""
    found = (choices_of(_inside(inputs, section, field)) for section in ("required", "optional"))
    return next((each for each in found if each is not None), None)


def _read_bounded(answer: httpx.Response) -> bytes:
    parts, size = [], 0
    for part in answer.iter_bytes(_CHUNK):
        size += len(part)
        if size > MAX_JSON:
            raise JobFailed(f"{answer.url.scheme}://{answer.url.netloc.decode()}: an answer of more than {MAX_JSON >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _json_of(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _inside(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _id_and_graph(item: Any) -> tuple[Any, Any]:
    """Of [number, id, graph, extra data, outputs]."""
    return (item[1], item[2]) if isinstance(item, list) and len(item) > 2 else (None, None)


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def suffix_of(filename: Any) -> str:
    """".png" of "a_00001_.PNG": all that is taken of a name that a server gives. "" where it is no plain suffix."""
    suffix = os.path.splitext(filename)[1].lower() if isinstance(filename, str) else ""
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,12}", suffix) else ""
